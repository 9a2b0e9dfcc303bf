"""Windows of one array that lie apart: what is written in one is still there behind the other.

    b = dus(a, u, i)                                  b = dus(a, u, i)
    c = dus(b, v, i - 1)                        ->    c = dus(b, v, i - 1)
    x = dynamic_slice(c, i)                           (x is u)

    b = dus(a, 0, i);  c = dus(b, v, i - 1);  d = dus(c, w, i)      ->      b is not written

The adjoint of a sweep adds to places of an array in turn, and each of them is read, written and
read again; here that is done once, with the number in a register. A window that is changed is read
where it is changed: from the array as it is then.

Needs: counters as carries (counting), indices that are sums (bounded), equal ones merged (cse).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tracejit.backends.native.bounds import Ranges, bounds_of
from tracejit.control.undo import ordered
from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops import elementwise, structure
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.passes.held import Pass, Renaming, through_held, with_held

#: A number as something plus a constant.
Sum = tuple[Atom | None, int]
#: So many updates are looked through.
FAR = 16


def apart(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr, without reads and writes that windows which lie apart make superfluous; itself if
    there are none."""
    ranges = cache(lambda: bounds_of(jaxpr))

    @through_held
    def walk(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
        equations = [with_held(e, inner) if e.params else e for e in jaxpr.equations]
        same = all(a is b for a, b in zip(equations, jaxpr.equations, strict=True))
        body = jaxpr if same else Jaxpr(jaxpr.invars, tuple(equations), jaxpr.outvars)
        updates = sum(e.primitive is dynamic_update_slice for e in equations)
        if updates < 2 or any(is_effectful(e) for e in equations):
            return body
        return _Body(body, ranges()).run()

    return walk(jaxpr)


@dataclass(frozen=True, slots=True)
class _Window:
    """A part of an array: where it begins along each axis, and its extents."""

    starts: tuple[Sum, ...]
    sizes: tuple[int, ...]


class _Body:
    """The equations of one body."""

    def __init__(self, jaxpr: Jaxpr, ranges: Ranges):
        self.jaxpr, self.ranges = jaxpr, ranges
        self.names = Renaming()
        self.makers: dict[Atom, Equation] = {}
        self.readers: dict[Atom, list[Equation]] = {}

    def run(self) -> Jaxpr:
        """The body without what is superfluous."""
        equations = self._read_back()
        changed = len(equations) < len(self.jaxpr.equations)
        self._learn(equations)
        dead = {e for e in self.makers.values() if self._is_overwritten(e)}
        self.names = Renaming({e.outvars[0]: e.inputs[0] for e in dead})
        for out in [*self.names]:
            while (base := self.names[out]) in self.names:
                self.names[out] = self.names.atom(base)
        equations = [self.names.equation(e) for e in self.equations if e not in dead]
        self._learn(equations)
        late = self._read_late()
        if not (changed or dead or late):
            return self.jaxpr
        found = ordered([late.get(e, e) for e in equations], self.jaxpr.invars)
        return Jaxpr(self.jaxpr.invars, tuple(found), self.outvars)

    def _learn(self, equations: Sequence[Equation]) -> None:
        self.outvars = self.names.all(getattr(self, "outvars", self.jaxpr.outvars))
        self.equations = [*equations]
        self.makers = {v: e for e in equations for v in e.outvars}
        self.readers = {}
        for e in equations:
            for x in dict.fromkeys(e.inputs):
                self.readers.setdefault(x, []).append(e)

    # The three steps.

    def _read_back(self) -> list[Equation]:
        """Reads of what is written stand for that: of numbers, and of what is not written then."""
        self._learn(self.jaxpr.equations)
        equations = []
        for eqn in self.jaxpr.equations:
            eqn = self.names.equation(eqn)
            window = self._read(eqn)
            found = None if window is None else self._written(eqn.inputs[0], window)
            if found is not None:
                self.names[eqn.outvars[0]] = found
                continue
            equations.append(eqn)
            self.makers.update((v, eqn) for v in eqn.outvars)
        return equations

    def _written(self, x: Atom, window: _Window) -> Atom | None:
        """What was written last in this window of x."""
        for _ in range(FAR):
            eqn = self.makers.get(x)
            if eqn is None or eqn.primitive is not dynamic_update_slice:
                return None
            other = self._window(eqn.inputs[0], eqn.inputs[2:], eqn.inputs[1].shape)
            if other == window:
                update = eqn.inputs[1]
                spared = update.type.size == 1 or isinstance(update, Literal)
                return update if spared or self._is_overwritten(eqn, once_read=True) else None
            if not self._are_apart(x, window, other):
                return None
            x = eqn.inputs[0]
        return None

    def _is_overwritten(self, eqn: Equation, *, once_read: bool = False) -> bool:
        """Whether nothing reads what an update writes before it is overwritten; or only reads of
        just that."""
        if eqn.primitive is not dynamic_update_slice:
            return False
        window = self._window(eqn.inputs[0], eqn.inputs[2:], eqn.inputs[1].shape)
        pending, again = [eqn.outvars[0]], False
        for _ in range(FAR):
            if not pending:
                return again
            x = pending.pop()
            if x in self.outvars:
                return False
            for reader in self.readers.get(x, ()):
                read = self._read(reader)
                if read is not None and (
                    (once_read and read == window) or self._are_apart(x, window, read)
                ):
                    continue
                if reader.primitive is not dynamic_update_slice or x in reader.inputs[1:]:
                    return False
                other = self._window(x, reader.inputs[2:], reader.inputs[1].shape)
                again = again or other == window
                if other != window:
                    pending.append(reader.outvars[0])
        return False

    def _read_late(self) -> dict[Equation, Equation]:
        """What is changed and written back is read from the array as it is written to."""
        late: dict[Equation, Equation] = {}
        for eqn in self.equations:
            if eqn.primitive is not dynamic_update_slice:
                continue
            x, update, *starts = eqn.inputs
            window = self._window(x, starts, update.shape)
            before = self._versions(x, window)
            for read in self._own_reads(update):
                if read.inputs[0] in before and self._read(read) == window:
                    late[read] = read._replace(inputs=(x, *read.inputs[1:]))
        return late

    def _versions(self, x: Atom, window: _Window) -> set[Atom]:
        """The older versions of x that are the same in this window."""
        found: set[Atom] = set()
        while len(found) < FAR:
            eqn = self.makers.get(x)
            if eqn is None or eqn.primitive is not dynamic_update_slice:
                break
            other = self._window(eqn.inputs[0], eqn.inputs[2:], eqn.inputs[1].shape)
            if not self._are_apart(x, window, other):
                break
            x = eqn.inputs[0]
            found.add(x)
        return found

    def _own_reads(self, update: Atom) -> list[Equation]:
        """The reads that an update is computed of, element by element, and nothing else is."""
        found, pending = [], [update]
        while pending:
            y = pending.pop()
            eqn = self.makers.get(y)
            if eqn is None or len(self.readers.get(y, ())) != 1 or y in self.outvars:
                continue
            if eqn.primitive is dynamic_slice:
                found.append(eqn)
            elif eqn.primitive.is_pointwise or eqn.primitive is structure.reshape:
                pending += eqn.inputs
        return found

    # Windows.

    def _read(self, eqn: Equation) -> _Window | None:
        """The window that an equation reads of its first operand, and of nothing else."""
        if eqn.primitive is dynamic_slice:
            return self._window(eqn.inputs[0], eqn.inputs[1:], eqn.params["sizes"])
        if eqn.primitive is not structure.slice or any(n != 1 for n in eqn.params["stride"]):
            return None
        starts = tuple((None, n) for n in eqn.params["start"])
        return _Window(starts, eqn.outvars[0].shape)

    def _window(self, x: Atom, starts: Sequence[Atom], sizes: Sequence[int]) -> _Window:
        """The window at these starts; moved inside, where they are numbers."""
        found = []
        for start, n, size in zip(starts, x.shape, sizes, strict=True):
            symbol, const = self._sum(start)
            found.append((symbol, const if symbol else sorted((0, const, n - size))[1]))
        return _Window(tuple(found), tuple(sizes))

    def _sum(self, x: Atom) -> Sum:
        total = 0
        for _ in range(FAR):
            if isinstance(x, Literal):
                return None, total + int(x.value)
            eqn = self.makers.get(x)
            if eqn is None or eqn.primitive not in (elementwise.add, elementwise.sub):
                break
            first, second = eqn.inputs
            if not isinstance(second, Literal):
                break
            total += int(second.value) if eqn.primitive is elementwise.add else -int(second.value)
            x = first
        return x, total

    def _are_apart(self, x: Atom, one: _Window, other: _Window) -> bool:
        """Whether two windows of x have no element in common, whatever the indices are."""
        rows = zip(one.starts, one.sizes, other.starts, other.sizes, x.shape, strict=True)
        for (s, a), m, (t, b), n, extent in rows:
            if s is not t or not (a + m <= b or b + n <= a):
                continue
            known = (0, 0) if s is None else self.ranges.get(s)
            low, high = min(a, b), max(a + m, b + n)
            if known is not None and known[0] + low >= 0 and known[1] + high <= extent:
                return True
        return False
