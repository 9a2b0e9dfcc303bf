"""What tensors share: memory that is written to, and where a value belongs; and hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.compat.graph import Cell, next_serial


class RemovableHandle:
    """A hook in its table, until `remove`."""

    def __init__(self, table: dict[int, Callable[..., Any]], hook: Callable[..., Any]):
        self._table, self.id = table, next_serial()
        table[self.id] = hook

    def remove(self) -> None:
        """Take the hook away."""
        self._table.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Box:
    """What tensors that are the same memory share: the cell, and how often it was replaced;
    silent: how often through `x.data`, which no derivative minds."""

    __slots__ = ("cell", "silent", "version")

    def __init__(self, cell: Cell):
        self.cell, self.version, self.silent = cell, 0, 0

    @property
    def counted(self) -> int:
        """How often it was replaced, apart from by `x.data`."""
        return self.version - self.silent


class Origin:
    """Where a cell belongs: the tensor that gets its gradient, and the state of the box then.

    hooks: functions that the gradient goes through. writer: the step that wrote over the cell.
    """

    __slots__ = ("box", "hooks", "leaf", "version", "writer")

    def __init__(self, box: Box, leaf: Any = None):
        self.box, self.version, self.leaf = box, box.counted, leaf
        self.hooks: dict[int, Callable[..., Any]] | None = None
        self.writer: Any = None
