"""The row of the discrete Fourier transform."""

from __future__ import annotations

import jax
from jax import lax

from tracejit.backends.xla.table import LOWERINGS
from tracejit.ops import fourier as ops

_KINDS = {
    "fft": lax.FftType.FFT, "ifft": lax.FftType.IFFT,
    "rfft": lax.FftType.RFFT, "irfft": lax.FftType.IRFFT,
}  # fmt: skip


@LOWERINGS.rule(ops.fft)
def fft(x: jax.Array, *, kind: str, lengths: tuple[int, ...]) -> jax.Array:
    """XLA takes up to three axes at once: the others come before, the last ones of them first."""
    whole = {"rfft": "fft", "irfft": "ifft"}.get(kind, kind)
    rest, last = lengths[:-3], lengths[-3:]
    if kind in ("fft", "rfft"):
        x = lax.fft(x, _KINDS[kind], last)
    for i in range(len(rest)):
        axis = x.ndim - len(lengths) + i
        order = [a for a in range(x.ndim) if a != axis] + [axis]
        turned = lax.fft(lax.transpose(x, order), _KINDS[whole], (rest[i],))
        x = lax.transpose(turned, sorted(range(x.ndim), key=order.__getitem__))
    return lax.fft(x, _KINDS[kind], last) if kind in ("ifft", "irfft") else x
