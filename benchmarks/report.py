"""What was measured, as JSON and as Markdown: a table per group, then ratios by group.

Times are the least of the rounds (the machine's noise only adds); medians stand in the JSON.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.case import GROUPS
from benchmarks.systems import SYSTEMS

#: What a system beats only if it beats all of them; JAX's best and C have columns of their own.
PEERS = ("torch", "torch-compile", "autograd", "numba", "casadi", "ddx", "ddx-buffer")
JAX = ("jax", "jax-idiomatic")

#: The limits: C for the work, numpy.empty for the calls, where a call's price is all there is, and
#: the products alone for networks.
#: They may be faster by this much before a case is listed as slow.
NEAR = 1.5

#: What is told of memory, from LARGE on.
MEMORY = {
    "memory": "memory that a call adds",
    "held": "memory that stays between calls (code and workspaces)",
}
LARGE = 16 * 2**20


@dataclass
class Record:
    """One system on one case and size. Seconds and bytes; None where not measured.

    first: from the arguments to the first result, compiling included. least, median: of a call.
    memory: bytes that a call adds at its peak. held: bytes that stayed with the process between the
    arguments and the second call: code, and workspaces that calls share. error: the largest
    relative difference of a result.
    """

    group: str
    case: str
    size: str
    system: str
    threads: int
    first: float | None = None
    least: float | None = None
    median: float | None = None
    memory: int | None = None
    held: int | None = None
    error: float | None = None
    note: str = ""


Row = dict[str, Record]


@dataclass
class Results:
    """All records of a run, the versions, and the systems that were not there."""

    records: list[Record] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def json(self) -> str:
        records = [dataclasses.asdict(record) for record in self.records]
        about = {"machine": machine(), "versions": self.versions, "absent": self.absent}
        return json.dumps({**about, "records": records}, indent=1) + "\n"

    def rows(self) -> dict[tuple[str, str, str, int], Row]:
        """(group, case, size, threads) to the systems' records."""
        rows: dict[tuple[str, str, str, int], Row] = {}
        for record in self.records:
            key = (record.group, record.case, record.size, record.threads)
            rows.setdefault(key, {})[record.system] = record
        return rows

    def markdown(self) -> str:
        """The report."""
        rows = self.rows()
        parts = ["# Benchmarks", self._about(), _summary(rows), _scaling(rows), _slower(rows)]
        for group in GROUPS:
            chosen = {key: row for key, row in rows.items() if key[0] == group}
            if chosen:
                parts += [f"## {group}: time of a call", _table(chosen, "least", duration)]
                parts += [f"### {group}: to the first result", _table(chosen, "first", duration)]
                for what, title in MEMORY.items():
                    large = {key: row for key, row in chosen.items() if _is_large(row, what)}
                    if large:
                        parts += [f"### {group}: {title}", _table(large, what, size_of)]
        parts += ["## Left out", self._notes()]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _about(self) -> str:
        versions = ", ".join(f"{name} {text}".strip() for name, text in self.versions.items())
        lines = [f"{name}: {text}" for name, text in machine().items()]
        return "\n".join(f"- {line}" for line in [*lines, f"versions: {versions}"])

    def _notes(self) -> str:
        lines = [f"- {name}: {why}" for name, why in self.absent.items()]
        for record in self.records:
            if record.note:
                where = f"{record.case} {record.size}, {record.system}, threads {record.threads}"
                lines.append(f"- {where}: {record.note}")
        return "\n".join(lines)


def machine() -> dict[str, str]:
    """What the numbers depend on."""
    model = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = found[0] if found else model
    done = subprocess.run(["cc", "--version"], capture_output=True, text=True, check=False)
    return {
        "processor": f"{model}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "compiler": done.stdout.split("\n")[0],
        "date": datetime.date.today().isoformat(),
    }


def duration(seconds: float | None) -> str:
    """Three digits with a unit."""
    return _scaled(seconds, ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (1e-9, "ns")))


def size_of(count: float | None) -> str:
    """Three digits with a unit."""
    return "0" if count == 0 else _scaled(count, ((2**20, "MiB"), (2**10, "KiB"), (1, "B")))


def _scaled(number: float | None, units: Iterable[tuple[float, str]]) -> str:
    if number is None:
        return ""
    unit, name = next((u for u in units if number >= u[0]), (1e-9, "ns"))
    return f"{number / unit:.3g} {name}"


def _is_large(row: Row, what: str) -> bool:
    """Whether some system needs so much that code, and the allocator's caches, do not show."""
    return any((getattr(record, what) or 0) >= LARGE for record in row.values())


def _table(rows: dict[tuple[str, str, str, int], Row], what: str, show: object) -> str:
    """A row per case, size and threads; a column per system that has a number."""
    systems = [
        name
        for name in SYSTEMS
        if any(getattr(row.get(name), what, None) is not None for row in rows.values())
    ]
    lines = [["case", "size", "threads", *systems]]
    for (_, case, size, threads), row in rows.items():
        cells = [show(getattr(row.get(name), what, None)) for name in systems]  # type: ignore[operator]
        lines.append([case, size, str(threads), *cells])
    return markdown_table(lines)


