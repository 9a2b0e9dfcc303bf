"""Between which numbers integers lie, where that is known while code is emitted.

    i in 0 .. n - 1        the counter of a loop
    i < 0                  false, so  select(i < 0, i + n, i)  is i
    clamp(i, 0, n - 1)     i, so an index that a loop makes costs nothing to be kept inside

LLVM's passes would find some of it, but they are not run.
"""

from __future__ import annotations

from typing import Any

from tracejit.ops.ranges import ENDS, Range, decided, ends_of

#: Beyond this range nothing is said about an integer of so many bits.
_LIMITS = {bits: (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)}


def number(x: Any) -> int | None:
    """The value of an integer constant."""
    text = x.text
    if text == "true" or text == "false":
        return int(text == "true")
    return int(text) if text.lstrip("-").isdecimal() else None


class Ranges(dict[str, Range]):
    """By the name of a value, its least and its greatest number, both included."""

    def of(self, x: Any) -> Range | None:
        """The range of an integer; None for what is none, or a vector."""
        type = x.type
        if type.lanes != 1 or type.is_float or type.bits not in _LIMITS or type.lane == "ptr":
            return None
        if x.text[0] == "%":
            return self.get(x.text) or _LIMITS[type.bits]
        n = number(x)
        return None if n is None else (n, n)

    def note(self, x: Any, low: int, high: int) -> None:
        """x is at least `low` and at most `high`."""
        if x.text[0] == "%":
            least, most = _LIMITS[x.type.bits]
            if low > least or high < most:
                self[x.text] = max(low, least), min(high, most)
            else:
                self.pop(x.text, None)

    def arithmetic(self, name: str, x: Any, y: Any, result: Any) -> None:
        """Learn what the range of a sum, a difference or a product is."""
        if name not in ENDS or (a := self.of(x)) is None or (b := self.of(y)) is None:
            return
        low, high = ends_of(name, (a, b))
        least, most = _LIMITS[x.type.bits]
        if least <= low and high <= most and (low > least or high < most):
            self[result.text] = low, high

    def choice(self, x: Any, y: Any, result: Any) -> None:
        """Learn what the range of one of two is."""
        if (a := self.of(x)) is not None and (b := self.of(y)) is not None:
            self.note(result, min(a[0], b[0]), max(a[1], b[1]))

    def compared(self, name: str, x: Any, y: Any) -> bool | None:
        """What a comparison of integers (`slt`, `uge`, `eq`) gives; None where it depends."""
        a, b = self.of(x), self.of(y)
        if a is None or b is None:
            return None
        if name[0] == "u" and min(a[0], b[0]) < 0:
            return None
        return decided(name if name in ("eq", "ne") else name[1:], a, b)
