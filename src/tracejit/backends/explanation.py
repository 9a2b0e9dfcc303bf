"""What a backend made of a program, to read and to count: see `tracejit.explain`.

Bytes and operations are estimates: each array that a step reads counts once, an elementary function
counts as many operations as its cost in multiplications, a loop's body as often as it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import indent, wrap


@dataclass(frozen=True, slots=True)
class Array:
    """A variable, and what became of it.

    name: as in the last jaxpr of `stages`. type: as there, `f64[100,3]`. made_by: its primitive.
    where: the user's line. place: where it lies: memory of its own, another's, a register. reason:
    why there.
    """

    name: str
    type: str
    made_by: str
    where: str
    place: str
    reason: str
    nbytes: int

    def __str__(self) -> str:
        text = f"{self.name} {self.type} = {self.made_by}".lstrip()
        return f"{text}  [{self.where}]" if self.where else text

    def lines(self) -> Iterator[str]:
        """With the place and the reason."""
        yield str(self)
        yield from _filled("  ", [": ".join(filter(None, [self.place, self.reason]))])


@dataclass(frozen=True, slots=True)
class Step:
    """What runs as one: a loop nest, a group of them, or code of its own.

    loops: the nests, from the outside to the inside. arrays: what it finishes. inline: what is
    computed on the way and lies nowhere. again: of that, what an earlier step computed too, and
    why it was not kept. steps: the body's, where there is one; times: how often that runs, None
    where nobody knows.
    """

    title: str
    loops: tuple[str, ...] = ()
    arrays: tuple[Array, ...] = ()
    inline: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    bytes_read: int = 0
    bytes_written: int = 0
    flops: int = 0
    times: int | None = 1
    steps: tuple[Step, ...] = ()

    def lines(self) -> Iterator[str]:
        """The text, without a number in front."""
        often = {1: "", None: ", as often as it takes"}.get(self.times, f", {self.times} times")
        yield self.title + often
        yield from (f"  {loops}" for loops in self.loops)
        for array in self.arrays:
            yield from (f"  {line}" for line in array.lines())
        if self.inline:
            yield from _filled("  computed in place: ", self.inline)
        if self.again:
            yield from _filled("  computed again: ", self.again)
        work = [
            f"{name} {_bytes(n)}"
            for name, n in (("reads", self.bytes_read), ("writes", self.bytes_written)) if n
        ]  # fmt: skip
        work += [f"{self.flops:,} operations"] if self.flops else []
        if work:
            yield "  " + ", ".join(work)
        for number, step in enumerate(self.steps, 1):
            yield indent(_numbered(number, step), "  ")

    def __str__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True, slots=True)
class Explanation:
    """A program as its backend runs it; prints.

    temporary_bytes: the most memory in use at a time that is neither argument nor result, that of
    all threads. peak: what lies there then. kept: what the forward part leaves in memory for the
    derivative. threads: the most that work on it.
    """

    name: str
    backend: str
    steps: tuple[Step, ...]
    argument_bytes: int
    result_bytes: int
    temporary_bytes: int
    peak: tuple[Array, ...] = ()
    kept: tuple[Array, ...] = ()
    threads: int = 1

    @property
    def bytes_read(self) -> int:
        """Of all steps."""
        return total(self.steps, "bytes_read")

    @property
    def bytes_written(self) -> int:
        """Of all steps."""
        return total(self.steps, "bytes_written")

    @property
    def flops(self) -> int:
        """Operations of all steps."""
        return total(self.steps, "flops")

    @property
    def kept_bytes(self) -> int:
        """Bytes of what is kept for the derivative."""
        return sum(array.nbytes for array in self.kept)

    def __str__(self) -> str:
        head = [
            f"{self.name} on {self.backend}",
            f"arguments {_bytes(self.argument_bytes)}, results {_bytes(self.result_bytes)}, "
            f"temporary {_bytes(self.temporary_bytes)}",
            f"reads {_bytes(self.bytes_read)}, writes {_bytes(self.bytes_written)}, "
            f"{self.flops:,} operations; threads: {self.threads}",
        ]
        body = [_numbered(number, step) for number, step in enumerate(self.steps, 1)]
        foot = []
        for title, arrays in (
            (f"kept for the derivative, {_bytes(self.kept_bytes)}:", self.kept),
            ("in temporary memory when it is fullest:", self.peak),
        ):
            if arrays:
                foot += [title, *(f"  {_bytes(x.nbytes)}  {x}" for x in arrays)]
        return "\n".join([*head, "", *body, *([""] if foot else []), *foot])


def total(steps: tuple[Step, ...], what: str) -> int:
    """The sum of a number over steps and the bodies in them; a body counts once where nobody knows
    how often it runs."""
    return sum(
        getattr(step, what) + total(step.steps, what) * (1 if step.times is None else step.times)
        for step in steps
    )


def _numbered(number: int, step: Step) -> str:
    first, *rest = "\n".join(step.lines()).split("\n")
    return "\n".join([f"{number}. {first}", *(f"   {line}" for line in rest)])


def _filled(title: str, items: Sequence[str]) -> list[str]:
    """Items one after the other, in lines that are not too long."""
    return wrap(
        ", ".join(items), 90, initial_indent=title, subsequent_indent="    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _bytes(n: int) -> str:
    """A number of bytes: in full up to 9999, then with three digits."""
    if n < 10**4:
        return f"{n} B"
    unit, name = next((u, name) for u, name in _UNITS if n >= u)
    return f"{n / unit:.3g} {name}"


_UNITS = ((10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
