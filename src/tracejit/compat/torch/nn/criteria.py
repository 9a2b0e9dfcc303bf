"""Rows of `torch.nn.functional`: losses."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tracejit import nn
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.nn.table import public, row
from tracejit.compat.torch.tensor import Tensor, fault, run
from tracejit.compat.torch.values import in_range, is_float, values
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.numpy import choosing, creation, linalg, reductions, shaping, ufuncs
from tracejit.numpy.arrays import Array
from tracejit.numpy.indexing import take, take_along_axis
from tracejit.trace.provenance import user_frame


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


def _gap(input: Array, target: Array) -> Array:
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"Using a target size ({list(target.shape)}) that is different to the input size "
            f"({list(input.shape)}). This will likely lead to incorrect results due to "
            "broadcasting. Please ensure they have the same size.", UserWarning, stacklevel=6,
        )  # fmt: skip
    return ufuncs.subtract(input, target)


@row
def mse_loss(
    input: Array, target: Array, size_average: None = None, reduce: None = None,
    reduction: str = "mean",
) -> Array:  # fmt: skip
    """(input - target)**2."""
    return reduced(ufuncs.square(_gap(input, target)), reduction)


@row
def l1_loss(
    input: Array, target: Array, size_average: None = None, reduce: None = None,
    reduction: str = "mean",
) -> Array:  # fmt: skip
    """|input - target|."""
    return reduced(ufuncs.absolute(_gap(input, target)), reduction)


@row
def huber_loss(input: Array, target: Array, reduction: str = "mean", delta: float = 1.0) -> Array:
    """A square near 0, a line beyond delta."""
    gap = ufuncs.absolute(_gap(input, target))
    near = ufuncs.multiply(0.5, ufuncs.square(gap))
    far = ufuncs.multiply(delta, ufuncs.subtract(gap, 0.5 * delta))
    return reduced(choosing.where(ufuncs.less(gap, delta), near, far), reduction)


@row
def smooth_l1_loss(
    input: Array, target: Array, size_average: None = None, reduce: None = None,
    reduction: str = "mean", beta: float = 1.0,
) -> Array:  # fmt: skip
    """The Huber loss over beta."""
    gap = ufuncs.absolute(_gap(input, target))
    near = ufuncs.divide(ufuncs.multiply(0.5, ufuncs.square(gap)), beta)
    return reduced(choosing.where(ufuncs.less(gap, beta), near, gap - 0.5 * beta), reduction)


# ---- classes


def _nll(
    logs: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str,
    ignores: bool,
) -> Array:  # fmt: skip
    """-logs[i, target[i]], weighted; classes lie in axis 1, or in the only one."""
    axis = 0 if len(logs.shape) == 1 else 1
    classes = choosing.where(ufuncs.equal(target, ignore_index), 0, target) if ignores else target
    picked = take_along_axis(logs, shaping.expand_dims(classes, axis), axis)
    losses = ufuncs.negative(shaping.squeeze(picked, axis))
    if weight is None and not ignores:
        return reduced(losses, reduction)
    one = np.ones((), logs.dtype)
    each = one if weight is None else take(weight, classes, 0)
    weights = shaping.broadcast_to(each, losses.shape)
    if ignores:
        weights = choosing.where(ufuncs.equal(target, ignore_index), 0, weights)
    losses = choosing.where(ufuncs.equal(weights, 0), 0, ufuncs.multiply(weights, losses))
    if reduction != "mean":
        return reduced(losses, reduction)
    return ufuncs.divide(reductions.sum(losses), reductions.sum(weights))


def _check_classes(input: Tensor, target: Tensor, ignore_index: int) -> bool:
    """Errors for targets that are no classes of the input; whether some are ignored."""
    if input.ndim > 1 and input.shape[0] != target.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
            f"({target.shape[0]})."
        )
    if (*input.shape[:1], *input.shape[2:])[: input.ndim - 1] != tuple(target.shape):
        if target.ndim == input.ndim:
            raise fault("0D or 1D target tensor expected, multi-target not supported")
        raise fault(
            f"Expected target size {[input.shape[0], *input.shape[2:]]}, got {list(target.shape)}"
        )
    classes = values(target)
    ignores = classes is not None and bool(np.any(classes == ignore_index))
    if ignores:
        classes = classes[classes != ignore_index]  # type: ignore[index]
    count = input.shape[1 if input.ndim > 1 else 0]
    in_range(classes, 0, count, lambda i: IndexError(f"Target {i} is out of bounds."))
    return ignores


@public
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: None = None,
    ignore_index: int = -100, reduce: None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-input[i, target[i]], of log probabilities; the mean is weighted."""
    if is_float(target):
        raise fault("expected target dtype to be Long or Byte, but got Float")
    ignores = _check_classes(input, target, ignore_index)
    given = (input, target, weight, ignore_index, reduction, ignores)
    return run(_nll, given)  # type: ignore[no-any-return]


