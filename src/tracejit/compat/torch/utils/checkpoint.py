"""`torch.utils.checkpoint`: there is nothing to save here, the calls work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(function: Callable[..., Any], *args: Any, use_reentrant: bool = False,
               **kwargs: Any) -> Any:  # fmt: skip
    """function(*args): what a derivative keeps is up to the compiled program."""
    return function(*args, **kwargs)


def checkpoint_sequential(functions: Any, segments: int, input: Any, **_: Any) -> Any:
    """The functions one after the other."""
    for function in functions:
        input = function(input)
    return input
