"""Rows of the table about shapes, places and matrices; see `functions.py`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.torch.functions import public, row, view
from tracejit.errors import ShapeError
from tracejit.numpy import (
    calculus,
    contraction,
    creation,
    linalg,
    reductions,
    shaping,
    statistics,
    ufuncs,
)
from tracejit.numpy.arrays import Array
from tracejit.numpy.indexing import take, take_along_axis
from tracejit.ops.elementwise import stop_gradient
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import bind


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape


@view
def reshape(input: Array, *shape: Any) -> Array:
    """The elements in another shape."""
    return shaping.reshape(input, _sizes(shape))


public("view", reshape, view=True)


@view
def permute(input: Array, *dims: Any) -> Array:
    """The axes in another order."""
    return shaping.transpose(input, _sizes(dims))


@view
def t(input: Array) -> Array:
    """The transpose of a matrix."""
    return shaping.transpose(input)


@view
def flatten(input: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    """Some axes as one."""
    n = len(input.shape)
    first, last = start_dim % max(n, 1), end_dim % max(n, 1)
    return shaping.reshape(input, (*input.shape[:first], -1, *input.shape[last + 1 :]))


@view
def squeeze(input: Array, dim: Any = None) -> Array:
    """Without the axes of length 1; of `dim` those that have it."""
    n = len(input.shape)
    dims = range(n) if dim is None else dim if isinstance(dim, tuple) else (dim,)
    return shaping.squeeze(input, tuple(d for d in dims if input.shape[d] == 1))


@view
def expand(input: Array, *sizes: Any) -> Array:
    """Repeated along axes of length 1; -1 keeps a size."""
    sizes = _sizes(sizes)
    lead = len(sizes) - len(input.shape)
    full = [input.shape[i - lead] if n == -1 else n for i, n in enumerate(sizes)]
    return shaping.broadcast_to(input, tuple(full))


@view
def narrow(input: Array, dim: int, start: int, length: int) -> Array:
    """`length` elements along dim."""
    return input[(*(slice(None),) * (dim % len(input.shape)), slice(start, start + length))]


@view
def select(input: Array, dim: int, index: int) -> Array:
    """The part at one index of dim."""
    return input[(*(slice(None),) * (dim % len(input.shape)), index)]


@view
def diagonal(input: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The diagonal of two axes."""
    return contraction.diagonal(input, offset, dim1, dim2)


@row
def diag(input: Array, diagonal: int = 0) -> Array:
    """The diagonal of a matrix, or the matrix of a diagonal."""
    return contraction.diag(input, diagonal)


@row
def repeat(input: Array, *sizes: Any) -> Array:
    """Tiled so many times along each axis."""
    return shaping.tile(input, _sizes(sizes))


@row
def repeat_interleave(input: Array, repeats: int, dim: Any = None) -> Array:
    """Each element repeated."""
    return shaping.repeat(input, repeats, axis=dim)


@row
def split(input: Array, split_size: Any, dim: int = 0) -> Any:
    """Parts of this length, or of these lengths, along dim."""
    n = input.shape[dim]
    if isinstance(split_size, int):
        cuts = list(range(split_size, n, split_size))
    else:
        if sum(split_size) != n:
            raise ShapeError(
                f"split_with_sizes expects split_sizes to sum exactly to {n}, but got "
                f"split_sizes={list(split_size)}", where=user_frame(),
            )  # fmt: skip
        cuts = np.cumsum(split_size)[:-1].tolist()
    return tuple(shaping.split(input, cuts, axis=dim))


