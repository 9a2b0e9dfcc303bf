"""Remembering what a transform made of a jaxpr: jaxprs are frozen, so the answer stays right."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from tracejit.ir.graph import Jaxpr

P = ParamSpec("P")
R = TypeVar("R")

#: What transforms make of a jaxpr depends on this, too: how loops whose number of rounds is not
#: known are split, unless by tapes (see control/slots.py).
loops: ContextVar[Callable[..., Any] | None] = ContextVar("loops", default=None)


def remembered(transform: Callable[P, R]) -> Callable[P, R]:
    """Cache a function of a jaxpr and hashable arguments for as long as the jaxpr lives."""
    results: WeakKeyDictionary[Jaxpr, dict[tuple, R]] = WeakKeyDictionary()

    @functools.wraps(transform)
    def cached(*args: P.args, **kwargs: P.kwargs) -> R:
        assert not kwargs, "arguments are positional, so that they make a key"
        jaxpr, *rest = args
        known = results.setdefault(jaxpr, {})  # type: ignore[arg-type]
        key = (loops.get(), *rest)
        if key not in known:
            known[key] = transform(*args, **kwargs)
        return known[key]

    return cached
