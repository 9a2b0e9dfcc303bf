"""Random numbers from explicit keys: `import tracejit.random as random`.

A key is an array of two uint32 words. A draw is a function of its key alone, so nothing is hidden
and everything can be traced, batched over keys, and differentiated in the parameters of a draw:

    key, sub = random.split(random.key(0))
    eps = random.normal(sub, (1000,))

The bits are those of `jax.random` with its default generator (Threefry-2x32, partitionable), and
the draws are made of them by the same formulas, so equal keys, shapes and dtypes give the numbers
that JAX gives; the seed and the integers drawn by default have 32 bits where
`config.default_float` is float32, as JAX has them, and 64 where it is float64, as JAX with x64.
"""

from __future__ import annotations

from typing import Any

from tracejit.errors import did_you_mean
from tracejit.random import continuous, discrete, keys
from tracejit.random.continuous import *  # noqa: F403
from tracejit.random.discrete import *  # noqa: F403
from tracejit.random.keys import *  # noqa: F403

__all__ = sorted((*continuous.__all__, *discrete.__all__, *keys.__all__))


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"tracejit.random has no {name!r}; {did_you_mean(name, __all__).partition(', ')[0]}"
    )
