"""A summary that also keeps, step by step, what was decided and why; made on demand only.

    recorder = Recorder()
    emit_kernel(jaxpr, 0, recorder)
    recorder.explanation("loss")
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tracejit.backends.explanation import Array, Explanation
from tracejit.backends.explanation import Step as Explained
from tracejit.backends.native.arena import Area, Block
from tracejit.backends.native.lowering import Pointwise, reason_of
from tracejit.backends.native.plan import DEAR, Step
from tracejit.backends.native.regions import Region
from tracejit.backends.native.summary import Summary
from tracejit.backends.native.work import Work, work_of
from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation, Provenance
from tracejit.ir.printing import Names, print_provenance
from tracejit.ir.types import ArrayType

#: Operations on as much as this are computed again without a word.
SILENT = 2


@dataclass(slots=True, eq=False)
class Book:
    """What is remembered of a program.

    names: of its variables. order: the number of the equation of each. first: the number of the
    step that first computes it. own: what has temporary memory; lent: what lies in memory that a
    result lends. replaced: whose memory it took over. done: steps so far.
    """

    names: Names
    order: dict[Var, int]
    first: dict[Var, int] = field(default_factory=dict)
    own: set[Var | None] = field(default_factory=set)
    lent: set[Var | None] = field(default_factory=set)
    replaced: dict[Var, Var] = field(default_factory=dict)
    done: int = 0


@dataclass(slots=True, eq=False)
class Open:
    """A step that is being emitted: its loops so far, the bytes of copies, the body's steps."""

    program: Any
    step: Step
    loops: dict[str, None] = field(default_factory=dict)
    read: int = 0
    written: int = 0
    inner: list[Explained] = field(default_factory=list)


