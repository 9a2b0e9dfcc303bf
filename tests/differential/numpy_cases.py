# ruff: noqa: E501  a table reads best with a row on a line
"""Calls of NumPy's functions, a row or several for each public name of tracejit.numpy.

A row is (name, call, *operands): `call(xp, *operands)` is made with xp numpy and tracejit.numpy.
Rows of elementwise functions are made for several dtypes, in the domain of the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """A call, its operands, and whether NumPy's own function can be called with tracers."""

    name: str
    call: Callable[..., Any]
    operands: tuple[Any, ...]
    by_protocol: bool = True


def words(text: str) -> list[str]:
    """The words of a text."""
    return text.split()


_RNG = np.random.default_rng(20)
REAL = np.array([-2.5, -1.0, -0.3, 0.0, 0.4, 1.0, 3.25, 7.5])
OTHER = np.array([0.7, -1.5, 2.0, -0.25, 0.4, -3.0, 1.5, 2.25])
POSITIVE = np.array([0.1, 0.5, 1.0, 1.5, 2.0, 3.25, 10.0, 77.0])
UNIT = np.array([-1.0, -0.75, -0.2, 0.0, 0.1, 0.5, 0.9, 1.0])
ABOVE_ONE = np.array([1.0, 1.25, 2.0, 3.5, 8.0, 12.5, 30.0, 99.0])
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300, -1e-310, 2.0])
WHOLE = np.array([-7, -3, -1, 0, 1, 2, 5, 9])
DIVISORS = np.array([2, -3, 1, 5, -2, 4, 0, -4])
X = _RNG.normal(size=(4, 3))
Y = _RNG.normal(size=(4, 3))
V = _RNG.normal(size=3)
W = _RNG.normal(size=4)
A = _RNG.normal(size=(3, 5))
B = _RNG.normal(size=(2, 3, 4))
C = _RNG.normal(size=(2, 4, 5))
S = _RNG.normal(size=(4, 4))
STACK, LARGE = np.stack([S, S.T + 1]), np.eye(12) + np.cos(np.arange(144.0)).reshape(12, 12)
I = np.array([[2, 0, 1], [1, 1, 2]])  # noqa: E741
MASK = X > 0.2
TIES = np.array([[1.0, 3.0, 3.0], [2.0, -1.0, 2.0]])
HOLES = np.array([[1.0, np.nan, 3.0, 2.0], [np.nan, -1.0, 2.0, 0.5], [4.0, 5.0, 6.0, 7.0]])
SORTED = np.array([-1.0, 0.0, 0.5, 0.5, 2.0])

FLOATS = (np.float64, np.float32, np.float16)
NUMBERS = (np.float64, np.float32, np.float16, np.int64, np.int32, np.uint8)
ALL = (*NUMBERS, np.int16, np.bool_)

#: name -> (domain, dtypes)
UNARY: dict[str, tuple[np.ndarray, tuple[Any, ...]]] = {
    **dict.fromkeys(words("sin cos tan arctan sinh cosh tanh arcsinh expm1 exp exp2"), (REAL, ALL)),
    **dict.fromkeys(words("atan asinh cbrt"), (REAL, ALL)),
    **dict.fromkeys(words("degrees radians rad2deg deg2rad fabs rint signbit"), (REAL, FLOATS)),
    "spacing": (REAL, (np.float64, np.float32)),  # of float16 NumPy's has no sign
    **dict.fromkeys(words("arcsin arccos asin acos"), (UNIT, FLOATS)),
    **dict.fromkeys(words("arctanh atanh"), (UNIT * 0.9, FLOATS)),
    **dict.fromkeys(words("arccosh acosh"), (ABOVE_ONE, NUMBERS)),
    **dict.fromkeys(words("log log2 log10 log1p sqrt"), (POSITIVE, ALL)),
    **dict.fromkeys(words("abs absolute square"), (REAL, ALL)),
    **dict.fromkeys(words("negative sign positive conj conjugate"), (REAL, NUMBERS)),
    **dict.fromkeys(words("isfinite isnan isinf logical_not floor ceil trunc"), (REAL, ALL)),
    "reciprocal": (OTHER, FLOATS),
    **dict.fromkeys(words("invert bitwise_not bitwise_invert"), (WHOLE, (np.int64, np.uint8, np.bool_))),
    "bitwise_count": (WHOLE, (np.int64, np.int32, np.uint8)),
    **dict.fromkeys(words("frexp modf"), (REAL, FLOATS)),
    **dict.fromkeys(words("isposinf isneginf isreal iscomplex sinc nan_to_num real imag angle fix"), (REAL, FLOATS)),
}
BINARY: dict[str, tuple[np.ndarray, np.ndarray, tuple[Any, ...]]] = {
    **dict.fromkeys(words("add multiply maximum minimum equal not_equal"), (REAL, OTHER, ALL)),
    **dict.fromkeys(words("less less_equal greater greater_equal"), (REAL, OTHER, ALL)),
    **dict.fromkeys(words("logical_and logical_or logical_xor"), (REAL, OTHER, ALL)),
    **dict.fromkeys(words("subtract fmax fmin hypot copysign"), (REAL, OTHER, NUMBERS)),
    **dict.fromkeys(words("arctan2 atan2 logaddexp logaddexp2 heaviside"), (REAL, OTHER, NUMBERS)),
    **dict.fromkeys(words("divide true_divide"), (REAL, OTHER, (np.float64, np.float32))),
    **dict.fromkeys(words("floor_divide remainder mod fmod divmod"), (REAL, OTHER, FLOATS)),
    **dict.fromkeys(words("power pow float_power"), (POSITIVE, OTHER, FLOATS)),
    "nextafter": (REAL, OTHER, FLOATS),
    **dict.fromkeys(
        words("bitwise_and bitwise_or bitwise_xor"), (WHOLE, DIVISORS, (np.int64, np.uint8, np.bool_))
    ),
    **dict.fromkeys(
        words("left_shift right_shift bitwise_left_shift bitwise_right_shift"),
        (WHOLE, np.array([0, 1, 2, 3, 4, 5, 6, 7]), (np.int64, np.int32, np.uint8)),
    ),
}


