"""Activations by their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.compat.tensorflow.table import NN, functions
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.trace.provenance import user_frame

_FUNCTIONS = {
    name: fun
    for name, fun in functions(NN).items()
    if name in ("elu gelu leaky_relu log_softmax relu relu6 selu sigmoid silu softmax softplus "
                "softsign swish tanh").split()
}  # fmt: skip


def linear(x: Any) -> Any:
    """The same."""
    return x


def get(identifier: str | Callable[..., Any] | None) -> Callable[..., Any]:
    """The activation of a name; None is `linear`. Raises ArgumentError for a name unknown."""
    if identifier is None:
        return linear
    if callable(identifier):
        return identifier
    if identifier != "linear" and identifier not in _FUNCTIONS:
        raise ArgumentError(
            f"there is no activation {identifier!r}", where=user_frame(),
            hint=did_you_mean(identifier, [*_FUNCTIONS, "linear"]),
        )  # fmt: skip
    return linear if identifier == "linear" else _FUNCTIONS[identifier]


globals().update(_FUNCTIONS)
