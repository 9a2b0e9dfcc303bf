"""The table behind `torch.nn.functional`: functions of arrays, made functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tracejit.compat.torch.kinds import numpy_dtype
from tracejit.compat.torch.tensor import run

PUBLIC: dict[str, Callable[..., Any]] = {}


def row(body: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of arrays one of tensors; `inplace=True` writes over the first of them."""

    @wraps(body)
    def function(*args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        if "dtype" in kwargs:
            kwargs["dtype"] = numpy_dtype(kwargs["dtype"])
        out = run(body, args, kwargs)
        return args[0].write(out, f"{body.__name__}_") if inplace else out

    PUBLIC[body.__name__] = function
    return function


def public(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors, as it is."""
    PUBLIC[function.__name__] = function
    return function
