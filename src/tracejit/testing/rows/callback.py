"""Rows of `control/callback.py`: Python functions of which a batch gives what its members give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.callback import Callback, callback_, check, pure_callback
from tracejit.ir.primitive import Primitive
from tracejit.testing.domains import exactly, integers, plane, read_type, reals
from tracejit.testing.samples import Sample

X = reals(-1.0, 1.0)


def called(
    primitive: Primitive, fun: Callable[..., Any], types: str, results: str, **params: Any
) -> Sample:
    """A row for a function of arrays of these types, separated by blanks, with a tuple of results.

    It has no derivative, and an object among its parameters.
    """
    domains = {"f": X, "c": plane(X)}
    args = tuple(domains.get(text[0], integers(0, 9))(text) for text in types.split())
    promised = tuple(map(read_type, results.split()))
    structure = tree.structure(((0,) * len(args), {}))
    called = Callback(fun, structure, tree.structure((0,) * len(promised)))
    params |= {"callback": called, "results": promised}
    return Sample(primitive, args, params, ulps=0, smooth=False, has_text=False)


def _both(x: Any, n: Any) -> tuple[Any, ...]:
    return np.sin(x) * n, np.int64(n + 1)


def _callbacks() -> Iterator[Sample]:
    yield called(callback_, _both, "f64[3] i64[]", "f64[3] i64[]")
    yield called(callback_, lambda x: (x.T.astype(bool), x), "f32[2,3]", "bool[3,2] f32[2,3]")
    yield called(callback_, lambda x: (), "f64[0]", "")
    yield called(
        pure_callback, _both, "f64[3] i64[]", "f64[3] i64[]", vmap_method="sequential"
    )
    for method in ("expand_dims", "broadcast_all"):
        yield called(
            pure_callback, lambda x, y: (np.hypot(x, y),), "f64[2] f64[2]", "f64[2]",
            vmap_method=method,
        )  # fmt: skip


def _checks() -> Iterator[Sample]:
    """Such that hold."""
    message = {"message": "{} of {n}", "names": ("n",), "members": ((), ()), "axes": 0}
    for where in (True, [[True, True], [True, True]]):
        args = (exactly(True, "bool"), exactly(where, "bool"), X("f64[3]"), integers(0, 3)("i64[]"))
        yield Sample(check, args, message)


ROWS: tuple[Sample, ...] = (*_callbacks(), *_checks())
