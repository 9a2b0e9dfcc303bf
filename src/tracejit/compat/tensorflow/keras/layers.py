"""Dense layers, and models made of layers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from tracejit.compat.tensorflow import random
from tracejit.compat.tensorflow.keras import activations
from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.tensor import Tensor, call, convert
from tracejit.compat.tensorflow.variable import Variable

__all__ = ["Activation", "Dense", "Flatten", "Layer", "Model", "ReLU", "Sequential", "Softmax"]


class Layer(Module):
    """A module whose `call(inputs)` computes; `build(input_shape)` makes its variables once."""

    def __init__(self, name: str | None = None, **options: Any):
        super().__init__(name)
        self.built = False

    def __call__(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        tensor = convert(inputs) if hasattr(inputs, "__array__") else inputs
        if not self.built:
            self.built = True
            self.build(getattr(tensor, "shape", None))
        return self.call(tensor, *args, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Make variables; nothing, unless a subclass has some."""

    def call(self, inputs: Any) -> Any:
        """What the layer computes."""
        raise NotImplementedError

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = "glorot_uniform",
        trainable: bool = True, name: str | None = None, dtype: Any = "float32",
    ) -> Variable:  # fmt: skip
        """A new variable. initializer: "glorot_uniform", "zeros", "ones", or a function of the
        shape."""
        given = initializer(shape) if callable(initializer) else _initial(initializer, shape)
        return Variable(convert(given, dtype), trainable=trainable, name=name)

    @property
    def weights(self) -> list[Variable]:
        return list(self.variables)

    def get_weights(self) -> list[np.ndarray]:
        """The values of all variables."""
        return [v.numpy() for v in self.variables]

    def set_weights(self, weights: Iterable[Any]) -> None:
        """Give all variables values, in the order of `get_weights`."""
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)


def _initial(name: str, shape: Sequence[int]) -> Tensor:
    """Zeros, ones, or what Glorot and Bengio (2010) say for a layer of fan-in and fan-out."""
    if name in ("zeros", "ones"):
        return convert(getattr(np, name)(tuple(shape), np.float32))  # type: ignore[no-any-return]
    limit = sqrt(6 / (shape[0] + shape[-1]))
    return random.uniform(shape, -limit, limit)


class Dense(Layer):
    """activation(inputs @ kernel + bias), for inputs whose last axis is the features'."""

    def __init__(
        self, units: int, activation: Any = None, use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform", bias_initializer: Any = "zeros",
        input_shape: Sequence[int] | None = None, name: str | None = None, **options: Any,
    ):  # fmt: skip
        super().__init__(name)
        self.units, self.use_bias = units, use_bias
        self.activation = activations.get(activation)
        self._initializers = kernel_initializer, bias_initializer
        if input_shape is not None:
            self.built = True
            self.build(input_shape)

    def build(self, input_shape: Any) -> None:
        first, second = self._initializers
        self.kernel = self.add_weight((input_shape[-1], self.units), first, name="kernel")
        if self.use_bias:
            self.bias = self.add_weight((self.units,), second, name="bias")

    @property
    def variables(self) -> tuple[Variable, ...]:
        if not self.built:
            return ()
        return (self.kernel, self.bias) if self.use_bias else (self.kernel,)

    def call(self, inputs: Any) -> Any:
        y = inputs @ self.kernel
        return self.activation(y + self.bias if self.use_bias else y)


class Activation(Layer):
    """A function of each element, by its name."""

    def __init__(self, activation: str | Callable[..., Any], name: str | None = None):
        super().__init__(name)
        self.activation = activations.get(activation)

    def call(self, inputs: Any) -> Any:
        return self.activation(inputs)


class ReLU(Activation):
    """max(x, 0)."""

    def __init__(self, name: str | None = None):
        super().__init__("relu", name)


class Softmax(Activation):
    """Positive numbers that add up to 1, along the last axis."""

    def __init__(self, name: str | None = None):
        super().__init__("softmax", name)


class Flatten(Layer):
    """All axes but the first as one."""

    def call(self, inputs: Any) -> Any:
        return call(np.reshape, inputs, (inputs.shape[0], prod(inputs.shape[1:])))


class Model(Layer):
    """A layer made of layers: a subclass has them as attributes, and `call`."""


class Sequential(Model):
    """Layers one after the other."""

    def __init__(self, layers: Sequence[Layer] = (), name: str | None = None):
        super().__init__(name)
        self.layers: list[Any] = list(layers)

    def add(self, layer: Layer) -> None:
        """One layer more."""
        self.layers.append(layer)

    @property
    def variables(self) -> tuple[Variable, ...]:
        return tuple([v for layer in self.layers for v in getattr(layer, "variables", ())])

    def call(self, inputs: Any) -> Any:
        for layer in self.layers:
            inputs = layer(inputs)
        return inputs
