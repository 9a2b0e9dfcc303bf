"""compare: one function by the eager mode and by each compiled one, side by side, and by others.

Each system has arguments of its own. All are called once, then timed in turn: a round gives each of
them a slot of some length, so that what disturbs the machine disturbs them alike. Agreement is that
of the first results with those of the eager mode, in units of the last place of the larger ones.
"""

from __future__ import annotations

import functools
import gc
import html
import importlib
import importlib.util
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api.gradients import value_and_grad
from tracejit.api.inspect import explain
from tracejit.api.jit import JitFunction, jit
from tracejit.backends import NEEDS, available
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.ir.types import INEXACT
from tracejit.runtime.arguments import check_callable, name_of
from tracejit.trace.provenance import user_frame

Function = Callable[..., Any]


@dataclass(frozen=True)
class Row:
    """What one system needs for a call, and how far its results are from the eager ones.

    least, median: seconds. first: seconds from the function to its first result: tracing and
    compiling, too. temporary, results: bytes, None where nobody tells. ulps: the largest distance
    in units of the last place; relative: the largest error relative to the largest element of its
    array. note: why there are no numbers.
    """

    system: str
    least: float | None = None
    median: float | None = None
    first: float | None = None
    temporary: int | None = None
    results: int | None = None
    ulps: float | None = None
    relative: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """The systems' rows, the eager mode first; prints as a table, and so it shows in a notebook."""

    name: str
    rows: tuple[Row, ...]

    def __getitem__(self, system: str) -> Row:
        names = [row.system for row in self.rows]
        if system not in names:
            raise ArgumentError(
                f"no system {system!r} was compared", where=user_frame(),
                hint=did_you_mean(system, names),
            )  # fmt: skip
        return self.rows[names.index(system)]

    def table(self) -> list[list[str]]:
        """The header, and a line of text for each system."""
        base = self.rows[0].least
        return [_HEADER, *(_cells(row, base) for row in self.rows)]

    def __str__(self) -> str:
        lines = self.table()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join([self.name, *(_line(cells, widths) for cells in lines)])

    def _repr_html_(self) -> str:
        head, *body = self.table()
        rows = ["".join(f"<th>{html.escape(cell)}</th>" for cell in head)]
        rows += ["".join(f"<td>{html.escape(cell)}</td>" for cell in cells) for cells in body]
        text = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><caption>{html.escape(self.name)}</caption>{text}</table>"

    def plot(self, path: Any = None) -> Any:
        """Bars of the times of a call and of the first one, of memory; saved to `path`, if given.

        The figure of matplotlib. Raises ArgumentError where that is not installed.
        """
        if importlib.util.find_spec("matplotlib") is None:
            raise ArgumentError(
                "a plot needs matplotlib, which is not installed", where=user_frame(),
                hint="pip install 'tracejit[demo]', or print the comparison",
            )  # fmt: skip
        figures: Any = importlib.import_module("matplotlib.figure")
        figure = figures.Figure(figsize=(11, 3.2), layout="constrained")
        for axes, (title, unit, value) in zip(figure.subplots(1, 3), _PLOTS, strict=True):
            rows = [row for row in self.rows if value(row) is not None]
            axes.barh([row.system for row in rows], [value(row) for row in rows])
            axes.set(title=title, xlabel=unit, xscale="log")
            axes.invert_yaxis()
            axes.spines[["top", "right"]].set_visible(False)
        figure.suptitle(self.name)
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure


_HEADER = [
    "", "least", "median", "speed", "first", "temporary", "results", "ulps", "relative", "",
]  # fmt: skip

_PLOTS: tuple[tuple[str, str, Callable[[Row], float | None]], ...] = (
    ("a call", "seconds", lambda row: row.least),
    ("the first result", "seconds", lambda row: row.first),
    ("temporary memory", "bytes", lambda row: row.temporary or None),
)


def _cells(row: Row, base: float | None) -> list[str]:
    speed = f"{base / row.least:.3g} x" if base and row.least else ""
    return [
        row.system, _time(row.least), _time(row.median), speed, _time(row.first),
        _bytes(row.temporary), _bytes(row.results),
        "" if row.ulps is None else f"{row.ulps:.3g}",
        "" if row.relative is None else f"{row.relative:.1e}", row.note,
    ]  # fmt: skip


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *numbers, note = cells
    padded = [cell.rjust(n) for cell, n in zip(numbers, widths[1:-1], strict=True)]
    return "  ".join([first.ljust(widths[0]), *padded, note]).rstrip()


