"""Emission of regions: one loop over tiles of rows around the loops of the kernels."""

from __future__ import annotations

from typing import Any

from tracejit.backends.native.emit import I64, Value, constant
from tracejit.backends.native.index import Index, Loop, Rows
from tracejit.backends.native.kernel import Accumulate, Kernel, Store, fill
from tracejit.backends.native.lowering import rule_of
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.backends.native.plan import Step
from tracejit.backends.native.regions import Region
from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation
from tracejit.ir.types import strides_of


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
        self._take_memory()
        for eqn in region.sums:
            if eqn.outvars[0] in region.totals:
                fill(program, self._accumulate(eqn))
        outside = dict(program.locations)
        fn, tile = program.fn, region.tile
        whole, rest = divmod(region.extent, tile)
        program.summary.lines.append(
            f"region of {len(region.members)} kernels, {tile} of {region.extent} rows at a time"
        )
        program.repeat(whole, lambda i: self._run(fn.mul(i, constant(I64, tile)), tile))
        program.locations = dict(outside)
        if rest:
            self._run(constant(I64, whole * tile), rest)
        program.locations = outside
        for x, buffer in self.buffers.items():
            if x in region.contracted or x in region.copied:
                continue
            if x.ndim:
                program.locations[x] = buffer
            else:
                program.locations[x] = Scalar(Nest(program, []).load(buffer, ()).value)

    def _take_memory(self) -> None:
        program, region = self.program, self.region
        with program.nothing_dies():  # what a statement begins with may be read by later members
            for eqn in region.statements:
                self.buffers[eqn.outvars[0]] = rule_of(eqn).by_rows.begin(program, eqn)
        for x, axis in region.copied.items():
            self.buffers[x] = self._tile_of(x, axis)
        for x in (*region.stores, *[eqn.outvars[0] for eqn in region.sums]):
            if x in region.contracted:
                self.buffers[x] = self._tile_of(x, region.rows[x])
            else:
                self.buffers[x] = program.allocate(x) if x.ndim else program.scratch(x.type)

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
                self.program.summary.statement(f"{eqn.primitive.name}, by rows")
                rule_of(eqn).by_rows.run(self.program, eqn, self.buffers[eqn.outvars[0]], rows)
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
