"""check_grads: derivatives against differences of values, in random directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.compat.autograd.differential_operators import Argnum, make_jvp, make_vjp
from tracejit.compat.autograd.extend import vspace
from tracejit.errors import ArgumentError
from tracejit.runtime.arguments import name_of
from tracejit.trace.provenance import user_frame

__all__ = ["check_equivalent", "check_grads", "combo_check", "scalar_close"]

#: The step of a central difference: near the cube root of the rounding error.
EPS = 6e-6
#: What a derivative may be off, absolutely or relatively.
TOL = 1e-6


def check_grads(
    f: Callable[..., Any], argnum: Argnum = 0, modes: Sequence[str] = ("fwd", "rev"),
    order: int = 2,
) -> Callable[..., None]:  # fmt: skip
    """check_grads(f)(*args) raises AssertionError unless the derivatives up to an order are right.

    modes: "fwd" for jvps, "rev" for vjps; higher orders are checked in all combinations.
    """
    if not set(modes) <= {"fwd", "rev"}:
        raise ArgumentError(f"modes are 'fwd' and 'rev', not {modes!r}", where=user_frame())

    def check(*args: Any, **kwargs: Any) -> None:
        places = (argnum,) if isinstance(argnum, int) else tuple(argnum)

        def of_chosen(xs: Sequence[Any]) -> Any:
            given = list(args)
            for place, x in zip(places, xs, strict=True):
                given[place] = x
            return f(*given, **kwargs)

        _check(of_chosen, tuple([args[i] for i in places]), modes, order, name_of(f))

    return check


def _check(f: Callable[..., Any], x: Any, modes: Sequence[str], order: int, name: str) -> None:
    t = vspace(x).randn()
    y, slope = make_jvp(f)(x)(t) if "fwd" in modes else (f(x), None)
    w = vspace(y).randn()
    expected = _difference(f, x, t, w)
    if slope is not None:
        _compare(_dot(w, slope), expected, f"JVP of {name}", x)
    if "rev" in modes:
        _compare(_dot(make_vjp(f)(x)[0](w), t), expected, f"VJP of {name}", x)
    if order > 1:
        if "fwd" in modes:
            _check(lambda z: make_jvp(f)(z[0])(z[1])[1], (x, t), modes, order - 1, f"jvp of {name}")
        if "rev" in modes:
            _check(lambda z: make_vjp(f)(z[0])[0](z[1]), (x, w), modes, order - 1, f"vjp of {name}")


def _difference(f: Callable[..., Any], x: Any, t: Any, w: Any) -> Any:
    """The derivative of <w, f> in direction t, by a central difference."""
    ahead, behind = (f(tree.map(lambda a, b, s=s: a + s * EPS * b, x, t)) for s in (1, -1))
    return _dot(w, tree.map(np.subtract, ahead, behind)) / (2 * EPS)


def _dot(x: Any, y: Any) -> Any:
    return np.real(sum(map(np.sum, tree.leaves(tree.map(np.multiply, x, y)))))


def _compare(exact: Any, numeric: Any, what: str, x: Any) -> None:
    near = scalar_close(exact, numeric)
    assert near, f"Derivative ({what}) check failed at {x}:\nanalytic: {exact}\nnumeric:  {numeric}"


def scalar_close(x: Any, y: Any) -> bool:
    """Whether two numbers are equal up to rounding errors."""
    return bool(abs(x - y) <= TOL * max(1.0, abs(x + y)))


def check_equivalent(x: Any, y: Any) -> None:
    """AssertionError unless two values have the same structure and shapes, and the same elements
    up to rounding errors."""
    assert vspace(x) == vspace(y), f"VSpace mismatch:\nx: {x}\ny: {y}"
    v = vspace(x).randn()
    ours, theirs = _dot(x, v), _dot(y, v)
    assert scalar_close(ours, theirs), f"Value mismatch:\nx: {x}\ny: {y}"


def combo_check(f: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., None]:
    """`check_grads(f, *args, **kwargs)` for all combinations of arguments, each given as a list."""
    check = check_grads(f, *args, **kwargs)

    def check_all(*choices: Sequence[Any], **named: Sequence[Any]) -> None:
        for given in product(*choices):
            for options in product(*named.values()):
                check(*given, **dict(zip(named, options, strict=True)))

    return check_all