def _smoothed(
    logs: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str,
    ignores: bool, smoothing: float,
) -> Array:  # fmt: skip
    """The loss of classes, smoothing of which is shared by all of them."""
    axis = 0 if len(logs.shape) == 1 else 1
    hard = _nll(logs, target, weight, ignore_index, reduction, ignores)
    each = logs
    if weight is not None:
        each = each * shaping.reshape(weight, (-1, *(1,) * (len(logs.shape) - 1 - axis)))
    each = ufuncs.negative(reductions.sum(each, axis=axis))
    kept = ufuncs.not_equal(target, ignore_index)
    each = choosing.where(kept, each, 0) if ignores else each
    if reduction == "mean":
        total: Any = reductions.sum(creation.astype(kept, logs.dtype))
        if weight is not None:
            chosen = take(weight, choosing.where(kept, target, 0), 0)
            total = reductions.sum(choosing.where(kept, chosen, 0))
        soft = reductions.sum(each) / total
    else:
        soft = reduced(each, reduction)
    return (1 - smoothing) * hard + smoothing / logs.shape[axis] * soft


def _by_classes(
    input: Array, target: Array, weight: Any, ignore_index: int, reduction: str, ignores: bool,
    smoothing: float,
) -> Array:  # fmt: skip
    logs = nn.log_softmax(input, axis=0 if len(input.shape) == 1 else 1)
    given = (logs, target, weight, ignore_index, reduction, ignores)
    return _smoothed(*given, smoothing) if smoothing else _nll(*given)


def _by_probabilities(
    input: Array, target: Array, weight: Any, reduction: str, smoothing: float
) -> Array:
    axis = 0 if len(input.shape) == 1 else 1
    logs = nn.log_softmax(input, axis=axis)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.shape[axis]
    products = ufuncs.multiply(target, logs)
    if weight is not None:
        products *= shaping.reshape(weight, (-1, *(1,) * (len(logs.shape) - 1 - axis)))
    losses = ufuncs.negative(reductions.sum(products, axis=axis))
    return reduced(losses, reduction)


@public
def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: None = None,
    ignore_index: int = -100, reduce: None = None, reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """-log softmax(input)[target], for classes or for probabilities."""
    if is_float(target):
        if target.shape != input.shape:
            raise fault("expected target dtype to be Long or Byte, but got Float")
        probabilities = (input, target, weight, reduction, float(label_smoothing))
        return run(_by_probabilities, probabilities)  # type: ignore[no-any-return]
    ignores = _check_classes(input, target, ignore_index)
    given = (input, target, weight, ignore_index, reduction, ignores, float(label_smoothing))
    return run(_by_classes, given)  # type: ignore[no-any-return]


# ---- probabilities


def _same_size(input: Tensor, target: Tensor) -> None:
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )


def _bce(input: Array, target: Array, weight: Any, reduction: str) -> Array:
    yes = ufuncs.maximum(ufuncs.log(input), -100.0)
    no = ufuncs.maximum(ufuncs.log1p(ufuncs.negative(input)), -100.0)
    losses = ufuncs.negative(target * yes + (1 - target) * no)
    return reduced(losses if weight is None else weight * losses, reduction)


@public
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: None = None,
    reduce: None = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """-(t log p + (1 - t) log(1 - p)); logarithms are at least -100, as in PyTorch."""
    _same_size(input, target)
    found = values(input)
    if found is not None and found.size and not (found.min() >= 0 and found.max() <= 1):
        raise fault("all elements of input should be between 0 and 1")
    return run(_bce, (input, target, weight, reduction))  # type: ignore[no-any-return]


def _bce_logits(input: Array, target: Array, weight: Any, pos: Any, reduction: str) -> Array:
    if pos is None:
        losses = ufuncs.subtract(nn.softplus(input), ufuncs.multiply(input, target))
    else:
        scale = 1 + (pos - 1) * target
        losses = (1 - target) * input + scale * nn.softplus(ufuncs.negative(input))
    return reduced(losses if weight is None else weight * losses, reduction)