def markdown_table(lines: list[list[str]]) -> str:
    """A table; the first line is its head."""
    head, *body = lines
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def best(row: Row, systems: Iterable[str]) -> Record | None:
    """The fastest of these in a row."""
    found = [row[name] for name in systems if name in row and row[name].least is not None]
    return min(found, key=lambda record: record.least or math.inf, default=None)


def ratio(row: Row, systems: Iterable[str], what: str = "least") -> float | None:
    """The best of these systems over native: above 1 native is faster."""
    other, ours = best(row, systems), row.get("native")
    if other is None or ours is None:
        return None
    theirs, mine = getattr(other, what), getattr(ours, what)
    return theirs / mine if theirs and mine else None


def limit_of(group: str) -> str:
    """The system that stands for the machine's limit."""
    return {"calls": "empty", "networks": "blas"}.get(group, "c")


def geomean(numbers: Iterable[float | None]) -> float | None:
    """The geometric mean of those that are there."""
    logs = [math.log(number) for number in numbers if number]
    return math.exp(sum(logs) / len(logs)) if logs else None


def _summary(rows: dict[tuple[str, str, str, int], Row]) -> str:
    """Per group: native against JAX, the best peer and C, with the least of the ratios."""
    lines = [[
        "group", "threads", "JAX / native (least)", "best peer / native (least)",
        "native / limit (most)", "gradient / value (most)", "first result: JAX / native (least)",
        "first result: JAX / native from the disk (least)",
    ]]  # fmt: skip
    for group, threads in sorted({(k[0], k[3]) for k in rows}, key=lambda k: GROUPS.index(k[0])):
        chosen = [row for key, row in rows.items() if (key[0], key[3]) == (group, threads)]
        near = [1 / r for row in chosen if (r := ratio(row, [limit_of(group)]))]
        cost = [1 / r for row in chosen if (r := ratio(row, ["value"]))]
        lines.append([
            group, str(threads),
            _spread([ratio(row, JAX) for row in chosen], min),
            _spread([ratio(row, PEERS) for row in chosen], min),
            _spread(near, max), _spread(cost, max),
            _spread([ratio(row, JAX, "first") for row in chosen], min),
            _spread([_from_disk(row) for row in chosen], min),
        ])  # fmt: skip
    return "## Ratios: geometric mean\n\n" + markdown_table(lines)


def _from_disk(row: Row) -> float | None:
    """JAX's time to the first result over native's, whose code is found on disk."""
    first = [row[name].first for name in JAX if name in row and row[name].first]
    found = row["cached"].first if "cached" in row else None
    return min(first) / found if first and found else None  # type: ignore[type-var]


def _scaling(rows: dict[tuple[str, str, str, int], Row]) -> str:
    """Of the largest sizes: how much faster native and JAX are on all threads than on one."""
    lines = [["case", "size", "threads", "native", "JAX"]]
    sizes = {(group, case): size for group, case, size, _ in rows}  # the last one stays
    for (group, case, size, threads), row in rows.items():
        alone = rows.get((group, case, size, 1))
        if threads > 1 and alone and size == sizes[group, case]:
            faster = [_faster(alone, row, ("native",)), _faster(alone, row, JAX)]
            lines.append([case, size, str(threads), *faster])
    title = "## Threads: time of a call on one, over that on more\n\n"
    return title + markdown_table(lines) if len(lines) > 1 else ""


def _faster(alone: Row, row: Row, systems: Iterable[str]) -> str:
    before, after = best(alone, systems), best(row, systems)
    if before is None or after is None or not before.least or not after.least:
        return ""
    return f"{before.least / after.least:.2f}"


def _spread(numbers: list[float | None], extreme: object) -> str:
    there = [number for number in numbers if number]
    if not there:
        return ""
    return f"{geomean(there):.2f} ({extreme(there):.2f})"  # type: ignore[operator]


def _slower(rows: dict[tuple[str, str, str, int], Row]) -> str:
    """The cases where native is slower than a peer, or than 1.5 times the limit."""
    lines = [["case", "size", "threads", "native", "faster", "native is slower by"]]
    for (group, case, size, threads), row in rows.items():
        for name, record in row.items():
            limit = NEAR if name == limit_of(group) else 1.0
            found = ratio(row, [name])
            if name in (*PEERS, *JAX, limit_of(group)) and found and found * limit < 1:
                times = [duration(row["native"].least), f"{name}: {duration(record.least)}"]
                lines.append([case, size, str(threads), *times, f"{1 / found:.2f}"])
    return "## Where native is not ahead\n\n" + markdown_table(lines) if len(lines) > 1 else ""
