"""Temporary memory, of native programs and of XLA's: what is neither argument nor result.

    python -m benchmarks.memory                       every case at every size; nothing is run
    python -m benchmarks.memory --cases mlp,kalman --sizes largest

Native's is what `tracejit.explain` tells, XLA's what `compiled.memory_analysis()` tells of the same
model, and of what JAX's users would write where that differs. A table is printed; it and a JSON
file are written, with what lies in native's temporary memory when it is fullest.
"""

from __future__ import annotations

import argparse
import functools
import json
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax

import tracejit as tj
from benchmarks.case import Case, Model, all_cases
from benchmarks.report import markdown_table, size_of
from benchmarks.run import choose, progress, sizes_of
from benchmarks.systems import model_of
from benchmarks.systems.jax_ import XP as JAX
from benchmarks.systems.tracejit_ import XP as TRACEJIT


@dataclass
class Need:
    """Bytes of temporary memory. idiomatic: None where that is no other program. peak: what lies in
    native's, the largest first."""

    case: str
    size: str
    native: int
    xla: int
    idiomatic: int | None = None
    peak: list[str] = field(default_factory=list)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cases", help="names, separated by commas (all)")
    parser.add_argument("--sizes", help="smallest, largest, or names of sizes (all)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/memory"))
    options = parser.parse_args(arguments)
    cases = all_cases()
    chosen = [cases[name] for name in choose(options.cases, cases, "case")]
    jobs = [(case, size) for case in chosen for size in sizes_of(case, options.sizes)]
    needs = []
    with progress(len(jobs)) as advance:
        for case, size in jobs:
            advance(f"{case.name} {size}")
            needs.append(need_of(case, size))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps([asdict(n) for n in needs], indent=1))
    text = report(needs)
    options.out.with_suffix(".md").write_text(text)
    print(text)
    return 0


def need_of(case: Case, size: str) -> Need:
    """What a case needs at a size, for its value and gradient."""
    args = case.arguments(size)
    fun = tj.value_and_grad(functools.partial(model_of(case, "tracejit"), TRACEJIT))
    native = tj.explain(fun, backend="native")(*args)
    other = case.versions.get("jax-idiomatic")
    largest = sorted(native.peak, key=lambda x: -x.nbytes)
    return Need(
        case.name, size, native.temporary_bytes, _of_xla(model_of(case, "jax"), args),
        None if other is None else _of_xla(other, args),
        [f"{size_of(x.nbytes)}: {x}" + (f" ({x.reason})" if x.reason else "") for x in largest],
    )  # fmt: skip


def _of_xla(model: Model, args: tuple[Any, ...]) -> int:
    """Temporary bytes of JAX's own program for a model."""
    function = jax.jit(jax.value_and_grad(functools.partial(model, JAX)))
    analysis: Any = function.lower(*args).compile().memory_analysis()
    return int(analysis.temp_size_in_bytes)


def report(needs: list[Need]) -> str:
    """The table, and what fills native's memory where it is more than XLA's."""
    lines = [["case", "size", "native", "XLA", "XLA, idiomatic", "native / XLA"]]
    for n in needs:
        ratio = f"{n.native / n.xla:.2f}" if n.xla else ("" if n.native else "0 / 0")
        idiomatic = "" if n.idiomatic is None else size_of(n.idiomatic)
        lines.append([n.case, n.size, size_of(n.native), size_of(n.xla), idiomatic, ratio])
    parts = ["# Temporary memory", markdown_table(lines)]
    above = [n for n in needs if n.native > n.xla]
    if above:
        parts.append("## Where native needs more")
    for n in above:
        listed = "\n".join(f"- {text}" for text in n.peak[:8])
        parts.append(f"{n.case} {n.size}, {n.native} B against {n.xla} B:\n\n{listed}")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    sys.exit(main())
