"""tf.data.Dataset: sequences of tensors, made anew by each iteration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.compat.tensorflow import random
from tracejit.compat.tensorflow.tensor import Tensor, Value, convert
from tracejit.errors import ArgumentError, ShapeError
from tracejit.trace.provenance import user_frame

__all__ = ["AUTOTUNE", "Dataset"]

AUTOTUNE = -1


class Dataset:
    """A sequence of tensors, or of trees of them: `for x, y in dataset`.

    Every method returns a new one. There is no parallel work: `prefetch` and `cache` change
    nothing.
    """

    def __init__(self, make: Callable[[], Iterable[Any]], length: int | None):
        self._make, self._length = make, length

    @staticmethod
    def from_tensor_slices(tensors: Any) -> Dataset:
        """The slices of a tree of arrays along their first axes."""
        leaves, structure = tree.flatten(tree.map(_array, tensors, is_leaf=_is_list))
        lengths = {len(x) if x.ndim else None for x in leaves}
        if len(lengths) != 1 or None in lengths:
            raise ShapeError("from_tensor_slices: the first axes of all tensors must be equal",
                             where=user_frame())  # fmt: skip
        count = lengths.pop()
        return Dataset(
            lambda: (structure.unflatten([x[i] for x in leaves]) for i in range(count or 0)), count
        )

    @staticmethod
    def from_tensors(tensors: Any) -> Dataset:
        """One element."""
        return Dataset(lambda: [tree.map(_array, tensors, is_leaf=_is_list)], 1)

    @staticmethod
    def range(*bounds: int) -> Dataset:
        """Whole numbers, as Python's range."""
        numbers = [np.int64(i) for i in range(*bounds)]
        return Dataset(lambda: numbers, len(numbers))

    @staticmethod
    def zip(*datasets: Any) -> Dataset:
        """Tuples of the elements of several."""
        parts = datasets[0] if isinstance(datasets[0], tuple) else datasets
        lengths = [d._length for d in parts]
        known = None if None in lengths else min(lengths)
        return Dataset(lambda: zip(*[d._make() for d in parts], strict=False), known)

    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool = True
    ) -> Dataset:
        """In another order in each iteration: of all elements, whatever the size of the buffer."""
        orders = random.generator(seed)

        def make() -> Iterable[Any]:
            elements = list(self._make())
            own = orders if reshuffle_each_iteration else np.random.default_rng(seed or 0)
            return (elements[i] for i in own.permutation(len(elements)))

        return Dataset(make, self._length)

    def batch(self, batch_size: int, drop_remainder: bool = False, **options: Any) -> Dataset:
        """Elements put together, so many at a time."""
        if batch_size < 1:
            raise ArgumentError(f"batch: a size of {batch_size}", where=user_frame())

        def make() -> Iterator[Any]:
            source = iter(self._make())
            while rows := list(islice(source, batch_size)):
                if len(rows) == batch_size or not drop_remainder:
                    yield tree.map(lambda *xs: np.stack([np.asarray(x) for x in xs]), *rows)

        n = self._length
        extra = 0 if drop_remainder else batch_size - 1
        return Dataset(make, None if n is None else (n + extra) // batch_size)

    def repeat(self, count: int | None = None) -> Dataset:
        """The elements again and again."""
        n = self._length

        def make() -> Iterator[Any]:
            rounds = 0
            while count is None or count < 0 or rounds < count:
                yield from self._make()
                rounds += 1

        forever = count is None or count < 0
        return Dataset(make, None if n is None or forever else n * int(count or 0))

    def map(self, map_func: Callable[..., Any], *options: Any, **more: Any) -> Dataset:
        """map_func of each element; of a tuple its parts are the arguments."""

        def make() -> Iterator[Any]:
            for x in self:
                yield map_func(*x) if isinstance(x, tuple) else map_func(x)

        return Dataset(make, self._length)

    def filter(self, predicate: Callable[..., Any]) -> Dataset:
        """The elements for which a predicate holds."""

        def make() -> Iterator[Any]:
            for x in self:
                if bool(predicate(*x) if isinstance(x, tuple) else predicate(x)):
                    yield x

        return Dataset(make, None)

    def take(self, count: int) -> Dataset:
        """The first elements."""
        n = self._length
        return Dataset(lambda: islice(self._make(), count), None if n is None else min(n, count))

    def skip(self, count: int) -> Dataset:
        """All but the first elements."""
        n = self._length
        return Dataset(
            lambda: islice(self._make(), count, None), None if n is None else max(n - count, 0)
        )

    def enumerate(self, start: int = 0) -> Dataset:
        """(number, element)."""
        return Dataset(
            lambda: ((np.int64(i), x) for i, x in enumerate(self._make(), start)), self._length
        )

    def prefetch(self, buffer_size: int = AUTOTUNE) -> Dataset:
        """The same."""
        return self

    def cache(self, filename: str = "") -> Dataset:
        """The same."""
        return self

    def as_numpy_iterator(self) -> Iterator[Any]:
        """The elements as arrays."""
        return (tree.map(lambda y: np.asarray(y)[()], x) for x in self._make())

    def cardinality(self) -> Tensor:
        """How many elements there are; -2 where that is not known."""
        return convert(np.int64(-2 if self._length is None else self._length))  # type: ignore

    def __iter__(self) -> Iterator[Any]:
        return (tree.map(convert, x) for x in self._make())

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("The dataset length is unknown.")
        return self._length


def _is_list(x: Any) -> bool:
    return isinstance(x, list)


def _array(x: Any) -> np.ndarray:
    return np.asarray(x) if isinstance(x, Value) else np.asarray(convert(x))
