"""Colourings: how few products with a matrix of known pattern give all of its entries.

Columns that share no row may be added up and still be told apart: they get one colour. Of a
symmetric matrix it is enough that of each pair of entries (i, j), (j, i) one can be read: a star
colouring, where neighbours differ in colour and no path of four vertices has two colours only.
Both are greedy, each vertex taking the first colour that is free. Colours are bits of Python's
integers, so that "the colours in these rows" is an `or`, and a colouring takes time linear in the
number of entries, whatever the degrees.

References: Curtis, Powell, Reid (1974); Coleman, More (1983); Gebremedhin, Manne, Pothen, "What
color is your Jacobian?" (2005), section 4, for the greedy star colouring.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tracejit.passes.sparsity.sets import Pattern

#: A colour for each vertex, 0, 1, ...
Colours = np.ndarray


def count(colours: Colours) -> int:
    """How many colours there are."""
    return int(colours.max(initial=-1)) + 1


def column_colours(pattern: Pattern) -> Colours:
    """Colours of columns, such that those of one colour share no row."""
    least = int(np.diff(pattern.indptr).max(initial=0))
    by_column = pattern.transposed()
    return _best(by_column, least, lambda order: _apart(by_column, pattern.shape[0], order))


def star_colours(pattern: Pattern) -> Colours:
    """A star colouring of the graph of a symmetric pattern."""
    if len(pattern.indices) == pattern.shape[0] ** 2:
        return np.arange(pattern.shape[0])
    off = pattern.rows != pattern.indices
    counts = np.bincount(pattern.rows[off], minlength=pattern.shape[0])
    graph = Pattern(
        pattern.shape, np.concatenate([[0], np.cumsum(counts)]), pattern.indices[off]
    )
    return _best(graph, 1 + min(int(counts.max(initial=0)), 1), lambda order: _star(graph, order))


def _best(graph: Pattern, least: int, colour: Callable[[list[int]], Colours]) -> Colours:
    """The colouring with the fewest colours: vertices as they come, then those of high degree
    first, if some stand out; there cannot be less than `least`."""
    best = colour(list(range(graph.shape[0])))
    degrees = np.diff(graph.indptr)
    if count(best) > least and degrees.max() > 2 * np.median(degrees):
        other = colour(np.argsort(-degrees, kind="stable").tolist())
        best = other if count(other) < count(best) else best
    return best


def _apart(by_column: Pattern, rows: int, order: list[int]) -> Colours:
    """Each column the first colour that is in none of its rows."""
    ends, indices = by_column.indptr.tolist(), by_column.indices.tolist()
    used, colours = [0] * rows, [0] * by_column.shape[0]
    for j in order:
        mine, taken = indices[ends[j] : ends[j + 1]], 0
        for i in mine:
            taken |= used[i]
        free = ~taken & (taken + 1)
        for i in mine:
            used[i] |= free
        colours[j] = free.bit_length() - 1
    return np.array(colours, np.int64)


def _star(graph: Pattern, order: list[int]) -> Colours:
    """Each vertex v the first colour that no neighbour has, that no neighbour of an uncoloured
    neighbour has, and that would not make a path v, w, x, y of two colours.

    once[w], twice[w]: the colours of one, of several neighbours of w. danger[w]: the colours of
    those neighbours x of w that have another neighbour of w's colour.
    """
    ends, indices = graph.indptr.tolist(), graph.indices.tolist()
    size = graph.shape[0]
    once, twice, danger = [0] * size, [0] * size, [0] * size
    colours = [0] * size  # as bits; 0 for none
    only: dict[tuple[int, int], int] = {}  # the neighbour of a vertex with a colour, while it's one
    for v in order:
        mine, taken = indices[ends[v] : ends[v + 1]], once[v]
        for w in mine:
            taken |= danger[w] if colours[w] else once[w]
        free = ~taken & (taken + 1)
        colours[v] = free
        for w in mine:
            if not once[w] & free:
                once[w] |= free
                only[w, free] = v
                continue
            if not twice[w] & free:
                twice[w] |= free
                danger[only[w, free]] |= colours[w]
            danger[v] |= colours[w]
    return np.array([c.bit_length() - 1 for c in colours], np.int64)


def read_here(pattern: Pattern, colours: Colours) -> np.ndarray:
    """For each entry (i, j) of a symmetric pattern whether it is to be read in row i of the product
    with j's colour, where it is the only one of this colour; else its mirror image (j, i) is.

    Of each pair one is read for both: so the matrix is symmetric to the last bit.
    """
    rows, columns = pattern.rows, pattern.indices
    seen = rows * max(count(colours), 1) + colours[columns]
    _, back, times = np.unique(seen, return_inverse=True, return_counts=True)
    alone = times[back] == 1
    mirror = np.argsort(columns, kind="stable")
    upper = rows <= columns
    return np.where(upper, alone, ~alone[mirror])
