"""PyTorch's functions, as a table over the NumPy face.

A row is a function of arrays. Its parameters are PyTorch's (`input`, `dim`, `keepdim`); most rows
are made by a translation of names, the others are written out below where the meaning differs.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import numpy as np

from tracejit import nn
from tracejit.compat.torch.kinds import numpy_dtype
from tracejit.compat.torch.tensor import Tensor, run
from tracejit.errors import ArgumentError, OperandError
from tracejit.numpy import (
    choosing,
    contraction,
    creation,
    einstein,
    linalg,
    reductions,
    shaping,
    sorting,
    ufuncs,
)
from tracejit.numpy.arrays import Array
from tracejit.numpy.indexing import take, take_along_axis
from tracejit.scipy import special
from tracejit.trace.provenance import user_frame


class Extremes(namedtuple("Extremes", "values indices")):
    """Values, and the places where they are."""

    __slots__ = ()

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"torch.return_types.{name}(\nvalues={self.values!r},\nindices={self.indices!r})"


#: What functions return, by their names.
RETURNED = {
    name: type(name, (Extremes,), {"__slots__": ()})
    for name in ("max", "min", "median", "sort", "topk", "kthvalue", "cummax", "cummin", "mode")
}

#: PyTorch's names of parameters -> NumPy's.
_NAMES = {"dim": "axis", "keepdim": "keepdims", "dims": "axis", "dim0": "axis1", "dim1": "axis2"}

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}


def public(name: str, body: Callable[..., Any], view: bool = False) -> Callable[..., Any]:
    """A row: the function of tensors that performs a function of arrays."""

    def function(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            args, kwargs = _positional(args, kwargs)
        if view and args and isinstance(args[0], Tensor):
            return args[0].view_by(body, args[1:], kwargs)
        return run(body, args, kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__, function.__wrapped__ = body.__doc__, body  # type: ignore[attr-defined]
    FUNCTIONS[name] = METHODS[name] = function
    return function


def _positional(args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """PyTorch's keyword arguments as what the rows take."""
    kwargs = dict(kwargs)
    for name in ("input", "self"):
        if name in kwargs:
            args = (kwargs.pop(name), *args)
    for name in ("other", "mat2", "exponent", "vec2"):
        if name in kwargs:
            args = (*args, kwargs.pop(name))
    if "dtype" in kwargs:
        kwargs["dtype"] = numpy_dtype(kwargs["dtype"])
    if kwargs.get("out", 0) is None:
        del kwargs["out"]
    if "out" in kwargs:
        raise ArgumentError(
            "out= is not supported here", where=user_frame(), hint="write x.copy_(result)"
        )
    return args, kwargs


def row(function: Callable[..., Any]) -> Callable[..., Any]:
    """A row that is written out; its name is PyTorch's, without the underscore behind it."""
    public(function.__name__.rstrip("_"), function)
    return function


