"""Rows of the table that are made of other rows; see `functions.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit import nn
from tracejit.compat.torch import shapes  # noqa: F401 - rows of the table
from tracejit.compat.torch.functions import FUNCTIONS, METHODS, RETURNED, public, row
from tracejit.compat.torch.tensor import Tensor, fault
from tracejit.compat.torch.values import in_range
from tracejit.numpy import (
    choosing,
    contraction,
    creation,
    linalg,
    reductions,
    shaping,
    sorting,
    statistics,
    ufuncs,
)
from tracejit.numpy.arrays import Array
from tracejit.numpy.indexing import take

_FACES: dict[str, Any] = {
    "leaky_relu": nn.leaky_relu, "elu": nn.elu, "celu": nn.celu, "hardtanh": choosing.clip,
    "searchsorted": sorting.searchsorted, "nanmean": statistics.nanmean,
    "nansum": statistics.nansum, "atleast_1d": shaping.atleast_1d,
    "atleast_2d": shaping.atleast_2d, "vander": creation.vander,
}
for _name, _body in _FACES.items():
    public(_name, _body)


@row
def frac(input: Array) -> Array:
    """What is behind the point."""
    return ufuncs.subtract(input, ufuncs.trunc(input))


@row
def clamp_min(input: Array, min: Any) -> Array:
    """The input, at least min."""
    return ufuncs.maximum(input, min)


@row
def clamp_max(input: Array, max: Any) -> Array:
    """The input, at most max."""
    return ufuncs.minimum(input, max)


@row
def index_fill(input: Array, dim: int, index: Array, value: Any) -> Array:
    """A copy with a number in these parts of dim."""
    return creation.asarray(input).at[_parts(input, dim, index)].set(value)


@row
def index_copy(input: Array, dim: int, index: Array, source: Array) -> Array:
    """A copy with those of source in these parts of dim."""
    return creation.asarray(input).at[_parts(input, dim, index)].set(source)


def _parts(x: Array, dim: int, index: Array) -> tuple[Any, ...]:
    return (*(slice(None),) * (dim % len(x.shape)), index)


@row
def take_(input: Array, index: Array) -> Array:
    """Elements by their places in the flat tensor."""
    return take(shaping.ravel(input), index)


@row
def std_mean(input: Array, dim: Any = None, unbiased: bool = True, keepdim: bool = False) -> Any:
    """(standard deviation, mean)."""
    deviation = reductions.std(input, axis=dim, ddof=int(unbiased), keepdims=keepdim)
    return deviation, reductions.mean(input, axis=dim, keepdims=keepdim)


@row
def var_mean(input: Array, dim: Any = None, unbiased: bool = True, keepdim: bool = False) -> Any:
    """(variance, mean)."""
    variance = reductions.var(input, axis=dim, ddof=int(unbiased), keepdims=keepdim)
    return variance, reductions.mean(input, axis=dim, keepdims=keepdim)


@row
def aminmax(input: Array, dim: Any = None, keepdim: bool = False) -> Any:
    """(least, greatest)."""
    options: Any = {"axis": dim, "keepdims": keepdim}
    return reductions.min(input, **options), reductions.max(input, **options)


@row
def dist(input: Array, other: Array, p: float = 2) -> Array:
    """The p-norm of the difference."""
    return linalg.vector_norm(shaping.ravel(ufuncs.subtract(input, other)), ord=p)


@row
def cumulative_trapezoid(y: Array, dx: float = 1.0, dim: int = -1) -> Array:
    """Sums of trapezoids."""
    n = y.shape[dim]
    left, right = (take(y, np.arange(n - 1) + k, axis=dim) for k in (0, 1))
    return reductions.cumsum((left + right) * (dx / 2), axis=dim)


@row
def trapezoid(y: Array, x: Any = None, dx: float = 1.0, dim: int = -1) -> Array:
    """The sum of trapezoids."""
    n = y.shape[dim]
    left, right = (take(y, np.arange(n - 1) + k, axis=dim) for k in (0, 1))
    widths = dx if x is None else x[1:] - x[:-1]
    return reductions.sum((left + right) * widths / 2, axis=dim)


public("trapz", trapezoid)


@row
def block_diag(*tensors: Array) -> Array:
    """Matrices along the diagonal."""
    rows = []
    width = sum(x.shape[1] for x in tensors)
    at = 0
    for x in tensors:
        n, m = x.shape
        sides = [creation.zeros((n, at), x.dtype), creation.zeros((n, width - at - m), x.dtype)]
        rows.append(shaping.concatenate([sides[0], x, sides[1]], 1))
        at += m
    return shaping.concatenate(rows, 0)


@row
def cartesian_prod(*tensors: Array) -> Array:
    """All combinations, in rows."""
    grids = shaping.meshgrid(*tensors, indexing="ij")
    return shaping.stack([shaping.ravel(g) for g in grids], -1)


@row
def kthvalue(input: Array, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(the k-th least number along dim, its place)."""
    order = sorting.argsort(input, axis=dim, kind="stable")
    places = take(order, np.array([k - 1]), axis=dim)
    values = _along(input, places, dim)
    if not keepdim:
        values, places = (shaping.squeeze(x, dim) for x in (values, places))
    return RETURNED["kthvalue"](values, places)


