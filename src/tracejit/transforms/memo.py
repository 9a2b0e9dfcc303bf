"""Remembering what a transform made of a jaxpr: jaxprs are frozen, so the answer stays right."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from tracejit.ir.graph import Jaxpr

P = ParamSpec("P")
R = TypeVar("R")


def remembered(transform: Callable[P, R]) -> Callable[P, R]:
    """Cache a function of a jaxpr and hashable arguments for as long as the jaxpr lives."""
    results: WeakKeyDictionary[Jaxpr, dict[tuple, R]] = WeakKeyDictionary()

    @functools.wraps(transform)
    def cached(*args: P.args, **kwargs: P.kwargs) -> R:
        assert not kwargs, "arguments are positional, so that they make a key"
        jaxpr, *rest = args
        known = results.setdefault(jaxpr, {})  # type: ignore[arg-type]
        key = tuple(rest)
        if key not in known:
            known[key] = transform(*args, **kwargs)
        return known[key]

    return cached