def view(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for what gives a view."""
    public(function.__name__.rstrip("_"), function, view=True)
    return function


# ---- names that mean the same

_SAME: dict[Any, str] = {
    ufuncs: "sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh arcsin arccos arctan "
    "arcsinh arccosh arctanh exp exp2 expm1 log log2 log10 log1p sqrt square abs absolute negative "
    "positive reciprocal sign floor ceil trunc isnan isinf isfinite logical_not deg2rad rad2deg "
    "maximum minimum fmax fmin fmod remainder floor_divide atan2 arctan2 hypot logaddexp "
    "logaddexp2 copysign heaviside ldexp frexp bitwise_and bitwise_or bitwise_xor bitwise_not "
    "logical_and logical_or logical_xor less less_equal greater greater_equal not_equal nextafter "
    "multiply divide true_divide signbit float_power",
    contraction: "matmul outer inner dot vdot kron diagflat",
    choosing: "nan_to_num isclose sinc",
    shaping: "hstack vstack dstack column_stack fliplr flipud broadcast_to moveaxis tile",
    creation: "zeros_like ones_like empty_like",
    special: "erf erfc erfinv digamma logit xlogy",
    linalg: "det slogdet cholesky multi_dot matrix_power",
    nn: "sigmoid relu selu softplus",
}
_OTHER: dict[str, Callable[..., Any]] = {
    "arccosh": ufuncs.arccosh, "neg": ufuncs.negative, "pow": ufuncs.power, "mul": ufuncs.multiply,
    "div": ufuncs.divide, "eq": ufuncs.equal, "ne": ufuncs.not_equal, "lt": ufuncs.less,
    "le": ufuncs.less_equal, "gt": ufuncs.greater, "ge": ufuncs.greater_equal,
    "fix": ufuncs.trunc, "round": choosing.round, "mm": contraction.matmul,
    "bmm": contraction.matmul, "mv": contraction.matmul, "ger": contraction.outer,
    "lgamma": special.gammaln, "expit": nn.sigmoid, "concat": shaping.concatenate,
    "clone": ufuncs.positive, "inverse": linalg.inv, "special_expit": nn.sigmoid,
}  # fmt: skip
_REDUCTIONS: dict[str, Any] = {
    "sum": reductions.sum, "mean": reductions.mean, "prod": reductions.prod, "all": reductions.all,
    "any": reductions.any, "amax": reductions.amax, "amin": reductions.amin,
    "argmax": reductions.argmax, "argmin": reductions.argmin, "logsumexp": special.logsumexp,
    "count_nonzero": reductions.count_nonzero, "cumsum": reductions.cumsum,
    "cumprod": reductions.cumprod, "stack": shaping.stack, "cat": shaping.concatenate,
    "flip": shaping.flip, "roll": shaping.roll, "trace": contraction.trace,
}  # fmt: skip
_VIEWS: dict[str, Any] = {
    "unsqueeze": shaping.expand_dims, "swapaxes": shaping.swapaxes, "swapdims": shaping.swapaxes,
    "transpose": shaping.swapaxes, "movedim": shaping.moveaxis, "ravel": shaping.ravel,
    "adjoint": shaping.matrix_transpose,
}  # fmt: skip


def _renamed(face: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy with PyTorch's names of parameters."""

    @wraps(face)
    def body(*args: Any, **kwargs: Any) -> Any:
        return face(*args, **{_NAMES.get(name, name): x for name, x in kwargs.items()})

    return body


def _reduction(face: Callable[..., Any]) -> Callable[..., Any]:
    """A reduction: (input, dim, keepdim), both of them by position, too."""
    by_keyword = _renamed(face)

    @wraps(face)
    def body(input: Any, dim: Any = None, keepdim: bool = False, **kwargs: Any) -> Any:
        if dim is not None:
            kwargs["dim"] = dim
        if keepdim:
            kwargs["keepdim"] = True
        return by_keyword(input, **kwargs)

    return body


def _fill_table() -> None:
    for module, names in _SAME.items():
        for name in names.split():
            public(name, getattr(module, name))
    for name, face in _OTHER.items():
        public(name, face)
    for name, face in _REDUCTIONS.items():
            public(name, _renamed(face) if name in ("flip", "roll", "trace") else _reduction(face))
    for name, face in _VIEWS.items():
        public(name, _renamed(face), view=True)


_fill_table()

# ---- arithmetic with PyTorch's additions


@row
def add(input: Array, other: Array, alpha: Any = 1) -> Array:
    """input + alpha other."""
    return ufuncs.add(input, other if alpha == 1 else ufuncs.multiply(other, alpha))


@row
def sub(input: Array, other: Array, alpha: Any = 1) -> Array:
    """input - alpha other."""
    return ufuncs.subtract(input, other if alpha == 1 else ufuncs.multiply(other, alpha))


public("subtract", sub)
public("rsub", lambda input, other: ufuncs.subtract(other, input))


@row
def addmm(input: Array, mat1: Array, mat2: Array, beta: Any = 1, alpha: Any = 1) -> Array:
    """beta input + alpha mat1 @ mat2."""
    return add(input if beta == 1 else ufuncs.multiply(beta, input),
               contraction.matmul(mat1, mat2), alpha)  # fmt: skip


@row
def addcmul(input: Array, tensor1: Array, tensor2: Array, value: Any = 1) -> Array:
    """input + value tensor1 tensor2."""
    return add(input, ufuncs.multiply(tensor1, tensor2), value)


@row
def addcdiv(input: Array, tensor1: Array, tensor2: Array, value: Any = 1) -> Array:
    """input + value tensor1 / tensor2."""
    return add(input, ufuncs.divide(tensor1, tensor2), value)


@row
def lerp(input: Array, end: Array, weight: Any) -> Array:
    """input + weight (end - input)."""
    return add(input, ufuncs.multiply(weight, ufuncs.subtract(end, input)))


@row
def rsqrt(input: Array) -> Array:
    """1 / sqrt(input)."""
    return ufuncs.reciprocal(ufuncs.sqrt(input))


@row
def clamp(input: Array, min: Any = None, max: Any = None) -> Array:
    """The input, between min and max."""
    return choosing.clip(input, min, max)


public("clip", clamp)


@row
def where(condition: Array, input: Any, other: Any) -> Array:
    """input where the condition holds, else other; NaN of the other side reaches no gradient."""
    return choosing.where(condition, input, other)


METHODS["where"] = lambda self, condition, other: FUNCTIONS["where"](condition, self, other)


@row
def masked_fill(input: Array, mask: Array, value: Any) -> Array:
    """value where the mask holds."""
    return choosing.where(mask, value, input)


@row
def softmax(input: Array, dim: Any = -1, dtype: Any = None) -> Array:
    """exp(x) / sum(exp(x)) along dim."""
    return nn.softmax(_as(input, dtype), axis=dim)


@row
def log_softmax(input: Array, dim: Any = -1, dtype: Any = None) -> Array:
    """x - logsumexp(x) along dim."""
    return nn.log_softmax(_as(input, dtype), axis=dim)


def _as(x: Array, dtype: Any) -> Array:
    return x if dtype is None else creation.astype(x, dtype)


# ---- reductions that differ


def _correction(unbiased: bool, correction: Any) -> Any:
    return correction if correction is not None else int(unbiased)


@row
def var(input: Array, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
        correction: Any = None) -> Array:  # fmt: skip
    """The variance; divided by n - 1 unless said."""
    ddof = _correction(unbiased, correction)
    return reductions.var(input, axis=dim, ddof=ddof, keepdims=keepdim)


@row
def std(input: Array, dim: Any = None, unbiased: bool = True, keepdim: bool = False,
        correction: Any = None) -> Array:  # fmt: skip
    """The standard deviation; divided by n - 1 unless said."""
    ddof = _correction(unbiased, correction)
    return reductions.std(input, axis=dim, ddof=ddof, keepdims=keepdim)


def _extreme(greatest: bool, x: Array, dim: Any = None, keepdim: bool = False) -> Any:
    """The extreme of all; of two tensors; or along dim, with the places."""
    if hasattr(dim, "dtype"):
        return (ufuncs.maximum if greatest else ufuncs.minimum)(x, dim)
    if dim is None:
        return (reductions.max if greatest else reductions.min)(x)
    places = (reductions.argmax if greatest else reductions.argmin)(x, axis=dim, keepdims=True)
    values = take_along_axis(x, places, dim)
    if not keepdim:
        values, places = (shaping.squeeze(y, dim) for y in (values, places))
    return RETURNED["max" if greatest else "min"](values, places)


public("max", partial(_extreme, True))
public("min", partial(_extreme, False))


@row
def median(input: Array, dim: Any = None, keepdim: bool = False) -> Any:
    """The lower of the two middle numbers; along dim with the places."""
    if dim is None:
        flat = sorting.sort(shaping.ravel(input))
        return flat[(flat.shape[0] - 1) // 2]
    order = sorting.argsort(input, axis=dim, kind="stable")
    places = take(order, np.array([(input.shape[dim] - 1) // 2]), axis=dim)
    values = take_along_axis(input, places, dim)
    if not keepdim:
        values, places = (shaping.squeeze(y, dim) for y in (values, places))
    return RETURNED["median"](values, places)


@row
def sort(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The values in order, and the places that they come from."""
    order = argsort(input, dim, descending)
    return RETURNED["sort"](take_along_axis(input, order, dim), order)


@row
def argsort(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    """The places of the values in order."""
    keys = ufuncs.negative(input) if descending else input
    return sorting.argsort(keys, axis=dim, kind="stable")


@row
def topk(input: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k greatest values along dim, and their places."""
    if k > input.shape[dim]:
        raise OperandError("selected index k out of range", where=user_frame())
    order = take(argsort(input, dim, largest), np.arange(k), axis=dim)
    return RETURNED["topk"](take_along_axis(input, order, dim), order)


@row
def norm(input: Array, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Array:
    """The p-norm of the elements; derivative 0 at 0."""
    if dim is None:
        input, dim = shaping.ravel(input), 0
    return linalg.vector_norm(input, ord=2 if p == "fro" else p, axis=dim, keepdims=keepdim)


@row
def einsum(equation: str, *operands: Any) -> Array:
    """Sums of products by labels."""
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = tuple(operands[0])
    return einstein.einsum(equation, *operands)
