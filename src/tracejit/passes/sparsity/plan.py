"""Which products with a matrix of known pattern give all of its entries.

    forward   the sum of the columns of one colour           J @ seeds
    backward  the sum of the rows of one colour              seeds @ J
    mixed     the few dense rows backward, the others forward; or the dense columns forward

A row that reads everything makes each column its neighbour, so there are as many colours as
columns; without it there may be three. A matrix with a dense row and a dense column, such as that
of equations with a constraint on the sum and an unknown multiplier, needs both directions.

Reference: Coleman, Verma, "The efficient computation of sparse Jacobian matrices using automatic
differentiation" (1998), for two directions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tracejit.passes.sparsity.colour import (
    Colours,
    column_colours,
    count,
    read_here,
    star_colours,
)
from tracejit.passes.sparsity.sets import Pattern, pattern_of


class Sweep(NamedTuple):
    """Products in one direction: with the sum of the basis vectors of each colour. A vertex of
    colour -1 is in none of them."""

    forward: bool
    colours: Colours


class Plan(NamedTuple):
    """Entry n of the pattern is element elements[n] of product products[n] of sweep which[n]."""

    sweeps: tuple[Sweep, ...]
    which: np.ndarray
    products: np.ndarray
    elements: np.ndarray

    @property
    def size(self) -> int:
        """How many products there are."""
        return sum(count(sweep.colours) for sweep in self.sweeps)


def plan_of(pattern: Pattern, symmetric: bool, backward: bool = False) -> Plan:
    """Few products: of a symmetric matrix forward ones; else forward or backward, or both where
    that needs a third less, since two programs are more work than one.

    backward: only such ones are possible.
    """
    if symmetric:
        return _by_stars(pattern, not backward)
    if backward:
        return _backward(pattern, column_colours(pattern.transposed()))
    least = _one_way(pattern)
    for split in (_dense_rows, _dense_columns) if least.size >= 3 else ():
        plan = split(pattern, least.size)
        if plan is not None and 3 * plan.size <= 2 * least.size:
            least = plan
    return least


def _by_stars(pattern: Pattern, forward: bool) -> Plan:
    rows, columns = pattern.rows, pattern.indices
    colours = star_colours(pattern)
    here = read_here(pattern, colours)
    row, column = np.where(here, rows, columns), np.where(here, columns, rows)
    return Plan((Sweep(forward, colours),), np.zeros(len(rows), np.int64), colours[column], row)


def _forward(pattern: Pattern, colours: Colours) -> Plan:
    rows, columns = pattern.rows, pattern.indices
    return Plan((Sweep(True, colours),), np.zeros(len(rows), np.int64), colours[columns], rows)


def _backward(pattern: Pattern, colours: Colours) -> Plan:
    rows, columns = pattern.rows, pattern.indices
    return Plan((Sweep(False, colours),), np.zeros(len(rows), np.int64), colours[rows], columns)


def _one_way(pattern: Pattern) -> Plan:
    """Forward or backward, whichever needs fewer products; forward if they are alike."""
    turned = pattern.transposed()
    most_in_row, most_in_column = _longest(pattern), _longest(turned)
    ahead = column_colours(pattern) if most_in_row <= most_in_column else None
    is_symmetric = pattern.equals(turned)
    if ahead is not None and (is_symmetric or count(ahead) <= most_in_column):
        return _forward(pattern, ahead)
    back = column_colours(turned)
    if ahead is None and count(back) >= most_in_row:
        ahead = column_colours(pattern)
    if ahead is not None and count(ahead) <= count(back):
        return _forward(pattern, ahead)
    return _backward(pattern, back)


def _dense_rows(pattern: Pattern, least: int) -> Plan | None:
    """The dense rows backward and the others forward, if that may need fewer products.

    The others need as many colours as the longest of them has entries, at least; so the rows that
    are taken out are those for which their number plus this length is smallest.
    """
    lengths = np.diff(pattern.indptr)
    order = np.argsort(-lengths, kind="stable")
    totals = lengths[order] + np.arange(len(order))
    dense = np.zeros(len(order), bool)
    dense[order[: int(np.argmin(totals))]] = True
    if not dense.any() or 3 * totals.min() > 2 * least:
        return None
    rows, columns = pattern.rows, pattern.indices
    back = dense[rows]
    ahead = column_colours(_part(pattern, ~back))
    behind = np.where(dense, column_colours(_part(pattern, back).transposed()), -1)
    sweeps = Sweep(True, ahead), Sweep(False, behind)
    products = np.where(back, behind[rows], ahead[columns])
    return Plan(sweeps, back.astype(np.int64), products, np.where(back, columns, rows))


def _dense_columns(pattern: Pattern, least: int) -> Plan | None:
    """The same of the transpose, turned back."""
    turned = pattern.transposed()
    plan = _dense_rows(turned, least)
    if plan is None:
        return None
    order = np.argsort(turned.indices, kind="stable")  # the entries of the transpose by rows
    sweeps = tuple(Sweep(not sweep.forward, sweep.colours) for sweep in plan.sweeps)
    return Plan(sweeps, plan.which[order], plan.products[order], plan.elements[order])


def _part(pattern: Pattern, kept: np.ndarray) -> Pattern:
    """Some of the entries."""
    return pattern_of(pattern.rows[kept], pattern.indices[kept], pattern.shape)


def _longest(pattern: Pattern) -> int:
    """The number of entries in the longest row."""
    return int(np.diff(pattern.indptr).max(initial=0))
