"""tf.random: NumPy's generator under TensorFlow's names, so the numbers are others than there."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.tensorflow.dtypes import numpy_dtype
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, call, convert

__all__ = ["normal", "set_seed", "shuffle", "truncated_normal", "uniform"]

_generator = np.random.default_rng()


def set_seed(seed: int | None) -> None:
    """Begin the sequence of numbers that belongs to a seed."""
    global _generator
    _generator = np.random.default_rng(seed)


def _draws(seed: int | None) -> np.random.Generator:
    """Who draws: a `function` that does is not compiled, so that each call draws anew."""
    if STATE.tracing is not None:
        STATE.tracing.asked = "random numbers"
    return _generator if seed is None else np.random.default_rng(seed)


def normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers."""
    drawn = _draws(seed).normal(mean, stddev, tuple(shape))
    return convert(drawn, numpy_dtype(dtype))  # type: ignore[no-any-return]


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Normal numbers within two standard deviations of the mean: others are drawn again."""
    generator = _draws(seed)
    drawn = generator.normal(size=tuple(shape))
    while np.any(far := np.abs(drawn) > 2):
        drawn = np.where(far, generator.normal(size=drawn.shape), drawn)
    return convert(mean + stddev * drawn, numpy_dtype(dtype))  # type: ignore[no-any-return]


def uniform(
    shape: Any, minval: float = 0, maxval: float | None = None, dtype: Any = "float32",
    seed: int | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Numbers from minval up to, without, maxval (1 for floats)."""
    kind, generator = numpy_dtype(dtype), _draws(seed)
    high = 1.0 if maxval is None else maxval
    if kind.kind in "iu":
        return convert(generator.integers(int(minval), int(high), tuple(shape)), kind)  # type: ignore[no-any-return]
    return convert(generator.uniform(minval, high, tuple(shape)), kind)  # type: ignore[no-any-return]


def shuffle(value: Any, seed: int | None = None, name: str | None = None) -> Any:
    """The rows of a tensor in another order."""
    tensor = convert(value)
    order = _draws(seed).permutation(tensor.shape[0])
    return call(np.take, tensor, order, axis=0)
