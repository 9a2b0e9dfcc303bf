"""`torch.linalg`: matrices, as a table over `tracejit.numpy.linalg`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tracejit.compat.torch.tensor import run
from tracejit.errors import did_you_mean
from tracejit.numpy import linalg

_NAMES = {"dim": "axis", "keepdim": "keepdims"}


def _public(face: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(face)
    def function(*args: Any, **kwargs: Any) -> Any:
        return run(face, args, {_NAMES.get(name, name): x for name, x in kwargs.items()})

    return function


__all__ = sorted(linalg.__all__)
globals().update({name: _public(getattr(linalg, name)) for name in __all__})


def __getattr__(name: str) -> Any:
    raise AttributeError(f"torch.linalg has no {name!r} here; {did_you_mean(name, __all__)}")
