"""The discrete Fourier transform over the last axes, as many as there are `lengths`.

    kind     x -> y, for lengths (.., n)
    fft      complex -> complex      y_k = sum_j x_j e^(-2 pi i j k / n)
    ifft     complex -> complex      x_j = sum_k y_k e^(+2 pi i j k / n) / n
    rfft     float -> complex        the first n // 2 + 1 of the last axis: others are conjugates
    irfft    complex -> float        its inverse; imaginary parts that a real x has not are not read

Linear, so each is its own derivative. The matrices of fft and ifft are symmetric, so each is its
own adjoint, too. The adjoint of rfft is the real part of an fft of what zeros fill up. That of
irfft counts twice the elements that stand for two: c_k conj(rfft(ct)_k) / n, where c_k is 1 at 0
and n / 2, else 2.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, DTypeError, ShapeError
from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.primitive import Primitive, linear
from tracejit.ir.types import COMPLEX, COMPLEX_OF, PART_OF, ArrayType, Shape
from tracejit.ops.complex import conj, real
from tracejit.ops.elementwise import and_, convert, gt, lt, select
from tracejit.ops.structure import iota, pad

#: NumPy's function for each kind, over several axes.
_VALUES: dict[str, Any] = {
    "fft": np.fft.fftn, "ifft": np.fft.ifftn, "rfft": np.fft.rfftn, "irfft": np.fft.irfftn,
}  # fmt: skip



def _typing(x: ArrayType, *, kind: str, lengths: Shape) -> tuple[ArrayType, ...]:
    if kind not in _VALUES:
        raise ArgumentError(f"fft: kinds are {', '.join(_VALUES)}, not {kind!r}")
    if x.dtype not in (COMPLEX_OF if kind == "rfft" else COMPLEX):
        numbers = "floats" if kind == "rfft" else "complex numbers"
        raise DTypeError(f"{kind} takes {numbers}, not {x}")
    if not lengths or len(lengths) > len(x.shape) or min(lengths) < 1:
        raise ShapeError(f"{kind}: lengths {lengths} do not fit {x}")
    half = (*lengths[:-1], lengths[-1] // 2 + 1)
    lead, last = x.shape[: -len(lengths)], x.shape[-len(lengths) :]
    if last != (half if kind == "irfft" else lengths):
        raise ShapeError(f"{kind}: lengths {lengths} do not fit {x}")
    dtype = {"rfft": COMPLEX_OF, "irfft": PART_OF}.get(kind, {}).get(x.dtype, x.dtype)
    return (x.with_dtype(dtype).with_shape((*lead, *(half if kind == "rfft" else lengths))),)


def _value(x: Any, *, kind: str, lengths: Shape) -> Any:
    y = _VALUES[kind](x, s=lengths, axes=tuple(range(-len(lengths), 0)))
    (type,) = _typing(ArrayType(x.dtype, x.shape), kind=kind, lengths=lengths)
    return np.ascontiguousarray(y, type.dtype)


def _transpose(cts: Any, inputs: Any, *, kind: str, lengths: Shape) -> tuple[Atom]:
    (ct,), x = cts, inputs[0].type
    if kind in ("fft", "ifft"):
        return (fft(ct, kind=kind, lengths=lengths),)
    if kind == "rfft":
        rest = tuple(n - m for n, m in zip(x.shape, ct.shape, strict=True))
        none = (0,) * ct.ndim
        whole = pad(ct, Literal(0, ct.type.with_shape(())), low=none, high=rest, interior=none)
        return (real(fft(whole, kind="fft", lengths=lengths)),)
    y = conj(fft(ct, kind="rfft", lengths=lengths))
    n = lengths[-1]
    place = iota(dtype=np.dtype(np.int32), shape=y.shape, axis=y.ndim - 1)
    twice = and_(gt(place, _splat(0, place)), lt(place, _splat((n + 1) // 2, place)))
    weight = select(twice, _like(y, 2.0 / math.prod(lengths)), _like(y, 1.0 / math.prod(lengths)))
    return (y * convert(weight, dtype=y.dtype),)


def _splat(number: int, like: Atom) -> Literal:
    return Literal(number, like.type)


def _like(y: Atom, number: float) -> Literal:
    """A real number in an array of the shape of y."""
    return Literal(number, y.type.with_dtype(PART_OF[y.dtype]))


fft: Primitive = linear(
    "fft", typing=_typing, evaluate=_value, transpose=_transpose,
    batch=lambda size, inputs, batched, **params: fft.bind(*inputs, **params),
    doc="The discrete Fourier transform (kind: fft, ifft, rfft, irfft) of the last axes.",
)  # fmt: skip