def _elementwise() -> Iterator[Case]:
    """Each function of UNARY and BINARY for each of its dtypes."""
    for name, (domain, dtypes) in UNARY.items():
        for dtype in dtypes:
            yield Case(name, _caller(name), (domain.astype(dtype),))
    for name, (first, second, dtypes) in BINARY.items():
        for dtype in dtypes:
            yield Case(name, _caller(name), (first.astype(dtype), second.astype(dtype)))
    for name in words("floor_divide remainder mod fmod divmod divide"):
        for dtype in (np.int64, np.int32, np.uint8):
            yield Case(name, _caller(name), (WHOLE.astype(dtype), DIVISORS.astype(dtype)))
    for name in words("exp log1p isnan maximum minimum logaddexp hypot add floor sign nan_to_num"):
        other = (np.flip(SPECIAL),) if name in BINARY else ()
        yield Case(name, _caller(name), (SPECIAL, *other))
    yield Case("ldexp", _caller("ldexp"), (REAL, WHOLE))
    yield Case("ldexp", _caller("ldexp"), (REAL.astype(np.float32), WHOLE.astype(np.int32)))
    yield Case("frexp", _caller("frexp"), (SPECIAL,))


def _caller(name: str) -> Callable[..., Any]:
    return lambda xp, *xs: getattr(xp, name)(*xs)


