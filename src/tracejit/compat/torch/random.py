"""`torch.random`, and new tensors by chance. For a seed they are PyTorch's: see `draws.py`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.creation import made, sizes_of
from tracejit.compat.torch.draws import Generator, default_generator
from tracejit.compat.torch.kinds import default, numpy_dtype
from tracejit.compat.torch.tensor import Tensor, fault

__all__ = [
    "Generator", "bernoulli", "get_rng_state", "initial_seed", "manual_seed", "multinomial",
    "normal", "poisson", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like",
    "randperm", "seed", "set_rng_state",
]  # fmt: skip

_INT = np.dtype(np.int64)


def manual_seed(seed: int) -> Generator:
    """Seed all draws that have no generator of their own."""
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed them by chance; the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that they began with."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """What the next draws depend on, for `set_rng_state`."""
    return default_generator.get_state()


def set_rng_state(state: Any) -> None:
    """Go on from a state that `get_rng_state` gave."""
    default_generator.set_state(state)


@contextlib.contextmanager
def fork_rng(*_: Any, **__: Any) -> Iterator[None]:
    """A block behind which draws go on as if it had not been."""
    state = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(state)


def source(generator: Generator | None) -> Generator:
    """The generator, or the one of all draws."""
    return default_generator if generator is None else generator


def filled(shape: Any, dtype: np.dtype, how: str, generator: Generator | None = None) -> Any:
    """An array of draws: how is the name of a method of `Generator`."""
    count = math.prod(shape)
    return getattr(source(generator), how)(count, dtype).reshape(shape)


def _drawn(
    how: str, size: Any, generator: Any, dtype: Any, requires_grad: bool, options: Any
) -> Any:
    wanted = numpy_dtype(dtype) or default.float
    if wanted.kind != "f":
        raise fault(f'"{how}" is for floats', "give dtype=torch.float32, or use torch.randint")
    array = filled(sizes_of(size, options), wanted, how, generator)
    return made(array, wanted, requires_grad)


def rand(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """Uniform in [0, 1)."""
    return _drawn("uniform", size, generator, dtype, requires_grad, options)  # type: ignore[no-any-return]


def randn(
    *size: Any, generator: Any = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, **options: Any,
) -> Tensor:  # fmt: skip
    """Standard normal."""
    return _drawn("normals", size, generator, dtype, requires_grad, options)  # type: ignore[no-any-return]


def rand_like(input: Tensor, dtype: Any = None, **options: Any) -> Tensor:
    """Uniform, in the shape of another tensor."""
    return rand(*input.shape, dtype=dtype or input.dtype, **options)


def randn_like(input: Tensor, dtype: Any = None, **options: Any) -> Tensor:
    """Standard normal, in the shape of another tensor."""
    return randn(*input.shape, dtype=dtype or input.dtype, **options)


def randint(
    low: int, high: Any, size: Any = None, generator: Any = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Integers from low (0 if there is one number before the size) below high."""
    if isinstance(high, (tuple, list)):
        low, high, size = 0, low, high
    if not low < high:
        raise fault(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    shape = tuple(int(n) for n in size)
    drawn = source(generator).integers(int(low), int(high), math.prod(shape)).reshape(shape)
    return made(drawn, numpy_dtype(dtype) or _INT, requires_grad)


def randint_like(input: Tensor, low: int, high: Any = None, dtype: Any = None) -> Tensor:
    """Integers, in the shape and dtype of another tensor."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, input.shape, dtype=dtype or input.dtype)


def randperm(n: int, generator: Any = None, dtype: Any = None, device: Any = None) -> Tensor:
    """The numbers below n in a random order."""
    return made(source(generator).permutation(int(n)), numpy_dtype(dtype) or _INT)


def normal(
    mean: Any, std: Any = 1.0, size: Any = None, generator: Any = None, dtype: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Normal draws with these means and standard deviations, tensors or numbers."""
    loc, scale = (x.cell.value if isinstance(x, Tensor) else x for x in (mean, std))
    if size is None:
        size = np.broadcast_shapes(np.shape(loc), np.shape(scale))
    wanted = numpy_dtype(dtype) or getattr(loc, "dtype", getattr(scale, "dtype", default.float))
    drawn = filled(tuple(size), np.dtype(wanted), "normals", generator)
    return made(drawn * scale + loc, wanted, requires_grad)


def bernoulli(input: Tensor, p: float | None = None, generator: Any = None) -> Tensor:
    """1 with the probability that is given for each element, else 0."""
    chances = input.cell.value
    how = "uniform" if p is None and chances.dtype == np.float32 else "doubles"
    count, draws = chances.size, source(generator)
    drawn = draws.doubles(count) if how == "doubles" else draws.uniform(count, chances.dtype)
    return made(drawn.reshape(chances.shape) < (chances if p is None else p), chances.dtype)


def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson draws with these means, which are not PyTorch's numbers."""
    seed = source(generator).integer()
    return made(np.random.default_rng(seed).poisson(input.cell.value), input.dtype)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, generator: Any = None
) -> Tensor:
    """Places drawn with probabilities in proportion to the weights in the last axis."""
    weights = np.atleast_2d(input.cell.value)
    if not np.all(weights >= 0) or not np.all(np.isfinite(weights)):
        raise fault("probability tensor contains either `inf`, `nan` or element < 0")
    if not np.all(weights.sum(-1) > 0):
        raise fault("invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement and num_samples > weights.shape[-1]:
        raise fault("cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    draws = source(generator)
    if replacement and num_samples > 1:
        places = np.stack([_inverted(row, draws.doubles(num_samples)) for row in weights])
    else:  # the first of exponential clocks with these rates
        clocks = draws.exponentials(weights.size).reshape(weights.shape).astype(weights.dtype)
        with np.errstate(divide="ignore"):
            places = np.argsort(-(weights / clocks), axis=-1, kind="stable")[:, :num_samples]
    return made(places if input.ndim == 2 else places[0], _INT)


def _inverted(weights: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Where uniform numbers lie among the sums of the weights."""
    sums = np.cumsum(weights.astype(np.float64))
    return np.searchsorted(sums / sums[-1], uniform)


def fill(x: Tensor, array: Any, what: str) -> Tensor:
    """Write draws into a tensor; itself."""
    return x.write(Tensor(known(np.asarray(array, x.dtype.numpy))), what)


def uniform_(
    self: Tensor, a: float = 0.0, b: float = 1.0, generator: Any = None, **named: Any
) -> Tensor:
    """Uniform in [a, b) (`from`, `to`), written into the tensor; itself."""
    low, high = named.get("from", a), named.get("to", b)
    number = self.dtype.numpy.type
    drawn = filled(self.shape, self.dtype.numpy, "uniform", generator)
    return fill(self, drawn * (number(high) - number(low)) + number(low), "uniform_")


def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, generator: Any = None) -> Tensor:
    """Normal, written into the tensor; itself."""
    number = self.dtype.numpy.type
    drawn = filled(self.shape, self.dtype.numpy, "normals", generator)
    return fill(self, drawn * number(std) + number(mean), "normal_")


def bernoulli_(self: Tensor, p: float = 0.5, generator: Any = None) -> Tensor:
    """1 with probability p, else 0, written into the tensor; itself."""
    drawn = source(generator).doubles(self.shape.numel()) < p
    return fill(self, drawn.reshape(self.shape), "bernoulli_")


def exponential_(self: Tensor, lambd: float = 1.0, generator: Any = None) -> Tensor:
    """Exponential with this rate, written into the tensor; itself."""
    drawn = source(generator).exponentials(self.shape.numel()) / lambd
    return fill(self, drawn.reshape(self.shape), "exponential_")


def random_(self: Tensor, low: int = 0, high: int | None = None, generator: Any = None) -> Tensor:
    """Integers from low below high (all that there are), written into the tensor; itself."""
    if high is None and low:
        low, high = 0, low
    kind = self.dtype.numpy
    most = {"f": (1 << (24 if kind == np.float32 else 53)) + 1, "b": 2}.get(kind.kind)
    top = high if high is not None else most or int(np.iinfo(kind).max) + 1
    drawn = source(generator).integers(low, top, self.shape.numel())
    return fill(self, drawn.reshape(self.shape), "random_")


#: Methods of tensors.
IN_PLACE = (uniform_, normal_, bernoulli_, exponential_, random_)
