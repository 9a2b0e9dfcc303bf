"""Rows of `control/custom.py`: functions with rules that say what the calculus says, too.

`custom_vjp_call` has no forward mode, which the laws of derivatives take; `custom_lin` has no
value. Both are tested by derivatives of programs, in tests/unit/test_custom.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tracejit.control.custom import custom_jvp_call, custom_vjp_call, custom_vmap_call
from tracejit.control.custom_closure import Held, constant
from tracejit.control.linear_call import linear
from tracejit.ir.graph import Jaxpr
from tracejit.ops.elementwise import cos, exp, sin
from tracejit.ops.structure import broadcast, reduce_sum
from tracejit.testing.domains import integers, reals
from tracejit.testing.rows.control import body
from tracejit.testing.samples import Sample
from tracejit.transforms.batch import batch
from tracejit.transforms.jvp import Mask, jvp

X = reals(-1.0, 1.0)


class Honest:
    """Rules that say of a jaxpr what the transforms say."""

    def __init__(self, jaxpr: Jaxpr):
        self.jaxpr = jaxpr

    def __repr__(self) -> str:
        return "honest"

    def jvp(self, nonzero: Mask) -> tuple[Jaxpr, Mask]:
        """See custom.JvpRule."""
        return jvp(self.jaxpr, nonzero)

    def batch(self, size: int, batched: Mask) -> Jaxpr:
        """See custom.VmapRule."""
        return batch(self.jaxpr, size, batched, (True,) * len(self.jaxpr.outvars))[0]


def _rows() -> Iterator[Sample]:
    product = body("f64[3] f64[3]", lambda x, y: [sin(x) * y, exp(y)])
    known = body("f64[3] i64[]", lambda x, n: [cos(x), n])
    for primitive in (custom_jvp_call, custom_vjp_call, custom_vmap_call):
        rest: dict[str, Any] = {"smooth": primitive is not custom_vjp_call, "has_text": False}
        for jaxpr, args, name in (
            (product, (X("f64[3]"), X("f64[3]")), "product"),
            (known, (X("f64[3]"), integers(0, 3)("i64[]")), "known"),
        ):
            params = {"jaxpr": jaxpr, "rule": Honest(jaxpr), "num_consts": 0, "name": name}
            yield Sample(primitive, args, params, note=name, **rest)
    weighted = body("f64[3] f64[3]", lambda r, x: [reduce_sum(sin(r) * x, axes=(0,)), x * r])
    turned = body(
        "f64[3] f64[] f64[3]",
        lambda r, ct, cts: [sin(r) * broadcast(ct, shape=(3,), dims=()) + cts * r],
    )
    maps = {"num_residuals": 1, "name": "weighted"}
    r, x, ct = X("f64[3]"), X("f64[3]"), X("f64[]")
    yield Sample(linear, (r, x), {"jaxpr": weighted, "back": turned, **maps})
    yield Sample(linear, (r, ct, x), {"jaxpr": turned, "back": weighted, **maps}, note="turned")
    yield Sample(constant, (), {"value": Held(np.arange(6.0).reshape(2, 3))}, has_text=False)


ROWS: tuple[Sample, ...] = tuple(_rows())
