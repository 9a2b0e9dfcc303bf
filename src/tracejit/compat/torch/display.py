"""How tensors are printed: four digits, aligned, long ones in part, as PyTorch does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Options:
    """Digits behind the point; the most elements that are printed, how many at each edge else; the
    width of a line; whether with exponents (None: if need be)."""

    def __init__(
        self, precision: int = 4, threshold: float = 1000, edgeitems: int = 3,
        linewidth: int = 80, sci_mode: bool | None = None,
    ):  # fmt: skip
        self.precision, self.threshold, self.edgeitems = precision, threshold, edgeitems
        self.linewidth, self.sci_mode = linewidth, sci_mode


options = Options()


def shown(array: np.ndarray, suffixes: list[str], dtype_name: str) -> str:
    """`tensor([1., 2.], grad_fn=...)`."""
    default = dtype_name in ("float32", "int64", "bool")
    suffixes = suffixes if default and array.size else [f"dtype=torch.{dtype_name}", *suffixes]
    if array.size == 0:
        suffixes = ([f"size={array.shape}"] if array.ndim != 1 else []) + (
            suffixes if dtype_name != "float32" else suffixes[1:]
        )
    many = array.size > options.threshold
    body = _nested(array, _formatter(_summary(array)), 7, many) if array.size else "[]"
    text, sep = f"tensor({body}", ", "
    for suffix in suffixes:
        last = len(text) - text.rfind("\n") - 1
        text += (",\n       " if last + len(suffix) + 3 > options.linewidth else sep) + suffix
    return text + ")"


def _summary(array: np.ndarray) -> np.ndarray:
    """The elements that are printed."""
    if array.size <= options.threshold:
        return array
    for axis, n in enumerate(array.shape):
        if n > 2 * options.edgeitems:
            ends = [*range(options.edgeitems), *range(n - options.edgeitems, n)]
            array = np.take(array, ends, axis)
    return array


def _formatter(array: np.ndarray) -> Callable[[Any], str]:
    """How each element is printed: as wide as the widest (of floats, of those that are finite)."""
    write = _float_writer(array) if array.dtype.kind == "f" else lambda x: str(x)
    counted = array[np.isfinite(array) & (array != 0)] if array.dtype.kind == "f" else array
    width = max((len(write(x)) for x in counted.ravel().tolist()), default=0)
    return lambda x: write(x).rjust(width)


def _float_writer(array: np.ndarray) -> Callable[[float], str]:
    numbers = np.abs(array[np.isfinite(array) & (array != 0)]).astype(np.float64)
    if not numbers.size:
        return lambda x: f"{x:.0f}." if np.isfinite(x) else str(x)
    low, high, digits = numbers.min(), numbers.max(), options.precision
    far = high / low > 1000.0 or high > 1.0e8
    if np.all(numbers == np.ceil(numbers)):
        if far if options.sci_mode is None else options.sci_mode:
            return lambda x: f"{x:.{digits}e}"
        return lambda x: f"{x:.0f}." if np.isfinite(x) else str(x)
    small = far or low < 1.0e-4 if options.sci_mode is None else options.sci_mode
    style = f".{digits}{'e' if small else 'f'}"
    return lambda x: format(x, style)


def _nested(array: np.ndarray, write: Callable[[Any], str], indent: int, many: bool) -> str:
    if array.ndim == 0:
        return write(array.item())
    n, edge = len(array), options.edgeitems
    cut = many and n > 2 * options.edgeitems
    if array.ndim == 1:
        if cut:
            first, last = array[:edge].tolist(), array[-edge:].tolist()
            parts = [*map(write, first), " ...", *map(write, last)]
        else:
            parts = [*map(write, array.tolist())]
        per_line = max(1, (options.linewidth - indent) // (len(parts[0]) + 2))
        lines = [", ".join(parts[i : i + per_line]) for i in range(0, len(parts), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    shown_rows = [*range(edge), *range(n - edge, n)] if cut else range(n)
    rows = [array[i] for i in shown_rows]
    texts = [_nested(row, write, indent + 1, many) for row in rows]
    if cut:
        texts.insert(options.edgeitems, "...")
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(texts) + "]"