@row
def chunk(input: Array, chunks: int, dim: int = 0) -> Any:
    """So many parts along dim, the last ones shorter."""
    return split(input, -(-input.shape[dim] // chunks), dim)


@row
def unbind(input: Array, dim: int = 0) -> Any:
    """The parts along dim, without it."""
    return tuple(shaping.unstack(input, axis=dim))


@row
def gather(input: Array, dim: int, index: Array) -> Array:
    """input[..., index[...], ...] along dim."""
    return take_along_axis(input, index, dim)


@row
def index_select(input: Array, dim: int, index: Array) -> Array:
    """The parts of dim at these places."""
    return take(input, index, axis=dim)


@row
def meshgrid(*tensors: Any, indexing: str = "ij") -> Any:
    """Coordinates on a grid."""
    return tuple(shaping.meshgrid(*_sizes(tensors), indexing=indexing))


@row
def stop_gradients(input: Array) -> Array:
    """The values, which count as constants."""
    return bind(stop_gradient, input)


@view
def unflatten(input: Array, dim: int, sizes: Any) -> Array:
    """One axis as several."""
    dim %= len(input.shape)
    return shaping.reshape(input, (*input.shape[:dim], *sizes, *input.shape[dim + 1 :]))


@row
def tril(input: Array, diagonal: int = 0) -> Array:
    """What lies on a diagonal and below; else 0."""
    return contraction.tril(input, diagonal)


@row
def triu(input: Array, diagonal: int = 0) -> Array:
    """What lies on a diagonal and above; else 0."""
    return contraction.triu(input, diagonal)


@row
def diff(input: Array, n: int = 1, dim: int = -1) -> Array:
    """Differences of neighbours along dim."""
    return calculus.diff(input, n, axis=dim)


# ---- writing at places, into a copy


def _places(shape: tuple[int, ...], dim: int, index: Array) -> tuple[Any, ...]:
    """The places of all elements of `index`, which counts along dim."""
    grids = np.indices(index.shape)
    return tuple(index if axis == dim % len(shape) else grids[axis] for axis in range(len(shape)))


def _taken(src: Any, index: Array, dtype: Any) -> Any:
    part = src[tuple(slice(n) for n in index.shape)] if hasattr(src, "shape") and src.shape else src
    return creation.astype(creation.asarray(part), dtype)


@row
def scatter(input: Array, dim: int, index: Array, src: Any) -> Array:
    """A copy with src at index[...] along dim."""
    places = _places(input.shape, dim, index)
    return creation.asarray(input).at[places].set(_taken(src, index, input.dtype))


@row
def scatter_add(input: Array, dim: int, index: Array, src: Any) -> Array:
    """A copy to which src is added at index[...] along dim."""
    places = _places(input.shape, dim, index)
    return creation.asarray(input).at[places].add(_taken(src, index, input.dtype))


@row
def index_add(input: Array, dim: int, index: Array, source: Array) -> Array:
    """A copy to whose parts of dim those of source are added."""
    places = (*(slice(None),) * (dim % len(input.shape)), index)
    return creation.asarray(input).at[places].add(source)


# ---- matrices and vectors


@row
def cross(input: Array, other: Array, dim: int = -1) -> Array:
    """The cross product of vectors along dim."""
    return contraction.cross(input, other, axis=dim)


@row
def tensordot(a: Array, b: Array, dims: Any = 2) -> Array:
    """The sum of products over these axes."""
    return contraction.tensordot(a, b, axes=dims)


@row
def baddbmm(input: Array, batch1: Array, batch2: Array, beta: Any = 1, alpha: Any = 1) -> Array:
    """beta input + alpha batch1 @ batch2."""
    return ufuncs.add(beta * input, alpha * contraction.matmul(batch1, batch2))


@row
def cdist(x1: Array, x2: Array, p: float = 2.0) -> Array:
    """The distances of all pairs of rows; derivative 0 where one is 0."""
    gaps = shaping.expand_dims(x1, -2) - shaping.expand_dims(x2, -3)
    return linalg.vector_norm(gaps, ord=p, axis=-1)


@row
def cosine_similarity(x1: Array, x2: Array, dim: int = 1, eps: float = 1e-8) -> Array:
    """The cosine of the angle along dim."""
    sizes = [linalg.vector_norm(x, axis=dim) for x in (x1, x2)]
    product = reductions.sum(ufuncs.multiply(x1, x2), axis=dim)
    return ufuncs.divide(product, ufuncs.maximum(sizes[0], eps) * ufuncs.maximum(sizes[1], eps))


@row
def quantile(input: Array, q: Any, dim: Any = None, keepdim: bool = False) -> Array:
    """The quantile, by linear interpolation."""
    return statistics.quantile(input, q, axis=dim, keepdims=keepdim)


@row
def cov(input: Array, correction: int = 1) -> Array:
    """The covariance of variables in rows."""
    return statistics.cov(input, ddof=correction)
