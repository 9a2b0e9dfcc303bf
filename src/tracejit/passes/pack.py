"""Scalars into vectors: many that are computed alike are computed as one array.

    %4: f64[] = mul(%0, %2)         %4: f64[4] = mul(%0, %2)       (four carries of a scan, say,
    %5: f64[] = tanh(%4)            %5: f64[4] = tanh(%4)           are one carry of rank 1 then)
    %6: f64[] = mul(%1, %3)    ->
    %7: f64[] = tanh(%6)
    ...

Equations of rank 0 are alike if primitive and parameters are, and their operands in their turn;
if they also lie at one depth, none needs another, and they may run together. Such a group is
packed if its function is dear, or if its operands lie side by side already: elements of an array,
results of another group, carries, rows of a scan. A scan carries what is packed as arrays, and
stacks residuals side by side for the scan that reads them. Operands that lie anywhere are stacked,
which costs a store each; so only where the function is dear, and there are enough. Such functions
are packed also if their operands differ in kind, as many as do not need each other.

Each value is computed by the same operations as before, so results are equal to the bit.

Needs: equal terms merged (cse), sums of pads joined (join).
Leaves: no dead code in what it changed.
Does not: pack across iterations or levels of depth, carries of while loops, or change the order of
sums.
"""

from __future__ import annotations

import heapq
from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tracejit.control.bodies import divide
from tracejit.control.parts import Parts
from tracejit.control.scan import scan
from tracejit.control.tape import stacked
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.walk import held_jaxprs
from tracejit.ops.structure import concatenate, reshape
from tracejit.passes.alike import LEAST, SCATTERED, Group, Kinds, data, is_dear
from tracejit.passes.dce import dce
from tracejit.passes.held import with_held
from tracejit.passes.rows import Place, Row, Rows


def pack(jaxpr: Jaxpr) -> Jaxpr:
    """Compute as arrays what is computed alike."""
    packed = _packed(jaxpr) if _dear(jaxpr) >= LEAST else jaxpr
    return jaxpr if packed is jaxpr else dce(packed)


def _packed(jaxpr: Jaxpr) -> Jaxpr:
    level = Level(jaxpr)
    if not level.choose():
        return level.as_it_is()
    with building() as builder:
        level.emit(builder)
        outvars = [level.rows.value(y) for y in jaxpr.outvars]
    return builder.finish(jaxpr.invars, outvars)


@dataclass(slots=True, eq=False)
class Loop:
    """A scan with packed carries and rows: the lists of `Parts`, and the equations of the body.

    An operand that is a tuple is to be stacked. results: for each, its variable outside of the
    loop, or the row that it becomes there.
    """

    eqn: Equation
    consts: list[tuple[Var, Any]] = field(default_factory=list)
    carry: list[tuple[Var, Any, Atom]] = field(default_factory=list)
    xs: list[tuple[Var, Any]] = field(default_factory=list)
    ys: list[Atom] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)
    results: list[Var | Row] = field(default_factory=list)


