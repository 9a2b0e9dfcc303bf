"""Emission of regions: one loop over tiles of rows around the loops of the kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from tracejit.backends.native.emit import I64, Value, constant
from tracejit.backends.native.index import Index, Loop, Rows
from tracejit.backends.native.kernel import Accumulate, Kernel, Store, fill
from tracejit.backends.native.lowering import LOWERINGS, rule_of
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.backends.native.parallel import parallel
from tracejit.backends.native.pieces import PARTS, Totals, pieces_worth
from tracejit.backends.native.plan import Step
from tracejit.backends.native.regions import Region
from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation
from tracejit.ir.types import strides_of
from tracejit.ops.contraction import dot
from tracejit.ops.indexing import scatter_add
from tracejit.ops.structure import reduce_sum


def emit_region(program: Any, region: Region) -> None:
    """Run all kernels of the region for one tile of rows after the other."""
    _Tiles(program, region).emit()


class _Tiles:
    def __init__(self, program: Any, region: Region):
        self.program = program
        self.region = region
        self.origin = Loop(region.extent, depth=0)
        self.buffers: dict[Var, Buffer] = {}

    def emit(self) -> None:
        program, region = self.program, self.region
        region_rows = f"{region.tile} of {region.extent} rows at a time"
        program.summary.lines.append(f"region of {len(region.members)} kernels, {region_rows}")
        for x in region.rows:
            if x not in region.contracted:
                self.buffers[x] = program.allocate(x)
        totals = [self._total(eqn) for eqn in region.sums if eqn.outvars[0] in region.totals]
        outside = dict(program.locations)
        if (pieces := self._pieces()) is None:
            self._in_one(totals)
        else:
            self._in_pieces(pieces, totals)
        program.locations = outside
        for x, buffer in self.buffers.items():
            if x in region.contracted or x in region.copied:
                continue
            if x.ndim:
                program.locations[x] = buffer
            else:
                program.locations[x] = Scalar(Nest(program, []).load(buffer, ()).value)

    def _total(self, eqn: Equation) -> Accumulate:
        """A sum over the rows, and where it comes."""
        (out,), program = eqn.outvars, self.program
        self.buffers[out] = program.allocate(out) if out.ndim else program.scratch(out.type)
        return self._accumulate(eqn)

    # One thread, or several.

    def _in_one(self, totals: Sequence[Accumulate]) -> None:
        """All rows one after the other."""
        program, region = self.program, self.region
        for total in totals:
            fill(program, total)
        with program.nothing_dies():  # what a statement begins with may be read by later members
            for eqn in self._adding():
                self.buffers[eqn.outvars[0]] = rule_of(eqn).by_rows.begin(program, eqn)
        self._take_tiles()
        self._tiles(constant(I64, 0), constant(I64, region.extent // region.tile))
        self._rest()

    def _pieces(self) -> tuple[int, int] | None:
        """How many pieces of how many tiles several threads may share; None for none."""
        program, region = self.program, self.region
        adds = all(eqn.primitive in (dot, scatter_add) for eqn in region.statements)
        if program.threads is None or not adds:
            return None
        work = sum(
            program.plan.effort(member.step, prod(member.step.space or (region.extent,)))
            for member in region.members
        )
        whole = region.extent // region.tile
        apart = sum(x.type.nbytes for x in region.totals)
        most = min(pieces_worth(work), whole, PARTS // max(1, apart))
        if most < 2:
            return None
        tiles = -(-whole // most)
        return -(-whole // tiles), tiles

    def _in_pieces(self, pieces: tuple[int, int], totals: Sequence[Accumulate]) -> None:
        """So many tiles to a piece, the pieces in any order; each has sums of its own."""
        program, region = self.program, self.region
        count, tiles = pieces
        begun = [
            Accumulate(e, LOWERINGS[reduce_sum], (0,), self._result(e)) for e in self._adding()
        ]
        parts = Totals(program, count + 1, [*totals, *begun])
        whole = constant(I64, region.extent // region.tile)
        results = dict(self.buffers)

        def piece(i: Value) -> None:
            fn = program.fn
            outside = dict(program.locations)
            self._add_into(parts.places(i))
            self._take_tiles()
            first = fn.mul(i, constant(I64, tiles))
            behind = fn.add(first, constant(I64, tiles))
            self._tiles(first, fn.select(fn.less(behind, whole), behind, whole))
            program.locations = outside

        parallel(program, count, piece)
        last = parts.places(constant(I64, count))
        for total in begun:
            for x in rule_of(total.eqn).by_rows.reads_before(total.eqn):
                program.copy(x, last[total])
        self._add_into(last)
        self._take_tiles()
        self._rest()
        self.buffers = results
        parts.add_up()

    def _add_into(self, places: Mapping[Accumulate, Buffer]) -> None:
        for total, place in places.items():
            self.buffers[total.eqn.outvars[0]] = place

    def _adding(self) -> list[Equation]:
        """The statements that sum over the rows."""
        return [eqn for eqn in self.region.statements if eqn.outvars[0] in self.region.totals]

    def _result(self, eqn: Equation) -> Buffer:
        (out,) = eqn.outvars
        self.buffers[out] = self.program.allocate(out)
        return self.buffers[out]

    # Rows.

    def _take_tiles(self) -> None:
        region = self.region
        for x, axis in region.copied.items():
            self.buffers[x] = self._tile_of(x, axis)
        for x in region.contracted:
            self.buffers[x] = self._tile_of(x, region.rows[x])

    def _tiles(self, first: Value, behind: Value) -> None:
        """The tiles from one number to another, of which there is at least one."""
        program, tile = self.program, constant(I64, self.region.tile)
        fn, outside = program.fn, dict(program.locations)
        before, head = fn.here, fn.block("tile")
        fn.branch(head)
        fn.at(head)
        counter = fn.phi(I64)
        counter.add(first, before)
        self._run(fn.mul(counter.value, tile), self.region.tile)
        following = fn.add(counter.value, constant(I64, 1))
        counter.add(following, fn.here)
        after = fn.block("tiled")
        fn.branch_if(fn.less(following, behind), head, after)
        fn.at(after)
        program.locations = outside

    def _rest(self) -> None:
        """The rows behind the last whole tile."""
        program, region = self.program, self.region
        whole, rest = divmod(region.extent, region.tile)
        if rest:
            outside = dict(program.locations)
            self._run(constant(I64, whole * region.tile), rest)
            program.locations = outside

    def _tile_of(self, x: Var, axis: int) -> Buffer:
        """Memory for as many rows of a variable as a tile has."""
        tile, turned = self.region.tile, x in self.region.turned or x in self.region.copied
        shape = (*x.shape[:axis], tile, *x.shape[axis + 1 :])
        strides = strides_of(shape)
        if turned:
            others = strides_of((*x.shape[:axis], *x.shape[axis + 1 :], tile))
            strides = (*others[:axis], 1, *others[axis:-1])
        base = Index(((self.origin, -strides[axis]),))
        pointer = self.program.scratch(x.type.with_shape(shape)).pointer
        return Buffer(pointer, x.shape, x.dtype, strides if axis or turned else None, base)

    def _run(self, first: Value, count: int) -> None:
        """All kernels, for `count` rows from the first on."""
        self.origin.base = first
        for x, axis in self.region.copied.items():
            if isinstance(self.program.locations[x], Buffer):
                rows = Rows(axis, self.origin, count)
                Kernel(self.program, x.shape, [Store(x, self.buffers[x])], rows).emit()
                self.program.locations[x] = self.buffers[x]
        for member in self.region.members:
            rows = Rows(member.axis, self.origin, count)
            for eqn in member.step.statements:
                self.program.summary.statement(eqn.primitive.name)
                (out,) = eqn.outvars
                rule_of(eqn).by_rows.run(self.program, eqn, self.buffers[out], rows)
                if out not in self.region.totals:
                    self.program.locations[out] = self.buffers[out]
            if member.step.space:
                self._run_kernel(member.step, rows)

    def _run_kernel(self, step: Step, rows: Rows) -> None:
        program = self.program
        stores = [Store(v, self.buffers[v]) for v in step.stores]
        sums = [self._accumulate(eqn) for eqn in step.sums]
        kernel = Kernel(program, step.space, [*stores, *sums], rows)
        kernel.emit()
        program.summary.kernel(kernel)
        for x in (*step.stores, *[eqn.outvars[0] for eqn in step.sums]):
            if x not in self.region.totals:
                program.locations[x] = self.buffers[x]

    def _accumulate(self, eqn: Equation) -> Accumulate:
        rule = rule_of(eqn)
        return Accumulate(eqn, rule, rule.reduced(eqn), self.buffers[eqn.outvars[0]])
