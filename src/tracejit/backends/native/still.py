"""What a loop reads or writes at one place alone, it need not look for in each round.

    scan (q, %k, a, ...) {                             %w = dynamic_slice(a, 0, %k)
      %p = dynamic_slice(q, 0, %k)                     %p = dynamic_slice(q, 0, %k)
      %o = dynamic_slice(a, 0, %k)            ->       scan (%p, %w, ...) {
      %b = dynamic_update_slice(a, f(%o, %p), 0, %k)     return f(%w, %p), ...
      return %b, ...                                   }
    }                                                  %b = dynamic_update_slice(a, %w', 0, %k)

An array that a loop carries, and knows by one window alone, stays where it is; the window is
carried, one element as a number. A column that stays the same lies together in memory before the
loop reads it again and again. So it is in the adjoints of loops in loops, where what the inner one
reads at a place of the outer one is summed at that place.

Needs: windows for updates (bounds). Leaves: windows of windows and reshapes (fold).
Does not: look into branches for windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import array_type
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.ops.structure import reshape
from tracejit.passes.held import Pass, Renaming, through_held, with_held
from tracejit.passes.hoist import LOOPS

#: Columns with fewer elements are read where they are.
TALL = 8


class Window(NamedTuple):
    """Where a loop reads and writes the array that is its carry number `carry`."""

    carry: int
    starts: tuple[Atom, ...]
    sizes: tuple[int, ...]


@through_held
def stilled(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """The jaxpr, its loops carrying windows instead of arrays; itself if there are none."""
    changed = False
    with building() as builder:
        for eqn in jaxpr.equations:
            builder.provenance = eqn.provenance
            after = with_held(eqn, inner) if eqn.params else eqn
            changed |= after is not eqn
            if after.primitive in LOOPS and (loop := _Loop(after)).finds():
                loop.emit(builder)
                changed = True
            else:
                builder.equations.append(after)
    return Jaxpr(jaxpr.invars, tuple(builder.equations), jaxpr.outvars) if changed else jaxpr


class _Loop:
    """A loop, and what it does at one place alone."""

    def __init__(self, eqn: Equation):
        self.eqn = eqn
        self.name, self.count, skip = LOOPS[eqn.primitive]
        self.body: Jaxpr = eqn.params[self.name]
        self.first = eqn.params[skip] if skip else 0
        self.num_consts = eqn.params[self.count]
        behind = len(eqn.inputs) - self.first - self.num_consts
        self.num_carry = eqn.params.get("num_carry", behind)
        inputs = eqn.inputs[self.first :]
        self.operand_of: dict[Atom, Atom] = dict(zip(self.body.invars, inputs, strict=True))
        carry = self.body.invars[self.num_consts : self.num_consts + self.num_carry]
        self.carry = carry
        self.after = self.body.outvars[: self.num_carry]
        still = [v for v, y in zip(carry, self.after, strict=True) if v is y]
        self.still = {*self.body.invars[: self.num_consts], *still}
        self.windows: list[Window] = []
        self.columns: list[Equation] = []

    def finds(self) -> bool:
        """Whether there is something to find."""
        self.windows = [w for k in range(self.num_carry) if (w := self._window(k))]
        self.columns = [e for e in self.body.equations if self._is_column(e)]
        return bool(self.windows or self.columns)

    def _is_still(self, x: Atom) -> bool:
        return isinstance(x, Literal) or x in self.still

    def _is_column(self, eqn: Equation) -> bool:
        """Whether an equation reads the same elements in each round, one here and one there."""
        if eqn.primitive is not dynamic_slice or not all(map(self._is_still, eqn.inputs)):
            return False
        x, sizes = eqn.inputs[0], eqn.params["sizes"]
        size = eqn.outvars[0].type.size
        return sizes[-1] == 1 < x.shape[-1] and size >= TALL and isinstance(x, Var)

    def _window(self, k: int) -> Window | None:
        """The window of a carry, if the body writes it and knows nothing else of the array."""
        x, y = self.carry[k], self.after[k]
        if x is y or not x.ndim or self._is_tested(k):
            return None
        versions: set[Atom] = {x}
        found: Window | None = None
        for eqn in self.body.equations:
            touched = [z for z in eqn.inputs if isinstance(z, Var) and z in versions]
            if not touched:
                continue
            window = self._place(eqn, k)
            if len(touched) > 1 or touched[0] is not eqn.inputs[0] or window is None:
                return None
            if found is not None and window != found:
                return None
            found = window
            if eqn.primitive is dynamic_update_slice:
                versions.update(eqn.outvars)
        others = [z for i, z in enumerate(self.body.outvars) if i != k]
        if y not in versions or any(z in versions for z in others if isinstance(z, Var)):
            return None
        return found if found and 2 * _size(found) <= x.type.size else None

    def _is_tested(self, k: int) -> bool:
        """Whether the condition of the loop reads the carry."""
        cond: Jaxpr | None = self.eqn.params.get("cond")
        if cond is None:
            return False
        v = cond.invars[self.first + k]
        return v in cond.outvars or any(v in e.inputs for e in cond.equations)

    def _place(self, eqn: Equation, k: int) -> Window | None:
        """The window that an equation reads or writes, if it is the same in each round."""
        if eqn.primitive is dynamic_slice:
            starts, sizes = eqn.inputs[1:], eqn.params["sizes"]
        elif eqn.primitive is dynamic_update_slice:
            starts, sizes = eqn.inputs[2:], eqn.inputs[1].shape
        else:
            return None
        return Window(k, starts, sizes) if all(map(self._is_still, starts)) else None

    # The loop that is left.

    def _outside(self, xs: Sequence[Atom]) -> list[Atom]:
        return [x if isinstance(x, Literal) else self.operand_of[x] for x in xs]

    def emit(self, builder: Builder) -> None:
        """Append the loop, what is read ahead of it, and what is written behind it."""
        eqn, last = self.eqn, self.first + self.num_consts
        inputs, outvars = list(eqn.inputs), list(eqn.outvars)
        invars, behind = list(self.body.invars), list[tuple[Window, Var, Atom]]()
        for window in self.windows:
            at, x = last + window.carry, eqn.inputs[last + window.carry]
            part = dynamic_slice(x, *self._outside(window.starts), sizes=window.sizes)
            inputs[at] = _as_carried(part)
            name = invars[self.num_consts + window.carry] = Var(inputs[at].type)
            outvars[window.carry] = Var(name.type)
            behind.append((window, outvars[window.carry], x))
        made = [dynamic_slice(*self._outside(e.inputs), **e.params) for e in self.columns]
        inputs[last:last] = made
        invars[self.num_consts : self.num_consts] = [e.outvars[0] for e in self.columns]
        body = self._body(invars)
        params = eqn.params | {self.name: body, self.count: self.num_consts + len(made)}
        if "cond" in eqn.params:
            params["cond"] = self._condition(eqn.params["cond"])
        builder.equations.append(
            Equation(eqn.primitive, tuple(inputs), params, tuple(outvars), eqn.provenance)
        )
        for window, y, x in behind:
            update = reshape(y, shape=window.sizes) if y.shape != window.sizes else y
            operands = (x, update, *self._outside(window.starts))
            builder.equations.append(
                Equation(
                    dynamic_update_slice, operands, {}, (eqn.outvars[window.carry],),
                    eqn.provenance,
                )
            )  # fmt: skip

    def _condition(self, cond: Jaxpr) -> Jaxpr:
        """The condition, for carries of other types."""
        invars = list(cond.invars)
        for window in self.windows:
            at = self.first + window.carry
            size = _size(window)
            invars[at] = Var(array_type(invars[at].dtype, window.sizes if size > 1 else ()))
        return Jaxpr(tuple(invars), cond.equations, cond.outvars)

    def _body(self, invars: list[Var]) -> Jaxpr:
        """The body with windows in the place of arrays."""
        carried: dict[Atom, Atom] = {}  # by version of an array, its window
        sizes: dict[Atom, tuple[int, ...]] = {}
        names = Renaming()
        for window in self.windows:
            x = self.carry[window.carry]
            carried[x] = invars[self.num_consts + len(self.columns) + window.carry]
            sizes[x] = window.sizes
        with building() as builder:
            for eqn in self.body.equations:
                builder.provenance = eqn.provenance
                x = eqn.inputs[0] if eqn.inputs else None
                if eqn in self.columns:
                    continue
                if not isinstance(x, Var) or x not in carried:
                    builder.equations.append(names.equation(eqn))
                elif eqn.primitive is dynamic_slice:
                    part = carried[x]
                    same = part.shape == sizes[x]
                    names[eqn.outvars[0]] = part if same else reshape(part, shape=sizes[x])
                else:
                    carried[eqn.outvars[0]] = _as_carried(names.atom(eqn.inputs[1]))
                    sizes[eqn.outvars[0]] = sizes[x]
        outvars = [
            carried[y] if isinstance(y, Var) and y in carried else y
            for y in names.all(self.body.outvars)
        ]
        return Jaxpr(tuple(invars), tuple(builder.equations), tuple(outvars))


def _size(window: Window) -> int:
    return math.prod(window.sizes)


def _as_carried(part: Atom) -> Atom:
    """A window as a loop carries it: one element as a number."""
    return reshape(part, shape=()) if part.ndim and part.type.size == 1 else part
