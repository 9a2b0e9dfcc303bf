"""einsum: labelled operands become dots of pairs, in the order that NumPy thinks best."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import Array, fault, operand, reshape_to, takes_out, value
from tracejit.numpy.contraction import contract, diagonal
from tracejit.numpy.promotion import result_dtype
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import transpose

__all__ = [
    "einsum",
]  # fmt: skip

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@takes_out
def einsum(*operands: Any, out: Array = None, optimize: Any = True, **options: Any) -> Array:
    """Sums of products by labels: einsum("ij,jk->ik", a, b); or with lists, einsum(a, [0, 1], ...).

    Labels that the result lacks are summed over; without `->` it has those that occur once.
    """
    if options.get("dtype") is not None:
        operands = tuple([value(x, options["dtype"]) if _is_array(x) else x for x in operands])
    inputs, result, xs = _parsed(operands)
    dtype = result_dtype(*xs)
    terms = [_term(x, labels) for x, labels in zip(xs, inputs, strict=True)]
    _check_sizes(terms)
    for pair in _order(terms, result, optimize):
        taken = [terms.pop(i) for i in sorted(pair, reverse=True)][::-1]
        kept = set(result).union(*(labels for _, labels in terms))
        terms.append(_joined(taken, kept))
    ((x, labels),) = terms
    x = _summed(x, labels, set(result))
    labels = "".join(c for c in labels if c in result)
    return value(transpose(x, [labels.index(c) for c in result]), dtype)


def _is_array(x: Any) -> bool:
    return not isinstance(x, (str, list, tuple))


def _parsed(operands: tuple[Any, ...]) -> tuple[list[str], str, list[Any]]:
    """The labels of each operand and of the result, with letters for `...`, and the operands."""
    if isinstance(operands[0], str):
        text, arrays = operands[0].replace(" ", ""), list(operands[1:])
    else:
        text, arrays = _from_lists(operands)
    xs = [value(operand(x)) for x in arrays]
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(xs):
        raise fault(ArgumentError, f"einsum {text!r} is for {len(inputs)} operands, got {len(xs)}")
    free = [c for c in _LETTERS if c not in text]
    dots = "".join(free[: max((x.ndim for x in xs), default=0)])
    longest = 0
    for i, (labels, x) in enumerate(zip(inputs, xs, strict=True)):
        count = x.ndim - len(labels.replace("...", ""))
        if count < 0 or (count and "..." not in labels):
            raise fault(ShapeError, f"einsum: {labels!r} does not fit an array of shape {x.shape}")
        longest = max(longest, count if "..." in labels else 0)
        inputs[i] = labels.replace("...", dots[len(dots) - count :] if count else "")
    spread = dots[len(dots) - longest :] if longest else ""
    if not arrow:
        counts = Counter(c for labels in inputs for c in labels)
        once = sorted(c for c, n in counts.items() if n == 1 and c not in spread)
        right = spread + "".join(once)
    result = right.replace("...", spread)
    unknown = set(result) - set("".join(inputs))
    if unknown or len(set(result)) != len(result):
        raise fault(ArgumentError, f"einsum {text!r}: the result's labels are unknown or repeated")
    return inputs, result, xs


def _from_lists(operands: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """The text for operands with lists of label numbers behind them."""

    def text(labels: Any) -> str:
        return "".join("..." if i is Ellipsis else _LETTERS[i] for i in labels)

    count = len(operands) // 2
    left = ",".join(text(labels) for labels in operands[1 : 2 * count : 2])
    right = f"->{text(operands[-1])}" if len(operands) % 2 else ""
    return left + right, list(operands[0 : 2 * count : 2])


def _term(x: Array, labels: str) -> tuple[Array, str]:
    """An operand without repeated labels: their diagonal is taken."""
    for c in dict.fromkeys(labels):
        while labels.count(c) > 1:
            i = labels.index(c)
            j = labels.index(c, i + 1)
            if x.shape[i] != x.shape[j]:
                raise fault(ShapeError, f"einsum: label {c!r} has sizes {x.shape[i]}, {x.shape[j]}")
            x = diagonal(x, 0, i, j)
            labels = labels[:i] + labels[i + 1 : j] + labels[j + 1 :] + c
    return x, labels


def _check_sizes(terms: list[tuple[Array, str]]) -> None:
    """Raise where a label has two sizes; a size of 1 is dropped where others have more."""
    sizes: dict[str, int] = {}
    for x, labels in terms:
        for n, c in zip(x.shape, labels, strict=True):
            if sizes.setdefault(c, n) != n and 1 not in (n, sizes[c]):
                raise fault(ShapeError, f"einsum: label {c!r} has sizes {sizes[c]} and {n}")
            sizes[c] = max(sizes[c], n) if 1 in (n, sizes[c]) and n != 0 else n
    for i, (x, labels) in enumerate(terms):
        kept = [(n, c) for n, c in zip(x.shape, labels, strict=True) if n == sizes[c]]
        if len(kept) < len(labels):
            terms[i] = reshape_to(x, tuple(n for n, _ in kept)), "".join(c for _, c in kept)


def _order(terms: list[tuple[Array, str]], result: str, optimize: Any) -> list[tuple[int, ...]]:
    """Which terms to join, one step after the other; a join's result goes to the end."""
    if len(terms) <= 2:
        return [(0, 1)] if len(terms) == 2 else []
    if not optimize:
        return [(0, 1), *((0, len(terms) - 1 - i) for i in range(1, len(terms) - 1))]
    text = ",".join(labels for _, labels in terms) + "->" + result
    shadows = [np.broadcast_to(0.0, x.shape) for x, _ in terms]
    path, _ = np.einsum_path(text, *shadows, optimize=optimize)
    steps: list[tuple[int, ...]] = []
    for step in path[1:]:
        steps.extend(_pairs(tuple(sorted(step)), len(terms) - len(steps)))
    return steps


