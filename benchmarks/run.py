"""Run the benchmarks: one command, a table and a JSON file.

    python -m benchmarks.run --quick                          a few minutes
    python -m benchmarks.run --cases logistic,chain --systems native,jax,c --threads 1
    python -m benchmarks.run --list

Each system runs in a process of its own, the same for all its cases. For a case and a size every
process first builds its function and calls it; who gives other values than the rest is named and
not timed. Then they take turns, round by round. Systems that are not installed are left out with
a note: `pip install tracejit[bench]` gets all of them; the C version wants a compiler, `cc`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import report, warm_up
from benchmarks.case import Case, all_cases, difference
from benchmarks.measure import Failed, Worker
from benchmarks.systems import SYSTEMS

try:
    import rich.console
    import rich.progress
except ImportError:
    rich = None  # type: ignore[assignment]

#: Those whose results count as right, the first that answered: not one of ours.
REFEREES = ("jax", "c", "autograd", "numba", "torch", "casadi", "eager", "native")

#: Those whose first time prepares what is measured: code is kept on disk, and then found there.
OPENED_TWICE = ("cached",)

#: Seconds of a call from which on a system takes only one turn.
SLOW = 1.0


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    cases = all_cases()
    if options.list:
        for case in cases.values():
            print(f"{case.name:16} {case.group:12} {', '.join(case.sizes)}")
        return 0
    chosen = [cases[name] for name in choose(options.cases, cases, "case")]
    names = choose(options.systems, SYSTEMS, "system")
    results = report.Results()
    jobs = [(case, size) for case in chosen for size in sizes_of(case, options.sizes)]
    with progress(len(jobs) * len(options.threads)) as advance:
        for threads in options.threads:
            _run_all(jobs, names, threads, options, results, advance)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.with_suffix(".json").write_text(results.json())
    markdown = results.markdown()
    options.out.with_suffix(".md").write_text(markdown)
    print(markdown)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.run", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--cases", help="names, separated by commas (all)")
    parser.add_argument("--systems", help=f"of {', '.join(SYSTEMS)} (all)")
    parser.add_argument("--sizes", help="smallest, largest, or names of sizes (all)")
    parser.add_argument("--rounds", type=int, default=None, help="turns of each system (7)")
    parser.add_argument("--seconds", type=float, default=None, help="length of a turn (0.05)")
    parser.add_argument("--threads", default="1,2", help="counts, separated by commas (1,2)")
    parser.add_argument("--quick", action="store_true", help="3 rounds of 0.02 s, 1 thread")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/latest"))
    parser.add_argument("--list", action="store_true", help="say which cases there are")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (3 if options.quick else 7)
    options.seconds = options.seconds or (0.02 if options.quick else 0.05)
    options.threads = [1] if options.quick else [int(n) for n in options.threads.split(",")]
    return options


def choose(wanted: str | None, known: Iterable[str], what: str) -> list[str]:
    """The names in a comma separated text, all of them for None; an exit for an unknown one."""
    names = [name.strip() for name in wanted.split(",")] if wanted else list(known)
    for name in names:
        if name not in known:
            sys.exit(f"there is no {what} {name!r}; there are: {', '.join(known)}")
    return names


def sizes_of(case: Case, wanted: str | None) -> list[str]:
    """The sizes of a case that are wanted: smallest, largest, or names; all of them for None."""
    sizes = list(case.sizes)
    if not wanted:
        return sizes
    if wanted in ("smallest", "largest"):
        return [sizes[0] if wanted == "smallest" else sizes[-1]]
    return [size for size in sizes if size in wanted.split(",")]


def _run_all(
    jobs: list[tuple[Case, str]],
    names: list[str],
    threads: int,
    options: argparse.Namespace,
    results: report.Results,
    advance: Callable[[str], None],
) -> None:
    workers: dict[str, Worker] = {}
    try:
        for name in names:
            try:
                workers[name] = Worker(name, threads)
                results.versions[SYSTEMS[name][2] or "cc"] = workers[name].version
            except Failed as error:
                results.absent[name] = str(error)
        for worker in workers.values():
            _warm(worker)
        for case, size in jobs:
            advance(f"{case.name} {size}, threads {threads}")
            for record in _run_one(case, size, workers, threads, options):
                results.records.append(record)
    finally:
        for worker in workers.values():
            worker.close()


def _warm(worker: Worker) -> None:
    """Let a system load what it loads late, with a program that no case is."""
    with contextlib.suppress(Failed):
        worker.ask("open", warm_up.CASE.name, warm_up.CASE.smallest)


def _run_one(
    case: Case, size: str, workers: dict[str, Worker], threads: int, options: argparse.Namespace
) -> list[report.Record]:
    """Every system on one case and size."""
    records, answers = {}, {}
    for name, worker in workers.items():
        record = report.Record(case.group, case.name, size, name, threads)
        records[name] = record
        with _noting(record):
            for _ in range(2 if name in OPENED_TWICE else 1):
                record.first, record.held, answers[name] = worker.ask("open", case.name, size)
    _compare(case, answers, records)
    able = {name: workers[name] for name in answers if not records[name].note}
    times: dict[str, list[float]] = {name: [] for name in able}
    for _ in range(options.rounds):
        for name, worker in able.items():
            if times[name] and times[name][-1] > SLOW:
                continue
            with _noting(records[name]):
                times[name].append(worker.ask("round", options.seconds))
    for name, worker in able.items():
        record = records[name]
        if times[name] and not record.note:
            record.least, record.median = min(times[name]), median(times[name])
            with _noting(record):
                record.memory = worker.ask("memory")
    return list(records.values())


@contextlib.contextmanager
def _noting(record: report.Record) -> Iterator[None]:
    """What fails in the block becomes the record's note."""
    try:
        yield
    except Failed as error:
        record.note = str(error)


def _compare(
    case: Case, answers: dict[str, list[np.ndarray]], records: dict[str, report.Record]
) -> None:
    """Note who differs from the referee. Gradients count as one array, value first."""
    found = {name: _flat(answer) for name, answer in answers.items() if answer}
    referee = next((name for name in REFEREES if name in found), None)
    for name, result in found.items():
        if referee is None:
            continue
        want = found[referee][: 1 if name == "value" else 2]
        error = difference(result, want)
        records[name].error = error
        if error > case.tolerance:
            records[name].note = f"wrong by {error:.1e} (against {referee})"


def _flat(answer: list[np.ndarray]) -> list[np.ndarray]:
    """The value, and the gradient's leaves as one vector; a value alone stays alone."""
    value, *gradient = answer
    return [value, np.concatenate([np.ravel(leaf) for leaf in gradient])] if gradient else [value]


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on standard error: rich's where it is installed and looked at, else a line each."""
    if rich is None or not sys.stderr.isatty():
        count = iter(range(1, total + 1))
        yield lambda text: print(f"[{next(count)}/{total}] {text}", file=sys.stderr, flush=True)
        return
    with rich.progress.Progress(console=rich.console.Console(stderr=True)) as bar:
        task = bar.add_task("", total=total + 1)
        yield lambda text: bar.update(task, advance=1, description=text)


if __name__ == "__main__":
    sys.exit(main())
