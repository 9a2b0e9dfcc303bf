"""Rows of `torch.nn.functional`: activations, linear maps, embeddings, normalisation, dropout."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import nn
from tracejit.compat.torch import random
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.nn.table import PUBLIC, public, row
from tracejit.compat.torch.tensor import Tensor, fault, later, run
from tracejit.compat.torch.values import in_range
from tracejit.numpy import choosing, contraction, creation, linalg, reductions, shaping, ufuncs
from tracejit.numpy.arrays import Array
from tracejit.numpy.indexing import take
from tracejit.ops.elementwise import stop_gradient
from tracejit.trace.tracer import bind

for _body in (nn.relu, nn.relu6, nn.silu, nn.mish, nn.elu, nn.celu, nn.selu, nn.sigmoid, nn.tanh):
    row(_body)


@row
def softmax(input: Array, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Array:
    """exp(x) / sum(exp(x)) along dim."""
    return nn.softmax(_as(input, dtype), axis=_implicit(input, dim))


@row
def log_softmax(input: Array, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Array:
    """x - logsumexp(x) along dim."""
    return nn.log_softmax(_as(input, dtype), axis=_implicit(input, dim))


@row
def softmin(input: Array, dim: Any = None) -> Array:
    """softmax(-x)."""
    return nn.softmax(ufuncs.negative(input), axis=_implicit(input, dim))


def _implicit(input: Array, dim: Any) -> int:
    """The axis that PyTorch takes where none is said."""
    return (0 if len(input.shape) in (0, 1, 3) else 1) if dim is None else dim


def _as(x: Array, dtype: Any) -> Array:
    return x if dtype is None else creation.astype(x, dtype)


@row
def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """log(1 + exp(beta x)) / beta; x itself where beta x is above the threshold."""
    scaled = ufuncs.multiply(input, beta)
    smooth = ufuncs.divide(nn.softplus(scaled), beta)
    return choosing.where(ufuncs.greater(scaled, threshold), input, smooth)


@row
def gelu(input: Array, approximate: str = "none") -> Array:
    """x Phi(x), Phi the distribution of the standard normal."""
    return nn.gelu(input, approximate=approximate == "tanh")


@row
def glu(input: Array, dim: int = -1) -> Array:
    """The first half times the sigmoid of the second."""
    return nn.glu(input, axis=dim)


@row
def leaky_relu(input: Array, negative_slope: float = 0.01) -> Array:
    """x above 0, negative_slope x below."""
    return nn.leaky_relu(input, negative_slope)


@row
def prelu(input: Array, weight: Array) -> Array:
    """x above 0, weight x below; a weight for each channel, or one for all."""
    if weight.shape != (1,) and len(input.shape) > 1:
        weight = shaping.reshape(weight, (-1, *(1,) * (len(input.shape) - 2)))
    return choosing.where(ufuncs.greater(input, 0), input, ufuncs.multiply(weight, input))


@row
def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """x between the limits."""
    return choosing.clip(input, min_val, max_val)


@row
def hardsigmoid(input: Array) -> Array:
    """x / 6 + 1 / 2 between 0 and 1."""
    return nn.hard_sigmoid(input)


@row
def hardswish(input: Array) -> Array:
    """x hardsigmoid(x)."""
    return nn.hard_silu(input)


@row
def threshold(input: Array, threshold: float, value: float) -> Array:
    """x above the threshold, else value."""
    return choosing.where(ufuncs.greater(input, threshold), input, value)


@row
def logsigmoid(input: Array) -> Array:
    """log(sigmoid(x))."""
    return nn.log_sigmoid(input)


@row
def softsign(input: Array) -> Array:
    """x / (1 + |x|)."""
    return nn.soft_sign(input)


@row
def tanhshrink(input: Array) -> Array:
    """x - tanh(x)."""
    return ufuncs.subtract(input, ufuncs.tanh(input))


@public
def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, dim: int = -1) -> Tensor:
    """A draw from a relaxed categorical distribution: Jang et al. 2017. hard: one-hot forward."""
    gumbels = -random.exponential_(FUNCTIONS["zeros_like"](logits.detach())).log()
    soft: Tensor = FUNCTIONS["softmax"]((logits + gumbels) / tau, dim)
    if not hard:
        return soft
    best = soft.argmax(dim, keepdim=True)
    chosen = FUNCTIONS["scatter"](FUNCTIONS["zeros_like"](logits).detach(), dim, best, 1.0)
    return chosen - soft.detach() + soft  # type: ignore[no-any-return]


# ---- linear maps and tables


@row
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """input @ weight.T + bias."""
    y = contraction.matmul(input, shaping.transpose(weight))
    return y if bias is None else ufuncs.add(y, bias)


@row
def bilinear(input1: Array, input2: Array, weight: Array, bias: Array | None = None) -> Array:
    """input1 @ weight[k] @ input2 + bias[k] for each k."""
    rows = contraction.tensordot(input1, weight, axes=((-1,), (1,)))
    y = reductions.sum(rows * shaping.expand_dims(input2, -2), axis=-1)
    return y if bias is None else ufuncs.add(y, bias)


@public
def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place that is given, along a new last axis; -1: as many classes as there are."""
    places = tensor.cell.value
    count = int(places.max(initial=-1)) + 1 if num_classes == -1 else num_classes
    if places.size and places.max() >= count:
        raise fault("Class values must be smaller than num_classes.")
    if places.size and places.min() < 0:
        raise fault("Class values must be non-negative.")
    return run(_one_hot, (tensor, count))  # type: ignore[no-any-return]


