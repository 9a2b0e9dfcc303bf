"""`torch.nn.init`: fill parameters, by chance or not."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch import random
from tracejit.compat.torch.kinds import no_grad
from tracejit.compat.torch.tensor import Tensor


def _filled(tensor: Tensor, array: Any) -> Tensor:
    with no_grad():
        return tensor.write(Tensor(known(np.asarray(array, tensor.dtype.numpy))), "nn.init")


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform in [a, b)."""
    with no_grad():
        return random.uniform_(tensor, a, b, generator)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal."""
    with no_grad():
        return random.normal_(tensor, mean, std, generator)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number."""
    return _filled(tensor, np.full(tuple(tensor.shape), val))


def zeros_(tensor: Tensor) -> Tensor:
    """Zeros."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Ones."""
    return constant_(tensor, 1.0)


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many numbers an output of a layer with this weight reads, and how many read an input."""
    shape = tuple(tensor.shape)
    field = math.prod(shape[2:])
    return shape[1] * field, shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity."""
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    return {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}.get(nonlinearity, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Uniform, variance 2 / (fan in + fan out): Glorot and Bengio 2010."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Any = None) -> Tensor:
    """Normal, variance 2 / (fan in + fan out)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), generator)


def _kaiming(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = fans(tensor)[0 if mode == "fan_in" else 1]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Uniform, variance gain**2 / fan: He et al. 2015."""
    bound = math.sqrt(3.0) * _kaiming(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu",
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Normal, variance gain**2 / fan."""
    return normal_(tensor, 0.0, _kaiming(tensor, a, mode, nonlinearity), generator)


def eye_(tensor: Tensor) -> Tensor:
    """Ones on the diagonal."""
    return _filled(tensor, np.eye(*tensor.shape))


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Any = None) -> Tensor:
    """Orthogonal rows or columns, of a normal matrix: Saxe et al. 2014."""
    rows = tensor.shape[0]
    shape = (rows, tensor.shape.numel() // rows)
    drawn = random.filled(shape, tensor.dtype.numpy, "normals", generator)
    q, r = np.linalg.qr(drawn.T if shape[0] < shape[1] else drawn)
    q = q * np.sign(np.diag(r))
    q = q.T if shape[0] < shape[1] else q
    return _filled(tensor, gain * q.reshape(tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0,
    generator: Any = None,
) -> Tensor:  # fmt: skip
    """Normal; numbers that are not between a and b are drawn anew."""
    kind = tensor.dtype.numpy

    def drawn() -> Any:
        numbers = random.filled(tensor.shape, kind, "normals", generator)
        return numbers * kind.type(std) + kind.type(mean)

    value = drawn()
    while np.any(outside := (value < a) | (value > b)):
        value = np.where(outside, drawn(), value)
    return _filled(tensor, value)


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Kernels of a convolution that keeps its input."""
    value = np.zeros(tensor.shape, tensor.dtype.numpy)
    centre = tuple(n // 2 for n in tensor.shape[2:])
    each = tensor.shape[0] // groups
    for group in range(groups):
        for d in range(min(each, tensor.shape[1])):
            value[(group * each + d, d, *centre)] = 1
    return _filled(tensor, value)
