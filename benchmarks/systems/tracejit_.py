"""tracejit on its three backends; `value` is the native value alone."""

from __future__ import annotations

import functools
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


def value(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return Ready(_jitted(case, "native", gradient=False), args)


def eager(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return Ready(_jitted(case, "eager"), args)


def xla(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return Ready(_jitted(case, "xla"), args)
