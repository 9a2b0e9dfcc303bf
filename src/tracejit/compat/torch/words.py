"""Errors in PyTorch's words: what a face says of arrays, said as PyTorch says it of tensors."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from tracejit.errors import AxisError, GraphError, IndexingError, OperandError, TracejitError
from tracejit.trace.provenance import user_frame

Shape = tuple[int, ...]
_SHAPE = re.compile(r"\(((?:\d+, ?)*\d*)\)")
_AXIS = re.compile(r"axis (-?\d+) does not exist in an array of rank (\d+)")
_INDEX = re.compile(r"index (-?\d+) is out of bounds for axis (\d+) of length (\d+)")


def fault(text: str, hint: str = "") -> GraphError:
    """A RuntimeError in PyTorch's words, at the user's line."""
    return GraphError(text, where=user_frame(), hint=hint)


def translated(error: TracejitError, args: Any, kwargs: Any) -> TracejitError:
    """The error of a function that was called with these arguments, in PyTorch's words if there
    are any for it."""
    text = error.what
    axis, index = _AXIS.search(text), _INDEX.search(text)
    if axis is not None:
        dim, rank = int(axis[1]), max(int(axis[2]), 1)
        said = f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got "
        return AxisError(f"{said}{dim})", where=error.where, hint=error.hint)
    if index is not None:
        said = f"index {index[1]} is out of bounds for dimension {index[2]} with size {index[3]}"
        return IndexingError(said, where=error.where, hint=error.hint)
    if re.search(r"\d+ indices for an array of rank", text):
        said = f"too many indices for tensor of dimension {text.rsplit(' ', 1)[1]}"
        return IndexingError(said, where=error.where, hint=error.hint)
    for mark, words in _WORDS.items():
        if mark in text:
            found = words(text, list(_shapes([args, kwargs])), args, kwargs)
            if found:
                return OperandError(found, where=error.where, hint=error.hint)
    return error


def _shapes(x: Any) -> Any:
    """The shapes of all tensors in arguments."""
    if hasattr(x, "shape"):
        yield tuple(x.shape)
    elif isinstance(x, (tuple, list)):
        for item in x:
            yield from _shapes(item)
    elif isinstance(x, dict):
        yield from _shapes(list(x.values()))


def _named(text: str) -> list[Shape]:
    """The shapes that a text names."""
    return [tuple(map(int, re.findall(r"\d+", found))) for found in _SHAPE.findall(text)]


def _broadcast(text: str, shapes: Sequence[Shape], *_: Any) -> str:
    a, b = _named(text)[:2]
    rank = max(len(a), len(b))
    wide = [(1,) * (rank - len(x)) + x for x in (a, b)]
    for dim in reversed(range(rank)):
        n, m = wide[0][dim], wide[1][dim]
        if n != m and 1 not in (n, m):
            return (
                f"The size of tensor a ({n}) must match the size of tensor b ({m}) at "
                f"non-singleton dimension {dim}"
            )
    return ""


def _product(text: str, shapes: Sequence[Shape], *_: Any) -> str:
    a, b = _named(text)[:2]
    if len(a) == len(b) == 1:
        return (
            f"inconsistent tensor size, expected tensor {list(a)} and src {list(b)} to have the "
            f"same number of elements, but got {a[0]} and {b[0]} elements respectively"
        )
    if len(b) == 1:
        return f"size mismatch, got input ({a[0]}), mat ({a[0]}x{a[1]}), vec ({b[0]})"
    if len(a) > 2 and len(b) > 2:
        return (
            f"Expected size for first two dimensions of batch2 tensor to be: "
            f"[{math.prod(a[:-2])}, {a[-1]}] but got: [{math.prod(b[:-2])}, {b[-2]}]."
        )
    rows = math.prod(a[:-1])
    return f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a[-1]} and {b[-2]}x{b[-1]})"


def _reshape(text: str, shapes: Sequence[Shape], args: Any, _: Any) -> str:
    sizes = args[1] if len(args) == 2 and isinstance(args[1], (tuple, list)) else args[1:]
    return f"shape '{list(sizes)}' is invalid for input of size {math.prod(shapes[0])}"


def _cat(text: str, shapes: Sequence[Shape], args: Any, kwargs: Any) -> str:
    dim = args[1] if len(args) > 1 else kwargs.get("dim", 0)
    first = shapes[0]
    for k, shape in enumerate(shapes):
        if len(shape) != len(first):
            sizes = f"got {len(first)} and {len(shape)}"
            return f"Tensors must have same number of dimensions: {sizes}"
        for axis, (n, m) in enumerate(zip(first, shape, strict=True)):
            if n != m and axis != dim % len(first):
                return (
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {n} "
                    f"but got size {m} for tensor number {k} in the list."
                )
    return ""


def _stack(text: str, shapes: Sequence[Shape], *_: Any) -> str:
    k = next(k for k, shape in enumerate(shapes) if shape != shapes[0])
    return (
        f"stack expects each tensor to be equal size, but got {list(shapes[0])} at entry 0 and "
        f"{list(shapes[k])} at entry {k}"
    )


def _expand(text: str, *_: Any) -> str:
    have, want = _named(text)[:2]
    for dim in reversed(range(len(want))):
        n = have[dim - len(want)] if len(want) - dim <= len(have) else 1
        if n not in (1, want[dim]):
            return (
                f"The expanded size of the tensor ({want[dim]}) must match the existing size ({n}) "
                f"at non-singleton dimension {dim}.  Target sizes: {list(want)}.  Tensor sizes: "
                f"{list(have)}"
            )
    return ""


#: What a text of ours contains -> what makes PyTorch's.
_WORDS: dict[str, Callable[..., str]] = {
    "do not broadcast to a common shape": _broadcast, "are summed over have sizes": _product,
    "cannot be reshaped to": _reshape, "elements cannot be put into shape": _reshape,
    "concatenate:": _cat, "stack: shapes differ": _stack, "does not broadcast to": _expand,
}  # fmt: skip
