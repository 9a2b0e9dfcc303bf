"""Run the suite.

    python -m benchmarks.npbench CHECKOUT                        values at size S
    python -m benchmarks.npbench CHECKOUT jacobi_2d lu --grad    some programs, gradients too
    python -m benchmarks.npbench CHECKOUT --backend xla
    python -m benchmarks.npbench CHECKOUT --size M --systems native,numpy,jax     timings, instead
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import Failed, Remote
from benchmarks.npbench import checks, rounds
from benchmarks.npbench.suite import Program, programs
from benchmarks.npbench.systems import SYSTEMS
from benchmarks.report import duration, markdown_table, size_of
from benchmarks.run import choose, progress


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    chosen = programs(options.checkout, options.names)
    rows = []
    with progress(len(chosen)) as advance:
        for program in chosen:
            advance(program.name)
            rows.append({"program": program.name, **of_one(program, options)})
            print(_line(rows[-1]), file=sys.stderr, flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")
    text = rounds.report(rows, options.size) if options.systems else report(rows)
    options.out.with_suffix(".md").write_text(text)
    print(text)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.npbench", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("checkout", type=Path, help="a checkout of spcl/npbench")
    parser.add_argument("names", nargs="*", help="programs (all)")
    parser.add_argument("--size", default="S", help="S, M, L or paper, of values and timings")
    parser.add_argument("--grad", action="store_true", help="gradients, too, at size S")
    parser.add_argument("--systems", help=f"time these: all, or of {', '.join(SYSTEMS)}")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each system")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a turn")
    parser.add_argument("--backend", help="native, eager or xla (the configured one)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds of an answer")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/npbench"))
    options = parser.parse_args(arguments)
    if options.systems:
        options.systems = choose(None if options.systems == "all" else options.systems, SYSTEMS,
                                 "system")  # fmt: skip
    return options


def of_one(program: Program, options: argparse.Namespace) -> dict[str, Any]:
    """What is asked for about one program."""
    if options.systems:
        return {"times": rounds.timings(program, options.systems, options)}
    return check(program, options)


def check(program: Program, options: argparse.Namespace) -> dict[str, Any]:
    """The verdicts about one program, by what was asked; each in a process of its own."""
    verdicts = {}
    for question, size in (("value", options.size), ("gradient", "S"))[: 1 + options.grad]:
        far = (str(program.root), program.name, options.backend, options.threads)
        try:
            remote = Remote(checks.serve, far, options.threads, options.timeout)
        except Failed as error:
            verdicts[question] = {"good": False, "what": str(error)}
            continue
        try:
            verdicts[question] = remote.ask(question, size)
        except Failed as error:
            verdicts[question] = {"good": False, "what": str(error)}
        finally:
            remote.close()
    return verdicts


def _line(row: dict[str, Any]) -> str:
    found = [f"{key}: {row[key]['what']}" for key in ("value", "gradient") if key in row]
    for name, timing in row.get("times", {}).items():
        found.append(f"{name} {duration(timing['least']) or timing['note']}")
    return f"    {row['program']}: {', '.join(found)}"


def report(rows: list[dict[str, Any]]) -> str:
    """The table of the verdicts, with counts."""
    lines = [["program", "value", "gradient", "first call", "NumPy", "peak memory"]]
    for row in rows:
        value, gradient = row.get("value", {}), row.get("gradient", {})
        lines.append([
            row["program"], value.get("what", ""),
            gradient.get("what", ""), duration(value.get("first")),
            duration(value.get("reference")), size_of(value.get("peak")),
        ])  # fmt: skip
    counts = [
        f"{sum(bool(row.get(key, {}).get('good')) for row in rows)} of {len(rows)} {key}s"
        for key in ("value", "gradient")
        if any(key in row for row in rows)
    ]
    return f"# NPBench\n\nEqual: {', '.join(counts)}.\n\n{markdown_table(lines)}\n"


if __name__ == "__main__":
    sys.exit(main())
