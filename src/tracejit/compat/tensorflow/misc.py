"""What programs call around their mathematics: checks, trees, places to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.compat.tensorflow import random
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, call, convert
from tracejit.errors import ArgumentError
from tracejit.numpy import ufuncs
from tracejit.trace.provenance import user_frame

__all__ = [
    "add_n", "config", "debugging", "device", "dropout", "executing_eagerly", "name_scope", "nest",
    "normalize",
]  # fmt: skip


def add_n(inputs: Sequence[Any], name: str | None = None) -> Tensor:
    """The sum of tensors of one shape."""
    if not inputs:
        raise ArgumentError("add_n: there are no tensors", where=user_frame())
    total = convert(inputs[0])
    for x in inputs[1:]:
        total = total + x
    return total  # type: ignore[no-any-return]


def dropout(x: Any, rate: float, seed: int | None = None, name: str | None = None, **_: Any) -> Any:
    """0 for a part `rate` of the elements, drawn anew in each call, the others over 1 - rate."""
    tensor = convert(x)
    if not 0 <= rate < 1:
        raise ArgumentError(f"dropout: rate must be in [0, 1), got {rate}", where=user_frame())
    if not rate:
        return tensor
    drawn = random.uniform(tensor.shape, dtype=tensor.dtype, seed=seed)
    return call(_kept, tensor, drawn, rate)


def _kept(x: Any, drawn: Any, rate: float) -> Any:
    return np.where(drawn >= rate, x / (1 - rate), 0)


def normalize(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """(tensor over its norm, norm)."""
    x = convert(tensor)
    norm = call(_norm, x, None if ord == "euclidean" else ord, axis)
    return call(ufuncs.divide, x, norm), norm


def _norm(x: Any, ord: Any, axis: Any) -> Any:
    if axis is None:
        return np.reshape(np.linalg.norm(np.ravel(x), ord), (1,) * np.ndim(x))
    return np.linalg.norm(x, ord, axis=axis, keepdims=True)


@contextmanager
def device(device_name: Any) -> Iterator[None]:
    """The one there is."""
    yield


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Names are not made longer."""
    yield name


def executing_eagerly() -> bool:
    """Whether no `function` is being recorded."""
    return STATE.tracing is None


def _check(name: str, holds: Callable[[Any, Any], Any]) -> Callable[..., None]:
    def check(x: Any, y: Any, message: str = "", summarize: Any = None, name: Any = None) -> None:
        if not np.all(np.asarray(convert(_truth(holds, x, y)))):
            raise ArgumentError(f"{message or word} did not hold: {x!r} and {y!r}",
                                where=user_frame())  # fmt: skip

    word = name
    check.__name__ = check.__qualname__ = name
    check.__doc__ = f"ArgumentError unless this holds for all elements: {name}."
    return check


def _truth(holds: Callable[[Any, Any], Any], x: Any, y: Any) -> Any:
    return holds(np.asarray(convert(x)), np.asarray(convert(y)))


def _check_numerics(tensor: Any, message: str, name: str | None = None) -> Tensor:
    """The tensor; ArgumentError where an element is NaN or infinite."""
    x = convert(tensor)
    if not np.all(np.isfinite(np.asarray(x))):
        raise ArgumentError(f"{message} : Tensor had NaN or Inf values", where=user_frame())
    return x  # type: ignore[no-any-return]


def _assert(condition: Any, data: Any, summarize: Any = None, name: str | None = None) -> None:
    """ArgumentError unless the condition holds."""
    if not bool(convert(condition)):
        raise ArgumentError(f"assertion failed: {data!r}", where=user_frame())


debugging = SimpleNamespace(
    Assert=_assert,
    check_numerics=_check_numerics,
    assert_equal=_check("assert_equal", np.equal),
    assert_near=_check("assert_near", lambda x, y: np.isclose(x, y, rtol=1e-5, atol=1e-5)),
    assert_less=_check("assert_less", np.less),
    assert_less_equal=_check("assert_less_equal", np.less_equal),
    assert_greater=_check("assert_greater", np.greater),
    assert_greater_equal=_check("assert_greater_equal", np.greater_equal),
)
nest = SimpleNamespace(
    flatten=tree.leaves,
    map_structure=tree.map,
    pack_sequence_as=lambda structure, flat: tree.structure(structure).unflatten(flat),
)
config = SimpleNamespace(
    list_physical_devices=lambda device_type=None: [],
    list_logical_devices=lambda device_type=None: [],
    run_functions_eagerly=lambda run_eagerly: setattr(STATE, "eager", bool(run_eagerly)),
    functions_run_eagerly=lambda: STATE.eager,
)
