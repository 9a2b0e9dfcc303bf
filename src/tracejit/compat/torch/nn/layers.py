"""Layers: linear maps, activations, embeddings, dropout, layer norm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.nn import functional, init
from tracejit.compat.torch.nn.modules import Module, Parameter

__all__ = [
    "CELU", "ELU", "GELU", "SELU", "Dropout", "Embedding", "Flatten", "Hardtanh", "Identity",
    "LayerNorm", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "Mish", "ReLU", "ReLU6", "SiLU",
    "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh",
]  # fmt: skip


class Linear(Module):
    """x @ weight.T + bias; both uniform within 1 / sqrt(in_features) at first."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ):  # fmt: skip
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(np.zeros((out_features, in_features), np.float32))
        self.bias = Parameter(np.zeros(out_features, np.float32)) if bias else None
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        for x in self.parameters():
            init.uniform_(x, -bound, bound)
        if dtype is not None:
            self.to(dtype)

    def forward(self, input: Any) -> Any:
        """The map."""
        return functional.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Embedding(Module):
    """Rows of a table, standard normal at first."""

    def __init__(self, num_embeddings: int, embedding_dim: int):
        super().__init__()
        self.weight = Parameter(np.zeros((num_embeddings, embedding_dim), np.float32))
        init.normal_(self.weight)

    def forward(self, input: Any) -> Any:
        """The rows."""
        return functional.embedding(input, self.weight)

    def extra_repr(self) -> str:
        """The sizes."""
        return ", ".join(map(str, self.weight.shape))


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then weight and bias."""

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True):
        super().__init__()
        one = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.eps = eps
        affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, np.float32)) if affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, np.float32)) if affine else None

    def forward(self, input: Any) -> Any:
        """Normalised."""
        return functional.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps
        )


class Dropout(Module):
    """Elements set to 0 with probability p while training."""

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        self.p = p

    def forward(self, input: Any) -> Any:
        """Thinned out, or as it is."""
        return functional.dropout(input, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace=False"


class Identity(Module):
    """Gives its argument."""

    def forward(self, input: Any) -> Any:
        """The argument."""
        return input


class _Activation(Module):
    """A function of the table with options that are fixed."""

    def __init__(self, *options: Any, **named: Any):
        super().__init__()
        named.pop("inplace", None)
        self.options, self.named = options, named

    def forward(self, input: Any) -> Any:
        """The function of the input."""
        return type(self).function(input, *self.options, **self.named)  # type: ignore[attr-defined]

    def extra_repr(self) -> str:
        """The options."""
        named = [f"{name}={x}" for name, x in self.named.items()]
        return ", ".join([*map(str, self.options), *named])


def _activation(name: str, function: Any) -> type[_Activation]:
    body = {"function": staticmethod(function), "__doc__": function.__doc__}
    return type(name, (_Activation,), body | {"__module__": __name__})


ReLU = _activation("ReLU", FUNCTIONS["relu"])
Sigmoid = _activation("Sigmoid", FUNCTIONS["sigmoid"])
Tanh = _activation("Tanh", FUNCTIONS["tanh"])
Softmax = _activation("Softmax", FUNCTIONS["softmax"])
LogSoftmax = _activation("LogSoftmax", FUNCTIONS["log_softmax"])
Softplus = _activation("Softplus", FUNCTIONS["softplus"])
SELU = _activation("SELU", FUNCTIONS["selu"])
Flatten = _activation("Flatten", lambda x, start_dim=1, end_dim=-1: x.flatten(start_dim, end_dim))
ReLU6 = _activation("ReLU6", functional.relu6)  # type: ignore[attr-defined]
SiLU = _activation("SiLU", functional.silu)  # type: ignore[attr-defined]
Mish = _activation("Mish", functional.mish)  # type: ignore[attr-defined]
ELU = _activation("ELU", functional.elu)  # type: ignore[attr-defined]
CELU = _activation("CELU", functional.celu)  # type: ignore[attr-defined]
GELU = _activation("GELU", functional.gelu)
LeakyReLU = _activation("LeakyReLU", functional.leaky_relu)
Hardtanh = _activation("Hardtanh", functional.hardtanh)
LogSigmoid = _activation("LogSigmoid", functional.logsigmoid)
Softsign = _activation("Softsign", functional.softsign)