def _scaled(x: float, units: Iterable[tuple[float, str]]) -> str:
    size, name = next(((n, name) for n, name in units if x >= 0.9995 * n), (1e-9, "ns"))
    return f"{x / size:.3g} {name}"


def _time(seconds: float | None) -> str:
    units = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"))
    return "" if seconds is None else _scaled(seconds, units)


def _bytes(n: int | None) -> str:
    units = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (0.0, "B"))
    return "" if n is None else f"{n} B" if n < 1000 else _scaled(n, units)


def compare(
    fun: Function, *args: Any, others: Mapping[str, Any] | None = None, grad: bool = False,
    argnums: int | Sequence[int] = 0, backends: Sequence[str] | None = None,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None, rounds: int = 7, seconds: float = 0.05,
) -> Comparison:  # fmt: skip
    """`fun(*args)` by the eager mode and by each backend that is installed, side by side.

    others: functions of other libraries by name, `{"jax": jax.jit(g)}`; they get the same arguments
    unless they come with theirs, `{"torch": (h, tensors)}`, and are called as they are.
    grad: the value and gradient of `fun` by `argnums`; others give both themselves.
    backends: the compiled ones; native, and xla where it is installed, if left out. static_argnums
    and static_argnames as in `jit`. rounds, seconds: so many slots of such a length for each.

    A system that cannot do it has a row with a note. Raises what the eager mode raises.
    """
    check_callable(fun, "compare")
    chosen = _chosen(backends)
    _check(rounds, others, chosen)
    plain = fun.__wrapped__ if isinstance(fun, JitFunction) else fun
    if isinstance(fun, JitFunction) and static_argnums is None and static_argnames is None:
        static_argnums, static_argnames = fun.statics.argnums, fun.statics.argnames
    wanted = value_and_grad(plain, argnums) if grad else plain
    statics = {"static_argnums": static_argnums, "static_argnames": static_argnames}
    systems = [_System("eager", wanted, args)]
    for name in chosen:
        compiled = jit(wanted, backend=name, **statics)  # type: ignore[arg-type]
        systems.append(_System(name, compiled, args, explain(compiled)))
    for name, other in (others or {}).items():
        given = other if isinstance(other, tuple) else (other, args)
        systems.append(_System(name, *given))
    for system in systems:
        system.begin()
    expected = systems[0].result
    running = [system for system in systems if not system.note]
    for _ in range(rounds):
        for system in running:
            system.round(seconds)
    title = f"{name_of(plain)}, value and gradient" if grad else name_of(plain)
    return Comparison(title, tuple(system.row(expected) for system in systems))


def _chosen(backends: Sequence[str] | None) -> list[str]:
    """The compiled backends to compare."""
    if backends is None:
        backends = [name for name in NEEDS if available(name)]
    names = [backends] if isinstance(backends, str) else list(dict.fromkeys(backends))
    for name in names:
        if name not in NEEDS:
            raise ArgumentError(
                f"there is no backend {name!r}", where=user_frame(), hint=did_you_mean(name, NEEDS)
            )
    return [name for name in names if name != "eager"]  # which is there anyway


def _check(rounds: int, others: Mapping[str, Any] | None, chosen: Sequence[str]) -> None:
    """ArgumentError for what would be found out late, or not at all."""
    if type(rounds) is not int or rounds < 1:
        raise ArgumentError(f"rounds must be a positive int, not {rounds!r}", where=user_frame())
    if others is not None and not isinstance(others, Mapping):
        raise ArgumentError(
            f"others must be a dict, from names to functions, not of type {type(others).__name__}",
            where=user_frame(), hint='others={"jax": jax.jit(f)}',
        )  # fmt: skip
    for name in others or ():
        if name in ("eager", *chosen):
            raise ArgumentError(f"there is a system {name!r} already", where=user_frame())