class Level:
    """One jaxpr: which of its equations are packed, and the equations that come of it.

    For the body of a scan, carried: its carries, as they come in and as they go out. hints: where
    constants of the loop lie outside of it.
    """

    def __init__(
        self, jaxpr: Jaxpr, rows: Rows | None = None, carried: Sequence[tuple[Var, Atom]] = (),
        hints: dict[Atom, Place] | None = None,
    ):  # fmt: skip
        self.jaxpr, self.carried, self.hints = jaxpr, carried, hints or {}
        self.rows = rows or Rows()
        self.work: list[Equation | Loop] = []
        self.makers: dict[Atom, Equation] = {}
        self.groups: list[Group] = []
        self.carries: list[tuple[Row, list[int]]] = []
        self._survey()

    def _survey(self) -> None:
        """Find the groups; what the equations hold is packed on the way."""
        kinds = Kinds(self.rows.constant.__contains__)
        columns = _columns(self.jaxpr)
        for eqn in self.jaxpr.equations:
            if not eqn.params:
                self.work.append(eqn)
            elif eqn.primitive is scan and eqn.params["length"] is not None:
                self.work.append(self._scan(eqn, columns))
            else:
                self.work.append(eqn := with_held(eqn, _packed))
            self.makers.update(dict.fromkeys(eqn.outvars, eqn))
            kinds.take(eqn)
            if eqn.inputs:
                self.rows.see(eqn, self.makers.get(eqn.inputs[0]))
        self.groups = [g for g in kinds.groups.values() if len(g.members) >= LEAST]
        self.groups.sort(key=lambda group: group.depth)

    # What is packed.

    def choose(self) -> bool:
        """Keep the groups that are worth it; whether there is anything to do."""
        loops = any(isinstance(item, Loop) for item in self.work)
        start = bool(loops or self.rows.gone)
        if not start and not any(map(is_dear, self.jaxpr.equations)):
            self.groups = []
        known = dict(self.rows.place)
        count = -1
        while count != len(self.groups):
            count = len(self.groups)
            self.rows.place = dict(known)
            self._place_carries()
            self.groups = [group for group in self.groups if self._place(group)]
        self._gather_the_rest()
        return start or bool(self.groups)

    def _gather_the_rest(self) -> None:
        """Groups of dear functions whose operands are computed in different ways.

        None needs another if as many dear ones, in a row, lie before each of them.
        """
        before: dict[Atom, int] = {}
        alike: dict[Any, Group] = {}
        grouped = {eqn for group in self.groups for eqn in group.members}
        if sum(map(is_dear, self.jaxpr.equations)) < SCATTERED:
            return
        for item in self._in_order() if self.groups else self.work:
            equations = item.members if isinstance(item, Group) else [_equation(item)]
            count = max([before.get(x, 0) for eqn in equations for x in eqn.inputs], default=0)
            first = equations[0]
            if is_dear(first):
                count += 1
                if first not in grouped:
                    key = first.primitive, data(first), first.outvars[0].type, count
                    alike.setdefault(key, Group(count)).put(first, first.inputs)
            for eqn in equations:
                before.update(dict.fromkeys(eqn.outvars, count))
        for group in alike.values():
            if len(group.members) >= LEAST and self._place(group):
                self.groups.append(group)

    def _place_carries(self) -> None:
        """Carries that end as results of one group go side by side."""
        group_of = {eqn.outvars[0]: group for group in self.groups for eqn in group.members}
        together: dict[Group, list[int]] = {}
        for number, (_, after) in enumerate(self.carried):
            if not isinstance(after, Literal) and after in group_of:
                together.setdefault(group_of[after], []).append(number)
        self.carries = [(Row(len(n)), n) for n in together.values() if len(n) >= LEAST]
        self._wanted: dict[Atom, Place] = {}
        for row, numbers in self.carries:
            for at, number in enumerate(numbers):
                v, after = self.carried[number]
                self.rows.place[v] = self._wanted[after] = row, at

    def _place(self, group: Group) -> bool:
        """Give the results of a group their places, if it is worth it."""
        group.arrange(self._wanted, ChainMap(self.rows.place, self.hints))
        enough = is_dear(group.members[0]) and len(group.members) >= SCATTERED
        if not (enough or all(map(self.rows.is_cheap, zip(*group.operands, strict=True)))):
            return False
        group.row = Row(len(group.members))
        for at, eqn in enumerate(group.members):
            self.rows.place[eqn.outvars[0]] = group.row, at
        return True

    # What comes of it.

    def as_it_is(self) -> Jaxpr:
        """The jaxpr with nothing packed at this level."""
        pairs = zip(self.work, self.jaxpr.equations, strict=True)
        if all(after is before for after, before in pairs):
            return self.jaxpr
        return Jaxpr(self.jaxpr.invars, tuple(self.work), self.jaxpr.outvars)  # type: ignore[arg-type]

    def emit(self, builder: Builder) -> None:
        """The equations, in their order but for what a group has to wait for."""
        rows = self.rows
        for row, numbers in self.carries:
            carries = [self.carried[number][0] for number in numbers]
            row.atom = Var(carries[0].type.with_shape((row.length,)))
            rows.gone.update(carries)
        for group in self.groups:
            rows.gone.update(eqn.outvars[0] for eqn in group.members)
        for item in self._in_order():
            if isinstance(item, Loop):
                self._emit_loop(item, builder)
            elif isinstance(item, Group):
                first = item.members[0]
                builder.provenance = first.provenance
                operands = [rows.stack(xs) for xs in zip(*item.operands, strict=True)]
                item.row.atom = first.primitive(*operands, **first.params)
            else:
                self._emit_equation(item, builder)

    def _in_order(self) -> list[Equation | Loop | Group]:
        """Groups and equations: the first that can come, always."""
        group_of = {eqn: group for group in self.groups for eqn in group.members}
        units: dict[Any, list[Equation]] = {}
        for item in self.work:
            eqn = _equation(item)
            units.setdefault(group_of.get(eqn, item), []).append(eqn)
        items = list(units)
        owner = {v: n for n, made in enumerate(units.values()) for e in made for v in e.outvars}
        waits: list[set[int]] = []
        effects: list[int] = []  # the last unit that has one: the next waits for it
        readers: list[list[int]] = [[] for _ in items]
        for n, made in enumerate(units.values()):
            waits.append({owner[x] for eqn in made for x in eqn.inputs if x in owner})
            if any(map(is_effectful, made)):
                waits[n].update(effects)
                effects = [n]
            for before in waits[n]:
                readers[before].append(n)
        missing = [len(before) for before in waits]
        ready = [n for n, count in enumerate(missing) if not count]
        order = []
        while ready:
            n = heapq.heappop(ready)
            order.append(items[n])
            for reader in readers[n]:
                missing[reader] -= 1
                if not missing[reader]:
                    heapq.heappush(ready, reader)
        assert len(order) == len(items), "groups that wait for each other"
        return order

    def _emit_equation(self, eqn: Equation, builder: Builder) -> None:
        """An equation by itself; a stack of what lies side by side is there already."""
        rows = self.rows
        builder.provenance = eqn.provenance
        if eqn.primitive is concatenate:
            xs = self._stacked_scalars(eqn)
            if xs and rows.is_cheap(xs):
                rows.renaming[eqn.outvars[0]] = rows.stack(xs)
                return
        inputs = tuple([rows.value(x) for x in eqn.inputs])
        builder.equations.append(
            Equation(eqn.primitive, inputs, eqn.params, eqn.outvars, eqn.provenance)
        )

    def _stacked_scalars(self, eqn: Equation) -> tuple[Atom, ...]:
        """The x of concatenate(reshape(x, (1,)), ...), all of rank 0; or nothing."""
        xs = []
        for part in eqn.inputs:
            maker = self.makers.get(part)
            if maker is None or maker.primitive is not reshape or part.shape != (1,):
                return ()
            xs.append(maker.inputs[0])
        return () if any(x.ndim for x in xs) else tuple(xs)

    # Scans.

    def _scan(self, eqn: Equation, columns: set[Atom]) -> Equation | Loop:
        """A scan, packed; `columns` are the variables that only scans read, row by row."""
        p = eqn.params
        counts, body = (p["num_consts"], p["num_carry"]), p["jaxpr"]
        consts, init, xs = divide(eqn.inputs, *counts)
        v_consts, v_carry, v_xs = divide(body.invars, *counts)
        places, loop, rows = self.rows.place, Loop(eqn), Rows()
        rows.constant = set(v_consts)
        loop.xs = _rows_side_by_side(rows, [*zip(v_xs, xs, strict=True)], places)
        hints = {v: places[x] for v, x in zip(v_consts, consts, strict=True) if x in places}
        level = Level(body, rows, [*zip(v_carry, body.outvars, strict=False)], hints)
        if not level.choose():
            after = level.as_it_is()
            return eqn if after is body else with_held(eqn, lambda _: after)
        with building() as builder:
            level.emit(builder)
            self._end_carries(loop, level, init)
            self._end_rows(loop, level, columns)
        loop.equations = builder.equations
        operand = dict(zip(v_consts, consts, strict=True))
        loop.consts = [*operand.items()]
        for values, var in rows.lifted.items():
            loop.consts.append((var, tuple([operand.get(x, x) for x in values])))  # type: ignore[call-overload]
        return loop

    def _end_carries(self, loop: Loop, level: Level, init: Sequence[Atom]) -> None:
        rows, outs = level.rows, loop.eqn.outvars
        packed = {number for _, numbers in level.carries for number in numbers}
        for number, (v, after) in enumerate(level.carried):
            if number not in packed:
                loop.carry.append((v, init[number], rows.value(after)))
                loop.results.append(outs[number])
        for row, numbers in level.carries:
            after = rows.stack(tuple([level.carried[n][1] for n in numbers]))
            loop.carry.append((row.atom, tuple([init[n] for n in numbers]), after))  # type: ignore[arg-type]
            loop.results.append(self._planned([outs[n] for n in numbers]))

    def _end_rows(self, loop: Loop, level: Level, columns: set[Atom]) -> None:
        """What lies side by side, and is read row by row, is stacked so."""
        rows, count = level.rows, len(level.carried)
        pairs = [*zip(level.jaxpr.outvars[count:], loop.eqn.outvars[count:], strict=True)]
        together: dict[Row | None, list[tuple[int, Atom, Var]]] = {}
        for y, out in pairs:
            place = rows.place.get(y) if out in columns and y in rows.gone else None
            row, at = place or (None, 0)
            together.setdefault(row, []).append((at, y, out))
        for row, members in together.items():
            if row is None or len(members) < LEAST:
                loop.ys += [rows.value(y) for _, y, _ in members]
                loop.results += [out for _, _, out in members]
                continue
            members.sort(key=lambda member: member[0])
            loop.ys.append(rows.stack(tuple([y for _, y, _ in members])))
            loop.results.append(self._planned([out for _, _, out in members]))

    def _planned(self, outs: Sequence[Var]) -> Row:
        """A row to come, of variables that are nothing else any more."""
        row = Row(len(outs))
        for at, v in enumerate(outs):
            self.rows.place[v] = row, at
        self.rows.gone.update(outs)
        return row

    def _emit_loop(self, loop: Loop, builder: Builder) -> None:
        rows, eqn = self.rows, loop.eqn
        builder.provenance = eqn.provenance

        def operand(x: Any) -> Atom:
            return rows.stack(x) if isinstance(x, tuple) else rows.value(x)

        parts = Parts(
            [(v, operand(x)) for v, x in loop.consts],
            [(v, operand(x), after) for v, x, after in loop.carry],
            [(v, operand(x)) for v, x in loop.xs],
            loop.ys,
        )
        length, outvars = eqn.params["length"], []
        types = [after.type for _, _, after in loop.carry]
        types += [stacked(y.type, length) for y in loop.ys]
        for result, type in zip(loop.results, types, strict=True):
            if isinstance(result, Row):
                result.atom = Var(type)
                result = result.atom
            outvars.append(result)
        params = eqn.params | parts.params(loop.equations)
        builder.equations.append(
            Equation(scan, tuple(parts.operands), params, tuple(outvars), eqn.provenance)
        )


