"""HIPS autograd: a tape per call over NumPy."""

from __future__ import annotations

import functools
from typing import Any

import autograd
import autograd.numpy

from benchmarks.case import Case, Namespace, PythonLoops
from benchmarks.systems import Ready, model_of

XP = Namespace(autograd.numpy, lax=PythonLoops)


def prepare(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    model = functools.partial(model_of(case, "autograd"), XP)
    return Ready(autograd.value_and_grad(model), args)