def _pairs(step: tuple[int, ...], count: int) -> list[tuple[int, ...]]:
    """A join of several terms as joins of two: the result of each is the last of the terms."""
    if len(step) < 2:
        return []
    steps = [step[:2]]
    rest = [i - 2 for i in step[2:]]
    for i, at in enumerate(rest):
        steps.append((at, count - 2 - i))
        rest = [j - 1 for j in rest]
    return steps


def _summed(x: Array, labels: str, kept: set[str]) -> Array:
    """Summed over the labels that nobody needs."""
    axes = tuple(i for i, c in enumerate(labels) if c not in kept)
    return sum_over(x, axes, x.dtype) if axes else x


def _joined(pair: list[tuple[Array, str]], kept: set[str]) -> tuple[Array, str]:
    """The product of two terms, summed over the labels that nobody else needs."""
    (x, first), (y, second) = pair
    x = _summed(x, first, kept | set(second))
    y = _summed(y, second, kept | set(first))
    first = "".join(c for c in first if c in kept or c in second)
    second = "".join(c for c in second if c in kept or c in first)
    over = [c for c in first if c in second and c not in kept]
    if not over:
        return _multiplied(x, first, y, second)
    batch = [c for c in first if c in second and c in kept]
    product = contract(
        x, y, ([first.index(c) for c in over], [second.index(c) for c in over]),
        ([first.index(c) for c in batch], [second.index(c) for c in batch]), "einsum",
    )  # fmt: skip
    free = [c for c in first if c not in second] + [c for c in second if c not in first]
    return product, "".join(batch + free)


def _multiplied(x: Array, first: str, y: Array, second: str) -> tuple[Array, str]:
    """The product where nothing is summed: element by element, over the labels of both."""
    labels = first + "".join(c for c in second if c not in first)
    order = sorted(second, key=labels.index)
    y = transpose(y, [second.index(c) for c in order])
    sizes = dict(zip(order, y.shape, strict=True))
    x = reshape_to(x, (*x.shape, *(1,) * (len(labels) - len(first))))
    return ufuncs.multiply(x, reshape_to(y, tuple(sizes.get(c, 1) for c in labels))), labels
