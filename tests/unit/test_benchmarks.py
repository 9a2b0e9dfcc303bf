"""The benchmarks compute what they claim, whoever computes it; nothing here measures time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import report, run
from benchmarks.case import Case, all_cases, difference, leaves
from benchmarks.systems import SYSTEMS, NotOffered, load, model_of

import tracejit as tj

CASES = all_cases()
ROOT = Path(__file__).parents[2]


def result(case: Case, system: str) -> list[np.ndarray]:
    """The value and the gradient as one vector, at the smallest size."""
    ready = load(system)(case, case.smallest, case.arguments(case.smallest))
    value, *gradient = leaves(ready.call(*ready.args))
    return [value, np.concatenate([np.ravel(leaf) for leaf in gradient])]


@pytest.fixture(scope="module")
def eager() -> dict[str, list[np.ndarray]]:
    """What the eager backend gives, once for each case."""
    return {name: result(case, "eager") for name, case in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_native_computes_the_case(name: str, eager: dict[str, list[np.ndarray]]):
    assert difference(result(CASES[name], "native"), eager[name]) <= CASES[name].tolerance


def test_a_bound_call_computes_the_case(eager: dict[str, list[np.ndarray]]):
    assert difference(result(CASES["logistic"], "bound"), eager["logistic"]) <= 1e-12


@pytest.mark.parametrize("name", CASES)
def test_xla_computes_the_case(name: str, eager: dict[str, list[np.ndarray]]):
    pytest.importorskip("jax")
    assert difference(result(CASES[name], "xla"), eager[name]) <= CASES[name].tolerance


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.c])
def test_c_computes_the_case(name: str, eager: dict[str, list[np.ndarray]]):
    assert difference(result(CASES[name], "c"), eager[name]) <= CASES[name].tolerance


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.numba])
def test_the_gradient_by_hand_is_right(name: str, eager: dict[str, list[np.ndarray]]):
    case = CASES[name]
    value, *gradient = leaves(case.numba(*case.arguments(case.smallest)))
    by_hand = [value, np.concatenate([np.ravel(leaf) for leaf in gradient])]
    assert difference(by_hand, eager[name]) <= case.tolerance


def test_arguments_are_the_same_every_time():
    first, second = CASES["logistic"].arguments("100 x 5"), CASES["logistic"].arguments("100 x 5")
    assert difference(leaves(first), leaves(second)) == 0


def test_a_difference_is_relative_to_the_largest_element():
    assert difference([np.array([0.0, 10.0])], [np.array([1.0, 10.0])]) == pytest.approx(0.1)
    assert difference([np.array([np.nan])], [np.array([1.0])]) == float("inf")
    assert difference([np.zeros(2)], [np.zeros(3)]) == float("inf")


def test_a_system_without_a_version_says_so():
    with pytest.raises(NotOffered):
        model_of(CASES["triangular"], "torch")
    assert model_of(CASES["triangular"], "jax") is CASES["triangular"].model


def test_the_command_writes_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "results" / "now"
    chosen = ["--cases", "squares", "--systems", "native,empty", "--sizes", "smallest"]
    assert run.main([*chosen, "--quick", "--rounds", "1", "--out", str(out)]) == 0
    data = json.loads(out.with_suffix(".json").read_text())
    systems = {record["system"]: record for record in data["records"]}
    assert set(systems) == {"native", "empty"}
    assert all(record["least"] > 0 and not record["note"] for record in systems.values())
    assert "| squares | 5 | 1 |" in out.with_suffix(".md").read_text()
    assert "| squares | 5 | 1 |" in capsys.readouterr().out


def test_memory_is_compared_with_that_of_xla(tmp_path: Path):
    """In a process of its own: float64 in JAX is one switch for all of a process."""
    pytest.importorskip("jax")
    command = [sys.executable, "-m", "benchmarks.memory", "--out", str(tmp_path / "now")]
    chosen = ["--cases", "squares,log-sum-exp,logistic", "--sizes", "smallest"]
    done = subprocess.run(
        [*command, *chosen], cwd=ROOT, capture_output=True, text=True, check=True
    )
    found = {need["case"]: need for need in json.loads((tmp_path / "now.json").read_text())}
    assert found["squares"]["native"] == 0 and found["squares"]["idiomatic"] is None
    assert found["log-sum-exp"]["xla"] > found["log-sum-exp"]["idiomatic"]
    assert found["logistic"]["native"] > 0 and "dot" in found["logistic"]["peak"][0]
    assert "| squares | 5 | 0 |" in done.stdout


def test_what_fills_memory_is_told_where_it_is_more_than_that_of_xla():
    memory = pytest.importorskip("benchmarks.memory")
    more = memory.Need("gmm", "1", 200, 100, None, ["100 B: %1 f64[9] = exp"])
    less = memory.Need("mlp", "1", 100, 200, 50, ["100 B: %1 f64[8] = tanh"])
    text = memory.report([more, less])
    assert "| gmm | 1 | 200 B | 100 B |  | 2.00 |" in text and "%1 f64[9]" in text
    assert "| mlp | 1 | 100 B | 200 B | 50 B | 0.50 |" in text and "%1 f64[8]" not in text


def test_an_unknown_name_ends_the_command():
    with pytest.raises(SystemExit, match="there is no case 'nope'"):
        run.main(["--cases", "nope"])


def made_up(system: str, least: float, note: str = "") -> report.Record:
    return report.Record("regressions", "logistic", "1", system, 1, 1.0, least, least, note=note)


def test_the_report_says_where_native_is_behind():
    records = [made_up("native", 2e-6), made_up("numba", 1e-6), made_up("jax", 8e-6)]
    records += [made_up("c", 1.9e-6), made_up("value", 1e-6)]
    text = report.Results(records).markdown()
    behind = text.split("## Where native is not ahead")[1].split("##")[0]
    assert "numba: 1 us | 2.00" in behind
    assert "c:" not in behind and "jax:" not in behind
    assert "| regressions | 1 | 4.00 (4.00) | 0.50 (0.50) | 1.05 (1.05) | 2.00 (2.00) |" in text


def test_the_report_tells_of_threads_and_of_the_disk():
    records = [made_up("native", 8e-6), made_up("jax", 9e-6), made_up("cached", 8e-6)]
    for system in ("native", "jax"):
        records.append(report.Record("regressions", "logistic", "1", system, 2, 1.0, 2e-6, 2e-6))
    records[2].first = 0.1
    text = report.Results(records).markdown()
    assert "| logistic | 1 | 2 | 4.00 | 4.50 |" in text
    assert "| 1.00 (1.00) | 10.00 (10.00) |" in text


def test_what_is_kept_on_disk_computes_the_case(eager: dict[str, list[np.ndarray]]):
    before = tj.config.cache_dir
    try:
        assert difference(result(CASES["squares"], "cached"), eager["squares"]) <= 1e-12
    finally:
        tj.config.update("cache_dir", before)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.products])
def test_products_are_run(name: str):
    case = CASES[name]
    ready = load("blas")(case, case.smallest, case.arguments(case.smallest))
    assert ready.call() == ()
    assert case.products and np.min(case.products(**case.sizes[case.smallest])) >= 1


def test_what_was_left_out_is_named():
    results = report.Results([made_up("native", 1e-6), report.Record("calls", "y", "1", "jax", 1)])
    results.records[0].note = "wrong by 1"
    results.absent["torch"] = "not installed"
    notes = results.markdown().split("## Left out")[1]
    assert "torch: not installed" in notes
    assert "logistic 1, native, threads 1: wrong by 1" in notes


def test_every_system_is_described():
    assert all(len(row) == 4 and row[3] for row in SYSTEMS.values())


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1.5, "1.5 s"), (0.0123, "12.3 ms"), (4.2e-5, "42 us"), (3e-9, "3 ns"), (None, "")],
)
def test_durations_have_three_digits(seconds: float | None, text: str):
    assert report.duration(seconds) == text
