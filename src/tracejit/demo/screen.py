"""What the demo shows: text, tables, progress. By rich where it is installed, else plain."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


class Plain:
    """Lines on standard output."""

    def title(self, text: str) -> None:
        """A heading."""
        print(f"\n== {text}")

    def say(self, text: str) -> None:
        """A line, or several."""
        print(text)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Say what is being done while it is done."""
        print(f"... {text}", flush=True)
        yield

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as they need; all but the first are flush right."""
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for row in (header, *rows):
            cells = [
                cell.rjust(w) if i else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ]
            print("  ".join(cells).rstrip())


class Rich(Plain):
    """The same, in colour, with a spinner."""

    def __init__(self) -> None:
        console = importlib.import_module("rich.console").Console(highlight=False)
        self._console: Any = console
        self._table = importlib.import_module("rich.table").Table
        self._escape = importlib.import_module("rich.markup").escape

    def title(self, text: str) -> None:
        """A heading."""
        self._console.rule(f"[bold]{self._escape(text)}", align="left")

    def say(self, text: str) -> None:
        """A line, or several."""
        self._console.print(self._escape(text), soft_wrap=True)

    @contextmanager
    def working(self, text: str) -> Iterator[None]:
        """Say what is being done while it is done."""
        with self._console.status(self._escape(text)):
            yield
        self._console.print(f"[green]done[/] {self._escape(text)}")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as they need; all but the first are flush right."""
        grid = self._table()
        for i, name in enumerate(header):
            grid.add_column(name, justify="right" if i else "left")
        for row in rows:
            grid.add_row(*map(self._escape, row))
        self._console.print(grid)


def best_screen(plain: bool) -> Plain:
    """The best that is installed."""
    return Plain() if plain or not importlib.util.find_spec("rich") else Rich()
