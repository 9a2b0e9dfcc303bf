"""tracejit on its three backends; `value` is the native value alone."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

import tracejit as tj
from benchmarks.case import Case, Namespace
from benchmarks.systems import Ready, model_of

XP = Namespace(np, lax=tj.lax)


def _prepare(case: Case, args: tuple[Any, ...], backend: str, gradient: bool = True) -> Ready:
    model = functools.partial(model_of(case, "tracejit"), XP)
    function = tj.value_and_grad(model) if gradient else model
    return Ready(tj.jit(function, backend=backend), args)


def native(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return _prepare(case, args, "native")


def value(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return _prepare(case, args, "native", gradient=False)


def eager(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return _prepare(case, args, "eager")


def xla(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return _prepare(case, args, "xla")