def _mixed() -> Iterator[Case]:
    """Pairs of dtypes, and Python numbers, under the operators."""
    dtypes = (*NUMBERS, np.int8, np.bool_)
    for first in dtypes:
        for second in dtypes:
            x, y = np.array([1, 0, 3]).astype(first), np.array([2, 1, 1]).astype(second)
            yield Case("add", lambda xp, x, y: x + y, (x, y))
            yield Case("divide", lambda xp, x, y: x / y, (x, y))
            yield Case("where", lambda xp, x, y: xp.where(x > y, x, y), (x, y))
        x = np.array([1, 0, 3]).astype(first)
        yield Case("multiply", lambda xp, x: 2 * x, (x,))
        yield Case("multiply", lambda xp, x: x * 2.5, (x,))
        yield Case("divide", lambda xp, x: x / 2, (x,))
        if first is not np.bool_:  # NumPy makes this one int8
            yield Case("power", lambda xp, x: x**2, (x,))
        yield Case("power", lambda xp, x: x**0.5, (x.astype(np.float64),))
        yield Case("power", lambda xp, x: 2.0**x, (x,))
        yield Case("sum", lambda xp, x: x.sum(), (x,))
        yield Case("mean", lambda xp, x: x.mean(), (x,))
        yield Case("cumsum", lambda xp, x: xp.cumsum(x), (x,))
        yield Case("max", lambda xp, x: xp.max(x), (x,))
        yield Case("prod", lambda xp, x: xp.prod(x), (x,))
        yield Case("dot", lambda xp, x: xp.dot(x, x), (x,))
    for n in (-3, -1, 0, 1, 2, 3, 7):
        yield Case("power", lambda xp, x, n=n: x**n, (OTHER,))
    yield Case("power", lambda xp, x: x**3, (WHOLE,))
    yield Case("less", lambda xp, x: x < 300, (WHOLE.astype(np.uint8),))
    yield Case("floor_divide", lambda xp, x: x // 3, (WHOLE,))
    yield Case("remainder", lambda xp, x: x % -3, (WHOLE,))
    yield Case("floor_divide", lambda xp, x: x // 0.1, (REAL,))
    yield Case("divmod", lambda xp, x: divmod(x, 2), (WHOLE,))
    yield Case("matmul", lambda xp, x: x @ x.T, (X > 0,))


def _from_text(text: str) -> Callable[..., Any]:
    """The call that a row below writes as text: of xp, and of the operands a."""
    return eval(f"lambda xp, *a: {text}")



#: name: calls, with a the operands (default X).
ROWS: list[tuple[str, str, tuple[Any, ...]]] = [
    # shapes
    ("shape", "xp.shape(a[0])", (X,)), ("ndim", "xp.ndim(a[0])", (X,)),
    ("size", "xp.size(a[0], 1)", (X,)),
    ("reshape", "xp.reshape(a[0], (2, -1))", (X,)), ("reshape", "a[0].reshape(3, 4)", (X,)),
    ("reshape", "xp.reshape(a[0], (6, 2), order='F')", (X,)),
    ("ravel", "xp.ravel(a[0])", (B,)), ("ravel", "a[0].ravel(order='F')", (B,)),
    ("squeeze", "xp.squeeze(a[0])", (X[:, None],)), ("squeeze", "a[0].squeeze(1)", (X[:, None],)),
    ("expand_dims", "xp.expand_dims(a[0], (0, -1))", (X,)),
    ("transpose", "xp.transpose(a[0], (1, 2, 0))", (B,)), ("transpose", "a[0].T", (B,)),
    ("transpose", "a[0].transpose(0, 2, 1)", (B,)),
    ("permute_dims", "xp.permute_dims(a[0], (1, 2, 0))", (B,)),
    ("matrix_transpose", "xp.matrix_transpose(a[0])", (B,)), ("matrix_transpose", "a[0].mT", (B,)),
    ("swapaxes", "xp.swapaxes(a[0], 0, -1)", (B,)),
    ("moveaxis", "xp.moveaxis(a[0], 0, -1)", (B,)),
    ("moveaxis", "xp.moveaxis(a[0], (0, 1), (2, 0))", (B,)),
    ("rollaxis", "xp.rollaxis(a[0], 2, 1)", (B,)), ("rollaxis", "xp.rollaxis(a[0], 0, 3)", (B,)),
    ("atleast_1d", "xp.atleast_1d(a[0][0, 0])", (X,)), ("atleast_2d", "xp.atleast_2d(a[0])", (V,)),
    ("atleast_3d", "xp.atleast_3d(a[0])", (V,)), ("atleast_3d", "xp.atleast_3d(a[0])", (X,)),
    ("broadcast_to", "xp.broadcast_to(a[0], (2, 4, 3))", (X,)),
    ("broadcast_to", "xp.broadcast_to(a[0], (4, 3))", (X[:, :1],)),
    ("broadcast_arrays", "tuple(xp.broadcast_arrays(a[0], a[1]))", (X, V)),
    ("meshgrid", "tuple(xp.meshgrid(a[0], a[1]))", (V, W)),
    ("meshgrid", "tuple(xp.meshgrid(a[0], a[1], indexing='ij', sparse=True))", (V, W)),
    ("concatenate", "xp.concatenate([a[0], a[1]], 1)", (X, Y)),
    ("concatenate", "xp.concatenate((a[0], a[1]), axis=None)", (X, V)),
    ("concat", "xp.concat([a[0], a[1]])", (X, Y)),
    ("stack", "xp.stack([a[0], a[1]], -1)", (X, Y)), ("vstack", "xp.vstack([a[0], a[1]])", (V, X)),
    ("hstack", "xp.hstack([a[0], a[1]])", (V, W)), ("hstack", "xp.hstack([a[0], a[1]])", (X, Y)),
    ("dstack", "xp.dstack([a[0], a[1]])", (X, Y)),
    ("column_stack", "xp.column_stack([a[0], a[1]])", (W, X)),
    ("append", "xp.append(a[0], a[1])", (X, V)), ("append", "xp.append(a[0], a[1], 0)", (X, Y)),
    ("block", "xp.block([[a[0], a[1]], [a[1], a[0]]])", (X, Y)),
    ("split", "xp.split(a[0], 2)", (X,)), ("split", "xp.split(a[0], [1, 2], axis=1)", (X,)),
    ("array_split", "xp.array_split(a[0], 3)", (X,)), ("hsplit", "xp.hsplit(a[0], 3)", (X,)),
    ("vsplit", "xp.vsplit(a[0], 2)", (X,)), ("dsplit", "xp.dsplit(a[0], 2)", (B,)),
    ("unstack", "xp.unstack(a[0], axis=1)", (X,)),
    ("tile", "xp.tile(a[0], (2, 3))", (X,)), ("tile", "xp.tile(a[0], 2)", (X,)),
    ("repeat", "xp.repeat(a[0], 2, axis=1)", (X,)), ("repeat", "xp.repeat(a[0], 3)", (X,)),
    ("repeat", "xp.repeat(a[0], [2, 0, 1], axis=1)", (X,)),
    ("flip", "xp.flip(a[0])", (X,)), ("flip", "xp.flip(a[0], 1)", (X,)),
    ("flipud", "xp.flipud(a[0])", (X,)), ("fliplr", "xp.fliplr(a[0])", (X,)),
    *[("rot90", f"xp.rot90(a[0], {k})", (X,)) for k in range(5)],
    ("roll", "xp.roll(a[0], 2)", (X,)), ("roll", "xp.roll(a[0], (1, -1), (0, 1))", (X,)),
    ("pad", "xp.pad(a[0], 1)", (X,)), ("pad", "xp.pad(a[0], ((1, 0), (0, 2)), constant_values=5)", (X,)),
    ("pad", "xp.pad(a[0], (1, 2))", (V,)),
    ("pad", "xp.pad(a[0], (2, 1), constant_values=(3, 4))", (X,)),
    *[("pad", f"xp.pad(a[0], ((2, 1), (1, 2)), mode='{m}')", (X,))
      for m in ("edge", "reflect", "symmetric", "wrap")],
    ("resize", "xp.resize(a[0], (3, 5))", (X,)),
    ("delete", "xp.delete(a[0], [0, 2], axis=1)", (X,)), ("delete", "xp.delete(a[0], 1)", (X,)),
    ("insert", "xp.insert(a[0], 1, 9.0, axis=0)", (X,)),
    ("insert", "xp.insert(a[0], 2, a[1])", (V, W)),
    ("insert", "xp.insert(a[0], [1, 2], a[1], axis=0)", (X, Y[:2])),
    # choosing
    ("where", "xp.where(a[0] > 0, a[0], 0)", (X,)), ("where", "xp.where(a[0], a[1], a[2])", (MASK, X, V)),
    ("select", "xp.select([a[0] > 1, a[0] > 0], [a[0], 2 * a[0]], -1.0)", (X,)),
    ("piecewise", "xp.piecewise(a[0], [a[0] < 0, a[0] > 1], [lambda x: -x, 3.0, lambda x: x * x])", (X,)),
    ("choose", "xp.choose(a[0], [a[1], 2 * a[1], 3 * a[1]])", (I, X[:2])),
    ("clip", "xp.clip(a[0], -0.5, 0.5)", (X,)), ("clip", "a[0].clip(min=0)", (X,)),
    ("clip", "xp.clip(a[0], None, a[1])", (X, V)), ("clip", "xp.clip(a[0], 1, 4)", (WHOLE,)),
    ("isclose", "xp.isclose(a[0], a[1])", (SPECIAL, SPECIAL)),
    ("isclose", "xp.isclose(a[0], a[1], equal_nan=True)", (SPECIAL, SPECIAL * 1.000001)),
    ("allclose", "xp.allclose(a[0], a[1])", (X, X + 1e-9)),
    ("array_equal", "xp.array_equal(a[0], a[1])", (X, X)),
    ("array_equiv", "xp.array_equiv(a[0], a[1])", (X, X[:1])), ("array_equiv", "xp.array_equiv(a[0], 1.0)", (np.ones(3),)),
    ("round", "xp.round(a[0], 2)", (X,)),
    ("round", "a[0].round()", (WHOLE,)), ("around", "xp.around(a[0] * 100, -1)", (X,)),
    # reductions
    *[(name, f"xp.{name}(a[0]{args})", (x,))
      for name in words("sum prod max min mean var std any all argmax argmin")
      for args in ("", ", axis=0", ", axis=-1, keepdims=True") for x in (X, TIES, MASK)
      if not (x is MASK and name in ("var", "std"))],
    *[(name, f"xp.{name}(a[0], axis=(0, 2))", (B,)) for name in words("sum prod max min mean var std")],
    *[(name, f"xp.{name}(a[0], axis=1, where=a[0] > 0, initial=1.0)", (X,))
      for name in words("sum prod max min")],
    *[(name, f"xp.{name}(a[0], 1, where=a[0] < 3)", (TIES,)) for name in words("mean var std any all")],
    *[(name, f"xp.{name}(a[0])", (SPECIAL,)) for name in words("max min argmax argmin")],
    ("sum", "xp.sum(a[0], dtype=xp.float32)", (X,)), ("sum", "a[0].sum(0, initial=2.0)", (X,)),
    ("var", "xp.var(a[0], 0, ddof=1)", (X,)), ("std", "a[0].std(ddof=1, axis=1)", (X,)),
    ("mean", "xp.mean(a[0], dtype=xp.float32)", (X,)),
    ("amax", "xp.amax(a[0], 0)", (X,)), ("amin", "xp.amin(a[0], 0)", (X,)),
    ("ptp", "xp.ptp(a[0], 1)", (X,)),
    ("count_nonzero", "xp.count_nonzero(a[0], axis=1)", (MASK,)),
    ("cumsum", "xp.cumsum(a[0])", (X,)), ("cumsum", "a[0].cumsum(1)", (X,)),
    ("cumprod", "xp.cumprod(a[0], axis=0)", (X,)),
    ("cumulative_sum", "xp.cumulative_sum(a[0], axis=1, include_initial=True)", (X,)),
    ("cumulative_prod", "xp.cumulative_prod(a[0], axis=1, include_initial=True)", (X,)),
    ("average", "xp.average(a[0], axis=1, weights=a[1])", (X, abs(V))),
    ("average", "xp.average(a[0], axis=0, returned=True)", (X,)),
    ("average", "xp.average(a[0], weights=a[1])", (X, abs(Y))),
    *[("cov", f"xp.cov(a[0]{args})", (X,)) for args in ("", ", rowvar=False", ", bias=True", ", ddof=0")],
    ("cov", "xp.cov(a[0], a[1])", (V, X[0])), ("cov", "xp.cov(a[0])", (V,)),
    ("cov", "xp.cov(a[0], fweights=a[1])", (X, np.array([1, 3, 2]))),
    ("cov", "xp.cov(a[0], aweights=a[1])", (X, abs(V))),
    ("corrcoef", "xp.corrcoef(a[0])", (X,)), ("corrcoef", "xp.corrcoef(a[0], a[1])", (V, X[0])),
    *[("median", f"xp.median(a[0]{args})", (x,))
      for args in ("", ", axis=0", ", axis=1, keepdims=True") for x in (X, WHOLE.reshape(2, 4), HOLES)],
    *[("quantile", f"xp.quantile(a[0], 0.3, axis=0, method='{m}')", (X,))
      for m in ("linear", "lower", "higher", "midpoint", "nearest")],
    ("quantile", "xp.quantile(a[0], xp.array([0.1, 0.5, 1.0]), axis=1)", (X,)),
    ("quantile", "xp.quantile(a[0], 0.3)", (HOLES,)),
    ("quantile", "xp.quantile(a[0], 0.3, axis=(0, 2), keepdims=True)", (B,)),
    ("percentile", "xp.percentile(a[0], 30, axis=0)", (X,)),
    ("percentile", "xp.percentile(a[0], [25, 75])", (X,)),
    *[(name, f"xp.{name}(a[0]{args})", (HOLES,))
      for name in words("nansum nanprod nanmax nanmin nanmean nanvar nanstd nanmedian nancumsum nancumprod nanargmax nanargmin")
      for args in ("", ", axis=1")],
    ("nanquantile", "xp.nanquantile(a[0], 0.3, axis=1)", (HOLES,)),
    ("nanquantile", "xp.nanquantile(a[0], [0.3, 0.9], axis=0)", (HOLES,)),
    ("nanpercentile", "xp.nanpercentile(a[0], 30.0)", (HOLES,)),
    ("bincount", "xp.bincount(xp.array([1, 3, 1, 0]))", ()),
    ("bincount", "xp.bincount(xp.array([1, 3, 1, 0]), weights=a[0], minlength=6)", (W,)),
    ("histogram", "xp.histogram(a[0], 5)", (X,)), ("histogram", "xp.histogram(a[0], bins=a[1])", (X, SORTED[[0, 2, 4]])),
    ("histogram", "xp.histogram(a[0], 4, range=(-1.0, 1.0), density=True)", (X,)),
    ("histogram", "xp.histogram(a[0], 4, weights=a[1])", (W, W * W)),
    ("histogram_bin_edges", "xp.histogram_bin_edges(a[0], 3)", (X,)),
    # sorting and searching
    ("sort", "xp.sort(a[0])", (X,)), ("sort", "xp.sort(a[0], axis=0)", (HOLES,)),
    ("sort", "xp.sort(a[0], axis=None)", (X,)), ("sort", "xp.sort(a[0])", (WHOLE[::-1].copy(),)),
    ("argsort", "xp.argsort(a[0], axis=0)", (X,)), ("argsort", "a[0].argsort()", (SPECIAL,)),
    ("lexsort", "xp.lexsort((a[0], a[1]))", (X[:, 0], np.array([1, 0, 1, 0]))),
    ("partition", "xp.partition(a[0], 2)[..., 2]", (X,)),
    ("argpartition", "xp.argpartition(a[0], 1)[..., 1]", (X,)),
    *[("searchsorted", f"xp.searchsorted(a[0], a[1], '{side}')", (SORTED, x))
      for side in ("left", "right") for x in (X, SPECIAL, SORTED)],
    ("searchsorted", "xp.searchsorted(a[0], a[1])", (np.linspace(-2, 2, 101), X)),
    ("searchsorted", "xp.searchsorted(a[0], a[1], 'right')", (np.arange(100) // 3, WHOLE)),
    ("searchsorted", "a[0].searchsorted(0.3)", (SORTED,)),
    ("digitize", "xp.digitize(a[0], a[1])", (X, SORTED)),
    ("digitize", "xp.digitize(a[0], a[1], right=True)", (X, SORTED)),
    ("isin", "xp.isin(a[0], a[1])", (I, np.array([0, 2]))),
    ("isin", "xp.isin(a[0], [1], invert=True)", (I,)),
    # indexing
    ("take", "xp.take(a[0], a[1])", (X, I)), ("take", "xp.take(a[0], a[1], axis=1)", (X, I)),
    ("take", "a[0].take(xp.array([9, -9]), mode='clip')", (V,)),
    ("take", "xp.take(a[0], xp.array([4, -5]), mode='wrap')", (V,)),
    ("take_along_axis", "xp.take_along_axis(a[0], a[1], 1)", (X[:2], I)),
    ("take_along_axis", "xp.take_along_axis(a[0], xp.argsort(a[0], 0), axis=0)", (X,)),
    ("take_along_axis", "xp.take_along_axis(a[0], a[1], 1)", (X, np.array([[1]]))),
    ("compress", "xp.compress([True, False, True], a[0], axis=1)", (X,)),
    ("extract", "xp.extract(xp.array([True, False, True]), a[0])", (V,)),
    ("unravel_index", "xp.unravel_index(a[0], (3, 4))", (np.array([0, 5, 11]),)),
    ("ravel_multi_index", "xp.ravel_multi_index((a[0], a[0]), (3, 4))", (np.array([0, 2, 1]),)),
    # products
    ("dot", "xp.dot(a[0], a[1])", (X, V)), ("dot", "xp.dot(a[0], a[1])", (X, A)),
    ("dot", "xp.dot(a[0], a[1])", (A.T, B)), ("dot", "xp.dot(a[0], 2.0)", (X,)),
    ("dot", "a[0].dot(a[1])", (V, V)), ("vdot", "xp.vdot(a[0], a[1])", (X, Y)),
    ("matmul", "a[0] @ a[1]", (X, A)), ("matmul", "xp.matmul(a[0], a[1])", (B, C)),
    ("matmul", "a[0] @ a[1]", (V, A)), ("matmul", "a[0] @ a[1]", (B, W)), ("matmul", "a[0] @ a[1]", (V, B)),
    ("matmul", "a[0] @ a[1]", (S, C)), ("matmul", "a[0] @ a[1]", (B[:, None], C)),
    ("matmul", "a[0] @ a[1]", (np.arange(6).reshape(2, 3), np.arange(3))),
    ("vecdot", "xp.vecdot(a[0], a[1])", (X, V)), ("matvec", "xp.matvec(a[0], a[1])", (B, W)),
    ("matvec", "xp.matvec(a[0], a[1])", (B, C[..., 0])), ("vecmat", "xp.vecmat(a[0], a[1])", (V, A)),
    ("vecmat", "xp.vecmat(a[0], a[1])", (C[..., 0], C)),
    ("inner", "xp.inner(a[0], a[1])", (X, V)), ("outer", "xp.outer(a[0], a[1])", (X, V)),
    ("tensordot", "xp.tensordot(a[0], a[1], 1)", (X, A)),
    ("tensordot", "xp.tensordot(a[0], a[1], ((0, 2), (0, 1)))", (B, C)),
    ("tensordot", "xp.tensordot(a[0], a[1], 0)", (V, W)),
    ("kron", "xp.kron(a[0], a[1])", (X, A)), ("kron", "xp.kron(a[0], a[1])", (V, X)),
    ("cross", "xp.cross(a[0], a[1])", (X, V)), ("cross", "xp.cross(a[0], a[1], axis=0)", (A, A[:, ::-1].copy())),
    *[("diagonal", f"xp.diagonal(a[0], {k})", (X,)) for k in (-5, -1, 0, 2)],
    ("diagonal", "a[0].diagonal(0, 1, 2)", (B,)), ("trace", "xp.trace(a[0], 1)", (S,)),
    ("trace", "a[0].trace()", (B,)),
    *[("diag", f"xp.diag(a[0], {k})", (x,)) for k in (-1, 0, 2) for x in (V, X)],
    ("diagflat", "xp.diagflat(a[0])", (X,)),
    *[(name, f"xp.{name}(a[0], {k})", (x,)) for name in ("tril", "triu") for k in (-1, 0, 1) for x in (X, B)],
    *[("einsum", f"xp.einsum('{text}', *a)", xs) for text, xs in (
        ("ij,jk->ik", (X, A)), ("ij,jk", (X, A)), ("ij->ji", (X,)), ("ij->", (X,)), ("ij->j", (X,)),
        ("ii", (S,)), ("ii->i", (S,)), ("i,i", (V, V)), ("i,j->ij", (V, W)), ("bij,bjk->bik", (B, C)),
        ("bij,bjk->ik", (B, C)), ("bij,bjk,kl->l", (B, C, A.T)), ("...j,jk->...k", (B, S)),
        ("...ij,...jk", (B, C)), ("ij,ij->i", (X, Y)), ("ij,kl->", (X, A)), ("iij->j", (np.stack([S, S], 2),)),
        ("i,ij,j->", (W, X, V)), ("ij,i->ij", (X, W)), ("ji,jk", (X, Y)), ("a,b,c,d->", (V, W, V, W)))],
    ("einsum", "xp.einsum(a[0], [0, 1], a[1], [1, 2], [0, 2])", (X, A)),
    # differences and integrals
    ("diff", "xp.diff(a[0])", (X,)), ("diff", "xp.diff(a[0], 2, axis=0)", (X,)),
    ("diff", "xp.diff(a[0], prepend=0, append=1)", (X,)), ("diff", "xp.diff(a[0])", (MASK,)),
    ("ediff1d", "xp.ediff1d(a[0], to_end=5.0)", (X,)),
    ("trapezoid", "xp.trapezoid(a[0], dx=0.5)", (X,)), ("trapezoid", "xp.trapezoid(a[0], a[1], axis=0)", (X, W)),
    ("trapezoid", "xp.trapezoid(a[0], a[1])", (X, Y)),
    ("gradient", "xp.gradient(a[0])", (V,)), ("gradient", "xp.gradient(a[0], 0.5)", (X,)),
    ("gradient", "xp.gradient(a[0], a[1], axis=0)", (X, np.cumsum(abs(W)))),
    ("gradient", "xp.gradient(a[0], a[1], edge_order=2)", (W, np.cumsum(abs(W)))),
    ("unwrap", "xp.unwrap(a[0])", (np.cumsum(REAL) * 2,)),
    ("interp", "xp.interp(a[0], a[1], a[2])", (X, np.array([-1.0, 0.0, 0.7]), V)),
    ("interp", "xp.interp(a[0], a[1], a[2], left=9.0, right=8.0)", (X, np.array([-1.0, 0.0, 0.7]), V)),
    ("polyval", "xp.polyval(a[0], a[1])", (V, X)), ("polyadd", "xp.polyadd(a[0], a[1])", (V, W)),
    ("polysub", "xp.polysub(a[0], a[1])", (V, W)), ("polymul", "xp.polymul(a[0], a[1])", (V, W)),
    ("polyder", "xp.polyder(a[0], 2)", (W,)), ("polyint", "xp.polyint(a[0], 2)", (W,)),
    *[(name, f"xp.{name}(a[0], a[1], mode='{mode}')", xs) for name in ("convolve", "correlate")
      for mode in ("full", "same", "valid") for xs in ((REAL, V), (REAL, W), (V, REAL), (W, REAL))],
    ("apply_along_axis", "xp.apply_along_axis(lambda v: v * v.sum(), 0, a[0])", (X,)),
    ("vander", "xp.vander(a[0])", (V,)), ("vander", "xp.vander(a[0], 2, increasing=True)", (V,)),
    # conversion and questions
    ("astype", "xp.astype(a[0], xp.int32)", (X * 3,)), ("astype", "a[0].astype(bool)", (X,)),
    ("astype", "a[0].astype(xp.float32)", (WHOLE,)), ("copy", "xp.copy(a[0])", (X,)),
    ("zeros_like", "xp.zeros_like(a[0])", (X,)), ("ones_like", "xp.ones_like(a[0], dtype=xp.int32)", (X,)),
    ("full_like", "xp.full_like(a[0], 2)", (X,)),
    ("result_type", "xp.ones(1, xp.result_type(a[0], xp.float32))", (WHOLE,)),
    ("iscomplexobj", "xp.iscomplexobj(a[0])", (X,)), ("isrealobj", "xp.isrealobj(a[0])", (X,)),
]  # fmt: skip

#: Calls that NumPy cannot hand over: it makes or converts arrays without asking the operands.
CREATION: list[tuple[str, str, tuple[Any, ...]]] = [
    ("array", "xp.array([a[0][0], [1, 2, 3]])", (X,)), ("array", "xp.array(a[0], ndmin=3)", (X,)),
    ("array", "xp.array([[1, 2], [3, 4]], dtype=xp.float32)", ()),
    ("asarray", "xp.asarray([a[0][0, 0], 2.0])", (X,)),
    ("zeros", "xp.zeros((2, 3))", ()), ("ones", "xp.ones(3, dtype=xp.int32)", ()),
    ("empty", "xp.empty((0, 2))", ()), ("full", "xp.full((2, 2), 3)", ()),
    ("full", "xp.full((4, 3), a[0])", (V,)), ("empty_like", "xp.empty_like(a[0]) * 0", (X,)),
    ("arange", "xp.arange(5)", ()), ("arange", "xp.arange(1.0, 2.0, 0.25)", ()),
    ("eye", "xp.eye(3, 4, 1)", ()), ("identity", "xp.identity(3)", ()), ("tri", "xp.tri(3, 4, -1)", ()),
    ("linspace", "xp.linspace(0, 1, 7)", ()), ("linspace", "xp.linspace(a[0], 2.0, 5)", (V,)),
    ("linspace", "xp.linspace(a[0][0], a[0][1], 5, endpoint=False, retstep=True)", (V,)),
    ("linspace", "xp.linspace(a[0], 1.0, 4, axis=-1)", (X,)),
    ("logspace", "xp.logspace(a[0][0], 2.0, 4)", (V,)), ("geomspace", "xp.geomspace(a[0], 10.0, 4)", (abs(V),)),
    ("geomspace", "xp.geomspace(1, 1000, 4)", ()),
    ("fromfunction", "xp.fromfunction(lambda i, j: i + 2 * j, (2, 3))", ()),
    ("choose", "xp.choose(0, [a[0], a[0]])", (V,)),
]  # fmt: skip

LINALG: list[tuple[str, str, tuple[Any, ...]]] = [
    *[("norm", f"xp.linalg.norm(a[0]{args})", (X,)) for args in (
        "", ", axis=0", ", ord=1, axis=1", ", ord='fro'", ", ord=1", ", ord=-1", ", ord=xp.inf",
        ", ord=-xp.inf, keepdims=True", ", axis=(0, 1)", ", keepdims=True", ", ord=3, axis=0",
        ", ord=xp.inf, axis=1", ", ord=0, axis=1")],
    ("vector_norm", "xp.linalg.vector_norm(a[0], axis=1, ord=1)", (X,)),
    ("matrix_norm", "xp.linalg.matrix_norm(a[0])", (B,)),
    ("matrix_power", "xp.linalg.matrix_power(a[0], 3)", (S,)),
    ("matrix_power", "xp.linalg.matrix_power(a[0], 0)", (S,)),
    ("multi_dot", "xp.linalg.multi_dot([a[0], a[1], a[2]])", (X, A, A.T)),
    ("multi_dot", "xp.linalg.multi_dot([a[0], a[1], a[2]])", (W, X, V)),
    ("diagonal", "xp.linalg.diagonal(a[0], offset=1)", (B,)), ("trace", "xp.linalg.trace(a[0])", (B,)),
    ("cross", "xp.linalg.cross(a[0], a[1])", (X, Y)), ("outer", "xp.linalg.outer(a[0], a[1])", (V, W)),
    ("matmul", "xp.linalg.matmul(a[0], a[1])", (B, C)), ("vecdot", "xp.linalg.vecdot(a[0], a[1])", (X, Y)),
    ("tensordot", "xp.linalg.tensordot(a[0], a[1], axes=1)", (X, A)),
    ("matrix_transpose", "xp.linalg.matrix_transpose(a[0])", (B,)),
    ("matrix_power", "xp.linalg.matrix_power(a[0], -2)", (S,)),
    *[("solve", "xp.linalg.solve(a[0], a[1])", (a, b)) for a in (S, STACK) for b in (W, X, STACK)],
    ("solve", "xp.linalg.solve(a[0], a[1])", (np.array([[2, 1], [1, 3]]), np.array([3, 4]))),
    ("solve", "xp.linalg.solve(a[0], a[1])", (LARGE, LARGE[0])),
    ("solve", "xp.linalg.solve(a[0], a[1])", (np.float32([[2, 1], [1, 3]]), np.float32([3, 4]))),
    *[("inv", "xp.linalg.inv(a[0])", (a,)) for a in (S, STACK, LARGE)],
    *[("det", "xp.linalg.det(a[0])", (a,)) for a in (S[:1, :1], S[:2, :2], S[:3, :3], S, STACK, LARGE)],
    *[("slogdet", "xp.linalg.slogdet(a[0])", (a,)) for a in (S, S[:3, :3], STACK, LARGE, 0 * S)],
    *[("cholesky", "xp.linalg.cholesky(a[0])", (a @ np.swapaxes(a, -1, -2),)) for a in (S, STACK, LARGE)],
    ("cholesky", "xp.linalg.cholesky(a[0], upper=True)", (S @ S.T,)),
    *[(name, f"xp.linalg.{name}(a[0])", (a + np.swapaxes(a, -1, -2),))
      for name in ("eigh", "eigvalsh") for a in (S, STACK)],
    *[(name, f"xp.linalg.{name}(a[0]{args})", (a,)) for a in (S, X, X.T, STACK) for name, args in (
        ("svd", ", full_matrices=False"), ("svdvals", ""), ("qr", ""), ("pinv", ""), ("cond", ""),
        ("cond", ", p='fro'") if a.shape[-1] == a.shape[-2] else ("cond", ", p=-2"),
        ("matrix_rank", ""), ("norm", ", ord=2, axis=(-2, -1)"), ("norm", ", 'nuc', (-2, -1)"))],
    *[(name, f"xp.linalg.{name}(a[0] + 0j)", (a,)) for name in ("eig", "eigvals") for a in (S, STACK)],
    ("svd", "xp.linalg.svd(a[0], compute_uv=False)", (X,)), ("qr", "xp.linalg.qr(a[0], mode='r')", (X,)),
    *[("lstsq", "xp.linalg.lstsq(a[0], a[1])", (a, b)) for a, b in ((X, S), (S, X), (X, S[0]))],
]  # fmt: skip


def cases() -> list[Case]:
    """All calls."""
    rows = [Case(name, _from_text(text), operands) for name, text, operands in ROWS]
    creation = [Case(name, _from_text(text), operands, False) for name, text, operands in CREATION]
    linalg = [Case(f"linalg.{name}", _from_text(text), operands) for name, text, operands in LINALG]
    return [*_elementwise(), *_mixed(), *rows, *creation, *linalg]
