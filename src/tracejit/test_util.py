"""jax.test_util: derivatives checked against quotients of differences.

    from tracejit.test_util import check_grads
    check_grads(f, (x, y), order=2)

An AssertionError says which argument, in which mode and order, along which direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tracejit import tree
from tracejit.api.arrays import float0
from tracejit.api.linear_maps import jvp, vjp
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.runtime.arguments import name_of, paths
from tracejit.trace.provenance import user_frame

__all__ = ["check_grads", "check_jvp", "check_vjp"]

_MODES = ("fwd", "rev")
#: By the bytes of the coarsest dtype (of a part, if it is complex): the step of the differences,
#: and what they may differ from a derivative.
_STEPS = {2: 2.0**-3, 4: 2.0**-6, 8: 2.0**-12}
_TOLERANCES = {2: 2e-1, 4: 2e-2, 8: 1e-6}


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: str | Sequence[str] = _MODES,
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Check the derivatives of f at args, up to an order, as `jax.test_util.check_grads`.

    f:     a function of trees of arrays, with such a tree as its result. Floats and complex numbers
           are differentiated; ArgumentError if there are none, among arguments or results.
    modes: "fwd" (jvp), "rev" (vjp), or both; higher orders are all compositions of them.
    eps:   the step of the differences: by default 2^-12 for float64, 2^-6 where there is float32.
    atol, rtol: what may differ; by default 1e-6 for float64, 2e-2 where there is float32, and ten
           times that with each order.

    Derivatives are compared along random directions, the same in each run, with quotients of
    central differences (and one step of Richardson's extrapolation). Raises AssertionError.
    """
    chosen = (modes,) if isinstance(modes, str) else tuple(modes)
    for mode in chosen:
        if mode not in _MODES:
            raise ArgumentError(
                f"there is no mode {mode!r}", where=user_frame(), hint=did_you_mean(mode, _MODES)
            )
    if not isinstance(args, (tuple, list)):
        raise ArgumentError(
            f"check_grads takes a tuple of arguments, not {type(args).__name__}",
            where=user_frame(), hint="check_grads(f, (x,), order=2)",
        )  # fmt: skip
    for what, values in (("argument", args), ("result", f(*args))):
        if not _floats(values):
            raise ArgumentError(
                f"{name_of(f)} has no {what} of floats, and so no derivative", where=user_frame()
            )
    _check(f, tuple(args), order, chosen, _Limits(atol, rtol, eps), name_of(f))


def check_jvp(
    f: Callable[..., Any], f_jvp: Callable[..., Any], args: Sequence[Any],
    atol: float | None = None, rtol: float | None = None, eps: float | None = None,
    err_msg: str = "",
) -> None:  # fmt: skip
    """Check f_jvp(primals, tangents) -> (value, tangent), such as `partial(jvp, f)`."""
    _check_forward(f, f_jvp, tuple(args), _Limits(atol, rtol, eps), err_msg or name_of(f))


def check_vjp(
    f: Callable[..., Any], f_vjp: Callable[..., Any], args: Sequence[Any],
    atol: float | None = None, rtol: float | None = None, eps: float | None = None,
    err_msg: str = "",
) -> None:  # fmt: skip
    """Check f_vjp(*primals) -> (value, function of cotangents), such as `partial(vjp, f)`."""
    _check_reverse(f, f_vjp, tuple(args), _Limits(atol, rtol, eps), err_msg or name_of(f))


class _Limits(NamedTuple):
    """What the caller said of tolerances and steps; order: of the derivative that is checked."""

    atol: float | None
    rtol: float | None
    eps: float | None
    order: int = 1

    def step(self, size: int) -> float:
        return self.eps or _STEPS[size]

    def tolerances(self, size: int) -> tuple[float, float]:
        usual = _TOLERANCES[size] * 10.0 ** (self.order - 1)
        return (
            usual if self.atol is None else self.atol,
            usual if self.rtol is None else self.rtol,
        )