class Recorder(Summary):
    """Counts, and explains."""

    def __init__(self) -> None:
        super().__init__()
        self._books: dict[Any, Book] = {}
        self._open: list[Open] = []
        self._steps: list[Explained] = []
        self._live: dict[Block, tuple[Any, Var | None, ArrayType]] = {}
        self._peak: tuple[Array, ...] = ()
        self._highest = 0
        self._workspace: Area | None = None

    # What programs tell.

    def enter(self, program: Any, step: Step) -> None:
        """A step begins."""
        self._workspace = self._workspace or program.arena.workspace
        self._open.append(Open(program, step))

    def leave(self) -> None:
        """The step that began last is done."""
        done = self._open.pop()
        self._append(self._explained(done))

    def _append(self, step: Explained) -> None:
        (self._open[-1].inner if self._open else self._steps).append(step)

    def kernel(self, kernel: Any, *, copy: bool = False) -> None:
        """One more loop nest."""
        super().kernel(kernel, copy=copy)
        loops, _, _ = kernel.describe().partition(":")  # behind it: what `arrays` say better
        if self._open:
            self._open[-1].loops[loops] = None
        if not copy:
            return
        (store,) = kernel.stores
        written = store.var.type.nbytes
        read = written if store.var in kernel.program.locations else 0
        if self._open:
            self._open[-1].read += read
            self._open[-1].written += written
        else:
            self._append(Explained(f"copy over {loops}", bytes_read=read, bytes_written=written))

    def parallel(self, count: int, scratch_bytes: int) -> None:
        """One more loop that several threads may share."""
        super().parallel(count, scratch_bytes)
        if self._open:
            self._open[-1].loops[f"{count} parts, which threads share"] = None

    def took(self, program: Any, block: Block, type: ArrayType, owner: Var | None) -> None:
        """A program has got memory for a variable, or for the time of the current step."""
        self._live[block] = program, owner, type
        workspace, book = self._workspace, self._book(program)
        lent = any(block.area is lent.area for lent in program.arena.lent)
        (book.lent if lent else book.own).add(owner)
        if workspace is not None and block.area is workspace and workspace.size > self._highest:
            self._highest = workspace.size
            here = sorted((b for b in self._live if b.area is workspace), key=lambda b: b.at)
            self._peak = tuple(x for b in here if (x := self._lying(*self._live[b])).nbytes)

    def inherited(self, program: Any, v: Var, x: Var, blocks: Iterable[Block]) -> None:
        """v has taken over the memory of x."""
        self._book(program).replaced[v] = x
        for block in blocks:
            self._live[block] = program, v, v.type

    def freed(self, block: Block) -> None:
        """Memory is free again."""
        self._live.pop(block, None)

    # From what they told to what is printed.

    def explanation(self, name: str, jaxpr: Any, threads: int) -> Explanation:
        """The whole."""
        whole = next((p for p in self._books if p.within is None), None)
        return Explanation(
            name, "native", tuple(self._steps),
            argument_bytes=sum(t.nbytes for t in jaxpr.in_types),
            result_bytes=sum(t.nbytes for t in jaxpr.out_types),
            temporary_bytes=self.workspace_bytes + (threads - 1) * self.scratch_bytes,
            peak=self._peak,
            kept=() if whole is None else tuple(self._kept(whole)), threads=threads,
        )  # fmt: skip

    def _book(self, program: Any) -> Book:
        if program not in self._books:
            made = enumerate(program.jaxpr.equations)
            order = {v: number for number, eqn in made for v in eqn.outvars}
            self._books[program] = Book(Names(program.jaxpr), order)
        return self._books[program]

    def _lying(self, program: Any, owner: Var | None, type: ArrayType) -> Array:
        """What lies in a block."""
        if owner is not None:
            return replace(self._array(program, owner, "in temporary memory"), nbytes=type.nbytes)
        made_by = "what a group has of its rows"
        if not self._open or not isinstance(self._open[-1].step, Region):
            made_by = "what a step needs for itself"
        return Array("", str(type), made_by, "", "in temporary memory", "", type.nbytes)

    def _array(self, program: Any, v: Var, place: str) -> Array:
        eqn = program.makers[v]
        reasons = [reason_of(eqn), program.plan.stored.get(v, "") if v.ndim else ""]
        return Array(
            self._book(program).names[v], str(v.type), eqn.primitive.name,
            print_provenance(eqn.provenance), place, "; ".join(filter(None, reasons)),
            v.type.nbytes,
        )  # fmt: skip

    def _explained(self, done: Open) -> Explained:
        program, step, book = done.program, done.step, self._book(done.program)
        book.done += 1
        nowhere = {v for v in program.registers if v not in program.in_memory}
        if isinstance(step, Region):
            nowhere |= step.contracted
        work = work_of(program.plan, step, book.order, nowhere)
        title, loops = _title(step), list(done.loops)
        results = [] if step.scalars else program.plan.results(step)
        arrays = sorted(results, key=book.order.__getitem__)
        if len(loops) == 1 and loops[0].startswith(str(step.space)):
            title, loops = f"nest over {loops[0]}", []
        return Explained(
            title, tuple(loops),
            tuple(self._array(program, v, self._place(done, v)) for v in arrays),
            tuple(_counted(program, step, work)), tuple(self._again(program, work)),
            work.bytes_read + done.read, work.bytes_written + done.written, work.flops,
            work.times, tuple(done.inner),
        )  # fmt: skip

    def _place(self, done: Open, v: Var) -> str:
        """Where a variable lies that a step finishes."""
        program, step, book = done.program, done.step, self._book(done.program)
        if not v.ndim:
            return "in a register"
        if isinstance(step, Region) and v in step.contracted:
            return f"{step.tile} rows at a time, since only this group reads it"
        if v in book.replaced:
            return f"in the place of {book.names[book.replaced[v]]}, which dies here"
        if v in program.targets:
            return "where results go"
        if v in book.lent:
            return "in memory that a later result lends"
        return "in temporary memory" if v in book.own else "in registers"

    def _again(self, program: Any, work: Work) -> Iterator[str]:
        """What is computed here though an earlier step did, too."""
        book = self._book(program)
        for v, points in work.computed.items():
            cost = program.plan.costs.get(v, 0)
            before = book.first.setdefault(v, book.done)
            if before == book.done or cost * points < SILENT or not v.ndim:
                continue
            name = program.makers[v].primitive.name
            less = f"at most {DEAR}" if cost <= DEAR else f"more than {DEAR}"
            yield f"{book.names[v]} {name}, as in step {before} (cost {cost}, {less})"

    def _kept(self, program: Any) -> Iterator[Array]:
        """What the forward part leaves in memory for the derivative."""
        plan = program.plan
        backward = [step for step in plan.steps if all(map(is_backward, _equations(plan, step)))]
        read = {x for step in backward if _equations(plan, step) for x in plan.reads(step)}
        contracted = {x for s in plan.steps if isinstance(s, Region) for x in s.contracted}
        for v in plan.stored:
            here = v.ndim and v not in contracted and v not in program.targets
            if here and v in read and not is_backward(program.makers[v]):
                yield self._array(program, v, "in temporary memory")


def is_backward(eqn: Equation) -> bool:
    """Whether an equation belongs to a transposed program."""
    place: Provenance | None = eqn.provenance
    while place is not None:
        if place.role == "transpose":
            return True
        place = None if place.primal is None else place.primal.provenance
    return False


def _equations(plan: Any, step: Step) -> list[Equation]:
    """The equations whose results a step finishes, numbers apart."""
    return [plan.makers[v] for v in plan.results(step) if v.ndim or not step.scalars]


def _counted(program: Any, step: Step, work: Work) -> Iterator[str]:
    """The functions that are computed in place, or in registers, and how many of each."""
    plan = program.plan
    names = Counter(
        program.makers[v].primitive.name for v in work.computed
        if v not in plan.stored and (v.ndim or step.scalars)
        and isinstance(plan.rules[program.makers[v]], Pointwise)
    )  # fmt: skip
    for name, count in names.items():
        yield name if count == 1 else f"{count} {name}"


def _title(step: Step) -> str:
    if isinstance(step, Region):
        return (
            f"group of {len(step.members)} nests, {step.tile} of {step.extent} rows at a time: "
            f"{step.saved:,} B less to and from memory"
        )
    if step.statement is not None:
        return step.statement.primitive.name
    return "numbers, in registers" if step.scalars else f"nest over {step.space}"
