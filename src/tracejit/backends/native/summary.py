"""What a program became: counted, so that tests see fusion decay, and in lines to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tracejit.backends.native.arena import Block
from tracejit.backends.native.plan import Step
from tracejit.ir.atoms import Var
from tracejit.ir.types import ArrayType


@dataclass(slots=True)
class Summary:
    """Counts over a program and all that it holds; a loop's body counts once.

    kernels: loop nests. statements: what has code of its own (scatter, sort, loops, BLAS), by name.
    stored: arrays that were given memory of their own, temporary ones too. copies: kernels (counted
    above) that only move data to where it is needed. loops_shared: loops whose iterations several
    threads may share. workspace_bytes: the memory for all that is neither input nor output;
    scratch_bytes: what each further thread takes. is_long: it runs without the GIL.
    """

    kernels: int = 0
    statements: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    copies: int = 0
    loops_shared: int = 0
    workspace_bytes: int = 0
    scratch_bytes: int = 0
    is_long: bool = False
    lines: list[str] = field(default_factory=list)

    def statement(self, name: str) -> None:
        """One more statement."""
        self.statements[name] += 1
        self.lines.append(f"statement {name}")

    def kernel(self, kernel: Any, *, copy: bool = False) -> None:
        """One more loop nest."""
        self.kernels += 1
        self.copies += copy
        self.lines.append(f"{'copy' if copy else 'kernel'} over {kernel.describe()}")

    def parallel(self, count: int, scratch_bytes: int) -> None:
        """One more loop that several threads may share; the memory each of them takes for it."""
        self.loops_shared += 1
        self.scratch_bytes = max(self.scratch_bytes, scratch_bytes)
        self.lines.append(f"parallel: {count} iterations")

    def took(self, program: Any, block: Block, type: ArrayType, owner: Var | None) -> None:
        """A program has got memory for a variable, or for the time of the current step."""
        self.stored += 1

    # What only a `Recorder` keeps: see explain.py.

    def enter(self, program: Any, step: Step) -> None:
        """A step begins."""

    def leave(self) -> None:
        """The step that began last is done."""

    def inherited(self, program: Any, v: Var, x: Var, blocks: Iterable[Block]) -> None:
        """v has taken over the memory of x."""

    def freed(self, block: Block) -> None:
        """Memory is free again."""