def _one_hot(places: Array, count: int) -> Array:
    return creation.astype(nn.one_hot(places, count), np.int64)


def _embedding(places: Array, weight: Array, padding_idx: int | None) -> Array:
    rows = take(weight, places, axis=0)
    if padding_idx is None:
        return rows
    kept = shaping.expand_dims(ufuncs.not_equal(places, padding_idx), -1)
    return choosing.where(kept, rows, bind(stop_gradient, rows))


@public
def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of the weight; the one at padding_idx gets no gradient."""
    count = weight.shape[0]
    in_range(input, 0, count, lambda i: IndexError("index out of range in self"))
    padding = padding_idx + count if padding_idx is not None and padding_idx < 0 else padding_idx
    return run(_embedding, (input, weight, padding))  # type: ignore[no-any-return]


# ---- normalisation


@row
def normalize(input: Array, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Array:
    """x over its norm along dim."""
    size = linalg.vector_norm(input, ord=p, axis=dim, keepdims=True)
    return ufuncs.divide(input, ufuncs.maximum(size, eps))


def _standardised(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """Mean 0 and variance 1 over some axes."""
    centred = ufuncs.subtract(x, reductions.mean(x, axis=axes, keepdims=True))
    variance = reductions.mean(ufuncs.square(centred), axis=axes, keepdims=True)
    return ufuncs.divide(centred, ufuncs.sqrt(ufuncs.add(variance, eps)))


def _affine(y: Array, weight: Any, bias: Any) -> Array:
    y = y if weight is None else ufuncs.multiply(y, weight)
    return y if bias is None else ufuncs.add(y, bias)


def _by_channel(x: Array, numbers: Any) -> Any:
    """Numbers for each channel (axis 1), where they meet x."""
    lead = (-1, *(1,) * (len(x.shape) - 2))
    return None if numbers is None else shaping.reshape(numbers, lead)


@row
def layer_norm(
    input: Array, normalized_shape: Any, weight: Array | None = None, bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:  # fmt: skip
    """Mean 0 and variance 1 over the last axes, then weight and bias."""
    axes = tuple(range(-len(normalized_shape), 0))
    return _affine(_standardised(input, axes, eps), weight, bias)


@row
def rms_norm(
    input: Array, normalized_shape: Any, weight: Array | None = None, eps: float | None = None
) -> Array:
    """Over the root of the mean square of the last axes."""
    axes = tuple(range(-len(normalized_shape), 0))
    small = np.finfo(input.dtype).eps if eps is None else eps
    mean = reductions.mean(ufuncs.square(input), axis=axes, keepdims=True)
    return _affine(ufuncs.divide(input, ufuncs.sqrt(mean + small)), weight, None)


@row
def group_norm(
    input: Array, num_groups: int, weight: Array | None = None, bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:  # fmt: skip
    """Mean 0 and variance 1 over groups of channels and space."""
    grouped = shaping.reshape(input, (input.shape[0], num_groups, -1))
    y = shaping.reshape(_standardised(grouped, (2,), eps), input.shape)
    return _affine(y, _by_channel(y, weight), _by_channel(y, bias))


@row
def instance_norm(
    input: Array, running_mean: None = None, running_var: None = None,
    weight: Array | None = None, bias: Array | None = None, use_input_stats: bool = True,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Array:  # fmt: skip
    """Mean 0 and variance 1 over space, for each element of the batch and channel."""
    y = _standardised(input, tuple(range(2, len(input.shape))), eps)
    return _affine(y, _by_channel(y, weight), _by_channel(y, bias))


def _batch_axes(x: Any) -> tuple[int, ...]:
    return tuple(axis for axis in range(len(x.shape)) if axis != 1)


def _batch_normal(x: Array, weight: Any, bias: Any, eps: float) -> Array:
    y = _standardised(x, _batch_axes(x), eps)
    return _affine(y, _by_channel(y, weight), _by_channel(y, bias))


def _known_normal(x: Array, mean: Array, var: Array, weight: Any, bias: Any, eps: float) -> Array:
    mean, var = _by_channel(x, mean), _by_channel(x, var)
    y = ufuncs.divide(ufuncs.subtract(x, mean), ufuncs.sqrt(ufuncs.add(var, eps)))
    return _affine(y, _by_channel(y, weight), _by_channel(y, bias))


def _moved_mean(mean: Array, x: Array, momentum: Array) -> Array:
    now = reductions.mean(bind(stop_gradient, x), axis=_batch_axes(x))
    return mean * (1 - momentum) + momentum * now


def _moved_var(var: Array, x: Array, momentum: Array) -> Array:
    now = reductions.var(bind(stop_gradient, x), axis=_batch_axes(x), ddof=1)
    return var * (1 - momentum) + momentum * now


@public
def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None,
    weight: Tensor | None = None, bias: Tensor | None = None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Mean 0 and variance 1 for each channel: of this batch, which moves the running ones by
    momentum; or, where it is not training, of the running ones."""
    if not training:
        given = (input, running_mean, running_var, weight, bias, float(eps))
        return run(_known_normal, given)  # type: ignore[no-any-return]
    if input.shape.numel() // max(input.shape[1], 1) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    for running, moved in ((running_mean, _moved_mean), (running_var, _moved_var)):
        if running is not None:
            number = np.asarray(momentum, running.dtype.numpy)
            later(running, moved, (running, input, number))
    return run(_batch_normal, (input, weight, bias, float(eps)))  # type: ignore[no-any-return]


# ---- dropout


def _dropped(input: Tensor, shape: Any, p: float, training: bool, inplace: bool) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not training or p == 0:
        return input
    kind = input.dtype.numpy
    kept = random.source(None).doubles(int(np.prod(shape))).reshape(shape) < 1 - p
    scale = kept.astype(kind) / kind.type(1 - p) if p < 1 else np.zeros(shape, kind)
    out: Tensor = run(ufuncs.multiply, (input, scale))
    return input.write(out, "dropout_") if inplace else out


@public
def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Elements set to 0 with probability p, the others divided by 1 - p."""
    return _dropped(input, input.shape, p, training, inplace)


@public
def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Whole channels set to 0 with probability p, the others divided by 1 - p."""
    shape = (*input.shape[:2], *(1,) * (input.ndim - 2))
    return _dropped(input, shape, p, training, inplace)


PUBLIC["dropout1d"] = PUBLIC["dropout3d"] = dropout2d
