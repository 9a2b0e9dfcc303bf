"""tracejit on its three backends; `value` is the native value alone."""

from __future__ import annotations

import functools
import tempfile
from typing import Any

import numpy as np

import tracejit as tj
from benchmarks.case import Case, Namespace
from benchmarks.systems import Ready, model_of

XP = Namespace(np, lax=tj.lax)


def _jitted(case: Case, backend: str, gradient: bool = True) -> Any:
    model = functools.partial(model_of(case, "tracejit"), XP)
    return tj.jit(tj.value_and_grad(model) if gradient else model, backend=backend)


def native(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return Ready(_jitted(case, "native"), args)


def bound(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    call = _jitted(case, "native").bind(*args)
    return Ready(call, (), bare=call)


def cached(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    """As native, with a cache on disk: what is opened for the second time is found there."""
    tj.config.update("cache_dir", _folder().name)
    return native(case, size, args)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory()


def value(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return Ready(_jitted(case, "native", gradient=False), args)


def eager(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return Ready(_jitted(case, "eager"), args)


def xla(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return Ready(_jitted(case, "xla"), args)
