"""Dropout, normalisations, and rows of a table."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.tensorflow import compositions, indexing
from tracejit.compat.tensorflow.keras.layers import Layer
from tracejit.compat.tensorflow.misc import dropout
from tracejit.compat.tensorflow.tensor import call, convert

__all__ = ["BatchNormalization", "Dropout", "Embedding", "LayerNormalization"]


class Dropout(Layer):
    """In training 0 for a part `rate` of the elements, and the others over 1 - rate."""

    def __init__(self, rate: float, seed: int | None = None, name: str | None = None):
        super().__init__(name)
        self.rate, self.seed = rate, seed

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return dropout(inputs, self.rate, self.seed) if training else inputs


class LayerNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) over an axis, times gamma, plus beta."""

    def __init__(self, axis: int = -1, epsilon: float = 1e-3, name: str | None = None):
        super().__init__(name)
        self.axis, self.epsilon = axis, epsilon

    def build(self, input_shape: Any) -> None:
        size = (input_shape[self.axis],)
        self.gamma = self.add_weight(size, "ones", name="gamma")
        self.beta = self.add_weight(size, "zeros", name="beta")

    def call(self, inputs: Any) -> Any:
        return call(_normalized, inputs, self.gamma, self.beta, self.axis, self.epsilon)


def _normalized(x: Any, gamma: Any, beta: Any, axis: int, epsilon: float) -> Any:
    mean, variance = compositions.moments(x, axis, keepdims=True)
    shape = [1] * x.ndim
    shape[axis] = -1
    scale, offset = np.reshape(gamma, shape), np.reshape(beta, shape)
    return compositions.batch_normalization(x, mean, variance, offset, scale, epsilon)


class BatchNormalization(Layer):
    """The same over all axes but the last, by moments of the batch in training, whose running means
    are used otherwise."""

    def __init__(
        self, axis: int = -1, momentum: float = 0.99, epsilon: float = 1e-3,
        name: str | None = None,
    ):  # fmt: skip
        super().__init__(name)
        self.momentum, self.epsilon = momentum, epsilon

    def build(self, input_shape: Any) -> None:
        size = (input_shape[-1],)
        self.gamma = self.add_weight(size, "ones", name="gamma")
        self.beta = self.add_weight(size, "zeros", name="beta")
        self.moving_mean = self.add_weight(size, "zeros", False, name="moving_mean")
        self.moving_variance = self.add_weight(size, "ones", False, name="moving_variance")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        mean, variance = self.moving_mean, self.moving_variance
        if training:
            axes = tuple(range(inputs.ndim - 1))
            mean, variance = call(compositions.moments, inputs, axes)
            for kept, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                kept.assign(call(_moved, kept, now, self.momentum))
        return call(
            compositions.batch_normalization, inputs, mean, variance, self.beta, self.gamma,
            self.epsilon,
        )  # fmt: skip


def _moved(kept: Any, now: Any, momentum: float) -> Any:
    return kept * momentum + now * (1 - momentum)


class Embedding(Layer):
    """The rows of a table at whole numbers; at first uniform in [-0.05, 0.05]."""

    def __init__(self, input_dim: int, output_dim: int, name: str | None = None, **options: Any):
        super().__init__(name)
        self.input_dim, self.output_dim = input_dim, output_dim

    def build(self, input_shape: Any) -> None:
        shape = (self.input_dim, self.output_dim)
        self.embeddings = self.add_weight(shape, "uniform", name="embeddings")

    def call(self, inputs: Any) -> Any:
        return call(indexing.gather, self.embeddings, convert(inputs))
