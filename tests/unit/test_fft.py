"""numpy.fft: values, dtypes and errors are NumPy's; derivatives pair with what they are of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ArgumentError, AxisError, ShapeError

rng = np.random.default_rng(0)


def complexes(*shape: int) -> np.ndarray:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def agrees(fun: Callable[..., Any], x: np.ndarray, backend: str) -> None:
    wanted, found = fun(x), tj.jit(fun, backend=backend)(x)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    close = 1e-5 if wanted.dtype in (np.float32, np.complex64) else 1e-11
    np.testing.assert_allclose(found, wanted, rtol=close, atol=close * np.abs(wanted).max())


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_axis(name: str, norm: str | None, backend: str) -> None:
    fun = getattr(np.fft, name)
    for size in (2, 5, 8):
        x = complexes(3, size)
        x = x.real if name in ("rfft", "ihfft") else x
        agrees(lambda x: fun(x, norm=norm), x, backend)
        agrees(lambda x, n=size + 2: fun(x, n, 0, norm), x, backend)
        agrees(lambda x, n=size - 1: fun(x, n, 1, norm), x, backend)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
def test_several_axes(name: str, backend: str) -> None:
    x = complexes(2, 3, 4, 5)
    x = x.real if name == "rfft" else x
    of_all, of_two = getattr(np.fft, f"{name}n"), getattr(np.fft, f"{name}2")
    agrees(of_all, x, backend)
    agrees(lambda x: of_all(x, axes=(1, 0)), x, backend)
    agrees(lambda x: of_all(x, s=(4, 6), axes=(-1, 1), norm="ortho"), x, backend)
    agrees(of_two, x, backend)


def test_kinds_of_numbers(backend: str) -> None:
    agrees(np.fft.fft, np.arange(6), backend)
    agrees(np.fft.fft, np.arange(6) > 2, backend)
    agrees(np.fft.fft, np.arange(6, dtype=np.float32), backend)
    agrees(np.fft.irfft, complexes(4).astype(np.complex64), backend)
    agrees(lambda x: np.fft.fftshift(np.fft.ifftshift(x, 1)), complexes(4, 5), backend)


def test_of_lax() -> None:
    x = complexes(2, 4)
    np.testing.assert_allclose(tj.lax.fft(x, "FFT", (2, 4)), np.fft.fft2(x))
    np.testing.assert_allclose(tj.lax.fft(x, tj.lax.FftType.IRFFT, (6,)), np.fft.irfft(x))
    with pytest.raises(ArgumentError, match="fft_type is one of FFT"):
        tj.lax.fft(x, "DCT", (4,))
    with pytest.raises(ShapeError, match="do not fit"):
        tj.lax.fft(x, "FFT", (5,))


def test_derivatives(backend: str) -> None:
    x = rng.normal(size=12)

    def power(x: Any) -> Any:
        return np.sum(np.abs(np.fft.rfft(np.sin(x))) ** 4)

    gradient = tj.jit(tj.grad(power), backend=backend)(x)
    step = 1e-6 * rng.normal(size=12)
    change = power(x + step) - power(x - step)
    np.testing.assert_allclose(gradient @ (2 * step), change, rtol=1e-6)
    rows = tj.vmap(tj.grad(power))(np.stack([x, 2 * x]))
    np.testing.assert_allclose(rows[1], tj.grad(power)(2 * x))


def test_convolution_theorem() -> None:
    x, y = rng.normal(size=(2, 16))
    around = tj.jit(lambda x, y: np.fft.irfft(np.fft.rfft(x) * np.fft.rfft(y)))
    wanted = np.array([np.sum(x * np.roll(y[::-1], k + 1)) for k in range(16)])
    np.testing.assert_allclose(around(x, y), wanted, atol=1e-13)


def test_errors() -> None:
    x = complexes(3, 4)
    for error, match, fun in (
        (ArgumentError, "norm is 'backward'", lambda x: np.fft.fft(x, norm="orthogonal")),
        (ShapeError, "at least one point", lambda x: np.fft.fft(x, 0)),
        (ShapeError, "1 lengths for 2 axes", lambda x: np.fft.fftn(x, (3,), (0, 1))),
        (AxisError, "axis 2", lambda x: np.fft.fft(x, axis=2)),
        (AxisError, "named twice", lambda x: np.fft.fftn(x, axes=(0, 0))),
        (ArgumentError, "rfft takes real numbers", np.fft.rfft),
    ):
        with pytest.raises(error, match=match):
            tj.make_jaxpr(fun)(x)


@pytest.mark.parametrize("lengths", [(97,), (34,), (1, 3), (5, 17), (16384,), (10007,)])
def test_every_length_has_machine_code(lengths: tuple[int, ...]) -> None:
    """Large primes by a convolution, long ones as a matrix."""
    axes = tuple(range(1, 1 + len(lengths)))
    x = complexes(2, *lengths)
    agrees(lambda x: np.fft.fftn(x, axes=axes), x, "native")
    agrees(lambda x: np.fft.ifftn(x, axes=axes), x, "native")
    agrees(lambda x: np.fft.rfftn(x, axes=axes), x.real.copy(), "native")
    agrees(lambda x: np.fft.irfftn(x, lengths, axes), x[..., : lengths[-1] // 2 + 1], "native")
    agrees(lambda x: np.fft.fftn(x, axes=axes), x.astype(np.complex64), "native")


@pytest.mark.parametrize("size", [*range(1, 34), 60, 77, 121, 125, 180, 243, 500, 1024, 1287])
def test_rows_of_every_radix(size: int) -> None:
    x = complexes(3, size)
    agrees(np.fft.fft, x, "native")
    agrees(np.fft.ifft, x.astype(np.complex64), "native")
    agrees(np.fft.rfft, x.real.copy(), "native")
    agrees(lambda x: np.fft.irfft(x, size), x[:, : size // 2 + 1], "native")
