"""What a program became: counted, so that tests see fusion decay, and in lines to read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Summary:
    """Counts over a program and all that it holds; a loop's body counts once.

    kernels: loop nests. statements: what has code of its own (scatter, sort, loops, BLAS), by name.
    stored: arrays that were given memory of their own, temporary ones too. copies: kernels (counted
    above) that only move data to where it is needed. workspace_bytes: the memory for all that is
    neither input nor output.
    """

    kernels: int = 0
    statements: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    copies: int = 0
    workspace_bytes: int = 0
    lines: list[str] = field(default_factory=list)

    def statement(self, name: str) -> None:
        """One more statement."""
        self.statements[name] += 1
        self.lines.append(f"statement {name}")

    def kernel(self, description: str, *, copy: bool = False) -> None:
        """One more loop nest."""
        self.kernels += 1
        self.copies += copy
        self.lines.append(f"{'copy' if copy else 'kernel'} over {description}")
