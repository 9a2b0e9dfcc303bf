"""const_graph: a function whose operations are recorded once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tracejit.api.jit import jit
from tracejit.runtime.arguments import check_callable

__all__ = ["const_graph"]


def const_graph(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """fun with these first arguments, recorded at the first call and compiled: `tracejit.jit`."""
    check_callable(fun, "const_graph")
    compiled: Callable[..., Any] = jit(functools.partial(fun, *args, **kwargs))
    return compiled
