"""The completeness matrix has no gaps, its page is up to date, and a gap would be seen."""

from __future__ import annotations

import pytest

pytest.importorskip("jax", reason="the matrix is about every backend")

from tracejit.backends.table import LoweringTable
from tracejit.testing import matrix


def test_there_are_no_gaps() -> None:
    assert matrix.gaps(matrix.matrix()) == []


def test_the_page_is_up_to_date() -> None:
    kept = matrix.PAGE.read_text(encoding="utf-8")
    command = "python -m tracejit.testing.matrix --write"
    assert kept == matrix.page(matrix.matrix()), f"docs/primitives.md is old: {command}"


def test_every_lowered_primitive_is_in_the_matrix() -> None:
    listed = {line[0] for family in matrix.matrix().values() for line in family}
    for table in matrix.TABLES.values():
        assert {primitive.name for primitive in table} <= listed


def test_a_gap_is_seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(matrix.TABLES, "xla", LoweringTable("xla"))
    assert "add: xla" in matrix.gaps(matrix.matrix())
    assert matrix.main([]) == 1
    assert "GAP: sin: xla" in capsys.readouterr().err
