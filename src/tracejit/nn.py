"""jax.nn: activation functions and their relatives, for scalars and arrays of any shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.numpy import reductions, ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    nearest,
    one_axis,
    operand,
    reshape_to,
    some_axes,
    value,
)
from tracejit.numpy.choosing import where
from tracejit.numpy.kinds import to_float
from tracejit.numpy.promotion import as_dtype, default_float
from tracejit.numpy.reductions import finite_shift, logsumexp
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import split
from tracejit.ops import elementwise as ops
from tracejit.ops import special
from tracejit.trace.tracer import bind

__all__ = [
    "celu", "elu", "gelu", "glu", "hard_sigmoid", "hard_silu", "hard_swish", "hard_tanh",
    "leaky_relu", "log1mexp", "log_sigmoid", "log_softmax", "logmeanexp", "logsumexp", "mish",
    "one_hot", "relu", "relu6", "selu", "sigmoid", "silu", "soft_sign", "softmax", "softplus",
    "sparse_plus", "squareplus", "standardize", "swish", "tanh",
]  # fmt: skip


def _float(x: ArrayLike) -> Array:
    return to_float(operand(x))


def relu(x: ArrayLike) -> Array:
    """max(x, 0); its derivative at 0 is 0."""
    x = value(x)
    return where(ufuncs.greater(x, 0), x, 0)


def relu6(x: ArrayLike) -> Array:
    """min(max(x, 0), 6)."""
    x = value(x)
    return where(ufuncs.greater_equal(x, 6), 6, relu(x))


def sigmoid(x: ArrayLike) -> Array:
    """1 / (1 + exp(-x))."""
    return bind(ops.logistic, _float(x))


def softplus(x: ArrayLike) -> Array:
    """log(1 + exp(x))."""
    return bind(ops.softplus, _float(x))


def log_sigmoid(x: ArrayLike) -> Array:
    """log(sigmoid(x)) = -softplus(-x)."""
    return ufuncs.negative(softplus(ufuncs.negative(_float(x))))


def silu(x: ArrayLike) -> Array:
    """x sigmoid(x)."""
    x = _float(x)
    return ufuncs.multiply(x, sigmoid(x))


swish = silu


def tanh(x: ArrayLike) -> Array:
    """The hyperbolic tangent."""
    return ufuncs.tanh(x)


def soft_sign(x: ArrayLike) -> Array:
    """x / (1 + |x|)."""
    x = _float(x)
    return ufuncs.divide(x, ufuncs.add(ufuncs.absolute(x), 1))


def mish(x: ArrayLike) -> Array:
    """x tanh(softplus(x))."""
    x = _float(x)
    return ufuncs.multiply(x, ufuncs.tanh(softplus(x)))


def gelu(x: ArrayLike, approximate: bool = True) -> Array:
    """x Phi(x), Phi the distribution of the standard normal, or its tanh approximation."""
    x = _float(x)
    if approximate:
        cubic = ufuncs.add(x, ufuncs.multiply(0.044715, ufuncs.power(x, 3)))
        gate = ufuncs.tanh(ufuncs.multiply(math.sqrt(2 / math.pi), cubic))
        return ufuncs.multiply(ufuncs.multiply(x, 0.5), ufuncs.add(gate, 1))
    tail = bind(special.erfc, ufuncs.multiply(x, -math.sqrt(0.5)))
    return ufuncs.multiply(ufuncs.multiply(x, 0.5), tail)


def glu(x: ArrayLike, axis: int = -1) -> Array:
    """The first half along an axis times the sigmoid of the second."""
    first, second = split(_float(x), 2, axis)
    return ufuncs.multiply(first, sigmoid(second))


def _with_tail(x: Array, tail: Any, slope: Any = 1.0) -> Array:
    """slope x above 0, and tail(x) below, computed where it cannot overflow."""
    above = ufuncs.greater(x, 0)
    below = tail(where(above, 0, x))
    return where(above, ufuncs.multiply(slope, x) if slope != 1.0 else x, below)


def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """x above 0, alpha (exp(x) - 1) below."""
    return _with_tail(_float(x), lambda z: ufuncs.multiply(alpha, ufuncs.expm1(z)))


def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Array:
    """x above 0, alpha (exp(x / alpha) - 1) below."""
    return _with_tail(
        _float(x),
        lambda z: ufuncs.multiply(alpha, ufuncs.expm1(ufuncs.divide(z, alpha))),
    )


#: The fixed point of mean 0 and variance 1: Klambauer et al., Self-Normalizing Neural Networks.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def selu(x: ArrayLike) -> Array:
    """elu, scaled so that it keeps mean 0 and variance 1."""
    return ufuncs.multiply(_SELU_SCALE, elu(x, _SELU_ALPHA))


def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01) -> Array:
    """x above 0, negative_slope x below."""
    x = _float(x)
    return where(ufuncs.greater_equal(x, 0), x, ufuncs.multiply(negative_slope, x))


def hard_tanh(x: ArrayLike) -> Array:
    """x, but at least -1 and at most 1."""
    x = value(x)
    return where(ufuncs.greater(x, 1), 1, where(ufuncs.less(x, -1), -1, x))


def hard_sigmoid(x: ArrayLike) -> Array:
    """relu6(x + 3) / 6."""
    return ufuncs.divide(relu6(ufuncs.add(_float(x), 3)), 6)


def hard_silu(x: ArrayLike) -> Array:
    """x hard_sigmoid(x)."""
    x = _float(x)
    return ufuncs.multiply(x, hard_sigmoid(x))


hard_swish = hard_silu


def sparse_plus(x: ArrayLike) -> Array:
    """0 up to -1, (x + 1)^2 / 4 up to 1, then x."""
    x = _float(x)
    middle = ufuncs.divide(ufuncs.square(ufuncs.add(x, 1)), 4)
    return where(ufuncs.less_equal(x, -1), 0, where(ufuncs.greater_equal(x, 1), x, middle))


def squareplus(x: ArrayLike, b: ArrayLike = 4) -> Array:
    """(x + sqrt(x^2 + b)) / 2."""
    x = _float(x)
    return ufuncs.divide(ufuncs.add(x, ufuncs.sqrt(ufuncs.add(ufuncs.square(x), b))), 2)


def log1mexp(x: ArrayLike) -> Array:
    """log(1 - exp(-x)) for x > 0, by the form that is accurate: expm1 up to log 2, then log1p."""
    x = _float(x)
    small = ufuncs.less_equal(x, math.log(2.0))
    near = ufuncs.log(ufuncs.negative(ufuncs.expm1(ufuncs.negative(where(small, x, 1.0)))))
    far = ufuncs.log1p(ufuncs.negative(ufuncs.exp(ufuncs.negative(where(small, 1.0, x)))))
    return where(small, near, far)


# Over an axis


def logmeanexp(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Array:
    """log of the mean of exp(a) over axes."""
    x = _float(a)
    count = math.prod(x.shape[i] for i in some_axes(axis, x.ndim))
    return ufuncs.subtract(logsumexp(x, axis, keepdims=keepdims), math.log(count))


def _shifted(x: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    axes = some_axes(axis, x.ndim)
    return ufuncs.subtract(x, finite_shift(x, axes)), axes


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """exp(x) divided by its sum along axes; elements outside `where` get 0."""
    x = _masked(_float(x), where)
    shifted, axes = _shifted(x, axis)
    terms = ufuncs.exp(shifted)
    return ufuncs.divide(terms, sum_over(terms, axes, keepdims=True))


def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Array:
    """log(softmax(x)), without overflow."""
    x = _masked(_float(x), where)
    shifted, axes = _shifted(x, axis)
    total = sum_over(ufuncs.exp(shifted), axes, keepdims=True)
    return ufuncs.subtract(shifted, ufuncs.log(total))


def _masked(x: Array, mask: ArrayLike | None) -> Array:
    return x if mask is None else where(mask, x, -math.inf)


def standardize(
    x: ArrayLike, axis: Axis = -1, mean: ArrayLike | None = None,
    variance: ArrayLike | None = None, epsilon: ArrayLike = 1e-5, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon) along axes."""
    x = _float(x)
    if mean is None:
        mean = reductions.mean(x, axis, keepdims=True, where=where)
    if variance is None:
        variance = reductions.var(x, axis, keepdims=True, where=where)
    scale = bind(ops.rsqrt, value(ufuncs.add(variance, epsilon), x.dtype))
    return ufuncs.multiply(ufuncs.subtract(x, mean), scale)


def one_hot(
    x: ArrayLike, num_classes: int, *, dtype: DTypeLike = None, axis: int = -1
) -> Array:
    """1 at the class along a new axis, 0 elsewhere; everywhere for a class out of range."""
    x = value(x)
    rank = x.ndim + 1
    at = one_axis(axis, rank)
    classes = np.arange(num_classes).reshape([-1 if i == at else 1 for i in range(rank)])
    same = ufuncs.equal(reshape_to(x, (*x.shape[:at], 1, *x.shape[at:])), classes)
    return value(same, default_float() if dtype is None else as_dtype(dtype))


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.nn has no {name!r}; {nearest(name, __all__)}")
