"""The public names: all there, loaded on first use, and nothing heavy with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tracejit
from tracejit import api, runtime

SOURCE = Path(tracejit.__file__).parents[1]


def run(program: str) -> str:
    """What a program prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("name", tracejit.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(tracejit, name) is not None
    assert name in dir(tracejit)


def test_an_unknown_name_suggests_a_known_one() -> None:
    with pytest.raises(AttributeError, match="did you mean 'vmap'"):
        _ = tracejit.vmapp


def test_the_common_imports() -> None:
    program = """
import tracejit as jax
import tracejit.numpy as jnp
from tracejit import grad, jit, vmap, random, lax, nn
from tracejit.tree_util import tree_map
assert jax.numpy is jnp and jax.jit is jit and jax.random is random
print(grad(jit(lambda x: jnp.sum(jnp.tanh(x) ** 2)), argnums=0)(0.0))
"""
    assert run(program) == "0.0"


def test_eager_gradients_load_neither_llvm_nor_scipy_nor_jax() -> None:
    program = """
import sys, numpy as np, tracejit
tracejit.jit(np.sin), tracejit.grad(np.sin)(1.0), tracejit.vmap(np.sin)(np.ones(2))
tracejit.jit(np.sin, backend="eager")(1.0)
print([p for p in ("jax", "jaxlib", "scipy", "llvmlite") if p in sys.modules])
"""
    assert run(program) == "[]"


def test_courtesies_of_jax() -> None:
    x = np.ones(3)
    assert tracejit.block_until_ready({"x": x})["x"] is x
    assert isinstance(tracejit.device_put([x])[0], tracejit.Array)
    np.testing.assert_array_equal(tracejit.device_get(x), x)


def test_packages_are_documented() -> None:
    assert api.__doc__ and runtime.__doc__
