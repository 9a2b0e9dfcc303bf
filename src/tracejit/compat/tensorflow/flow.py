"""Branches, loops and arrays of tensors: Python's own, over tensors.

Outside of a `function` TensorFlow does the same. In one, a branch and each round are recorded as
they are taken; see `function`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracejit import tree
from tracejit.compat.tensorflow.tensor import Tensor, Value, call, convert
from tracejit.errors import ArgumentError, ShapeError
from tracejit.numpy import shaping
from tracejit.trace.provenance import user_frame

__all__ = [
    "TensorArray", "case", "cond", "foldl", "foldr", "map_fn", "scan", "switch_case",
    "vectorized_map", "while_loop",
]  # fmt: skip

Function = Callable[..., Any]
Name = str | None


def cond(pred: Any, true_fn: Function, false_fn: Function, name: Name = None) -> Any:
    """What the first function returns where a truth holds, else what the second one does."""
    return true_fn() if bool(pred) else false_fn()


def case(
    pred_fn_pairs: Sequence[tuple[Any, Function]], default: Function | None = None,
    exclusive: bool = False, strict: bool = False, name: Name = "case",
) -> Any:  # fmt: skip
    """What the function of the first truth that holds returns, or else `default`."""
    for pred, fun in pred_fn_pairs:
        if bool(pred):
            return fun()
    if default is None:
        raise ArgumentError("case: no predicate holds, and there is no default",
                            where=user_frame())  # fmt: skip
    return default()


def switch_case(
    branch_index: Any, branch_fns: Any, default: Function | None = None, name: Name = None
) -> Any:
    """What the function of a number returns; `default`, or the last one, for other numbers."""
    pairs = branch_fns if isinstance(branch_fns, Mapping) else dict(enumerate(branch_fns))
    chosen: Function = pairs.get(int(branch_index), default or [*pairs.values()][-1])
    return chosen()


def while_loop(
    cond: Function, body: Function, loop_vars: Any, maximum_iterations: Any = None,
    name: Name = None, **options: Any,
) -> Any:  # fmt: skip
    """loop_vars = body(*loop_vars) as long as cond(*loop_vars) holds: a list, or a tuple as
    `loop_vars` is."""
    rounds, most = 0, None if maximum_iterations is None else int(maximum_iterations)
    kind = type(loop_vars) if isinstance(loop_vars, (list, tuple)) else list
    state = tree.map(convert, loop_vars if isinstance(loop_vars, (list, tuple)) else [loop_vars])
    while (most is None or rounds < most) and bool(cond(*state)):
        after = body(*state)
        state = kind(after) if isinstance(after, (list, tuple)) else kind([after])
        rounds += 1
    return state


def _rows(elems: Any) -> list[Any]:
    """The slices of a tree of tensors along their first axes."""
    leaves, structure = tree.flatten(tree.map(convert, elems))
    if not leaves or any(not x.ndim or len(x) != len(leaves[0]) for x in leaves):
        raise ShapeError("elems need a first axis, the same for all tensors", where=user_frame())
    return [structure.unflatten([x[i] for x in leaves]) for i in range(len(leaves[0]))]


def _stacked(results: Sequence[Any]) -> Any:
    if not results:
        raise ShapeError("there are no elements, so the shape of the result is not known",
                         where=user_frame())  # fmt: skip
    return tree.map(lambda *rows: call(shaping.stack, [convert(x) for x in rows]), *results)


def map_fn(fn: Function, elems: Any, dtype: Any = None, **options: Any) -> Any:
    """fn of each slice of the first axis, put together."""
    return _stacked([fn(x) for x in _rows(elems)])


def vectorized_map(fn: Function, elems: Any, fallback_to_while_loop: bool = True) -> Any:
    """fn of each slice of the first axis, put together."""
    return _stacked([fn(x) for x in _rows(elems)])


def scan(
    fn: Function, elems: Any, initializer: Any = None, reverse: bool = False, **options: Any
) -> Any:
    """All states of state = fn(state, slice), from the initializer, or from the first slice."""
    rows = _rows(elems)[:: -1 if reverse else 1]
    states = [rows.pop(0)] if initializer is None else []
    state = initializer if initializer is not None else states[0]
    for x in rows:
        state = fn(state, x)
        states.append(state)
    return _stacked(states[:: -1 if reverse else 1])


def foldl(fn: Function, elems: Any, initializer: Any = None, **options: Any) -> Any:
    """The last state of state = fn(state, slice), from the first slice on."""
    return _fold(fn, _rows(elems), initializer)


def foldr(fn: Function, elems: Any, initializer: Any = None, **options: Any) -> Any:
    """The same from the last slice on."""
    return _fold(fn, _rows(elems)[::-1], initializer)


def _fold(fn: Function, rows: list[Any], initializer: Any) -> Any:
    state = rows.pop(0) if initializer is None else initializer
    for x in rows:
        state = fn(state, x)
    return state


class TensorArray:
    """A list of tensors of one dtype: `array = array.write(i, x)`, `read`, `stack`, `unstack`."""

    def __init__(self, dtype: Any, size: Any = None, dynamic_size: bool = False, **options: Any):
        self.dtype, self.dynamic_size = dtype, dynamic_size
        self._items: list[Any] = [None] * (0 if size is None else int(size))

    def _like(self, items: list[Any]) -> TensorArray:
        array = TensorArray(self.dtype, dynamic_size=self.dynamic_size)
        array._items = items
        return array

    def write(self, index: Any, value: Any, name: Name = None) -> TensorArray:
        """The array with a tensor at a place, which is new if `dynamic_size` allows it."""
        i, items = int(index), list(self._items)
        if i >= len(items) and self.dynamic_size:
            items += [None] * (i + 1 - len(items))
        if not 0 <= i < len(items):
            raise ArgumentError(
                f"Tried to write to index {i} but array is not resizeable and size is: "
                f"{len(items)}", where=user_frame(), hint="dynamic_size=True",
            )  # fmt: skip
        items[i] = convert(value, self.dtype if not isinstance(value, Value) else None)
        return self._like(items)

    def read(self, index: Any, name: Name = None) -> Tensor:
        """The tensor at a place."""
        i = int(index)
        if not 0 <= i < len(self._items) or self._items[i] is None:
            raise ArgumentError(f"TensorArray: nothing was written at {i}", where=user_frame())
        return self._items[i]  # type: ignore[no-any-return]

    def stack(self, name: Name = None) -> Tensor:
        """All tensors as one; what was not written is 0."""
        written = [x for x in self._items if x is not None]
        if not written:
            return convert([], self.dtype)  # type: ignore[no-any-return]
        rows = [written[0] * 0 if x is None else x for x in self._items]
        return call(shaping.stack, rows)  # type: ignore[no-any-return]

    def concat(self, name: Name = None) -> Tensor:
        """All tensors behind each other, along their first axes."""
        return call(shaping.concatenate, [self.read(i) for i in range(len(self._items))])  # type: ignore

    def unstack(self, value: Any, name: Name = None) -> TensorArray:
        """The array of the slices of a tensor."""
        return self._like(_rows(value))

    def size(self, name: Name = None) -> Tensor:
        """The number of places."""
        return convert(len(self._items))  # type: ignore[no-any-return]
