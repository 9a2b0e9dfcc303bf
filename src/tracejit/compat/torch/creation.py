"""New tensors: of numbers, of NumPy's arrays, and by chance.

Draws are NumPy's (PCG64), seeded by `manual_seed`: they are others than PyTorch's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.kinds import numpy_dtype
from tracejit.compat.torch.tensor import Tensor, tensor

__all__ = [
    "arange", "as_tensor", "asarray", "bernoulli", "empty", "eye", "from_numpy", "full",
    "full_like", "linspace", "logspace", "manual_seed", "multinomial", "normal", "ones", "rand",
    "rand_like", "randint", "randn", "randn_like", "randperm", "tensor", "zeros",
]  # fmt: skip

FLOAT = np.dtype(np.float32)


class _Source:
    """Where random numbers come from."""

    generator = np.random.default_rng()


class Generator:
    """A source of random numbers of its own."""

    def __init__(self, device: Any = None):
        self.generator = np.random.default_rng()

    def manual_seed(self, seed: int) -> Generator:
        """Begin anew with a seed; itself."""
        self.generator = np.random.default_rng(int(seed))
        return self


def manual_seed(seed: int) -> None:
    """Seed all draws that have no generator of their own."""
    _Source.generator = np.random.default_rng(int(seed))


def draws(generator: Any = None) -> np.random.Generator:
    """NumPy's generator behind one of ours, or behind all draws."""
    return getattr(generator, "generator", None) or _Source.generator


def _made(array: Any, dtype: Any, requires_grad: bool, default: Any = FLOAT) -> Tensor:
    wanted = numpy_dtype(dtype) or default
    array = np.asarray(array, wanted) if wanted is not None else np.asarray(array)
    return Tensor(known(array)).requires_grad_(requires_grad)


def _sizes(shape: tuple[Any, ...], options: dict[str, Any]) -> tuple[int, ...]:
    shape = (options.pop("size"),) if "size" in options else shape
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data itself if it is a tensor of this dtype, else a tensor of a copy."""
    same = isinstance(data, Tensor) and numpy_dtype(dtype) in (None, data.dtype.numpy)
    return data if same else tensor(data, dtype)


asarray = as_tensor


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor of a copy of an array, in its dtype."""
    return Tensor(known(array))


def zeros(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Zeros."""
    return _made(np.zeros(_sizes(size, options)), dtype, requires_grad)


def ones(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Ones."""
    return _made(np.ones(_sizes(size, options)), dtype, requires_grad)


def empty(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Zeros, too: nothing here is undefined."""
    return _made(np.zeros(_sizes(size, options)), dtype, requires_grad)


def full(
    size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One number in every element; its kind gives the dtype."""
    default = FLOAT if isinstance(fill_value, float) else None
    return _made(np.full(size, fill_value), dtype, requires_grad, default)


def full_like(input: Tensor, fill_value: Any, dtype: Any = None, **_: Any) -> Tensor:
    """One number, in the shape and dtype of another tensor."""
    return full(input.shape, fill_value, dtype or input.dtype)


def eye(n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal."""
    return _made(np.eye(n, m), dtype, requires_grad)


def arange(
    *ends: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """Numbers in steps; ints unless one of the ends is a float."""
    default = FLOAT if any(isinstance(x, float) for x in ends) else np.dtype(np.int64)
    return _made(np.arange(*ends), dtype, requires_grad, default)


def linspace(
    start: Any, end: Any, steps: int, dtype: Any = None, requires_grad: bool = False, **_: Any
) -> Tensor:
    """Numbers in equal steps, both ends included."""
    return _made(np.linspace(float(start), float(end), steps), dtype, requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Powers of a base, their exponents in equal steps."""
    return _made(np.logspace(start, end, steps, base=base), dtype, requires_grad)


def rand(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1)."""
    return _made(draws(generator).random(_sizes(size, options)), dtype, requires_grad)


def randn(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """Standard normal."""
    return _made(draws(generator).standard_normal(_sizes(size, options)), dtype, requires_grad)


def rand_like(input: Tensor, **options: Any) -> Tensor:
    """Uniform, in the shape of another tensor."""
    return rand(*input.shape, dtype=input.dtype, **options)


def randn_like(input: Tensor, **options: Any) -> Tensor:
    """Standard normal, in the shape of another tensor."""
    return randn(*input.shape, dtype=input.dtype, **options)


def randint(low: int, high: Any, size: Any = None, generator: Any = None, dtype: Any = None,
            **_: Any) -> Tensor:  # fmt: skip
    """Integers from low (0 if there is one number before the size) below high."""
    if size is None:
        low, high, size = 0, low, high
    drawn = draws(generator).integers(low, high, tuple(size))
    return _made(drawn, dtype, False, np.dtype(np.int64))


def randperm(n: int, generator: Any = None, **_: Any) -> Tensor:
    """The numbers below n in a random order."""
    return _made(draws(generator).permutation(n), None, False, np.dtype(np.int64))


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, generator: Any = None, **_: Any
) -> Tensor:
    """Normal draws with these means and standard deviations."""
    loc, scale = (x.cell.value if isinstance(x, Tensor) else x for x in (mean, std))
    return _made(draws(generator).normal(loc, scale, size), None, False)


def bernoulli(input: Tensor, generator: Any = None) -> Tensor:
    """1 with the probability that is given for each element, else 0."""
    drawn = draws(generator).random(tuple(input.shape)) < input.cell.value
    return _made(drawn, input.dtype, False)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, generator: Any = None
) -> Tensor:
    """Places drawn with probabilities in proportion to the weights in the last axis."""
    weights = np.atleast_2d(input.cell.value.astype(np.float64))
    source = draws(generator)
    drawn = [source.choice(len(w), num_samples, replacement, w / w.sum()) for w in weights]
    return _made(drawn if input.ndim == 2 else drawn[0], None, False, np.dtype(np.int64))
