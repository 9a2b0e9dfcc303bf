"""Dense layers, and models made of layers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from math import prod, sqrt
from typing import Any

import numpy as np

from tracejit.compat.tensorflow import random
from tracejit.compat.tensorflow.keras import activations
from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.tensor import Tensor, call, convert
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError, UnsupportedError, did_you_mean
from tracejit.trace.provenance import user_frame

__all__ = [
    "Activation", "Dense", "Flatten", "Layer", "Model", "ReLU", "Reshape",
    "Sequential", "Softmax",
]  # fmt: skip


INITIALIZERS = (
    "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "normal", "ones",
    "random_normal", "random_uniform", "uniform", "zeros",
)  # fmt: skip
#: The standard deviation of a normal number that is within two of them.
TRUNCATED = 0.87962566103423978


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
        if "training" in kwargs and not self._knows_training:
            del kwargs["training"]
        return self.call(tensor, *args, **kwargs)

    @cached_property
    def _knows_training(self) -> bool:
        """Whether `call` takes an argument of this name."""
        parameters = inspect.signature(self.call).parameters.values()
        return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)

    def build(self, input_shape: Any) -> None:
        """Make variables; nothing, unless a subclass has some."""

    def call(self, inputs: Any) -> Any:
        """What the layer computes."""
        raise NotImplementedError

    def add_weight(
        self, shape: Sequence[int] = (), initializer: Any = "glorot_uniform",
        trainable: bool = True, name: str | None = None, dtype: Any = "float32",
    ) -> Variable:  # fmt: skip
        """A new variable. initializer: one of INITIALIZERS, or a function of the shape."""
        given = initializer(shape) if callable(initializer) else _initial(initializer, shape)
        return Variable(convert(given, dtype), trainable=trainable, name=name)

    def _attributes(self) -> list[str]:
        return list(vars(self))  # as they were made

    @property
    def trainable_weights(self) -> list[Variable]:
        return list(self.trainable_variables)

    @property
    def non_trainable_weights(self) -> list[Variable]:
        return list(self.non_trainable_variables)

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
    """What an initializer of a name gives: for a layer of so many inputs and outputs what Glorot
    and Bengio (2010), or He et al. (2015), say."""
    if name in ("zeros", "ones"):
        return convert(getattr(np, name)(tuple(shape), np.float32))  # type: ignore[no-any-return]
    if name in ("uniform", "random_uniform"):
        return random.uniform(shape, -0.05, 0.05)
    if name in ("normal", "random_normal"):
        return random.normal(shape, stddev=0.05)
    around = prod(shape[:-2])  # of a convolution's kernel: the places that a number meets
    fan_in, fan_out = around * shape[-2] if len(shape) > 1 else shape[0], around * shape[-1]
    if name in ("he_normal", "he_uniform"):
        spread = sqrt(2 / fan_in)
        if name == "he_uniform":
            return random.uniform(shape, -sqrt(3) * spread, sqrt(3) * spread)
        return random.truncated_normal(shape, stddev=spread / TRUNCATED)
    if name == "glorot_normal":
        return random.truncated_normal(shape, stddev=sqrt(2 / (fan_in + fan_out)) / TRUNCATED)
    if name != "glorot_uniform":
        raise ArgumentError(f"there is no initializer {name!r}", where=user_frame(),
                            hint=did_you_mean(name, INITIALIZERS))  # fmt: skip
    limit = sqrt(6 / (fan_in + fan_out))
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


class Reshape(Layer):
    """All axes but the first in another shape."""

    def __init__(self, target_shape: Sequence[int], name: str | None = None):
        super().__init__(name)
        self.target_shape = tuple(target_shape)

    def call(self, inputs: Any) -> Any:
        return call(np.reshape, inputs, (inputs.shape[0], *self.target_shape))


class Model(Layer):
    """A layer made of layers: a subclass has them as attributes, and `call`."""

    def summary(self) -> None:
        """Print the shapes of all variables, and how many numbers they are."""
        for v in self.variables:
            print(f"{v.name:32} {tuple(v.shape)!s:20} {v.shape.num_elements()}")
        print(f"Total params: {self.count_params()}")

    def count_params(self) -> int:
        """How many numbers the variables are."""
        return sum(v.shape.num_elements() for v in self.variables)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """There is no `compile` and `fit`: UnsupportedError says what to write."""
        raise UnsupportedError(
            "Keras's compile and fit are not there", where=user_frame(),
            hint="write the loop: GradientTape, optimizer.apply_gradients, in a tf.function; see "
            "docs/coming_from_tensorflow.md",
        )  # fmt: skip

    fit = evaluate = predict = compile


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

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        for layer in self.layers:
            given = {"training": training} if isinstance(layer, Layer) else {}
            inputs = layer(inputs, **given)
        return inputs
