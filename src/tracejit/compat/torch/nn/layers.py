"""Layers: linear maps, embeddings, dropout, activations. Windows, norms: `spatial.py`."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.compat.torch.creation import empty
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.nn import functional, init
from tracejit.compat.torch.nn.modules import Module, Parameter
from tracejit.compat.torch.nn.table import PUBLIC

__all__ = [
    "CELU", "ELU", "GELU", "GLU", "SELU", "Bilinear", "CosineSimilarity", "Dropout", "Dropout1d",
    "Dropout2d", "Dropout3d", "Embedding", "Flatten", "Hardsigmoid", "Hardswish", "Hardtanh",
    "Identity", "LeakyReLU", "Linear", "LogSigmoid", "LogSoftmax", "Mish", "PReLU",
    "PairwiseDistance", "PixelShuffle", "ReLU", "ReLU6", "SiLU", "Sigmoid", "Softmax", "Softmin",
    "Softplus", "Softsign", "Tanh", "Tanhshrink", "Threshold", "Unflatten", "Upsample",
]  # fmt: skip

F: Any = functional


class Linear(Module):
    """x @ weight.T + bias; both uniform within 1 / sqrt(in_features) at first."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None,
        dtype: Any = None,
    ):  # fmt: skip
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = Parameter(empty(out_features, in_features, dtype=dtype))
        offset = Parameter(empty(out_features, dtype=dtype)) if bias else None
        self.register_parameter("bias", offset)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(self.in_features) if self.in_features else 0.0
        for x in self.parameters():
            init.uniform_(x, -bound, bound)

    def forward(self, input: Any) -> Any:
        """The map."""
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        """The sizes."""
        bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={bias}"


class Bilinear(Module):
    """input1 @ weight[k] @ input2 + bias[k] for each k."""

    def __init__(
        self, in1_features: int, in2_features: int, out_features: int, bias: bool = True
    ):
        super().__init__()
        self.weight = Parameter(empty(out_features, in1_features, in2_features))
        self.register_parameter("bias", Parameter(empty(out_features)) if bias else None)
        bound = 1 / math.sqrt(in1_features)
        for x in self.parameters():
            init.uniform_(x, -bound, bound)

    def forward(self, input1: Any, input2: Any) -> Any:
        """The form."""
        return F.bilinear(input1, input2, self.weight, self.bias)


class Embedding(Module):
    """Rows of a table, standard normal at first; the one at padding_idx is 0 and not learnt."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
        _weight: Any = None,
    ):  # fmt: skip
        super().__init__()
        self.num_embeddings, self.embedding_dim = num_embeddings, embedding_dim
        self.padding_idx = padding_idx
        self.weight = Parameter(
            empty(num_embeddings, embedding_dim) if _weight is None else _weight
        )
        if _weight is None:
            init.normal_(self.weight)
            if padding_idx is not None:
                self.weight.data[padding_idx] = 0.0

    @classmethod
    def from_pretrained(
        cls, embeddings: Any, freeze: bool = True, padding_idx: int | None = None
    ) -> Embedding:
        """A table that is given, and not learnt unless said."""
        rows, columns = embeddings.shape
        made = cls(rows, columns, padding_idx, embeddings)
        made.weight.requires_grad_(not freeze)
        return made

    def forward(self, input: Any) -> Any:
        """The rows."""
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        """The sizes."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Dropout(Module):
    """Elements set to 0 with probability p while training."""

    function = staticmethod(PUBLIC["dropout"])

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Any) -> Any:
        """Thinned out, or as it is."""
        return type(self).function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout1d(Dropout):
    """Whole channels set to 0 with probability p while training."""

    function = staticmethod(PUBLIC["dropout2d"])


class Dropout2d(Dropout1d):
    """Whole channels set to 0 with probability p while training."""


class Dropout3d(Dropout1d):
    """Whole channels set to 0 with probability p while training."""


class Identity(Module):
    """Gives its argument; takes whatever is said of it."""

    def __init__(self, *_: Any, **__: Any):
        super().__init__()

    def forward(self, input: Any) -> Any:
        """The argument."""
        return input


