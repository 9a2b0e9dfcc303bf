"""numpy.fft: discrete Fourier transforms. float32 gives complex64, as in NumPy 2."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, AxisError, ShapeError
from tracejit.ir.types import COMPLEX, COMPLEX_OF
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import Array, ArrayLike, fault, nearest, one_axis, value
from tracejit.numpy.calculus import pad
from tracejit.numpy.promotion import quotient_dtype
from tracejit.numpy.shaping import moveaxis, roll
from tracejit.ops.fourier import fft as transform
from tracejit.trace.tracer import bind

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

Lengths = Sequence[int] | None
Norm = str | None

#: The power of the number of points that a transform is divided by, for each norm and direction.
_NORMS = {None: (0.0, 1.0), "backward": (0.0, 1.0), "ortho": (0.5, 0.5), "forward": (1.0, 0.0)}
_TURNED = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}

# One axis


def fft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """y_k = sum_j a_j e^(-2 pi i j k / n); a is cut or filled up with zeros to length n."""
    return _over(a, "fft", _one(n), (axis,), norm)


def ifft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The inverse of `fft`."""
    return _over(a, "ifft", _one(n), (axis,), norm)


def rfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The first n // 2 + 1 of `fft` of real numbers; the others are conjugates of these."""
    return _over(a, "rfft", _one(n), (axis,), norm)


def irfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The inverse of `rfft`: n real numbers, 2 (m - 1) of m."""
    return _over(a, "irfft", _one(n), (axis,), norm)


def hfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """`fft` of what is Hermitian, given by its first half: n real numbers."""
    return irfft(ufuncs.conjugate(value(a)), n, axis, _turned(norm))


def ihfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The inverse of `hfft`."""
    return ufuncs.conjugate(rfft(a, n, axis, _turned(norm)))


def _one(n: int | None) -> Lengths:
    return None if n is None else (n,)


# Several axes


def fftn(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] | None = None, norm: Norm = None
) -> Array:  # fmt: skip
    """`fft` along each of some axes, the last len(s) or all of them."""
    return _over(a, "fft", s, axes, norm)


def ifftn(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] | None = None, norm: Norm = None
) -> Array:  # fmt: skip
    """The inverse of `fftn`."""
    return _over(a, "ifft", s, axes, norm)


def rfftn(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] | None = None, norm: Norm = None
) -> Array:  # fmt: skip
    """`rfft` along the last of some axes, then `fft` along the others."""
    return _over(a, "rfft", s, axes, norm)


def irfftn(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] | None = None, norm: Norm = None
) -> Array:  # fmt: skip
    """The inverse of `rfftn`."""
    return _over(a, "irfft", s, axes, norm)


def fft2(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] = (-2, -1), norm: Norm = None
) -> Array:  # fmt: skip
    """`fftn` along two axes."""
    return fftn(a, s, axes, norm)


def ifft2(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] = (-2, -1), norm: Norm = None
) -> Array:  # fmt: skip
    """`ifftn` along two axes."""
    return ifftn(a, s, axes, norm)


def rfft2(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] = (-2, -1), norm: Norm = None
) -> Array:  # fmt: skip
    """`rfftn` along two axes."""
    return rfftn(a, s, axes, norm)


def irfft2(
    a: ArrayLike, s: Lengths = None, axes: Sequence[int] = (-2, -1), norm: Norm = None
) -> Array:  # fmt: skip
    """`irfftn` along two axes."""
    return irfftn(a, s, axes, norm)


def _over(a: Any, kind: str, s: Lengths, axes: Sequence[int] | None, norm: Norm) -> Array:
    """Bind a transform of some axes: each cut or filled up to its length, all moved to the end."""
    x = value(a)
    places = _axes(x, kind, s, axes)
    if not places:
        return x
    half = kind == "irfft"
    given = [x.shape[axis] for axis in places] if s is None else list(map(int, s))
    if s is None and half:
        given[-1] = 2 * (given[-1] - 1)
    if min(given) < 1:
        raise fault(ShapeError, f"{kind} needs at least one point along each axis, not {given}")
    read = [*given[:-1], given[-1] // 2 + 1] if half else given
    for axis, n in zip(places, read, strict=True):
        x = _fitted(x, axis, n)
    x = value(x, quotient_dtype(x))
    if kind == "rfft":
        if x.dtype in COMPLEX:
            raise fault(
                ArgumentError, f"rfft takes real numbers, not {x.dtype}", "np.fft.fft(x), or x.real"
            )
    elif x.dtype not in COMPLEX:
        x = value(x, COMPLEX_OF[x.dtype])
    last = tuple(range(-len(places), 0))
    y = bind(transform, moveaxis(x, places, last), kind=kind, lengths=tuple(given))
    y = moveaxis(y, last, places)
    power = _power(norm, inverse := kind in ("ifft", "irfft")) - inverse
    return ufuncs.multiply(y, math.prod(given) ** -power) if power else y


def _axes(x: Array, kind: str, s: Lengths, axes: Sequence[int] | None) -> tuple[int, ...]:
    if axes is None:
        axes = range(x.ndim) if s is None else range(-len(s), 0)
    if s is not None and len(s) != len(axes):
        raise fault(ShapeError, f"{kind}: there are {len(s)} lengths for {len(axes)} axes")
    places = tuple(one_axis(axis, x.ndim) for axis in axes)
    if len(set(places)) < len(places):
        raise fault(AxisError, f"{kind}: an axis is named twice in {tuple(axes)}")
    return places


def _fitted(x: Array, axis: int, n: int) -> Array:
    """x cut, or filled up with zeros, to n elements along an axis."""
    more = n - x.shape[axis]
    if more <= 0:
        return x[(slice(None),) * axis + (slice(n),)] if more else x
    return pad(x, [(0, more if place == axis else 0) for place in range(x.ndim)])


def _power(norm: Norm, inverse: bool) -> float:
    if norm not in _NORMS:
        raise _no_norm(norm)
    return _NORMS[norm][inverse]


def _turned(norm: Norm) -> Norm:
    if norm not in _TURNED:
        raise _no_norm(norm)
    return _TURNED[norm]


def _no_norm(norm: Any) -> Exception:
    return fault(ArgumentError, f"norm is 'backward', 'ortho' or 'forward', not {norm!r}")


# Frequencies


def fftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Array:
    """The zero frequency moved to the middle."""
    return _shifted(x, axes, lambda n: n // 2)


def ifftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Array:
    """The inverse of `fftshift`."""
    return _shifted(x, axes, lambda n: -(n // 2))


def _shifted(x: ArrayLike, axes: Any, by: Any) -> Array:
    x = value(x)
    places = range(x.ndim) if axes is None else (axes,) if isinstance(axes, int) else tuple(axes)
    places = tuple(one_axis(axis, x.ndim) for axis in places)
    return roll(x, tuple(by(x.shape[axis]) for axis in places), places)


def fftfreq(n: int, d: ArrayLike = 1.0, device: Any = None) -> Array:
    """The frequencies of the elements of `fft`, for n points that are d apart."""
    return ufuncs.divide(np.fft.fftfreq(n), d)


def rfftfreq(n: int, d: ArrayLike = 1.0, device: Any = None) -> Array:
    """The frequencies of the elements of `rfft`, for n points that are d apart."""
    return ufuncs.divide(np.fft.rfftfreq(n), d)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.numpy.fft has no {name!r}; {nearest(name, __all__)}")
