"""Rows of `torch.nn.functional` on windows: convolutions, pooling, padding, resizing.

Tensors are (batch, channels, *space), or without the batch, as in PyTorch; kernels are
(out, in / groups, *space), those of transposed convolutions (in, out / groups, *space).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import lax
from tracejit.compat.torch.nn.table import PUBLIC, row
from tracejit.compat.torch.tensor import fault
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.numpy import calculus, contraction, reductions, shaping, ufuncs
from tracejit.numpy.arrays import Array
from tracejit.numpy.indexing import take
from tracejit.trace.provenance import user_frame


def sizes(x: Any, rank: int) -> tuple[int, ...]:
    """A number for each axis of space."""
    several = tuple(x) if isinstance(x, (tuple, list)) else (x,) * rank
    if len(several) == 1:
        several *= rank
    if len(several) != rank:
        raise fault(f"expected {rank} numbers, one for each axis of space, but got {several}")
    return several


def _batched(x: Array, rank: int, name: str) -> tuple[Array, bool]:
    """x with an axis of the batch, and whether it had one."""
    n = len(x.shape)
    if n not in (rank + 1, rank + 2):
        raise fault(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got "
            f"input of size: {list(x.shape)}"
        )
    return (x, True) if n == rank + 2 else (shaping.expand_dims(x, 0), False)


def _as_it_was(y: Array, batched: bool) -> Array:
    return y if batched else shaping.squeeze(y, 0)


# ---- convolutions


def _conv(rank: int) -> Callable[..., Any]:
    def conv(
        input: Array, weight: Array, bias: Array | None = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Array:  # fmt: skip
        x, batched = _batched(input, rank, f"conv{rank}d")
        if x.shape[1] != weight.shape[1] * groups:
            raise fault(
                f"Given groups={groups}, weight of size {list(weight.shape)}, expected "
                f"input{list(input.shape)} to have {weight.shape[1] * groups} channels, but got "
                f"{x.shape[1]} channels instead"
            )
        if isinstance(padding, str):
            pairs: Any = padding.upper()
        else:
            pairs = [(p, p) for p in sizes(padding, rank)]
        y = lax.conv_general_dilated(
            x, weight, sizes(stride, rank), pairs, None, sizes(dilation, rank),
            feature_group_count=groups,
        )  # fmt: skip
        return _as_it_was(_biased(y, bias), batched)

    conv.__name__, conv.__doc__ = f"conv{rank}d", f"Convolution over {rank} axes of space."
    return row(conv)


def _biased(y: Array, bias: Array | None) -> Array:
    rank = len(y.shape) - 2
    return y if bias is None else ufuncs.add(y, shaping.reshape(bias, (-1, *(1,) * rank)))


def _conv_transpose(rank: int) -> Callable[..., Any]:
    def conv_transpose(
        input: Array, weight: Array, bias: Array | None = None, stride: Any = 1, padding: Any = 0,
        output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
    ) -> Array:  # fmt: skip
        x, batched = _batched(input, rank, f"conv_transpose{rank}d")
        if x.shape[1] != weight.shape[0]:
            raise fault(
                f"Given transposed=1, weight of size {list(weight.shape)}, expected "
                f"input{list(input.shape)} to have {weight.shape[0]} channels, but got "
                f"{x.shape[1]} channels instead"
            )
        steps = sizes(dilation, rank)
        reach = [d * (k - 1) for d, k in zip(steps, weight.shape[2:], strict=True)]
        pairs = [
            (r - p, r - p + extra)
            for r, p, extra in zip(
                reach, sizes(padding, rank), sizes(output_padding, rank), strict=True
            )
        ]
        kernel = shaping.flip(weight, tuple(range(2, rank + 2)))
        split = (groups, weight.shape[0] // groups, *weight.shape[1:])
        kernel = shaping.swapaxes(shaping.reshape(kernel, split), 1, 2)
        kernel = shaping.reshape(kernel, (-1, *kernel.shape[2:]))
        y = lax.conv_general_dilated(
            x, kernel, (1,) * rank, pairs, sizes(stride, rank), steps, feature_group_count=groups
        )
        return _as_it_was(_biased(y, bias), batched)

    conv_transpose.__name__ = f"conv_transpose{rank}d"
    conv_transpose.__doc__ = f"What `conv{rank}d` with this kernel does to a gradient."
    return row(conv_transpose)


# ---- pooling


def _pooled(
    x: Array, rank: int, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    init: Any, computation: Callable[..., Any],
) -> Array:  # fmt: skip
    """The windows of the last axes, reduced."""
    window, pads = sizes(kernel, rank), sizes(padding, rank)
    strides = window if stride is None or stride == [] else sizes(stride, rank)
    steps = sizes(dilation, rank)
    if any(2 * p > k for p, k in zip(pads, window, strict=True)):
        raise fault(
            f"pad should be at most half of effective kernel size, but got pad={max(pads)}, "
            f"kernel_size={min(window)} and dilation={max(steps)}"
        )
    pairs = []
    for n, k, s, p, d in zip(x.shape[-rank:], window, strides, pads, steps, strict=True):
        covered = d * (k - 1) + 1
        more = 0
        if ceil_mode:  # a last window that begins inside
            count = -(-(n + 2 * p - covered) // s) + 1
            count -= (count - 1) * s >= n + p
            more = max((count - 1) * s + covered - n - 2 * p, 0)
        if n + 2 * p + more < covered:
            raise fault(
                f"Given input size: {tuple(x.shape[-rank - 1 :])}. Calculated output size is too "
                "small", f"the window is {window}, the input {tuple(x.shape[-rank:])}",
            )  # fmt: skip
        pairs.append((p, p + more))
    lead = len(x.shape) - rank
    ones, none = (1,) * lead, [(0, 0)] * lead
    return lax.reduce_window(  # type: ignore[no-any-return]
        x, init, computation, (*ones, *window), (*ones, *strides), [*none, *pairs],
        window_dilation=(*ones, *steps),
    )  # fmt: skip


def _max_pool(rank: int) -> Callable[..., Any]:
    def max_pool(
        input: Array, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Array:  # fmt: skip
        if return_indices:
            raise ArgumentError(
                "return_indices=True is not supported here", where=user_frame(),
                hint="instead of max_unpool use interpolate or conv_transpose",
            )  # fmt: skip
        x, batched = _batched(input, rank, f"max_pool{rank}d")
        least = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        y = _pooled(
            x, rank, kernel_size, stride, padding, dilation, ceil_mode, x.dtype.type(least), lax.max
        )
        return _as_it_was(y, batched)

    max_pool.__name__, max_pool.__doc__ = f"max_pool{rank}d", "The greatest number in each window."
    return row(max_pool)


def _avg_pool(rank: int) -> Callable[..., Any]:
    def avg_pool(
        input: Array, kernel_size: Any, stride: Any = None, padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True, divisor_override: Any = None,
    ) -> Array:  # fmt: skip
        x, batched = _batched(input, rank, f"avg_pool{rank}d")

        def sums(y: Array, padding: Any) -> Array:
            return _pooled(
                y, rank, kernel_size, stride, padding, 1, ceil_mode, y.dtype.type(0), lax.add
            )

        total: Any = divisor_override
        if total is None:
            inside = np.ones((1, 1, *x.shape[2:]), x.dtype)
            pads = sizes(padding, rank)
            if count_include_pad and not ceil_mode:
                total = x.dtype.type(math.prod(sizes(kernel_size, rank)))
            elif count_include_pad:
                inside = np.pad(inside, [(0, 0), (0, 0), *[(p, p) for p in pads]], mode="edge")
                total = sums(inside, 0)
            else:
                total = sums(inside, padding)
        return _as_it_was(ufuncs.divide(sums(x, padding), total), batched)

    avg_pool.__name__, avg_pool.__doc__ = f"avg_pool{rank}d", "The mean of each window."
    return row(avg_pool)


def _bins(size: int, count: int) -> list[tuple[int, int]]:
    """Where the parts of an axis begin and end, which may overlap."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _targets(output_size: Any, space: Sequence[int]) -> list[int]:
    several = sizes(output_size, len(space))
    return [n if k is None else k for n, k in zip(space, several, strict=True)]


