"""Convolutions, as in XLA: one product of the kernel with what it covers at each place.

The operand is dilated and padded. Its windows become an array

    patches  (*groups, N, *out, kernel places * channels)

put together from one strided slice for each place of the kernel, and `dot` does the rest; where a
group is one channel, the product of slice and kernel element is summed at once. Derivatives are
those of pad, slice, concatenate and dot.
"""

from __future__ import annotations

import builtins
import enum
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from tracejit.errors import ArgumentError, ShapeError
from tracejit.lax.reductions import in_preferred
from tracejit.lax.shapes import dilated, pad, padding_of
from tracejit.numpy import contraction, creation, shaping
from tracejit.numpy.arrays import Array, ArrayLike, DTypeLike, fault, shape_argument, value
from tracejit.numpy.indexing import getitem
from tracejit.ops.structure import inverse_order

__all__ = [
    "ConvDimensionNumbers", "Precision", "conv", "conv_dimension_numbers", "conv_general_dilated",
    "conv_general_dilated_patches", "conv_transpose", "conv_with_general_padding",
]  # fmt: skip

Padding = str | Sequence[tuple[int, int]]


class Precision(enum.Enum):
    """Of products. All of them are in full precision, whatever is asked for."""

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


class ConvDimensionNumbers(NamedTuple):
    """Where the axes are: of the operand and the result (batch, feature, *spatial), of the kernel
    (output feature, input feature, *spatial)."""

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any
) -> ConvDimensionNumbers:
    """From strings such as ('NHWC', 'HWIO', 'NHWC'); None is batch, feature and then space."""
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    ndim = len(lhs_shape)
    if ndim != len(rhs_shape) or ndim < 2:
        raise fault(
            ShapeError, f"a convolution of shapes {tuple(lhs_shape)} and {tuple(rhs_shape)}"
        )
    if dimension_numbers is None:
        return ConvDimensionNumbers(*[tuple(range(ndim))] * 3)
    lhs, rhs, out = dimension_numbers
    space = [c for c in rhs if c not in "OI"]
    for spec, two in ((lhs, "NC"), (rhs, "OI"), (out, "NC")):
        if len(spec) != ndim or sorted(spec) != sorted([*two, *space]):
            raise fault(
                ArgumentError, f"convolution: dimension numbers {dimension_numbers} for arrays of "
                f"rank {ndim}", "such as ('NHWC', 'HWIO', 'NHWC')",
            )  # fmt: skip
    return ConvDimensionNumbers(*(
        tuple(spec.index(c) for c in (*two, *space))
        for spec, two in ((lhs, "NC"), (rhs, "OI"), (out, "NC"))
    ))  # fmt: skip


