"""Draws of integers, of members of a set, and of orders."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, DTypeError, ShapeError
from tracejit.ir.types import FLOATS, INT32, INTEGERS, UINT32, Shape, finfo
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    convert,
    fault,
    one_axis,
    operand,
    reshape_to,
    shape_of,
    size_argument,
    unify,
    value,
)
from tracejit.numpy.choosing import clip, where
from tracejit.numpy.indexing import take
from tracejit.numpy.promotion import as_dtype, dtype_of, result_float
from tracejit.numpy.reductions import argmax, cumsum
from tracejit.numpy.shaping import moveaxis, part
from tracejit.numpy.sorting import argsort, searchsorted
from tracejit.ops import elementwise, reduction
from tracejit.random.continuous import gumbel, uniform
from tracejit.random.keys import bits_of, checked_shape, default_int, fitting_shape, split, words_of
from tracejit.trace.tracer import Tracer, bind

__all__ = [
    "bernoulli", "categorical", "choice", "geometric", "permutation", "rademacher", "randint",
]  # fmt: skip


def int_dtype(name: str, dtype: DTypeLike) -> np.dtype:
    """The dtype of integers drawn: as wide as the default float, unless said."""
    found = default_int() if dtype is None or dtype is int else as_dtype(dtype)
    if found not in INTEGERS:
        raise fault(DTypeError, f"random.{name} draws integers, not {found}")
    return found


# Coins


def bernoulli(
    key: ArrayLike, p: ArrayLike = 0.5, shape: Any = None, mode: str = "low"
) -> Array:
    """True with probability p, a float.

    mode "high" takes two words of bits for each draw, for probabilities near epsilon.
    """
    if mode not in ("low", "high"):
        raise fault(ArgumentError, f"random.bernoulli: mode is 'low' or 'high', not {mode!r}")
    p = operand(p)
    dtype = dtype_of(p)
    if dtype not in FLOATS:
        raise fault(DTypeError, f"random.bernoulli: a probability is a float, not {dtype}")
    shape = checked_shape("bernoulli", shape, p)
    if mode == "low":
        return uniform(key, shape, dtype) < p
    coarse, fine = uniform(key, (2, *shape), dtype)
    return fine * 2.0 ** -finfo(dtype).nmant < p - coarse


def rademacher(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """-1 or 1."""
    dtype = default_int() if dtype is None or dtype is int else as_dtype(dtype)
    heads = bernoulli(key, 0.5, checked_shape("rademacher", shape))
    return where(heads, dtype.type(1), dtype.type(-1))


def geometric(
    key: ArrayLike, p: ArrayLike, shape: Any = None, dtype: DTypeLike = None
) -> Array:
    """The number of trials up to the first success, each of probability p."""
    dtype, p = int_dtype("geometric", dtype), operand(p)
    p = value(p, result_float(p))
    shape = checked_shape("geometric", shape, p)
    u = uniform(key, shape, p.dtype)
    failures = ufuncs.log(where(u == 0, p.dtype.type(1), u)) / ufuncs.log1p(-p)
    return convert(ufuncs.floor(failures) + 1, dtype)


# Integers


def randint(
    key: ArrayLike, shape: Any, minval: ArrayLike, maxval: ArrayLike, dtype: DTypeLike = None
) -> Array:
    """Integers from minval to before maxval; minval where that leaves none."""
    dtype = int_dtype("randint", dtype)
    low, high = operand(minval), operand(maxval)
    shape = checked_shape("randint", shape, low, high)
    words = split(key)
    if dtype.itemsize < 4:  # few bits would favour some of the numbers
        low, high = (_clipped(x, np.iinfo(dtype), extra) for x, extra in ((low, 0), (high, 1)))
        return convert(_randint(words, shape, low, high, INT32), dtype)
    return _randint(words, shape, low, high, dtype)


def _clipped(x: Any, info: np.iinfo, extra: int) -> Array:
    """A bound in the range of a small dtype, up to `extra` above it, as int32."""
    x, _ = _bound(x, INT32)
    return clip(x, np.int32(info.min), np.int32(info.max + extra))


def _bound(x: Any, dtype: np.dtype) -> tuple[Array, Any]:
    """A bound in the range of a dtype, and whether it lay above that."""
    info = np.iinfo(dtype)
    if dtype_of(x).kind not in "iub":
        raise fault(
            DTypeError, f"random.randint: a bound is an integer, not {dtype_of(x)}",
            "convert it: int(x), or x.astype(int)",
        )  # fmt: skip
    if not isinstance(x, Tracer) and shape_of(x) == ():
        number = int(x)
        return dtype.type(min(max(number, info.min), info.max)), np.bool_(number > info.max)
    x = value(x)
    own = np.iinfo(x.dtype)
    above = ufuncs.greater(x, info.max) if own.max > info.max else np.bool_(False)
    if own.min < info.min or own.max > info.max:
        x = clip(x, x.dtype.type(max(own.min, info.min)), x.dtype.type(min(own.max, info.max)))
    return value(x, dtype), above


def _randint(keys: Array, shape: Shape, minval: Any, maxval: Any, dtype: np.dtype) -> Array:
    """minval + (high * 2^n + low) mod span, for words high and low of n bits.

    2^n itself has no place in a word of n bits, so its remainder is the square of 2^(n/2)'s.
    """
    unsigned = np.dtype(f"uint{dtype.itemsize * 8}")
    (low, _), (high, above) = _bound(minval, dtype), _bound(maxval, dtype)
    span = convert(bind(elementwise.sub, *unify((high, low))), unsigned)
    # A maxval above the dtype was clipped to its last number, which is to be drawn too.
    whole = ufuncs.logical_and(above, ufuncs.greater(high, low))
    span = where(whole, bind(elementwise.add, *unify((span, unsigned.type(1)))), span)
    span = where(ufuncs.greater(high, low), span, unsigned.type(1))
    upper, lower = (bits_of(words_of("randint", keys[i]), shape, unsigned) for i in (0, 1))
    root = _rem(unsigned.type(1 << dtype.itemsize * 4), span)
    step = _rem(bind(elementwise.mul, root, root), span)
    offset = bind(elementwise.add, _mul(_rem(upper, span), step), _rem(lower, span))
    offset = convert(_rem(offset, span), dtype)
    return bind(elementwise.add, *unify((low, offset)))


def _rem(x: Any, y: Any) -> Array:
    return bind(elementwise.rem, *unify((x, y)))


def _mul(x: Any, y: Any) -> Array:
    return bind(elementwise.mul, *unify((x, y)))


# Orders


def permutation(
    key: ArrayLike, x: ArrayLike, axis: int = 0, independent: bool = False
) -> Array:
    """The numbers below x, or the parts of the array x along an axis, in a random order.

    independent: every line along the axis has an order of its own.
    """
    words_of("permutation", key)
    x = operand(x)
    if shape_of(x) == ():
        if dtype_of(x).kind not in "iu":
            raise fault(DTypeError, f"permutation takes an int or an array, not {dtype_of(x)}")
        one_axis(axis, 1)
        return _shuffled(key, np.arange(size_argument(x, "x"), dtype=default_int()), 0)
    x = value(x)
    axis = one_axis(axis, x.ndim)
    if independent or x.ndim == 1:
        return _shuffled(key, x, axis)
    return take(x, _shuffled(key, np.arange(x.shape[axis]), 0), axis)


def _shuffled(key: Array, x: Array, axis: int) -> Array:
    """x sorted by random words, often enough that equal words hardly ever matter.

    Of n words two are equal with a probability of about n^2 / 2^33; after r rounds a pair that
    was equal in all of them keeps its order, and r is such that n^3 < 2^32r.
    """
    size = math.prod(x.shape)
    for _ in range(math.ceil(3 * math.log(max(1, size)) / math.log(2**32 - 1))):
        keys = split(key)
        key = keys[0]
        by = bits_of(words_of("permutation", keys[1]), x.shape, UINT32)
        x = bind(reduction.sort, by, x, axis=axis, keys=1)[1]
    return x


# Members


def choice(
    key: ArrayLike, a: ArrayLike, shape: Any = (), replace: bool = True,
    p: ArrayLike | None = None, axis: int = 0, mode: str | None = None,
) -> Array:  # fmt: skip
    """Numbers below a, or parts of the array a along an axis.

    p: the probability of each, all alike unless said. replace=False: none is drawn twice.
    mode: that of `gumbel`, which draws by p without replacement.
    """
    words_of("choice", key)
    a, shape = operand(a), checked_shape("choice", shape)
    if shape_of(a) == ():
        members, count = None, size_argument(a, "a")
    else:
        members = value(a)
        axis = one_axis(axis, members.ndim)
        count = members.shape[axis]
    draws = math.prod(shape)
    if count <= 0 and draws:
        raise fault(ArgumentError, "random.choice: there is nothing to choose from")
    if not replace and draws > count:
        raise fault(
            ArgumentError, f"random.choice: {draws} of {count} cannot differ",
            "with replace=True a member may be drawn more than once",
        )  # fmt: skip
    if p is None and not replace:
        if members is None:
            return reshape_to(part(permutation(key, count), 0, 0, draws), shape)
        chosen = part(permutation(key, members, axis), axis, 0, draws)
        return reshape_to(chosen, (*members.shape[:axis], *shape, *members.shape[axis + 1 :]))
    places = _places(key, count, shape, replace, p, mode)
    return places if members is None else take(members, places, axis)


def _places(
    key: Array, count: int, shape: Shape, replace: bool, p: ArrayLike | None, mode: str | None
) -> Array:
    """Numbers below `count`, by their probabilities."""
    if p is None:
        return randint(key, shape, 0, count)
    p = operand(p)
    p = value(p, result_float(p))
    if p.shape != (count,):
        raise fault(
            ShapeError, f"random.choice: p has shape {p.shape}, for {count} members to choose from"
        )
    if replace:
        edges = cumsum(p)
        r = edges[-1] * (1 - uniform(key, shape, p.dtype))
        return convert(value(searchsorted(edges, r)), default_int())
    scores = gumbel(key, (count,), p.dtype, mode) + ufuncs.log(p)
    best = part(argsort(-scores), 0, 0, math.prod(shape))
    return reshape_to(convert(best, default_int()), shape)


def categorical(
    key: ArrayLike, logits: ArrayLike, axis: int = -1, shape: Any = None, replace: bool = True,
    mode: str | None = None,
) -> Array:  # fmt: skip
    """Places along an axis, with probabilities in the ratios of exp(logits).

    The largest of logits + gumbel has just these probabilities. shape ends with that of the logits
    without the axis. replace=False: the leading sizes of shape count places that all differ.
    mode: that of `gumbel`.
    """
    x = operand(logits)
    x = value(x, result_float(x))
    axis = one_axis(axis, x.ndim)
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    shape = fitting_shape("categorical", shape, rest)
    lead, same = shape[: len(shape) - len(rest)], shape[len(shape) - len(rest) :]
    if not replace:
        return _best(key, x, axis, lead, same, mode)
    scores = (*lead, *same[:axis], x.shape[axis], *same[axis:])
    noise = gumbel(key, scores, x.dtype, mode)
    return argmax(noise + x, axis + len(lead))


def _best(
    key: Array, x: Array, axis: int, lead: Shape, rest: Shape, mode: str | None
) -> Array:
    """The places of the largest logits + gumbel, as many as the leading sizes say."""
    count = math.prod(lead)
    if count > x.shape[axis]:
        raise fault(
            ArgumentError, f"random.categorical: {count} of {x.shape[axis]} places cannot differ",
            "with replace=True a place may be drawn more than once",
        )  # fmt: skip
    scores = x + gumbel(key, x.shape, x.dtype, mode)
    order = moveaxis(argsort(-scores, axis), axis, 0)
    return reshape_to(part(order, 0, 0, count), (*lead, *rest))
