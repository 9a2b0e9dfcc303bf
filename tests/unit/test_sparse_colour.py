"""Sets, and colourings: what they promise, on random patterns."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit.errors import UnsupportedError
from tracejit.passes.sparsity import sets as sets_module
from tracejit.passes.sparsity.colour import column_colours, count, read_here, star_colours
from tracejit.passes.sparsity.plan import Plan, plan_of
from tracejit.passes.sparsity.sets import Pattern, Sets, pattern_of


def random_pattern(seed: int, shape: tuple[int, int], density: float) -> Pattern:
    rng = np.random.default_rng(seed)
    return pattern_of(*np.nonzero(rng.random(shape) < density), shape)


def band(n: int, width: int) -> Pattern:
    i, j = np.indices((n, n))
    return pattern_of(*np.nonzero(abs(i - j) <= width), (n, n))


def arrow(n: int) -> Pattern:
    i, j = np.indices((n, n))
    return pattern_of(*np.nonzero((i == j) | (i == 0) | (j == 0)), (n, n))


@pytest.mark.parametrize("seed", range(20))
def test_columns_of_one_colour_share_no_row(seed: int) -> None:
    pattern = random_pattern(seed, (12, 9 + seed), 0.05 + seed / 40)
    colours = column_colours(pattern)
    pairs = {*zip(pattern.rows.tolist(), colours[pattern.indices].tolist(), strict=True)}
    assert len(pairs) == len(pattern.indices)


@pytest.mark.parametrize("seed", range(20))
def test_products_of_a_star_colouring_have_every_entry(seed: int) -> None:
    half = random_pattern(seed, (15, 15), 0.02 + seed / 50)
    both = np.append(half.rows, half.indices), np.append(half.indices, half.rows)
    pattern = pattern_of(*both, (15, 15))
    matrix = np.zeros((15, 15))
    matrix[pattern.rows, pattern.indices] = np.random.default_rng(seed).normal(
        size=len(pattern.indices)
    )
    matrix = matrix + matrix.T
    colours = star_colours(pattern)
    products = matrix @ (colours[:, None] == np.arange(count(colours)))
    here = read_here(pattern, colours)
    row = np.where(here, pattern.rows, pattern.indices)
    column = np.where(here, pattern.indices, pattern.rows)
    np.testing.assert_allclose(
        products[row, colours[column]], matrix[pattern.rows, pattern.indices], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("pattern", "columns", "star"),
    [
        (band(30, 0), 1, 1),
        (band(30, 1), 3, 3),
        (band(31, 2), 5, 5),
        (arrow(30), 30, 2),
        (band(6, 6), 6, 6),
        (band(0, 0), 0, 0),
    ],
)
def test_known_numbers_of_colours(pattern: Pattern, columns: int, star: int) -> None:
    assert count(column_colours(pattern)) == columns
    assert count(star_colours(pattern)) <= star


def test_patterns_turn_round() -> None:
    pattern = random_pattern(3, (5, 8), 0.4)
    dense = np.zeros((5, 8), bool)
    dense[pattern.rows, pattern.indices] = True
    turned = pattern.transposed()
    again = np.zeros((8, 5), bool)
    again[turned.rows, turned.indices] = True
    np.testing.assert_array_equal(again, dense.T)
    square = pattern_of(np.array([0, 1, 2]), np.array([1, 0, 2]), (3, 3))
    lopsided = pattern_of(np.array([0, 1, 2, 0]), np.array([1, 0, 2, 2]), (3, 3))
    assert all(map(np.array_equal, lopsided.symmetric(), square))


def test_unions_of_sets() -> None:
    sets = Sets(4)
    x, y = sets.numbers(0, (3,)), sets.numbers(1, (3,))
    z = sets.union(x, y)
    rows = [[0, 1], [1, 2], [2, 3]]
    assert [sets.members(np.array([i])).tolist() for i in z] == rows
    before = len(sets)
    np.testing.assert_array_equal(sets.union(z, x), z)
    assert len(sets) == before, "what adds nothing makes no set"
    assert sets.members(sets.over(z, (0,))).tolist() == [0, 1, 2, 3]
    assert sets.union(None, x) is x and sets.union(None, None) is None
    np.testing.assert_array_equal(sets.union(np.array([0, 2]), np.array([3, 0])), [3, 2])


def test_a_pattern_that_does_not_fit_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets_module, "MOST", 10)
    sets = Sets(6)
    with pytest.raises(UnsupportedError, match="not sparse"):
        sets.pattern(np.broadcast_to(sets.over(sets.numbers(0, (6,)), (0,)), (2,)))


def entries_by(plan: Plan, matrix: np.ndarray) -> np.ndarray:
    """What the products of a plan give, in the order of the pattern."""
    found = np.zeros(len(plan.which))
    for k, (forward, colours) in enumerate(plan.sweeps):
        seeds = (colours[:, None] == np.arange(count(colours))).astype(float)
        products = (matrix if forward else matrix.T) @ seeds
        mine = plan.which == k
        found[mine] = products[plan.elements[mine], plan.products[mine]]
    return found


def filled(pattern: Pattern, seed: int) -> np.ndarray:
    matrix = np.zeros(pattern.shape)
    matrix[pattern.rows, pattern.indices] = np.random.default_rng(seed).normal(
        size=len(pattern.indices)
    )
    return matrix


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_has_every_entry(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    dense = rng.random((25, 10 + seed)) < 0.08
    dense[rng.integers(0, 25, seed % 3)] = True
    dense[:, rng.integers(0, 10, seed % 4)] = True
    pattern = pattern_of(*np.nonzero(dense), dense.shape)
    matrix = filled(pattern, seed)
    plan = plan_of(pattern, symmetric=False)
    np.testing.assert_allclose(
        entries_by(plan, matrix), matrix[pattern.rows, pattern.indices], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("rows", "columns", "products", "sweeps"),
    [
        ([], [], 3, 1), ([0], [], 4, 1), ([], [5], 4, 1), ([3, 9], [4, 8, 20], 8, 2),
        ([0], [0], 5, 2),
    ],  # fmt: skip
)
def test_dense_rows_and_columns_go_their_own_way(
    rows: list[int], columns: list[int], products: int, sweeps: int
) -> None:
    dense = np.abs(np.subtract.outer(np.arange(40), np.arange(40))) <= 1
    dense[rows] = True
    dense[:, columns] = True
    pattern = pattern_of(*np.nonzero(dense), dense.shape)
    plan = plan_of(pattern, symmetric=False)
    assert plan.size <= products and len(plan.sweeps) == sweeps
    matrix = filled(pattern, 1)
    np.testing.assert_allclose(
        entries_by(plan, matrix), matrix[pattern.rows, pattern.indices], rtol=1e-12
    )