def conv(
    lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: Padding,
    precision: Any = None, preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """`conv_general_dilated` of (N, C, *space) by (O, I, *space)."""
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def conv_with_general_padding(
    lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: Padding,
    lhs_dilation: Sequence[int] | None, rhs_dilation: Sequence[int] | None,
    precision: Any = None, preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """`conv_general_dilated` of (N, C, *space) by (O, I, *space)."""
    return conv_general_dilated(
        lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def conv_general_dilated(
    lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: Padding,
    lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None, feature_group_count: int = 1, batch_group_count: int = 1,
    precision: Any = None, preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """Sums of products of the kernel rhs and what it covers of lhs, wherever it is put.

    padding: 'VALID', 'SAME', 'SAME_LOWER' or (low, high) for each axis of space, negative to cut.
    dimension_numbers: see `conv_dimension_numbers`. Groups divide the features of lhs, or its
    batch, and the output features of rhs: each part of one goes with the part of the other.
    Raises ShapeError where shapes, groups and windows do not fit.
    """
    numbers = conv_dimension_numbers(value(lhs).shape, value(rhs).shape, dimension_numbers)

    def product(x: Array, w: Array) -> Array:
        x = shaping.transpose(x, _space_between(numbers.lhs_spec))
        w = shaping.transpose(w, (*numbers.rhs_spec[2:], numbers.rhs_spec[1], numbers.rhs_spec[0]))
        y = _convolved(
            x, w, window_strides, padding, lhs_dilation, rhs_dilation,
            feature_group_count, batch_group_count,
        )  # fmt: skip
        return shaping.transpose(y, inverse_order(_space_between(numbers.out_spec)))

    return in_preferred(lhs, rhs, preferred_element_type, product)


def _space_between(spec: Sequence[int]) -> tuple[int, ...]:
    """The axes in the order batch, space, feature."""
    return (spec[0], *spec[2:], spec[1])


def _convolved(
    x: Array, w: Array, strides: Sequence[int], padding: Padding, lhs_dilation: Any,
    rhs_dilation: Any, features: int, batches: int,
) -> Array:  # fmt: skip
    """(N, *space, C) by (*kernel, I, O), to (N, *out, O)."""
    kernel, (inputs, outputs) = w.shape[:-2], w.shape[-2:]
    channels, count = x.shape[-1], x.shape[0]
    groups = features * batches
    if builtins.min(features, batches) != 1:
        raise fault(ArgumentError, "a convolution has groups of features or of the batch, not both")
    if channels != features * inputs or outputs % groups or count % batches:
        raise fault(
            ShapeError, f"convolution: {channels} features and a batch of {count}, a kernel of "
            f"{inputs} features for {outputs}, with {features} and {batches} groups of them",
        )  # fmt: skip
    slices = _slices(x, kernel, strides, padding, lhs_dilation, rhs_dilation)
    out, each = slices[0].shape[1:-1], outputs // groups
    w = shaping.reshape(w, (len(slices), inputs, groups, each))
    if inputs == 1 and features > 1:
        parts = [shaping.reshape(s, (count, *out, groups, 1)) for s in slices]
        y = sum(getitem(w, (k, 0)) * part for k, part in enumerate(parts))
        return shaping.reshape(y, (count, *out, outputs))
    rows = count // batches * math.prod(out)
    patches = shaping.concatenate([s[..., None, :] for s in slices], -2)
    if groups == 1:
        y = contraction.matmul(
            shaping.reshape(patches, (rows, len(slices) * inputs)),
            shaping.reshape(w, (len(slices) * inputs, outputs)),
        )  # fmt: skip
        return shaping.reshape(y, (count, *out, outputs))
    split = (batches, rows, len(slices), features, inputs)
    patches = shaping.moveaxis(shaping.reshape(patches, split), 3, 1)
    patches = shaping.reshape(patches, (groups, rows, len(slices) * inputs))
    kernels = shaping.reshape(shaping.moveaxis(w, 2, 0), (groups, len(slices) * inputs, each))
    y = shaping.moveaxis(contraction.matmul(patches, kernels), 0, 1)
    return shaping.reshape(y, (count // batches, *out, outputs))


def _slices(
    x: Array, kernel: Sequence[int], strides: Sequence[int], padding: Padding, lhs_dilation: Any,
    rhs_dilation: Any,
) -> list[Array]:  # fmt: skip
    """What each place of the kernel meets: (N, *out, C), in row-major order of places."""
    rank = len(kernel)
    strides, spread, steps = (
        shape_argument((1,) * rank if v is None else v)
        for v in (strides, lhs_dilation, rhs_dilation)
    )
    if not len(strides) == len(spread) == len(steps) == rank == x.ndim - 2:
        raise fault(
            ShapeError, f"convolution: strides {strides}, dilations {spread} and {steps} for a "
            f"kernel of {rank} axes in space",
        )  # fmt: skip
    if builtins.min((*strides, *spread, *steps), default=1) < 1:
        raise fault(ArgumentError, "convolution: strides and dilations are at least 1")
    if 0 in kernel:
        raise fault(ShapeError, f"convolution: a kernel of shape {tuple(kernel)} is empty")
    lengths = [dilated(n, d) for n, d in zip(x.shape[1:-1], spread, strict=True)]
    covered = [dilated(n, d) for n, d in zip(kernel, steps, strict=True)]
    pairs = padding_of(padding, lengths, covered, strides)
    around = [(a, b, d - 1) for (a, b), d in zip(pairs, spread, strict=True)]
    x = pad(x, value(0, x.dtype), [(0, 0, 0), *around, (0, 0, 0)])
    out = [
        builtins.max((n - c) // s + 1, 0)
        for n, c, s in zip(x.shape[1:-1], covered, strides, strict=True)
    ]
    if 0 in out:
        empty = creation.zeros((x.shape[0], *out, x.shape[-1]), x.dtype)
        return [empty] * math.prod(kernel)
    return [
        getitem(x, (slice(None), *(
            slice(k * d, k * d + (m - 1) * s + 1, s)
            for k, d, m, s in zip(place, steps, out, strides, strict=True)
        )))
        for place in itertools.product(*map(range, kernel))
    ]  # fmt: skip


def conv_general_dilated_patches(
    lhs: ArrayLike, filter_shape: Sequence[int], window_strides: Sequence[int], padding: Padding,
    lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None, precision: Any = None, preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """What a kernel of this shape covers at each place, as features of the result: for each feature
    of lhs the places of the kernel, in row-major order."""
    x, kernel = value(lhs), shape_argument(filter_shape)
    numbers = conv_dimension_numbers(x.shape, x.shape, dimension_numbers)
    moved = shaping.transpose(x, _space_between(numbers.lhs_spec))
    slices = _slices(moved, kernel, window_strides, padding, lhs_dilation, rhs_dilation)
    y = shaping.stack(slices, -1)
    y = shaping.reshape(y, (*y.shape[:-2], y.shape[-2] * y.shape[-1]))
    y = shaping.transpose(y, inverse_order(_space_between(numbers.out_spec)))
    return y if preferred_element_type is None else creation.astype(y, preferred_element_type)


def conv_transpose(
    lhs: ArrayLike, rhs: ArrayLike, strides: Sequence[int], padding: Padding,
    rhs_dilation: Sequence[int] | None = None, dimension_numbers: Any = None,
    transpose_kernel: bool = False, precision: Any = None, preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """The convolution that has the strides and padding of another one backwards.

    With `transpose_kernel` it is the derivative of that one with respect to its operand: the kernel
    is turned round, its features change places. Dimension numbers: space in the middle, features
    last ('NHWC', 'HWIO', 'NHWC') where None.
    """
    x, w = value(lhs), value(rhs)
    if dimension_numbers is None:
        last = (0, x.ndim - 1, *range(1, x.ndim - 1))
        numbers = ConvDimensionNumbers(last, (x.ndim - 1, x.ndim - 2, *range(x.ndim - 2)), last)
    else:
        numbers = conv_dimension_numbers(x.shape, w.shape, dimension_numbers)
    space = numbers.rhs_spec[2:]
    steps = shape_argument((1,) * len(space) if rhs_dilation is None else rhs_dilation)
    covered = [dilated(w.shape[a], d) for a, d in zip(space, steps, strict=True)]
    if isinstance(padding, str):
        pairs = [_transposed(k, s, padding) for k, s in zip(covered, strides, strict=True)]
    else:
        pairs = [(a, b) for a, b in padding]
    if transpose_kernel:
        w = shaping.flip(w, tuple(space))
        out, into = numbers.rhs_spec[:2]
        numbers = numbers._replace(rhs_spec=(into, out, *space))
    return conv_general_dilated(
        x, w, (1,) * len(space), pairs, strides, rhs_dilation, numbers, precision=precision,
        preferred_element_type=preferred_element_type,
    )  # fmt: skip


def _transposed(window: int, stride: int, padding: str) -> tuple[int, int]:
    """The padding of a transposed convolution, from that of the other."""
    if padding.upper() not in ("SAME", "VALID"):
        raise fault(ArgumentError, f"padding {padding!r}: it is 'SAME', 'VALID', or pairs")
    if padding.upper() == "VALID":
        total = window + stride - 2 + builtins.max(window - stride, 0)
        return window - 1, total - (window - 1)
    total = window + stride - 2
    low = window - 1 if stride > window - 1 else -(-total // 2)
    return low, total - low
