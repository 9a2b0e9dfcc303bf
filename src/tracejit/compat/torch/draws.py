"""Random numbers: for a seed those that PyTorch draws on a CPU.

The words are those of the Mersenne Twister (Matsumoto and Nishimura 1998), seeded as in their
paper; NumPy has the same. What is made of them follows PyTorch 2: floats are 24 bits of a word,
doubles 53 bits of two words, normals come in pairs by Box and Muller (1958), for 16 elements and
more in blocks of 8 pairs. Normals may differ in the last digit, as between machines there.
"""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

#: From so many elements on, normals are made in blocks of as many.
BLOCK = 16


class Generator:
    """`torch.Generator`: a source of random numbers."""

    def __init__(self, device: Any = None):
        self._words = np.random.MT19937()
        self._spare: float | None = None
        self.seed()

    def manual_seed(self, seed: int) -> Generator:
        """Begin anew with a seed; itself."""
        self._seed = int(seed)
        self._words._legacy_seeding(self._seed & 0xFFFFFFFF)  # type: ignore[attr-defined]
        self._spare = None
        return self

    def seed(self) -> int:
        """Begin anew with a seed by chance; the seed."""
        self.manual_seed(int.from_bytes(os.urandom(6), "little"))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that it began with."""
        return self._seed

    def get_state(self) -> Any:
        """All that the next numbers depend on, for `set_state`."""
        return self._words.state, self._spare, self._seed

    def set_state(self, state: Any) -> None:
        """Go on from a state that `get_state` gave."""
        self._words.state, self._spare, self._seed = state

    # ---- words and floats

    def words(self, count: int) -> np.ndarray:
        """Numbers of 32 bits, as uint64."""
        return self._words.random_raw(count)

    def pairs(self, count: int) -> np.ndarray:
        """Numbers of 64 bits: two words each, the upper half first."""
        words = self.words(2 * count)
        return (words[0::2] << np.uint64(32)) | words[1::2]

    def doubles(self, count: int) -> np.ndarray:
        """Uniform in [0, 1), 53 bits."""
        return (self.pairs(count) & np.uint64((1 << 53) - 1)).astype(np.float64) * 2.0**-53

    def uniform(self, count: int, dtype: np.dtype) -> np.ndarray:
        """Uniform in [0, 1), in this dtype."""
        if dtype == np.float64:
            return self.doubles(count)
        bits = self.words(count) & np.uint64((1 << 24) - 1)
        return bits.astype(dtype) * dtype.type(2.0**-24)

    def normals(self, count: int, dtype: np.dtype) -> np.ndarray:
        """Standard normal, in this dtype."""
        if count < BLOCK:
            return np.array([self._normal() for _ in range(count)], dtype)
        uniform = self.uniform(count, dtype)
        result = _blocks(uniform[: count - count % BLOCK])
        if count % BLOCK:  # the last block is drawn anew, and lies over the one before
            last = _blocks(self.uniform(BLOCK, dtype))
            result = np.concatenate([result[: count - BLOCK], last])
        return result

    def integers(self, low: int, high: int, count: int) -> np.ndarray:
        """Integers from low below high; the remainder of a word, or of two if that is too small."""
        drawn = self.pairs(count) if high - low >= 1 << 32 else self.words(count)
        return (drawn % np.uint64(high - low)).astype(np.int64) + low

    def integer(self) -> int:
        """An integer of 63 bits."""
        return int(self.pairs(1)[0]) & ((1 << 63) - 1)

    def permutation(self, count: int) -> np.ndarray:
        """The numbers below count in a random order: by Fisher and Yates."""
        order = list(range(count))
        words = self.words(max(count - 1, 0)).tolist()
        for i, word in enumerate(words):
            j = i + word % (count - i)
            order[i], order[j] = order[j], order[i]
        return np.array(order, np.int64)

    def exponentials(self, count: int) -> np.ndarray:
        """Exponential with rate 1."""
        return -np.log1p(-self.doubles(count))

    def _normal(self) -> float:
        """One normal; they come in pairs, of which one is kept."""
        if self._spare is not None:
            found, self._spare = self._spare, None
            return found
        first, second = self.doubles(2).tolist()
        radius, angle = math.sqrt(-2.0 * math.log1p(-second)), 2.0 * math.pi * first
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)


def _blocks(uniform: np.ndarray) -> np.ndarray:
    """Normals of uniform numbers: in each block the first half gives radii, the other angles."""
    blocks = uniform.reshape(-1, 2, BLOCK // 2)
    number = uniform.dtype.type
    radius = np.sqrt(number(-2) * np.log(number(1) - blocks[:, 0]))
    angle = number(2 * math.pi) * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)


#: What all draws come from that are given no generator.
default_generator = Generator()