class _System:
    """A function on arguments of its own, its first result, and how long calls took."""

    def __init__(
        self, name: str, call: Function, args: Sequence[Any], explained: Function | None = None
    ):
        self.name, self.note = name, ""
        self.args = tree.map(_own, tuple(args))
        self.call = functools.partial(_finished, call, *self.args)
        self.function, self.explained = call, explained
        self.result: list[Any] = []
        self.first: float | None = None
        self.temporary: int | None = None
        self.times: list[float] = []

    def begin(self) -> None:
        """The first call; what it raises becomes a note, but for the eager mode."""
        try:
            begin = time.perf_counter()
            result = self.call()
            self.first = time.perf_counter() - begin
            self.result = [_array(leaf) for leaf in tree.leaves(result)]
            self.temporary = self._memory()
            self.times.append(self._seconds(1))
        except Exception as error:
            if self.name == "eager":
                raise
            text = str(error).strip().split("\n")[0]
            self.note = f"{type(error).__name__}: {text}"[:120]

    def _memory(self) -> int | None:
        """Bytes that are neither argument nor result, as far as anybody tells."""
        if self.explained is not None:
            return int(self.explained(*self.args).temporary_bytes)
        if self.name == "eager":
            return _peak(self.call) - sum(y.nbytes for y in self.result)
        if not hasattr(self.function, "lower"):
            return None
        told = self.function.lower(*self.args).compile().memory_analysis()  # as JAX's jit has it
        return None if told is None else int(told.temp_size_in_bytes)

    def round(self, seconds: float) -> None:
        """As many calls as fit in a slot."""
        count = max(1, int(seconds / max(self.times[-1], 1e-8)))
        self.times.append(self._seconds(count))

    def _seconds(self, count: int) -> float:
        """The mean seconds of so many calls."""
        call, collects = self.call, gc.isenabled()
        gc.disable()
        begin = time.perf_counter()
        for _ in range(count):
            call()
        took = time.perf_counter() - begin
        if collects:
            gc.enable()
        return took / count

    def row(self, expected: Sequence[Any]) -> Row:
        """The numbers."""
        if self.note:
            return Row(self.name, note=self.note)
        ulps, relative, note = _distance(self.result, expected)
        rounds = self.times[1:] or self.times
        return Row(
            self.name, min(rounds), statistics.median(rounds), self.first,
            None if self.temporary is None else max(self.temporary, 0),
            sum(y.nbytes for y in self.result), ulps, relative, note,
        )  # fmt: skip


def _own(x: Any) -> Any:
    """An array that nobody else writes to."""
    return x.copy() if isinstance(x, np.ndarray) else x


def _finished(call: Function, *args: Any) -> Any:
    """The result, when it is there: some libraries return before."""
    result = call(*args)
    for leaf in tree.leaves(result):
        if hasattr(leaf, "block_until_ready"):
            leaf.block_until_ready()
    return result


def _array(x: Any) -> np.ndarray:
    """A result as a copy that NumPy holds."""
    return np.array(x.detach().cpu() if hasattr(x, "detach") else x)


def _peak(call: Function) -> int:
    """Bytes that a call allocates at most at a time, as Python and NumPy tell."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    call()
    _, peak = tracemalloc.get_traced_memory()
    if not running:
        tracemalloc.stop()
    return peak - before


def _distance(
    results: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> tuple[float | None, float | None, str]:
    """The largest distance in units of the last place and relative to each array's largest element;
    or a note why there is none."""
    if [y.shape for y in results] != [z.shape for z in expected]:
        return None, None, f"results of shapes {', '.join(str(y.shape) for y in results)}"
    if strange := [y.dtype for y in (*results, *expected) if y.dtype.kind not in "biufcV"]:
        return None, None, f"results of dtype {strange[0]}"
    ulps = relative = 0.0
    for y, z in zip(results, expected, strict=True):
        if y.size == 0 or np.array_equal(y, z, equal_nan={y.dtype, z.dtype} <= INEXACT):
            continue
        single = any(x.dtype in (np.float32, np.complex64) for x in (y, z))
        wide = np.complex128 if "c" in (y.dtype.kind, z.dtype.kind) else np.float64
        y64, z64 = y.astype(wide), z.astype(wide)
        with np.errstate(all="ignore"):
            same = (y64 == z64) | (np.isnan(y64) & np.isnan(z64))
            off = np.where(same, 0.0, np.nan_to_num(np.abs(y64 - z64), nan=np.inf))
            size = np.abs(z64)
            unit = np.spacing(size.astype(np.float32) if single else size).astype(np.float64)
            largest = np.max(size, initial=0.0, where=np.isfinite(size))
            ulps = max(ulps, float(np.max(off / unit)))
            relative = max(relative, float(np.max(off) / (largest or 1.0)))
    return ulps, relative, ""