def _along(x: Array, places: Array, dim: int) -> Array:
    return FUNCTIONS["gather"].__wrapped__(x, dim, places)  # type: ignore[attr-defined,no-any-return]


@row
def logcumsumexp(input: Array, dim: int) -> Array:
    """log of the sums of exponentials so far."""
    most = reductions.max(input, axis=dim, keepdims=True)
    sums = reductions.cumsum(ufuncs.exp(ufuncs.subtract(input, most)), axis=dim)
    return ufuncs.add(ufuncs.log(sums), most)


@row
def corrcoef(input: Array) -> Array:
    """Correlations of variables in rows."""
    return statistics.corrcoef(input)


@row
def addmv(input: Array, mat: Array, vec: Array, beta: Any = 1, alpha: Any = 1) -> Array:
    """beta input + alpha mat @ vec."""
    return ufuncs.add(beta * input, alpha * contraction.matmul(mat, vec))


@row
def renorm(input: Array, p: float, dim: int, maxnorm: float) -> Array:
    """Parts along dim scaled to a norm of maxnorm at most."""
    axes = tuple(a for a in range(len(input.shape)) if a != dim % len(input.shape))
    size = reductions.sum(ufuncs.absolute(input) ** p, axis=axes, keepdims=True) ** (1 / p)
    return choosing.where(size > maxnorm, input * (maxnorm / (size + 1e-7)), input)


def broadcast_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
    """All in the shape that they have together."""
    shape = np.broadcast_shapes(*[tuple(x.shape) for x in tensors])
    return tuple([FUNCTIONS["expand"](x, *shape) for x in tensors])


def result_type(a: Any, b: Any) -> Any:
    """The dtype of a + b."""
    return FUNCTIONS["add"](FUNCTIONS["zeros_like"](a), b).dtype


def _parts_as_views(name: str) -> None:
    """Have the parts of a tensor be views of it."""
    row = FUNCTIONS[name]

    def function(input: Any, size: Any = None, dim: int = 0, **named: Any) -> Any:
        size = named.pop("split_size", named.pop("chunks", size))
        size = named.pop("split_size_or_sections", size)
        if not isinstance(input, Tensor):
            return row(input, size, dim)
        if not -input.ndim <= dim < input.ndim:
            return row(input, size, dim)  # which says so
        places = row.__wrapped__(np.arange(input.shape[dim]), size)  # type: ignore[attr-defined]
        starts = np.cumsum([0, *map(len, places)]).tolist()
        return tuple(
            [FUNCTIONS["narrow"](input, dim, at, len(p)) for at, p in zip(starts, places)]  # noqa: B905
        )

    _replaced(name, function)


def _replaced(name: str, function: Callable[..., Any]) -> None:
    row = FUNCTIONS[name]
    function.__name__ = function.__qualname__ = name
    function.__doc__ = row.__doc__
    function.__wrapped__ = row.__wrapped__  # type: ignore[attr-defined]
    FUNCTIONS[name] = METHODS[name] = function


def unbind(input: Any, dim: int = 0) -> Any:
    """The parts along dim, without it."""
    return tuple([FUNCTIONS["select"](input, dim, i) for i in range(input.shape[dim])])


def _checked(name: str) -> None:
    """Have a function by places (input, dim, index, ...) look at them."""
    row = FUNCTIONS[name]

    def function(input: Any, dim: int, index: Any, *args: Any, **kwargs: Any) -> Any:
        n = input.shape[dim] if -len(input.shape) <= dim < len(input.shape) else 1
        in_range(index, 0, n, lambda i: fault(
            f"index {i} is out of bounds for dimension {dim % len(input.shape)} with size {n}"
        ))  # fmt: skip
        return row(input, dim, index, *args, **kwargs)

    _replaced(name, function)


for _name in ("split", "chunk"):
    _parts_as_views(_name)
_replaced("unbind", unbind)
for _name in ("gather", "scatter", "scatter_add", "index_select", "index_add"):
    _checked(_name)
FUNCTIONS["broadcast_tensors"], FUNCTIONS["result_type"] = broadcast_tensors, result_type