class PReLU(Module):
    """x above 0, weight x below; the weight is learnt."""

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.num_parameters = num_parameters
        self.weight = Parameter(np.full(num_parameters, init, np.float32))

    def forward(self, input: Any) -> Any:
        """The function of the input."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """How many weights there are."""
        return f"num_parameters={self.num_parameters}"


class _Fixed(Module):
    """A function of the table with options that are fixed; their names are those of `options`."""

    function: Callable[..., Any]
    options: tuple[str, ...] = ()
    #: Options that are told though they are as usual.
    shown: dict[str, Any] = {}

    def __init__(self, *given: Any, **named: Any):
        super().__init__()
        self.named = {**self.shown, **dict(zip(self.options, given, strict=False)), **named}
        if len(given) > len(self.options) or named.keys() - {*self.options, "inplace"}:
            raise TypeError(f"{type(self).__name__} takes {', '.join(self.options) or 'nothing'}")
        if not self.named.get("inplace"):
            self.named.pop("inplace", None)

    def forward(self, *inputs: Any) -> Any:
        """The function of the input."""
        return type(self).function(*inputs, **self.named)

    def extra_repr(self) -> str:
        """The options."""
        return ", ".join(f"{name}={x!r}" for name, x in self.named.items())


_TOLD = {
    "GELU": ("approximate",), "LeakyReLU": ("negative_slope",), "ELU": ("alpha",),
    "Softplus": ("beta", "threshold"), "Softmax": ("dim",), "LogSoftmax": ("dim",),
    "Flatten": ("start_dim", "end_dim"), "GLU": ("dim",), "CELU": ("alpha",),
    "Hardtanh": ("min_val", "max_val"),
}  # fmt: skip


def _fixed(name: str, function: Any, inputs: int = 1) -> type[_Fixed]:
    """The module of a function, whose options are what is behind its inputs."""
    body = getattr(function, "__wrapped__", function)
    rest = list(inspect.signature(body).parameters.values())[inputs:]
    options = tuple(p.name for p in rest if p.name[0] != "_")
    shown = {p.name: p.default for p in rest if p.name in _TOLD.get(name, ())}
    made = {"function": staticmethod(function), "options": options, "shown": shown}
    made["__doc__"] = body.__doc__
    return type(name, (_Fixed,), made | {"__module__": __name__})


def _flatten(input: Any, start_dim: int = 1, end_dim: int = -1) -> Any:
    """Some axes as one; the batch stays."""
    return input.flatten(start_dim, end_dim)


def _unflatten(input: Any, dim: int, unflattened_size: Any) -> Any:
    """One axis as several."""
    return input.unflatten(dim, unflattened_size)


ReLU = _fixed("ReLU", F.relu)
ReLU6 = _fixed("ReLU6", F.relu6)
Sigmoid = _fixed("Sigmoid", FUNCTIONS["sigmoid"])
Tanh = _fixed("Tanh", FUNCTIONS["tanh"])
Softmax = _fixed("Softmax", F.softmax)
LogSoftmax = _fixed("LogSoftmax", F.log_softmax)
Softmin = _fixed("Softmin", F.softmin)
Softplus = _fixed("Softplus", F.softplus)
SELU = _fixed("SELU", F.selu)
SiLU = _fixed("SiLU", F.silu)
Mish = _fixed("Mish", F.mish)
ELU = _fixed("ELU", F.elu)
CELU = _fixed("CELU", F.celu)
GELU = _fixed("GELU", F.gelu)
GLU = _fixed("GLU", F.glu)
LeakyReLU = _fixed("LeakyReLU", F.leaky_relu)
Hardtanh = _fixed("Hardtanh", F.hardtanh)
Hardsigmoid = _fixed("Hardsigmoid", F.hardsigmoid)
Hardswish = _fixed("Hardswish", F.hardswish)
LogSigmoid = _fixed("LogSigmoid", F.logsigmoid)
Softsign = _fixed("Softsign", F.softsign)
Tanhshrink = _fixed("Tanhshrink", F.tanhshrink)
Threshold = _fixed("Threshold", F.threshold)
Flatten = _fixed("Flatten", _flatten)
Unflatten = _fixed("Unflatten", _unflatten)
Upsample = _fixed("Upsample", F.interpolate)
PixelShuffle = _fixed("PixelShuffle", F.pixel_shuffle)
CosineSimilarity = _fixed("CosineSimilarity", F.cosine_similarity, 2)
PairwiseDistance = _fixed("PairwiseDistance", F.pairwise_distance, 2)
