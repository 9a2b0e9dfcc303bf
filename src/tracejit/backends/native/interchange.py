"""Loops over columns run for a few rows after the other, where each row is by itself.

    scan (c: f64[12544,80]) {                  scan t (c: f64[12544,80]) {
      %p = dynamic_slice(c, 0, k - 1)      ->    %b = dynamic_slice(c, 64 t, 0)       64 rows
      ...                                        %a = scan (%b) { ... }
      dynamic_update_slice(c, ..., 0, k)         dynamic_update_slice(c, %a, 64 t, 0)
    }                                          }

A column of a large array takes a line of the cache for each element, and all of them are gone when
the next column is wanted. A few rows of all arrays stay near; what is computed for an element is
the same. The rows may run along any axis, the same one for all that is large: operations element by
element, windows and sums that take that axis whole keep rows apart.

Needs: counters as carries (counting), numbers where there is one element (ones).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import INT64, array_type
from tracejit.ops import indexing, structure
from tracejit.ops.elementwise import add, mul
from tracejit.passes.held import Pass, through_held, with_held

#: Bytes of a loop's arrays from which on they are not near from round to round; bytes of a tile.
LARGE, TILE = 1 << 21, 1 << 18
#: Elements of a column lie so far apart, at least, in bytes; a round has so many of a tile.
APART, MANY = 64, 16


@through_held
def interchange(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """The jaxpr, its loops over columns of large arrays run for some rows at a time."""
    changed = False
    with building() as builder:
        for eqn in jaxpr.equations:
            builder.provenance = eqn.provenance
            after = with_held(eqn, inner) if eqn.params else eqn
            if eqn.primitive is scan:
                after = _by_rows(after)
            builder.equations.append(after)
            changed = changed or after is not eqn
    return Jaxpr(jaxpr.invars, tuple(builder.equations), jaxpr.outvars) if changed else jaxpr


def _by_rows(eqn: Equation) -> Equation:
    """A scan, or the scan over its rows; on tiles of them."""
    body = eqn.params["jaxpr"]
    if not _goes_by_columns(body):
        return eqn
    large = max(eqn.inputs, key=lambda x: x.type.size if isinstance(x, Var) else 0)
    for axis in range(large.ndim - 1):
        extent = large.shape[axis]
        nbytes = sum(
            x.type.size * x.dtype.itemsize for x in (*eqn.inputs, *eqn.outvars) if x.ndim > 1
        )
        tile = _tile(extent, nbytes)
        lines = large.type.size // (extent * large.shape[-1])  # by row
        if nbytes < LARGE or tile is None or tile * lines < MANY:
            continue
        split = _Split(eqn, extent, tile)
        if split.follow(axis):
            return split.outer()
    return eqn


def _goes_by_columns(body: Jaxpr) -> bool:
    """Whether a round reads or writes single elements of rows, which lie far apart."""
    for eqn in body.equations:
        if eqn.primitive is indexing.dynamic_update_slice and eqn.inputs[0].ndim > 1:
            window, whole = eqn.inputs[1].type, eqn.inputs[0].type
            row = whole.shape[-1] * whole.dtype.itemsize
            if window.shape[-1] == 1 and row >= APART and window.size > 1:
                return True
    return False


def _tile(extent: int, nbytes: int) -> int | None:
    """How many rows stay near; a number that divides the extent."""
    if extent < 2:
        return None
    most = min(extent // 2, TILE * extent // max(1, nbytes))
    return next(n for n in range(max(1, most), 0, -1) if extent % n == 0)


@dataclass(slots=True)
class _Split:
    """A scan whose rows are to be run `tile` at a time; rows: by variable of its body, the axis
    along which they run. What is not there is a number that is the same for all rows."""

    eqn: Equation
    extent: int
    tile: int
    rows: dict[Atom, int] = field(default_factory=dict)

    # Which axes are rows.

    def follow(self, axis: int) -> bool:
        """Whether rows are apart, if they run along this axis of all large arrays."""
        p, body = self.eqn.params, self.eqn.params["jaxpr"]
        first = p["num_consts"] + p["num_carry"]
        if p["length"] is None or not all(self._begin(x, axis) for x in body.invars if x.ndim):
            return False
        if not all(self._learn(eqn) for eqn in body.equations):
            return False
        carries = body.invars[p["num_consts"] : first]
        for i, y in enumerate(body.outvars):
            if y.ndim and (isinstance(y, Literal) or y not in self.rows):
                return False
            if i >= p["num_carry"] and not y.ndim:
                return False
            if i < p["num_carry"] and self.rows.get(y) != self.rows.get(carries[i]):
                return False
        return True

    def _begin(self, x: Var, axis: int) -> bool:
        """An input of the body: its rows run along the axis, or along the one before it that has
        their extent."""
        fitting = [a for a in range(min(axis, x.ndim - 1), -1, -1) if x.shape[a] == self.extent]
        if fitting:
            self.rows[x] = fitting[0]
        return bool(fitting)

    def _learn(self, eqn: Equation) -> bool:
        """Whether an equation keeps rows apart; where they are in its result."""
        if len(eqn.outvars) != 1:
            return False
        (out,) = eqn.outvars
        arrays = [x for x in eqn.inputs if isinstance(x, Var) and x.ndim]
        if not arrays:
            if not out.ndim and (eqn.primitive.is_pointwise or eqn.primitive is structure.reshape):
                return True
            return self._spread(eqn, out)
        axis = self._moved(eqn, [self.rows.get(x) for x in arrays])
        if axis is None or out.shape[axis] != self.extent:
            return False
        self.rows[out] = axis
        return True

    def _spread(self, eqn: Equation, out: Var) -> bool:
        """A number everywhere: its rows run where those of others do."""
        if eqn.primitive is not structure.broadcast or out.shape.count(self.extent) != 1:
            return False
        self.rows[out] = out.shape.index(self.extent)
        return True

    def _moved(self, eqn: Equation, axes: Sequence[int | None]) -> int | None:
        """The axis of rows of a result, from those of its operands that are arrays."""
        p, params, a = eqn.primitive, eqn.params, axes[0]
        if a is None or any(b != a for b in axes):
            return None
        if p.is_pointwise:
            return a
        if p is structure.reshape:
            return self._reshaped(eqn.inputs[0].shape, params["shape"], a)
        if p is structure.slice:
            whole = params["start"][a] == 0 and params["limit"][a] == self.extent
            return a if whole and params["stride"][a] == 1 else None
        if p is structure.broadcast:
            return int(params["dims"][a])
        if p is structure.pad:
            return None if params["low"][a] or params["high"][a] or params["interior"][a] else a
        if p is indexing.dynamic_slice:
            return a if params["sizes"][a] == self.extent else None
        if p is indexing.dynamic_update_slice:
            return a if eqn.inputs[1].shape[a] == self.extent else None
        return None

    def _reshaped(self, old: Sequence[int], new: Sequence[int], a: int) -> int | None:
        """Where an axis goes that a reshape keeps."""
        before = prod(old[:a])
        for b, n in enumerate(new):
            if n == self.extent and prod(new[:b]) == before:
                return b
        return None

    # The loops.

    def outer(self) -> Equation:
        """The scan over tiles: it carries what the scan did, arrays of its rows, and a counter."""
        eqn, p = self.eqn, self.eqn.params
        consts, count = p["num_consts"], p["num_carry"]
        starts: list[Atom] = [*eqn.inputs[consts : consts + count]]
        starts += [Literal(0, v.type) for v in eqn.outvars[count:]]
        starts.append(Literal(0, array_type(INT64)))
        carried = [Var(x.type) for x in starts]
        given: dict[Atom, Var] = {}
        with building() as builder:
            at = mul(carried[-1], Literal(self.tile, array_type(INT64)))
            tiles = []
            for i, (x, v) in enumerate(zip(eqn.inputs, p["jaxpr"].invars, strict=True)):
                whole: Atom = x
                if x.ndim and consts <= i < consts + count:
                    whole = carried[i - consts]
                elif isinstance(x, Var):
                    whole = given.setdefault(x, Var(x.type))
                axis = self.rows.get(v)
                stacked = i >= consts + count
                tiles.append(whole if axis is None else self._part(whole, axis + stacked, at))
            outs = scan.bind(*tiles, **(p | {"jaxpr": self._inner(p["jaxpr"])}))
            results: list[Atom] = []
            for i, (y, v) in enumerate(zip(outs, p["jaxpr"].outvars, strict=True)):
                axis = self.rows.get(v)
                results.append(
                    y if axis is None else self._put(carried[i], y, axis + (i >= count), at)
                )
            results.append(add(carried[-1], Literal(1, array_type(INT64))))
        invars = (*given.values(), *carried)
        params: dict[str, Any] = p | {
            "jaxpr": Jaxpr(invars, tuple(builder.equations), tuple(results)),
            "num_consts": len(given), "num_carry": len(results),
            "length": self.extent // self.tile, "reverse": False,
        }  # fmt: skip
        outvars = (*eqn.outvars, Var(array_type(INT64)))
        return Equation(scan, (*given, *starts), params, outvars, eqn.provenance)

    def _part(self, x: Atom, axis: int, at: Atom) -> Atom:
        """The rows of a tile."""
        sizes = self._cut(x.shape, axis)
        if isinstance(x, Literal):
            return Literal(x.value, x.type.with_shape(sizes))
        return indexing.dynamic_slice(x, *_starts(x.ndim, axis, at), sizes=sizes)

    def _put(self, whole: Atom, part: Atom, axis: int, at: Atom) -> Atom:
        """The whole with the rows of a tile."""
        return indexing.dynamic_update_slice(whole, part, *_starts(whole.ndim, axis, at))

    def _cut(self, shape: Sequence[int], axis: int | None) -> tuple[int, ...]:
        """The shape with the rows of a tile."""
        return tuple(self.tile if a == axis else n for a, n in enumerate(shape))

    def _inner(self, body: Jaxpr) -> Jaxpr:
        """The body, for the rows of a tile."""
        env: dict[Atom, Var] = {}

        def name(v: Var) -> Var:
            return env.setdefault(v, Var(v.type.with_shape(self._cut(v.shape, self.rows.get(v)))))

        equations = []
        for eqn in body.equations:
            (out,) = eqn.outvars
            axis, params = self.rows.get(out), dict(eqn.params)
            for key in {"shape", "sizes", "limit"} & params.keys() if axis is not None else ():
                params[key] = self._cut(params[key], axis)
            inputs = tuple(
                Literal(x.value, x.type.with_shape(self._cut(x.shape, axis)))
                if isinstance(x, Literal) else name(x)  # type: ignore[arg-type]
                for x in eqn.inputs
            )  # fmt: skip
            equations.append(eqn._replace(inputs=inputs, params=params, outvars=(name(out),)))
        outvars = tuple(name(y) if isinstance(y, Var) else y for y in body.outvars)
        return Jaxpr(tuple(map(name, body.invars)), tuple(equations), outvars)


def _starts(ndim: int, axis: int, at: Atom) -> list[Atom]:
    zero = Literal(0, array_type(INT64))
    return [at if a == axis else zero for a in range(ndim)]