def _rows_side_by_side(
    rows: Rows, xs: Sequence[tuple[Var, Atom]], places: dict[Atom, Place]
) -> list[tuple[Var, Any]]:
    """Operands of a scan read row by row: those that lie side by side are one operand."""
    together: dict[Row | None, list[tuple[int, Var, Atom]]] = {}
    for v, x in xs:
        row, at = places.get(x) or (None, 0)
        together.setdefault(row, []).append((at, v, x))
    found: list[tuple[Var, Any]] = []
    for row, members in together.items():
        if row is None or len(members) < LEAST:
            found += [(v, x) for _, v, x in members]
            continue
        members.sort(key=lambda member: member[0])
        type = members[0][1].type
        var = Var(type.with_shape((*type.shape, len(members))))
        inside = Row(len(members), var)
        for at, (_, v, _) in enumerate(members):
            rows.place[v] = inside, at
            rows.gone.add(v)
        found.append((var, tuple([x for _, _, x in members])))
    return found


def _columns(jaxpr: Jaxpr) -> set[Atom]:
    """The variables that are read only as rows of scans."""
    rows: set[Atom] = set()
    others: set[Atom] = set(jaxpr.outvars)
    for eqn in jaxpr.equations:
        if eqn.primitive is scan and eqn.params["length"] is not None:
            fixed = eqn.params["num_consts"] + eqn.params["num_carry"]
            others.update(eqn.inputs[:fixed])
            rows.update(eqn.inputs[fixed:])
        else:
            others.update(eqn.inputs)
    return rows - others


def _equation(item: Equation | Loop) -> Equation:
    return item.eqn if isinstance(item, Loop) else item


def _dear(jaxpr: Jaxpr) -> int:
    """How many dear numbers are computed, in held jaxprs too."""
    count = 0
    for eqn in jaxpr.equations:
        if eqn.params:
            count += sum(_dear(held) for _, held in held_jaxprs(eqn))
        count += is_dear(eqn)
    return count
