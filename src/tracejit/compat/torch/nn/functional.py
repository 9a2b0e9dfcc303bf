"""`torch.nn.functional`: rows of the table that are used as functions alone.

Each is a function of arrays; what tensors call is made of it by `_public`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tracejit import nn
from tracejit.compat.torch.draws import default_generator
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.kinds import numpy_dtype
from tracejit.compat.torch.tensor import Tensor, run
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.numpy import calculus, choosing, contraction, creation, reductions, shaping, ufuncs
from tracejit.numpy.arrays import Array
from tracejit.numpy.indexing import take, take_along_axis
from tracejit.trace.provenance import user_frame

_PUBLIC: dict[str, Callable[..., Any]] = {}


def row(body: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function of arrays one of tensors."""

    @wraps(body)
    def function(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("inplace", None)
        if "dtype" in kwargs:
            kwargs["dtype"] = numpy_dtype(kwargs["dtype"])
        return run(body, args, kwargs)

    _PUBLIC[body.__name__] = function
    return function


for _name in "sigmoid relu tanh softmax log_softmax softplus selu".split():
    _PUBLIC[_name] = FUNCTIONS[_name]
for _body in (nn.relu6, nn.silu, nn.mish, nn.elu, nn.celu):
    row(_body)
globals().update(_PUBLIC)


def reduced(losses: Array, reduction: str) -> Array:
    """The mean, the sum, or all of them."""
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(
            f"{reduction} is not a valid value for reduction", where=user_frame(),
            hint=did_you_mean(reduction, ("mean", "sum", "none")),
        )  # fmt: skip
    if reduction == "none":
        return losses
    return reductions.mean(losses) if reduction == "mean" else reductions.sum(losses)


@row
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """input @ weight.T + bias."""
    y = contraction.matmul(input, shaping.transpose(weight))
    return y if bias is None else ufuncs.add(y, bias)


@row
def gelu(input: Array, approximate: str = "none") -> Array:
    """x Phi(x), Phi the distribution of the standard normal."""
    return nn.gelu(input, approximate=approximate == "tanh")


@row
def leaky_relu(input: Array, negative_slope: float = 0.01) -> Array:
    """x above 0, negative_slope x below."""
    return nn.leaky_relu(input, negative_slope)


@row
def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x between the limits."""
    return choosing.clip(input, min_val, max_val)


@row
def logsigmoid(input: Array) -> Array:
    """log(sigmoid(x))."""
    return nn.log_sigmoid(input)


@row
def softsign(input: Array) -> Array:
    """x / (1 + |x|)."""
    return nn.soft_sign(input)


@row
def one_hot(tensor: Array, num_classes: int) -> Array:
    """1 at the place that is given, along a new last axis."""
    return creation.astype(nn.one_hot(tensor, num_classes), np.int64)


@row
def embedding(input: Array, weight: Array) -> Array:
    """Rows of the weight."""
    return take(weight, input, axis=0)


@row
def normalize(input: Array, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Array:
    """x over its norm along dim."""
    size = reductions.sum(ufuncs.absolute(input) ** p, axis=dim, keepdims=True) ** (1 / p)
    return ufuncs.divide(input, ufuncs.maximum(size, eps))


@row
def pad(input: Array, pad: tuple[int, ...], mode: str = "constant", value: float = 0) -> Array:
    """Padded: (before, behind) for the last axis, then for the one before it, ..."""
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)][::-1]
    widths = [(0, 0)] * (len(input.shape) - len(pairs)) + pairs
    if mode != "constant":
        mode = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
        return calculus.pad(input, widths, mode)
    return calculus.pad(input, widths, constant_values=value)


@row
def layer_norm(
    input: Array, normalized_shape: Any, weight: Array | None = None, bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:  # fmt: skip
    """Mean 0 and variance 1 over the last axes, then weight and bias."""
    axes = tuple(range(-len(normalized_shape), 0))
    mean = reductions.mean(input, axis=axes, keepdims=True)
    centred = ufuncs.subtract(input, mean)
    variance = reductions.mean(ufuncs.square(centred), axis=axes, keepdims=True)
    y = ufuncs.divide(centred, ufuncs.sqrt(ufuncs.add(variance, eps)))
    y = y if weight is None else ufuncs.multiply(y, weight)
    return y if bias is None else ufuncs.add(y, bias)


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Elements set to 0 with probability p, the others divided by 1 - p."""
    if not training or p == 0:
        return input
    kept = default_generator.doubles(input.shape.numel()).reshape(input.shape) < 1 - p
    kind = input.dtype.numpy
    return run(ufuncs.multiply, (input, kept.astype(kind) / kind.type(1 - p)))


# ---- losses


@row
def mse_loss(input: Array, target: Array, reduction: str = "mean") -> Array:
    """(input - target)**2."""
    return reduced(ufuncs.square(ufuncs.subtract(input, target)), reduction)


@row
def l1_loss(input: Array, target: Array, reduction: str = "mean") -> Array:
    """|input - target|."""
    return reduced(ufuncs.absolute(ufuncs.subtract(input, target)), reduction)


@row
def huber_loss(input: Array, target: Array, reduction: str = "mean", delta: float = 1.0) -> Array:
    """A square near 0, a line beyond delta."""
    gap = ufuncs.absolute(ufuncs.subtract(input, target))
    near = ufuncs.multiply(0.5, ufuncs.square(gap))
    far = ufuncs.multiply(delta, ufuncs.subtract(gap, 0.5 * delta))
    return reduced(choosing.where(ufuncs.less(gap, delta), near, far), reduction)


@row
def smooth_l1_loss(
    input: Array, target: Array, reduction: str = "mean", beta: float = 1.0
) -> Array:
    """The Huber loss over beta."""
    gap = ufuncs.absolute(ufuncs.subtract(input, target))
    near = ufuncs.divide(ufuncs.multiply(0.5, ufuncs.square(gap)), beta)
    return reduced(choosing.where(ufuncs.less(gap, beta), near, gap - 0.5 * beta), reduction)


def _nll(input: Array, target: Array, weight: Array | None, reduction: str) -> Array:
    places = shaping.expand_dims(target, -1 if len(target.shape) < 2 else 1)
    axis = -1 if len(input.shape) < 3 else 1
    picked = shaping.squeeze(take_along_axis(input, places, axis), axis)
    if weight is None:
        return reduced(ufuncs.negative(picked), reduction)
    weights = take(weight, target, axis=0)
    losses = ufuncs.negative(ufuncs.multiply(weights, picked))
    if reduction != "mean":
        return reduced(losses, reduction)
    return ufuncs.divide(reductions.sum(losses), reductions.sum(weights))


@row
def nll_loss(
    input: Array, target: Array, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    """-input[i, target[i]], of log probabilities; the mean is weighted."""
    return _nll(input, target, weight, reduction)


@row
def cross_entropy(
    input: Array, target: Array, weight: Array | None = None, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:  # fmt: skip
    """-log softmax(input)[target], for classes or for probabilities."""
    axis = 0 if len(input.shape) == 1 else 1
    logs = nn.log_softmax(input, axis=axis)
    if target.dtype.kind != "f":
        if label_smoothing == 0.0:
            return _nll(logs, target, weight, reduction)
        target = nn.one_hot(target, input.shape[axis], axis=axis, dtype=input.dtype)
    if label_smoothing:
        target = target * (1 - label_smoothing) + label_smoothing / input.shape[axis]
    losses = ufuncs.negative(reductions.sum(ufuncs.multiply(target, logs), axis=axis))
    return reduced(losses, reduction)


@row
def binary_cross_entropy(
    input: Array, target: Array, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    """-(t log p + (1 - t) log(1 - p)); logarithms are at least -100, as in PyTorch."""
    yes = ufuncs.maximum(ufuncs.log(input), -100.0)
    no = ufuncs.maximum(ufuncs.log1p(ufuncs.negative(input)), -100.0)
    losses = ufuncs.negative(target * yes + (1 - target) * no)
    return reduced(losses if weight is None else weight * losses, reduction)


@row
def binary_cross_entropy_with_logits(
    input: Array, target: Array, weight: Array | None = None, reduction: str = "mean"
) -> Array:
    """The same of sigmoid(input), computed where nothing overflows."""
    losses = ufuncs.subtract(nn.softplus(input), ufuncs.multiply(input, target))
    return reduced(losses if weight is None else weight * losses, reduction)


@row
def kl_div(
    input: Array, target: Array, reduction: str = "mean", log_target: bool = False
) -> Array:
    """target (log target - input), of log probabilities; "batchmean" divides by the first size."""
    logs = target if log_target else ufuncs.log(choosing.where(target > 0, target, 1))
    weights = ufuncs.exp(target) if log_target else target
    losses = ufuncs.multiply(weights, ufuncs.subtract(logs, input))
    if reduction == "batchmean":
        return ufuncs.divide(reductions.sum(losses), input.shape[0])
    return reduced(losses, reduction)


__all__ = sorted([*_PUBLIC, "dropout"])
globals().update(_PUBLIC)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"torch.nn.functional has no {name!r} here; {did_you_mean(name, __all__)}")
