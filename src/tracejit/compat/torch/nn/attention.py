"""Rows of `torch.nn.functional`: attention."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit import nn
from tracejit.compat.torch import random
from tracejit.compat.torch.nn.table import public
from tracejit.compat.torch.tensor import Tensor, run
from tracejit.numpy import choosing, contraction, shaping, ufuncs
from tracejit.numpy.arrays import Array


def weights_of(query: Array, key: Array, mask: Any, is_causal: bool, scale: float | None) -> Array:
    """softmax(query key^T scale + mask); bool masks are True where attention is allowed."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = contraction.matmul(query, shaping.matrix_transpose(key)) * factor
    if is_causal:
        allowed = np.tril(np.ones(scores.shape[-2:], bool))
        scores = choosing.where(allowed, scores, -np.inf)
    if mask is not None:
        if mask.dtype == bool:
            scores = choosing.where(mask, scores, -np.inf)
        else:
            scores = ufuncs.add(scores, mask)
    return nn.softmax(scores, axis=-1)


def _attended(
    query: Array, key: Array, value: Array, mask: Any, kept: Any, is_causal: bool,
    scale: float | None,
) -> Array:  # fmt: skip
    weights = weights_of(query, key, mask, is_causal, scale)
    return contraction.matmul(weights if kept is None else ufuncs.multiply(weights, kept), value)


def kept_of(shape: tuple[int, ...], p: float, like: Tensor) -> Any:
    """The factors of dropout; None without it."""
    if p == 0.0:
        return None
    kind = like.dtype.numpy
    kept = random.source(None).doubles(math.prod(shape)).reshape(shape) < 1 - p
    return kept.astype(kind) / kind.type(1 - p)


@public
def scaled_dot_product_attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    """softmax(query key^T / sqrt(d) + mask) value, over the last two axes."""
    if enable_gqa:
        times = query.shape[-3] // key.shape[-3]
        key, value = (x.repeat_interleave(times, -3) for x in (key, value))
    kept = kept_of((*query.shape[:-1], key.shape[-2]), dropout_p, query)
    given = (query, key, value, attn_mask, kept, is_causal, scale)
    return run(_attended, given)  # type: ignore[no-any-return]
