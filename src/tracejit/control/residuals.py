"""What a loop keeps for its linear half: little, because the rest is computed again.

    known body:   s = mul(h, p); i = div(1.0, s); b = broadcast(i); n = neg(b)     (h: a constant)
    linear body:  reads i, b and n          ->     keeps s;  i, b and n are computed there again

A residual is stacked, row for row, and read back. Views and cheap arithmetic cost less than that.
Constants of the loop and rows of its operands are `free`: they are there in both halves. Among the
variables that can stand in for the residuals, the stacked ones are those with the fewest bytes: a
minimum cut of the graph from what has to be kept (carries, dear results) to the residuals.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation
from tracejit.ops import elementwise as ew
from tracejit.ops import indexing, structure

#: What is computed again rather than kept, and what it costs, about, in additions.
CHEAP = dict.fromkeys(
    (
        ew.add, ew.sub, ew.mul, ew.neg, ew.max, ew.min, ew.abs, ew.sign, ew.square, ew.select,
        ew.keep_zeros, ew.eq, ew.ne, ew.lt, ew.le, ew.gt, ew.ge, ew.and_, ew.or_, ew.xor, ew.not_,
        ew.convert, structure.broadcast, structure.reshape, structure.permute, structure.slice,
        structure.reverse, structure.pad, structure.iota, indexing.dynamic_slice, indexing.gather,
    ),
    1,
) | dict.fromkeys((ew.div, ew.sqrt, ew.integer_pow), 4)  # fmt: skip

#: A variable is computed again at this cost, down to what is kept, at most.
AFFORDABLE = 24
#: Numbers that are put together again.
FEW = 8
#: Variables that one cut chooses from: the search takes more than linear time.
LARGE = 300


def thin_out(
    residuals: Sequence[Var], equations: Sequence[Equation], free: Set[Var]
) -> tuple[list[Var], list[Equation]]:
    """(what to hand over, free or stacked; the equations that make the residuals of it)."""
    makers = {e.outvars[0]: e for e in equations if _cost(e)}
    free = free | _free_of_charge(makers, free)
    kept: set[Var] = set()
    for network in _networks([r for r in residuals if r not in free], makers, free):
        kept |= network.cut()
    again: dict[Equation, None] = {}
    handed: dict[Var, None] = {}
    pending = list(reversed(residuals))
    while pending:
        v = pending.pop()
        eqn = makers.get(v)
        if v in kept or eqn is None:
            handed[v] = None
        elif eqn not in again:
            again[eqn] = None
            pending += reversed([x for x in eqn.inputs if isinstance(x, Var)])
    return list(handed), [e for e in equations if e in again]


def _cost(eqn: Equation) -> int:
    """What it costs to compute a result again; 0 where that is too dear."""
    if eqn.primitive is structure.concatenate:  # the few indices of a place
        return int(eqn.outvars[0].type.size <= FEW)
    return CHEAP.get(eqn.primitive, 0)


def _free_of_charge(makers: dict[Var, Equation], free: Set[Var]) -> set[Var]:
    """The variables that little work makes of free ones. Beside an array's, that for a number is
    none."""
    work: dict[Var, dict[Var, int]] = {x: {} for x in free}  # what has to be computed, and its cost
    for v, eqn in makers.items():
        inputs = [x for x in eqn.inputs if isinstance(x, Var)]
        if all(x in work for x in inputs):
            steps = {v: _cost(eqn)}
            for x in inputs:
                if x.type.size > FEW or v.type.size <= FEW:
                    steps |= work[x]
            if sum(steps.values()) <= AFFORDABLE:
                work[v] = steps
    return work.keys() - free


@dataclass(slots=True)
class Network:
    """Variables, with an edge from each to what is computed of it; `ends` are residuals.

    starts: those that cannot be computed again.
    """

    readers: dict[Var, list[Var]] = field(default_factory=dict)
    starts: list[Var] = field(default_factory=list)
    ends: set[Var] = field(default_factory=set)

    def cut(self) -> set[Var]:
        """The variables with the fewest bytes in all that lie on every path from start to end; of
        several such sets the one nearest to the ends. The ends themselves in a large network."""
        if len(self.readers) > LARGE:
            return set(self.ends)
        flow = _Flow(self)
        while flow.push():
            pass
        return flow.saturated()


class _Flow:
    """Flow through the variables, each of which lets its bytes pass (Ford and Fulkerson).

    A node is (variable, side): 0 where flow comes in, 1 where it goes out.
    """

    def __init__(self, network: Network):
        self.network = network
        self.room = {v: v.type.size * v.dtype.itemsize for v in network.readers}
        self.makers: dict[Var, list[Var]] = {v: [] for v in network.readers}
        for v, readers in network.readers.items():
            for reader in readers:
                self.makers[reader].append(v)
        self.through = dict.fromkeys(network.readers, 0)
        self.along: dict[tuple[Var, Var], int] = {}

    def _steps(self, node: tuple[Var, int]) -> list[tuple[tuple[Var, int], int | None]]:
        """Where flow can go from a node, and how much (None: any amount)."""
        v, side = node
        steps: list[tuple[tuple[Var, int], int | None]] = []
        if side == 0:
            steps.append(((v, 1), self.room[v] - self.through[v]))
            steps += [((u, 1), self.along.get((u, v), 0)) for u in self.makers[v]]
        else:
            steps += [((w, 0), None) for w in self.network.readers[v]]
            steps.append(((v, 0), self.through[v]))
        return [(after, room) for after, room in steps if room is None or room > 0]

    def push(self) -> bool:
        """Send flow along one more path, if there is one."""
        before: dict[tuple[Var, int], tuple[tuple[Var, int], int | None] | None] = {
            (v, 0): None for v in self.network.starts
        }
        pending = list(before)
        for node in pending:
            if node[1] == 1 and node[0] in self.network.ends:
                self._augment(node, before)
                return True
            for after, room in self._steps(node):
                if after not in before:
                    before[after] = node, room
                    pending.append(after)
        return False

    def _augment(self, node: tuple[Var, int], before: dict) -> None:  # type: ignore[type-arg]
        path = []
        while (step := before[node]) is not None:
            path.append((step[0], node, step[1]))
            node = step[0]
        amount = min(room for *_, room in path if room is not None)
        for (v, side), (w, _), _ in path:
            if v is w:
                self.through[v] += amount if side == 0 else -amount
            elif side == 1:
                self.along[v, w] = self.along.get((v, w), 0) + amount
            else:
                self.along[w, v] -= amount

    def saturated(self) -> set[Var]:
        """The full variables from whose far side an end can still be reached, but not through."""
        reaching: set[tuple[Var, int]] = set()
        pending: list[tuple[Var, int]] = [(v, 1) for v in self.network.ends]
        while pending:
            node = pending.pop()
            if node not in reaching:
                reaching.add(node)
                pending += [before for before in self._sources(node) if before not in reaching]
        return {v for v in self.network.readers if (v, 1) in reaching and (v, 0) not in reaching}

    def _sources(self, node: tuple[Var, int]) -> list[tuple[Var, int]]:
        """The nodes from which flow can go to this one."""
        v, side = node
        if side == 0:
            back = [(v, 1)] if self.through[v] else []
            return back + [(u, 1) for u in self.makers[v]]
        passing = [(v, 0)] if self.room[v] > self.through[v] else []
        readers = self.network.readers[v]
        return passing + [(w, 0) for w in readers if self.along.get((v, w), 0)]


def _networks(
    residuals: Sequence[Var], makers: dict[Var, Equation], free: Set[Var]
) -> list[Network]:
    """The graphs behind the residuals, apart where nothing connects them."""
    inputs: dict[Var, list[Var]] = {}
    pending = [(r, AFFORDABLE) for r in residuals]
    for v, budget in pending:
        if v in inputs:
            continue
        eqn = makers.get(v)
        left = budget - (_cost(eqn) if eqn else 0)
        inputs[v] = []
        if eqn is not None and left >= 0:
            inputs[v] = list(dict.fromkeys(
                x for x in eqn.inputs if isinstance(x, Var) and x not in free
            ))  # fmt: skip
            pending += [(x, left) for x in inputs[v]]
    readers: dict[Var, list[Var]] = {v: [] for v in inputs}
    for v, sources in inputs.items():
        for x in sources:
            readers[x].append(v)
    ends, found, seen = set(residuals), [], set()
    for v in inputs:
        if v in seen:
            continue
        network, waiting = Network(), [v]
        while waiting:
            w = waiting.pop()
            if w in seen:
                continue
            seen.add(w)
            network.readers[w] = readers[w]
            if not inputs[w]:
                network.starts.append(w)
            if w in ends:
                network.ends.add(w)
            waiting += readers[w] + inputs[w]
        found.append(network)
    return found