def _check(
    f: Callable[..., Any], args: tuple[Any, ...], order: int, modes: Sequence[str],
    limits: _Limits, name: str, above: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """One order, then those above it, of the derivatives along fixed directions."""
    if limits.order > order:
        return
    for mode in modes:
        report = f"{name}, order {limits.order} ({' of '.join((mode, *above))})"
        if mode == "fwd":
            _check_forward(f, partial(jvp, f), args, limits, report)
        else:
            _check_reverse(f, partial(vjp, f), args, limits, report)
        derivative = _pushed(f, args) if mode == "fwd" else _pulled(f, args)
        above_that = limits._replace(order=limits.order + 1)
        _check(derivative, args, order, modes, above_that, name, (mode, *above))


# Directions


def _directions(values: Any, seed: int, only: int | None = None) -> Any:
    """Random numbers for the floats of a tree, of order 1; zeros for all leaves but `only`."""
    rng = np.random.default_rng(seed)
    leaves, structure = tree.flatten(values)
    drawn = [_direction(np.asarray(x), rng) for x in leaves]
    if only is not None:
        drawn = [t if i == only else np.zeros_like(t) for i, t in enumerate(drawn)]
    return structure.unflatten(drawn)


def _direction(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not _is_float(x):
        return np.zeros(x.shape, float0)
    numbers = rng.uniform(-1.0, 1.0, x.shape)
    if x.dtype.kind == "c":
        numbers = numbers + 1j * rng.uniform(-1.0, 1.0, x.shape)
    return numbers.astype(x.dtype)


def _pushed(f: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """The floats among the tangent of f along a fixed direction, as a function of the arguments."""
    tangents = _directions(args, 11)
    return lambda *xs: _floats(jvp(f, xs, tangents)[1])


def _pulled(f: Callable[..., Any], args: tuple[Any, ...]) -> Callable[..., Any]:
    """The floats among what f pulls a fixed cotangent back to."""
    cotangents = _directions(f(*args), 13)
    return lambda *xs: _floats(vjp(f, *xs)[1](cotangents))


def _is_float(x: Any) -> bool:
    return np.dtype(getattr(x, "dtype", type(x))).kind in "fc"


def _floats(values: Any) -> list[Any]:
    return [x for x in tree.leaves(values) if _is_float(x)]


# Comparison


def _check_forward(
    f: Callable[..., Any], push: Callable[..., Any], args: tuple[Any, ...], limits: _Limits,
    report: str,
) -> None:  # fmt: skip
    """The tangent is the quotient of differences, along each argument alone."""
    out = f(*args)
    size = _itemsize(args, out)
    bounds, message = limits.tolerances(size), f"check_grads: {report}: forward mode"
    for leaf in _float_places(args):
        tangents = _directions(args, 7, leaf)
        value, moved = push(args, tangents)
        _compare(_floats(value), _floats(out), bounds, f"{message} gives another value")
        expected = _quotient(f, args, tangents, limits.step(size))
        place = _along(f, args, leaf, tangents)
        _compare(_floats(moved), expected, bounds, f"{message} is wrong {place}")


def _check_reverse(
    f: Callable[..., Any], linearized: Callable[..., Any], args: tuple[Any, ...],
    limits: _Limits, report: str,
) -> None:  # fmt: skip
    """<cotangent, quotient of differences> = <what is pulled back, direction>."""
    out = f(*args)
    size = _itemsize(args, out)
    bounds, message = limits.tolerances(size), f"check_grads: {report}: reverse mode"
    value, pull = linearized(*args)
    _compare(_floats(value), _floats(out), bounds, f"{message} gives another value")
    cotangents = _directions(out, 5)
    pulled = tree.leaves(pull(cotangents))
    for leaf in _float_places(args):
        tangents = _directions(args, 7, leaf)
        quotient = _quotient(f, args, tangents, limits.step(size))
        expected = _inner(_floats(cotangents), quotient)
        found = _inner(pulled, tree.leaves(tangents))
        place = _along(f, args, leaf, tangents)
        _compare([found], [expected], bounds, f"{message} is wrong {place}")


def _float_places(args: tuple[Any, ...]) -> list[int]:
    """The leaves to move, one at a time: what is wrong in one of them is named."""
    return [i for i, x in enumerate(tree.leaves(args)) if _is_float(x)]


def _itemsize(*values: Any) -> int:
    return min((np.asarray(x).real.dtype.itemsize for x in _floats(values)), default=8)


def _quotient(
    f: Callable[..., Any], args: tuple[Any, ...], tangents: Any, step: float
) -> list[np.ndarray]:
    """(4 d(h/2) - d(h)) / 3, d being the central difference: the error is of order h^4."""

    def moved(h: float) -> list[np.ndarray]:
        def shift(x: Any, t: Any) -> Any:
            return (np.asarray(x) + h * t).astype(t.dtype) if _is_float(t) else x

        return [_wide(y) for y in _floats(f(*tree.map(shift, args, tangents)))]

    def difference(h: float) -> list[np.ndarray]:
        return [(a - b) / (2 * h) for a, b in zip(moved(h), moved(-h), strict=True)]

    pairs = zip(difference(step), difference(step / 2), strict=True)
    return [(4 * fine - coarse) / 3 for coarse, fine in pairs]


def _wide(x: Any) -> np.ndarray:
    """In the widest dtype of its kind."""
    return np.asarray(x, np.complex128 if np.iscomplexobj(x) else np.float64)


def _inner(xs: Sequence[Any], ys: Sequence[Any]) -> np.ndarray:
    """The pairing of cotangents and tangents, that of JAX: the real part of the sum of products."""
    pairs = [(x, y) for x, y in zip(xs, ys, strict=True) if _is_float(y)]
    return np.asarray(sum(np.sum(_wide(x) * _wide(y)).real for x, y in pairs))


def _compare(
    found: Sequence[Any], expected: Sequence[Any], bounds: tuple[float, float], message: str
) -> None:
    """AssertionError for the first number that is another."""
    atol, rtol = bounds
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        x, e = _wide(a), _wide(b)
        wrong = ~np.isclose(x, e, rtol=rtol, atol=atol, equal_nan=True)
        if not wrong.any():
            continue
        at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        where = f" [{', '.join(map(str, at))}]" if at else ""
        raise AssertionError(
            f"{message}:\n  result {i}{where} is {x[at]}, and differences say {e[at]} "
            f"({np.count_nonzero(wrong)} of {wrong.size} differ; atol={atol}, rtol={rtol})"
        )


def _along(f: Callable[..., Any], args: tuple[Any, ...], leaf: int, tangents: Any) -> str:
    """The argument and the direction of a comparison."""
    direction = np.array2string(tree.leaves(tangents)[leaf], precision=3, threshold=8)
    return f"for argument {paths(f, args)[leaf]},\n  along the direction {direction}"
