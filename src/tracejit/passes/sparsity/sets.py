"""Sets of numbers, many at a time: a growing table, in which a set is known by its place.

An array of places says for each element of a value what it depends on. So what moves elements moves
places, whatever the sets are, and a set that many elements share is there once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tracejit.errors import UnsupportedError

#: Places, or numbers in sets: int64 arrays of any shape.
Places = np.ndarray

#: No more numbers in all sets that are made at a time: more would not fit into memory as indices.
MOST = 1 << 26
#: No array of more elements is followed, for the same reason.
LARGEST = 1 << 25


class Pattern(NamedTuple):
    """Where a matrix may differ from zero: row i at columns indices[indptr[i]:indptr[i+1]], which
    ascend."""

    shape: tuple[int, int]
    indptr: np.ndarray
    indices: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.indptr))

    def transposed(self) -> Pattern:
        """The pattern of the transpose."""
        return pattern_of(self.indices, self.rows, (self.shape[1], self.shape[0]))

    def equals(self, other: Pattern) -> bool:
        """Whether shapes and entries are the same."""
        return self.shape == other.shape and all(
            np.array_equal(x, y) for x, y in zip(self[1:], other[1:], strict=True)
        )

    def union(self, other: Pattern) -> Pattern:
        """The entries of either one."""
        rows = np.concatenate([self.rows, other.rows])
        return pattern_of(rows, np.concatenate([self.indices, other.indices]), self.shape)

    def symmetric(self) -> Pattern:
        """The entries whose mirror image is there, too."""
        n = self.shape[0]
        here, there = self.rows * n + self.indices, self.indices * n + self.rows
        rows, columns = np.divmod(np.intersect1d(here, there, assume_unique=True), max(n, 1))
        return pattern_of(rows, columns, self.shape)


def pattern_of(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> Pattern:
    """The pattern with these entries, in any order; each counts once."""
    width = max(shape[1], 1)
    keys = distinct(np.asarray(rows, np.int64) * width + columns)
    rows, columns = np.divmod(keys, width)
    counts = np.bincount(rows, minlength=shape[0])
    return Pattern(shape, np.concatenate([[0], np.cumsum(counts)]), columns)


class Sets:
    """A table of sets of numbers below `size`: the empty one, then {0}, {1}, ..., then others."""

    def __init__(self, size: int):
        self.size = size
        self._starts = np.concatenate([[0, 0], np.arange(1, size + 1)])
        self._members = np.arange(size)
        self._count, self._filled = size + 1, size

    def __len__(self) -> int:
        return self._count

    def numbers(self, first: int, shape: tuple[int, ...]) -> Places:
        """The places of {first}, {first + 1}, ..., in this shape."""
        return 1 + first + np.arange(math.prod(shape)).reshape(shape)

    def union(self, x: Places | None, y: Places | None) -> Places | None:
        """The unions of two arrays of sets, element by element; None stands for empty ones."""
        if x is None or y is None or x is y:
            return y if x is None else x
        result = np.where(x == 0, y, x)
        both = (x != y) & (x != 0) & (y != 0)
        if both.any():
            pairs, back = np.unique(x[both] * self._count + y[both], return_inverse=True)
            ids = np.stack(np.divmod(pairs, self._count), axis=1)
            segments = np.repeat(np.arange(len(pairs)), 2)
            result[both] = self.unite(segments, ids.ravel(), len(pairs))[back]
        return result

    def over(self, x: Places, axes: tuple[int, ...]) -> Places:
        """The unions over axes, which stay with length 1."""
        kept = tuple(a for a in range(x.ndim) if a not in axes)
        count, width = (math.prod(x.shape[a] for a in part) for part in (kept, axes))
        flat = np.transpose(x, (*kept, *axes)).ravel()
        united = self.unite(np.repeat(np.arange(count), width), flat, count)
        return united.reshape([1 if a in axes else n for a, n in enumerate(x.shape)])

    def unite(self, segments: np.ndarray, ids: Places, count: int) -> Places:
        """For each of `count` segments the union of its sets; ids[k] belongs to segments[k]."""
        result = np.zeros(count, np.int64)
        filled = ids != 0
        keys = distinct(segments[filled] * self._count + ids[filled])
        if not len(keys):
            return result
        segments, ids = np.divmod(keys, self._count)
        firsts = _firsts(segments)
        result[segments[firsts]] = ids[firsts]
        lengths = np.diff(np.append(firsts, len(keys)))
        many = np.repeat(lengths > 1, lengths)
        if many.any():
            self._unite(segments[many], ids[many], result)
        return result

    def _unite(self, segments: np.ndarray, ids: Places, result: Places) -> None:
        """The unions of several sets each, put into their places in `result`.

        A union that is one of its sets is that set: repeated unions change nothing.
        """
        lengths = self.lengths(ids)
        firsts = _firsts(segments)
        best = np.maximum.reduceat(lengths * self._count + ids, firsts)
        longest, which = np.divmod(best, self._count)
        result[segments[firsts]] = which  # right where it has all numbers
        times = np.diff(np.append(firsts, len(ids)))
        open = np.repeat(longest < self.size, times)
        members = self.members(ids[open])
        keys = distinct(np.repeat(segments[open], lengths[open]) * self.size + members)
        owners, members = np.divmod(keys, self.size)
        firsts = _firsts(owners)
        sizes = np.diff(np.append(firsts, len(keys)))
        fresh = sizes > longest[longest < self.size]
        result[owners[firsts[fresh]]] = self._count + np.arange(np.count_nonzero(fresh))
        self._append(members[np.repeat(fresh, sizes)], sizes[fresh])

    def lengths(self, ids: Places) -> np.ndarray:
        """The number of elements of each set."""
        return self._starts[ids + 1] - self._starts[ids]

    def members(self, ids: Places) -> np.ndarray:
        """The elements of the sets, one set after the other."""
        lengths = self.lengths(ids)
        total = int(lengths.sum())
        if total > MOST:
            raise too_much(f"its pattern has more than {MOST} entries")
        shift = self._starts[ids] - (np.cumsum(lengths) - lengths)
        return self._members[np.repeat(shift, lengths) + np.arange(total)]

    def pattern(self, ids: Places) -> Pattern:
        """The sets as the rows of a pattern."""
        flat = ids.ravel()
        indptr = np.concatenate([[0], np.cumsum(self.lengths(flat))])
        return Pattern((len(flat), self.size), indptr, self.members(flat))

    def _append(self, members: np.ndarray, sizes: np.ndarray) -> None:
        self._members = _grown(self._members, self._filled, members)
        ends = self._filled + np.cumsum(sizes)
        self._starts = _grown(self._starts, self._count + 1, ends)
        self._count, self._filled = self._count + len(sizes), self._filled + len(members)


def too_much(reason: str) -> UnsupportedError:
    """The error where a pattern would not fit into memory."""
    return UnsupportedError(
        f"the derivative is not sparse: {reason}",
        hint="what makes it dense may be a mean over all elements, a gather at traced places, or a "
        "long Python loop; sparsity=... gives a pattern that is known",
    )


def distinct(keys: np.ndarray) -> np.ndarray:
    """The keys in ascending order, each once. (Sorting is several times as fast as the hash table
    of np.unique.)"""
    keys = np.sort(keys)
    return keys[_firsts(keys)]


def _firsts(keys: np.ndarray) -> np.ndarray:
    """Where runs of equal keys begin."""
    return np.flatnonzero(np.append(keys[:1] == keys[:1], keys[1:] != keys[:-1]))


def _grown(array: np.ndarray, filled: int, more: np.ndarray) -> np.ndarray:
    """The array with more behind what is filled; it doubles when it is full."""
    need = filled + len(more)
    if need > len(array):
        array = np.concatenate([array[:filled], np.empty(max(need, filled), np.int64)])
    array[filled:need] = more
    return array