def _adaptive(rank: int, greatest: bool) -> Callable[..., Any]:
    def adaptive_pool(input: Array, output_size: Any, return_indices: bool = False) -> Array:
        x, batched = _batched(input, rank, adaptive_pool.__name__)
        for axis, count in enumerate(_targets(output_size, x.shape[2:]), 2):
            size = x.shape[axis]
            if size % count == 0:
                split = (*x.shape[:axis], count, size // count, *x.shape[axis + 1 :])
                reduction = reductions.max if greatest else reductions.mean
                x = reduction(shaping.reshape(x, split), axis=axis + 1)
                continue
            parts = []
            for low, high in _bins(size, count):
                part = take(x, np.arange(low, high), axis=axis)
                reduction = reductions.max if greatest else reductions.mean
                parts.append(reduction(part, axis=axis))
            x = shaping.stack(parts, axis)
        return _as_it_was(x, batched)

    kind = "max" if greatest else "avg"
    adaptive_pool.__name__ = f"adaptive_{kind}_pool{rank}d"
    adaptive_pool.__doc__ = "So many windows along each axis, of equal sizes where that goes."
    return row(adaptive_pool)


for _rank in (1, 2, 3):
    _conv(_rank)
    _conv_transpose(_rank)
    _max_pool(_rank)
    _avg_pool(_rank)
    _adaptive(_rank, False)
    _adaptive(_rank, True)


# ---- arrangements


@row
def pad(
    input: Array, pad: tuple[int, ...], mode: str = "constant", value: float | None = None
) -> Array:
    """Padded: (before, behind) for the last axis, then for the one before it, ...; negative
    numbers cut."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    lead = len(input.shape) - len(pairs)
    for axis, (low, high) in enumerate(pairs, lead):
        n = input.shape[axis]
        if low < 0 or high < 0:
            input = take(input, np.arange(max(-low, 0), n - max(-high, 0)), axis=axis)
    widths = [(0, 0)] * lead + [(max(a, 0), max(b, 0)) for a, b in pairs]
    if mode != "constant":
        mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
        return calculus.pad(input, widths, mode)
    return calculus.pad(input, widths, constant_values=0 if value is None else value)


@row
def unfold(
    input: Array, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Array:
    """The windows of images as columns: (batch, channels * kernel, places)."""
    x, batched = _batched(input, 2, "unfold")
    pairs = [(p, p) for p in sizes(padding, 2)]
    patches = lax.conv_general_dilated_patches(
        x, sizes(kernel_size, 2), sizes(stride, 2), pairs, rhs_dilation=sizes(dilation, 2)
    )
    return _as_it_was(shaping.reshape(patches, (*patches.shape[:2], -1)), batched)


@row
def pixel_shuffle(input: Array, upscale_factor: int) -> Array:
    """Channels as finer places: (.., c r**2, h, w) to (.., c, h r, w r)."""
    r, (*lead, c, h, w) = upscale_factor, input.shape
    n = len(lead)
    x = shaping.reshape(input, (*lead, c // r**2, r, r, h, w))
    x = shaping.transpose(x, (*range(n), n, n + 3, n + 1, n + 4, n + 2))
    return shaping.reshape(x, (*lead, c // r**2, h * r, w * r))


def _weights(size: int, count: int, scale: float, corners: bool, kind: np.dtype) -> np.ndarray:
    """The matrix that interpolates `size` numbers at `count` places."""
    places = np.arange(count, dtype=np.float64)
    if corners:
        at = places * ((size - 1) / (count - 1) if count > 1 else 0.0)
    else:
        at = np.maximum((places + 0.5) * scale - 0.5, 0.0)
    low = np.minimum(at.astype(np.int64), size - 1)
    share = at - low
    matrix = np.zeros((count, size))
    rows = np.arange(count)
    np.add.at(matrix, (rows, low), 1 - share)
    np.add.at(matrix, (rows, np.minimum(low + 1, size - 1)), share)
    return matrix.astype(kind)


_LINEAR = {"linear": 1, "bilinear": 2, "trilinear": 3}


@row
def interpolate(
    input: Array, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None,
) -> Array:  # fmt: skip
    """Images in another size: by the nearest place, by lines, or by means of areas."""
    rank = len(input.shape) - 2
    space = input.shape[2:]
    if (size is None) == (scale_factor is None):
        raise ValueError("only one of size or scale_factor should be defined")
    factors = None if scale_factor is None else sizes(scale_factor, rank)
    counts = (
        sizes(size, rank) if factors is None
        else tuple(int(n * f) for n, f in zip(space, factors, strict=True))
    )  # fmt: skip
    if mode == "area":
        return PUBLIC[f"adaptive_avg_pool{rank}d"].__wrapped__(input, counts)  # type: ignore
    if mode != "nearest" and _LINEAR.get(mode) != rank:
        raise ArgumentError(
            f"interpolate has no mode {mode!r} for {rank} axes of space", where=user_frame(),
            hint=did_you_mean(mode, ["nearest", "area", *_LINEAR]),
        )  # fmt: skip
    x = input
    for axis, count in enumerate(counts):
        n = space[axis]
        scale = n / count if factors is None else 1 / factors[axis]
        if mode == "nearest":
            places = np.minimum((np.arange(count) * scale).astype(np.int64), n - 1)
            x = take(x, places, axis=axis + 2)
        else:
            matrix = _weights(n, count, scale, bool(align_corners), x.dtype)
            turned = shaping.moveaxis(x, axis + 2, -1)
            x = shaping.moveaxis(contraction.matmul(turned, matrix.T), -1, axis + 2)
    return x


