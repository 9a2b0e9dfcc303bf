"""From a program that was left at a guard to that of another path, without Python.

A path is a row of words that entry.ll reads: the kernel, and for each of its guards the address of
the row of the program that takes over there, 0 while there is none. All programs of one tree take
the same inputs and make the same outputs.
"""

from __future__ import annotations

import ctypes

#: The words of a row: two kernels, for who releases the GIL and for who leaves that to the kernel;
#: whether to release it; the number of guards; and, from there on, the rows behind them.
PATH_WORDS = ("PATH_KERNEL", "PATH_UNLOCKED", "PATH_RELEASE", "PATH_GUARDS", "PATH_OTHERS")


class Path:
    """The row of a program with so many guards."""

    __slots__ = ("_others", "words")

    def __init__(self, kernel: int, unlocked: int, release: bool, guards: int):
        header = (kernel, unlocked, release, guards)
        self.words = (ctypes.c_int64 * (len(header) + guards))(*header)
        self._others: dict[int, Path] = {}

    @property
    def address(self) -> int:
        """Where the words are."""
        return ctypes.addressof(self.words)

    @property
    def unlocked(self) -> int:
        """The kernel for who leaves the GIL to it."""
        return self.words[PATH_WORDS.index("PATH_UNLOCKED")]

    def link(self, place: int, other: Path) -> None:
        """Let another program take over at a guard; who calls keeps its code alive."""
        self._others[place] = other
        self.words[len(PATH_WORDS) - 1 + place] = other.address
