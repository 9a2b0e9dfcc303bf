"""Convolutions and pools, for images (batch, height, width, channels)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.compat.tensorflow import images
from tracejit.compat.tensorflow.images import Sizes, pair
from tracejit.compat.tensorflow.keras import activations
from tracejit.compat.tensorflow.keras.layers import Layer
from tracejit.compat.tensorflow.tensor import call

__all__ = [
    "AveragePooling2D", "Conv2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D",
]  # fmt: skip


class Conv2D(Layer):
    """activation(images by filters + bias)."""

    def __init__(
        self, filters: int, kernel_size: Sizes, strides: Sizes = 1, padding: str = "valid",
        activation: Any = None, use_bias: bool = True, kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros", input_shape: Any = None, name: str | None = None,
        **options: Any,
    ):  # fmt: skip
        super().__init__(name)
        self.filters, self.kernel_size, self.strides = filters, pair(kernel_size), pair(strides)
        self.padding, self.use_bias = padding.upper(), use_bias
        self.activation = activations.get(activation)
        self._initializers = kernel_initializer, bias_initializer
        if input_shape is not None:
            self.built = True
            self.build(input_shape)

    def build(self, input_shape: Any) -> None:
        first, second = self._initializers
        shape = (*self.kernel_size, input_shape[-1], self.filters)
        self.kernel = self.add_weight(shape, first, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.filters,), second, name="bias")

    def call(self, inputs: Any) -> Any:
        y = call(images.conv2d, inputs, self.kernel, self.strides, self.padding)
        return self.activation(y + self.bias if self.use_bias else y)


class _Pooling(Layer):
    pool: Callable[..., Any]

    def __init__(
        self, pool_size: Sizes = 2, strides: Sizes = None, padding: str = "valid",
        name: str | None = None,
    ):  # fmt: skip
        super().__init__(name)
        self.pool_size = pair(pool_size)
        self.strides = self.pool_size if strides is None else pair(strides)
        self.padding = padding.upper()

    def call(self, inputs: Any) -> Any:
        return call(type(self).pool, inputs, self.pool_size, self.strides, self.padding)


class MaxPooling2D(_Pooling):
    """The greatest element of each window."""

    pool = images.max_pool2d


class AveragePooling2D(_Pooling):
    """The mean of each window."""

    pool = images.avg_pool2d


class GlobalAveragePooling2D(Layer):
    """The mean over height and width."""

    def call(self, inputs: Any) -> Any:
        return call(np.mean, inputs, axis=(1, 2))


class GlobalMaxPooling2D(Layer):
    """The greatest element over height and width."""

    def call(self, inputs: Any) -> Any:
        return call(np.max, inputs, axis=(1, 2))
