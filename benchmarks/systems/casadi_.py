"""CasADi: the scalar graph (SX), run by its virtual machine; NumPy in and out."""

from __future__ import annotations

from typing import Any

import casadi
import numpy as np

from benchmarks.case import Case, leaves
from benchmarks.systems import NotOffered, Ready


def prepare(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    if case.scalar is None:
        raise NotOffered
    point = np.concatenate([np.ravel(leaf) for leaf in leaves(args[0])])
    x = casadi.SX.sym("x", point.size)
    value = case.scalar(casadi, casadi.vertsplit(x), *args[1:])
    function = casadi.Function("f", [x], [value, casadi.gradient(value, x)])

    def call(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = function(x)
        return float(value), gradient.full()

    return Ready(call, (point,))
