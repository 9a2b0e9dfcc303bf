"""jax.jit: the model as it stands, with JAX arrays, and as its users would write it."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy
import numpy as np

from benchmarks.case import Case, Model, Namespace
from benchmarks.systems import NotOffered, Ready, model_of

jax.config.update("jax_enable_x64", True)

XP = Namespace(jnp, lax=jax.lax, nn=jax.nn, scipy=jax.scipy)


def _through_numpy(model: Model, args: tuple[Any, ...]) -> Ready:
    function = jax.jit(jax.value_and_grad(functools.partial(model, XP)))

    def call(*args: Any) -> Any:
        return jax.tree.map(np.asarray, function(*args))

    return Ready(call, args)


def literal(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return _through_numpy(model_of(case, "jax"), args)


def idiomatic(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    if "jax-idiomatic" not in case.versions:
        raise NotOffered  # as the literal version
    return _through_numpy(model_of(case, "jax-idiomatic"), args)


def arrays(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    model = model_of(case, "jax-idiomatic", "jax")
    function = jax.jit(jax.value_and_grad(functools.partial(model, XP)))

    def call(*args: Any) -> Any:
        return jax.block_until_ready(function(*args))

    return Ready(call, jax.device_put(args))
