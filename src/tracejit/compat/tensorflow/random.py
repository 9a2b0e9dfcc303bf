"""tf.random: NumPy's generator under TensorFlow's names, so the numbers are others than there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.tensorflow.dtypes import numpy_dtype
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, call, convert

__all__ = [
    "Generator", "categorical", "normal", "set_seed", "shuffle", "stateless_normal",
    "stateless_uniform", "truncated_normal", "uniform",
]  # fmt: skip

_generator = np.random.default_rng()


def set_seed(seed: int | None) -> None:
    """Begin the sequence of numbers that belongs to a seed."""
    global _generator
    _generator = np.random.default_rng(seed)


def generator(seed: int | None) -> np.random.Generator:
    """A generator for a seed; without one, that of `set_seed`."""
    return _generator if seed is None else np.random.default_rng(seed)


def _drawn(make: Callable[[np.random.Generator], Any], dtype: Any, seed: int | None) -> Any:
    """What a generator makes, in a dtype; a `function` draws anew in each call."""

    def numbers() -> np.ndarray:
        return np.asarray(make(generator(seed)), numpy_dtype(dtype))

    tracing = STATE.tracing
    return Tensor(known(numbers()) if tracing is None else tracing.draw(numbers))


def _sizes(shape: Any) -> tuple[int, ...]:
    return tuple([int(n) for n in shape])


def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers."""
    sizes = _sizes(shape)
    standard = _drawn(lambda generator: generator.normal(size=sizes), dtype, seed)
    return mean + stddev * standard  # type: ignore[no-any-return]


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers within two standard deviations of the mean: others are drawn again."""
    sizes = _sizes(shape)

    def make(generator: np.random.Generator) -> np.ndarray:
        drawn = generator.normal(size=sizes)
        while np.any(far := np.abs(drawn) > 2):
            drawn = np.where(far, generator.normal(size=sizes), drawn)
        return drawn

    return mean + stddev * _drawn(make, dtype, seed)  # type: ignore[no-any-return]


def uniform(
    shape: Any, minval: float = 0, maxval: float | None = None, dtype: Any = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Numbers from minval up to, without, maxval (1 for floats)."""
    sizes = _sizes(shape)
    if numpy_dtype(dtype).kind in "iu":
        low, high = int(minval), int(maxval)  # type: ignore[arg-type]
        return _drawn(lambda g: g.integers(low, high, sizes), dtype, seed)  # type: ignore[no-any-return]
    standard = _drawn(lambda generator: generator.uniform(size=sizes), dtype, seed)
    end = 1.0 if maxval is None else maxval
    return minval + (end - minval) * standard  # type: ignore[no-any-return]


def shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Any:
    """The rows of a tensor in another order."""
    tensor = convert(value)
    count = tensor.shape[0]
    order = _drawn(lambda generator: generator.permutation(count), "int64", seed)
    return call(np.take, tensor, order, axis=0)


def categorical(logits: Any, num_samples: int, seed: int | None = None, **_: Any) -> Tensor:
    """For each row of logarithms of weights so many numbers of classes, by Gumbel's maxima."""
    scores = convert(logits)
    rows, classes = scores.shape
    noise = _drawn(lambda g: g.gumbel(size=(rows, num_samples, classes)), scores.dtype, seed)
    return call(_greatest, scores, noise)  # type: ignore[no-any-return]


def _greatest(scores: Any, noise: Any) -> Any:
    return np.argmax(scores[:, None, :] + noise, axis=-1)


def _number(seed: Any) -> int:
    """One seed of a pair."""
    return abs(hash(tuple(int(n) for n in seed))) % 2**63


def stateless_normal(shape: Any, seed: Any, mean: Any = 0.0, stddev: Any = 1.0,
                     dtype: Any = "float32", name: str | None = None) -> Tensor:  # fmt: skip
    """Normal numbers that are the same for a pair of seeds."""
    return normal(shape, mean, stddev, dtype, _number(seed))


def stateless_uniform(shape: Any, seed: Any, minval: Any = 0, maxval: Any = None,
                      dtype: Any = "float32", name: str | None = None) -> Tensor:  # fmt: skip
    """Uniform numbers that are the same for a pair of seeds."""
    return uniform(shape, minval, maxval, dtype, _number(seed))


class Generator:
    """tf.random.Generator.from_seed(1): draws one number after the other."""

    def __init__(self, seed: int | None = None):
        self._seeds = np.random.default_rng(seed)

    @classmethod
    def from_seed(cls, seed: int) -> Generator:
        return cls(seed)

    @classmethod
    def from_non_deterministic_state(cls) -> Generator:
        return cls()

    def _next(self) -> int:
        return int(self._seeds.integers(2**63))

    def normal(self, shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = "float32"
               ) -> Tensor:  # fmt: skip
        """Normal numbers."""
        return normal(shape, mean, stddev, dtype, self._next())

    def uniform(self, shape: Any, minval: Any = 0, maxval: Any = None, dtype: Any = "float32"
                ) -> Tensor:  # fmt: skip
        """Uniform numbers."""
        return uniform(shape, minval, maxval, dtype, self._next())
