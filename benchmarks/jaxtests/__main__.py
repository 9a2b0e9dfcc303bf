"""Run JAX's tests of derivatives on tracejit.

    python -m benchmarks.jaxtests CHECKOUT                    all of them
    python -m benchmarks.jaxtests CHECKOUT --jit native       through jit, on a backend
    python -m benchmarks.jaxtests CHECKOUT Conv Window        tests whose names hold a word
"""

from __future__ import annotations

import argparse
import collections
import json
import signal
import sys
import unittest
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tracejit as tj
from benchmarks.jaxtests import shim
from benchmarks.report import markdown_table
from benchmarks.run import progress


@dataclass(frozen=True)
class Verdict:
    """What became of a case. kind: passed, skipped, failed."""

    name: str
    kind: str
    cause: str = ""


class Slow(Exception):
    """A case took longer than it may."""


def main(arguments: list[str] | None = None) -> int:
    options = _options(arguments)
    warnings.simplefilter("ignore")
    through = _through(options.jit)
    tests = shim.load(options.checkout, through)
    names = [
        name for name in unittest.TestLoader().getTestCaseNames(tests)
        if not options.words or any(word in name for word in options.words)
    ]  # fmt: skip
    verdicts = []
    with progress(len(names)) as advance:
        for name in names:
            advance(name)
            verdicts.append(verdict_of(tests(name), options.seconds))
            if verdicts[-1].kind == "failed":
                print(f"    {name}: {verdicts[-1].cause}", file=sys.stderr, flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = json.dumps([asdict(v) for v in verdicts], indent=1)
    options.out.with_suffix(".json").write_text(rows + "\n")
    text = report(verdicts)
    options.out.with_suffix(".md").write_text(text)
    print(text)
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.jaxtests", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("checkout", type=Path, help="a checkout of jax-ml/jax")
    parser.add_argument("words", nargs="*", help="of the names of tests (all)")
    parser.add_argument("--jit", help="through jit, on this backend: native or eager")
    parser.add_argument("--seconds", type=int, default=60, help="that a case may take")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/jaxtests"))
    return parser.parse_intermixed_args(arguments)


def _through(backend: str | None) -> Callable[..., Any]:
    return (lambda f: f) if backend is None else (lambda f: tj.jit(f, backend=backend))


def verdict_of(test: Any, seconds: int) -> Verdict:
    """Run one case."""
    result = unittest.TestResult()
    caught: list[BaseException] = []
    result.addError = result.addFailure = lambda _, info: caught.append(info[1])  # type: ignore
    result.addSubTest = lambda _, __, info: info and caught.append(info[1])  # type: ignore
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(seconds)
    try:
        test.run(result)
    finally:
        signal.alarm(0)
    name = test._testMethodName
    if not caught:
        return Verdict(name, "skipped" if result.skipped else "passed")
    return Verdict(name, "failed", f"{type(caught[0]).__name__}: {str(caught[0]).strip()}"[:300])


def _too_slow(*_: Any) -> None:
    raise Slow("took too long")


def report(verdicts: list[Verdict]) -> str:
    """Counts, and the failures by cause."""
    count = collections.Counter(v.kind for v in verdicts)
    asked = count["passed"] + count["failed"]
    share = 100 * count["passed"] / max(asked, 1)
    rows = [["cases", "passed", "failed", "skipped by JAX"]]
    rows.append([str(len(verdicts)), *(
        str(count[kind]) for kind in ("passed", "failed", "skipped")
    )])  # fmt: skip
    causes = collections.Counter(
        (v.name.rstrip("0123456789"), v.cause.split("\n")[0])
        for v in verdicts if v.kind == "failed"
    )  # fmt: skip
    listed = [["test", "cases", "cause"]]
    listed += [[test, str(n), cause[:120]] for (test, cause), n in causes.most_common()]
    text = f"# JAX's tests of derivatives\n\n{share:.1f} % of the {asked} cases pass.\n\n"
    text += f"{markdown_table(rows)}\n"
    return text + (f"\n## Failed\n\n{markdown_table(listed)}\n" if len(listed) > 1 else "")


if __name__ == "__main__":
    sys.exit(main())
