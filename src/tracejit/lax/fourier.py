"""jax.lax.fft: the discrete Fourier transform over the last axes."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from tracejit.errors import ArgumentError
from tracejit.ir.types import COMPLEX, COMPLEX_OF
from tracejit.numpy.arrays import Array, ArrayLike, fault, value
from tracejit.ops import fourier as ops
from tracejit.trace.tracer import bind

__all__ = ["FftType", "fft"]


class FftType(enum.IntEnum):
    """The kinds of transforms."""

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


def fft(x: ArrayLike, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Array:
    """The transform of the last axes of x, which have these lengths; of IRFFT, the result's have.

    fft_type: an FftType, or its name ("FFT", "IFFT", "RFFT", "IRFFT"), or that of the function in
    numpy.fft. Real x of an FFT or IFFT is converted.
    """
    name = fft_type.name if isinstance(fft_type, FftType) else str(fft_type).upper()
    if name not in FftType.__members__:
        names = ", ".join(FftType.__members__)
        raise fault(ArgumentError, f"fft_type is one of {names}, not {fft_type!r}")
    x = value(x)
    if name != "RFFT" and x.dtype not in COMPLEX:
        x = value(x, COMPLEX_OF.get(x.dtype, x.dtype))
    return bind(ops.fft, x, kind=name.lower(), lengths=tuple(map(int, fft_lengths)))
