"""Convolutions and pools of images (batch, height, width, channels)."""

from __future__ import annotations

from typing import Any

from tracejit import lax
from tracejit import numpy as np
from tracejit.numpy.arrays import Array, ArrayLike

Sizes = int | tuple[int, ...] | list[int] | None


def pair(sizes: Sizes) -> tuple[int, int]:
    """Height and width, of one number, of both, or of four with the batch and the channels."""
    if sizes is None:
        return 1, 1
    if isinstance(sizes, int):
        return sizes, sizes
    given = tuple(sizes)
    height, width = given[1:3] if len(given) == 4 else (given * 2)[:2]
    return height, width


def conv2d(
    input: Array, filters: ArrayLike, strides: Sizes = 1, padding: Any = "VALID",
    dilations: Sizes = None,
) -> Array:  # fmt: skip
    """Images by filters of shape (height, width, channels, new channels)."""
    around = padding.upper() if isinstance(padding, str) else tuple(map(tuple, padding[1:3]))
    return lax.conv_general_dilated(
        input, filters, pair(strides), around, rhs_dilation=pair(dilations),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


def depthwise_conv2d(
    input: Array, filter: ArrayLike, strides: Sizes = 1, padding: Any = "VALID"
) -> Array:
    """Each channel by filters of its own, of shape (height, width, channels, multiplier)."""
    kernel = np.asarray(filter)
    height, width, channels, each = kernel.shape
    return lax.conv_general_dilated(
        input, np.reshape(kernel, (height, width, 1, channels * each)), pair(strides),
        padding.upper(), dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=channels,
    )  # fmt: skip


def max_pool2d(input: Array, ksize: Sizes, strides: Sizes, padding: str = "VALID") -> Array:
    """The greatest element of each window."""
    window, step = ((1, *pair(sizes), 1) for sizes in (ksize, strides))
    return lax.reduce_window(input, -np.inf, lax.max, window, step, padding.upper())


def avg_pool2d(input: Array, ksize: Sizes, strides: Sizes, padding: str = "VALID") -> Array:
    """The mean of each window, of what of it is in the image."""
    window, step = ((1, *pair(sizes), 1) for sizes in (ksize, strides))
    sums, counts = (
        lax.reduce_window(x, 0.0, lax.add, window, step, padding.upper())
        for x in (input, np.ones_like(input))
    )
    return sums / counts