@public
def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: None = None,
    reduce: None = None, reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The same of sigmoid(input), computed where nothing overflows."""
    if input.shape != target.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    given = (input, target, weight, pos_weight, reduction)
    return run(_bce_logits, given)  # type: ignore[no-any-return]


@row
def kl_div(
    input: Array, target: Array, size_average: None = None, reduce: None = None,
    reduction: str = "mean", log_target: bool = False,
) -> Array:  # fmt: skip
    """target (log target - input), of log probabilities; "batchmean" divides by the first size."""
    logs = target if log_target else ufuncs.log(choosing.where(target > 0, target, 1))
    weights = ufuncs.exp(target) if log_target else target
    losses = ufuncs.multiply(weights, ufuncs.subtract(logs, input))
    if reduction == "batchmean":
        return ufuncs.divide(reductions.sum(losses), input.shape[0])
    return reduced(losses, reduction)


@row
def gaussian_nll_loss(
    input: Array, target: Array, var: Array, full: bool = False, eps: float = 1e-6,
    reduction: str = "mean",
) -> Array:  # fmt: skip
    """(log var + (input - target)**2 / var) / 2; full adds log(2 pi) / 2."""
    var = ufuncs.maximum(var, eps)
    losses = 0.5 * (ufuncs.log(var) + ufuncs.square(_gap(input, target)) / var)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)


@row
def poisson_nll_loss(
    input: Array, target: Array, log_input: bool = True, full: bool = False,
    size_average: None = None, eps: float = 1e-8, reduce: None = None, reduction: str = "mean",
) -> Array:  # fmt: skip
    """The negative log likelihood of counts, without what does not depend on the input."""
    if full:
        raise ArgumentError("full=True is not supported here", where=user_frame())
    if log_input:
        losses = ufuncs.exp(input) - target * input
    else:
        losses = input - target * ufuncs.log(input + eps)
    return reduced(losses, reduction)


# ---- margins and distances


@row
def soft_margin_loss(
    input: Array, target: Array, size_average: None = None, reduce: None = None,
    reduction: str = "mean",
) -> Array:  # fmt: skip
    """log(1 + exp(-target input))."""
    return reduced(nn.softplus(ufuncs.negative(ufuncs.multiply(target, input))), reduction)


@row
def hinge_embedding_loss(
    input: Array, target: Array, margin: float = 1.0, size_average: None = None,
    reduce: None = None, reduction: str = "mean",
) -> Array:  # fmt: skip
    """input where the target is 1, max(0, margin - input) where it is -1."""
    far = ufuncs.maximum(ufuncs.subtract(margin, input), 0)
    return reduced(choosing.where(ufuncs.equal(target, 1), input, far), reduction)


@row
def margin_ranking_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0, size_average: None = None,
    reduce: None = None, reduction: str = "mean",
) -> Array:  # fmt: skip
    """max(0, margin - target (input1 - input2))."""
    gap = ufuncs.multiply(ufuncs.negative(target), ufuncs.subtract(input1, input2))
    return reduced(ufuncs.maximum(gap + margin, 0), reduction)


@row
def pairwise_distance(
    x1: Array, x2: Array, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Array:
    """The p-norm of x1 - x2 + eps along the last axis."""
    return linalg.vector_norm(ufuncs.subtract(x1, x2) + eps, ord=p, axis=-1, keepdims=keepdim)


@row
def triplet_margin_loss(
    anchor: Array, positive: Array, negative: Array, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, size_average: None = None, reduce: None = None,
    reduction: str = "mean",
) -> Array:  # fmt: skip
    """max(0, margin + |anchor - positive| - |anchor - negative|)."""
    distance = pairwise_distance.__wrapped__  # type: ignore[attr-defined]
    near, far = distance(anchor, positive, p, eps), distance(anchor, negative, p, eps)
    if swap:
        far = ufuncs.minimum(far, distance(positive, negative, p, eps))
    return reduced(ufuncs.maximum(near - far + margin, 0), reduction)


@row
def cosine_embedding_loss(
    input1: Array, input2: Array, target: Array, margin: float = 0, size_average: None = None,
    reduce: None = None, reduction: str = "mean",
) -> Array:  # fmt: skip
    """1 - cosine where the target is 1, max(0, cosine - margin) where it is -1."""
    cosine = FUNCTIONS["cosine_similarity"].__wrapped__(input1, input2, -1, 1e-6)  # type: ignore
    far = ufuncs.maximum(cosine - margin, 0)
    return reduced(choosing.where(ufuncs.equal(target, 1), 1 - cosine, far), reduction)
