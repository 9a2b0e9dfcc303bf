"""What JAX's test file imports, as modules that resolve to tracejit.

`jax`, `jax.lax`, `jax.numpy` answer with tracejit's names. A name that tracejit lacks is a function
that raises `Lacking` when a case calls it, so that the tables of cases can be built. Derivatives
are checked by JAX's own `check_grads`, out of the checkout, with tracejit's jvp and vjp under it.

Every product is computed in full precision here, and jaxprs do not say so. Two tests look for the
word, so `make_jaxpr` of this shim says it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import ml_dtypes
import numpy as np

import tracejit as tj
from benchmarks.jaxtests import harness
from tracejit.numpy.updates import At

TEST = Path("tests/lax_autodiff_test.py")
CHECKS = Path("jax/_src/public_test_util.py")


class Lacking(NotImplementedError):
    """What a case asks for is not there; the text is its name."""


class Names(ModuleType):
    """A module of some names, and behind them those of `source`; any other raises when called."""

    def __init__(self, name: str, source: Any = None, lenient: bool = False, **names: Any):
        super().__init__(name)
        self.__path__: list[str] = []
        self._source, self._lenient = source, lenient
        vars(self).update(names)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            found = getattr(self._source, name)
        except AttributeError:
            if not self._lenient:
                raise
            found = _lacking(f"{self.__name__}.{name}")
        setattr(self, name, found)
        return found


def _lacking(name: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise Lacking(name)

    function.__name__ = name.rpartition(".")[2]
    return function


class _Precision:
    """Of products: there is one."""

    HIGHEST = None


class _Placed(np.ndarray):
    """An array that can say `.at`, as those of JAX can."""

    @property
    def at(self) -> At:
        return At(np.asarray(self))


def _device_put(x: Any) -> Any:
    return x.view(_Placed) if isinstance(x, np.ndarray) else x


class _Config:
    def parse_flags_with_absl(self) -> None:
        """Flags are the runner's."""


class _JaxprText:
    """A jaxpr that says of what precision its products are; else it is as it is."""

    def __init__(self, jaxpr: Any):
        self._text = str(jaxpr)
        self.eqns = jaxpr.equations
        self.jaxpr = self  # JAX has an open jaxpr within a closed one

    def __str__(self) -> str:
        products = any(e.primitive.name == "dot" for e in self.eqns)
        return self._text + "  # Precision.HIGHEST" * products


def _make_jaxpr(fun: Callable[..., Any]) -> Callable[..., _JaxprText]:
    return lambda *args: _JaxprText(tj.make_jaxpr(fun)(*args))


@contextlib.contextmanager
def _as_it_is(*_: Any) -> Iterator[None]:
    """What JAX can be told here, and tracejit does anyway."""
    yield


def load(checkout: Path, through: Callable[..., Any]) -> type[unittest.TestCase]:
    """The class of tests. `through` is done to each function whose derivatives are checked:
    `tracejit.jit`, or nothing."""
    modules = _modules()
    sys.modules.update(modules)
    checks = _executed("jax._src.public_test_util", checkout / CHECKS)

    def check_grads(f: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        checks.check_grads(through(f), *args, **kwargs)

    tools = Names(
        "jax._src.test_util", **harness.test_names(),
        default_gradient_tolerance=checks.default_gradient_tolerance,
    )  # fmt: skip
    tools.tolerance = checks.tolerance  # type: ignore[attr-defined]
    sys.modules["jax._src.test_util"] = modules["jax._src"].test_util = tools  # type: ignore
    sys.modules["jax.test_util"] = Names("jax.test_util", check_grads=check_grads)
    return _executed("lax_autodiff_test", checkout / TEST).LaxAutodiffTest


def _modules() -> dict[str, ModuleType]:
    dtypes = Names(
        "jax.dtypes", ml_dtypes, float0=tj.float0, canonicalize_dtype=np.dtype,
        issubdtype=np.issubdtype, int1=None, uint1=None, _intn_dtypes=(),
        python_scalar_types_to_dtypes={t: np.dtype(t) for t in (bool, int, float, complex)},
    )  # fmt: skip
    lax = Names("jax.lax", tj.lax, lenient=True, Precision=_Precision)
    arrays = Names(
        "jax.numpy", tj.numpy, lenient=True, float16=np.float16, bfloat16=ml_dtypes.bfloat16
    )
    switch = type("Switch", (), {"value": True})
    config = Names("jax._src.config", enable_x64=switch)
    jax = Names(
        "jax", tj, lenient=True, lax=lax, numpy=arrays, dtypes=dtypes, config=_Config(),
        make_jaxpr=_make_jaxpr, device_put=_device_put,
        enable_checks=_as_it_is, numpy_rank_promotion=_as_it_is, numpy_dtype_promotion=_as_it_is,
    )  # fmt: skip
    internal = Names("jax._src", api=tj, config=config, dtypes=dtypes, tree_util=tj.tree_util)
    testing = Names("absl.testing")
    testing.absltest = Names("absl.testing.absltest", unittest)  # type: ignore[attr-defined]
    testing.parameterized = Names(  # type: ignore[attr-defined]
        "absl.testing.parameterized", parameters=harness.parameters, TestCase=harness.TestCase
    )
    made = [jax, lax, arrays, dtypes, internal, config, testing]
    made += [testing.absltest, testing.parameterized, Names("absl", testing=testing)]
    return {m.__name__: m for m in made} | {
        "jax._src.api": tj, "jax._src.dtypes": dtypes, "jax._src.tree_util": tj.tree_util,
    }  # fmt: skip


def _executed(name: str, path: Path) -> Any:
    if not path.exists():
        sys.exit(f"there is no {path}: give a checkout of jax-ml/jax")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
