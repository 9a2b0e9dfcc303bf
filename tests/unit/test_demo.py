"""The demo, on NumPy and SciPy alone: what is missing is left out, with a note."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tracejit
from tracejit.demo import demo, measure, problems, save_plot, screen


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any of the optional packages."""
    find = importlib.util.find_spec
    missing = ("jax", "sklearn", "matplotlib", "rich")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in missing else find(name)
    )


def test_the_demo_runs_without_optional_packages(bare, capsys, tmp_path: Path):
    demo(plot=str(tmp_path / "plot.png"), quick=True)
    shown = capsys.readouterr().out
    for expected in (
        "scikit-learn is missing", "equations", "relative error", "fitted by L-BFGS-B", "native",
        "xla and jax.jit are left out", "install tracejit[demo]",
    ):  # fmt: skip
        assert expected in shown
    assert list(tmp_path.iterdir()) == []


def test_losses_agree_with_difference_quotients(bare):
    for problem in problems.load():
        native = measure.build(problem, "native")
        assert measure.difference_quotient(native.call, problem.start + 0.01) < 1e-6
        assert native.distance(measure.build(problem, "eager")) < 1e-12


def test_the_plot_is_saved(tmp_path: Path, capsys):
    pytest.importorskip("matplotlib")
    problem = problems.load()[0]
    system = measure.System("native", lambda p: (0.0, p), rounds=[1e-6])
    file = tmp_path / "plot.png"
    save_plot(
        screen.Plain(), str(file), [(problem, [system], [1.0, 0.5]), (problem, [system], [2.0])]
    )
    assert file.read_bytes()[:4] == b"\x89PNG"
    assert str(file) in capsys.readouterr().out


def test_plain_tables_are_aligned(capsys):
    screen.Plain().table(["", "time"], [["eager", "1 ms"], ["native", "10 us"]])
    assert capsys.readouterr().out == "         time\neager    1 ms\nnative  10 us\n"


def test_rich_prints_what_looks_like_markup(capsys):
    pytest.importorskip("rich")
    shown = screen.Rich()
    shown.say("%1: f64[3] = add(%0, [bold])")
    shown.table(["", "x"], [["a[/]", "1"]])
    printed = capsys.readouterr().out
    assert "f64[3] = add(%0, [bold])" in printed
    assert "a[/]" in printed


def test_the_command_line():
    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tracejit", *args], capture_output=True, text=True,
            cwd=Path(tracejit.__file__).parents[1],
        )  # fmt: skip

    assert run("--version").stdout == f"tracejit {tracejit.__version__}\n"
    assert "demo" in run("--help").stdout
    assert run("dmeo").returncode == 2


def test_times_are_taken_in_turn():
    calls: list[str] = []
    systems = [
        measure.System(name, lambda p, name=name: (calls.append(name), p)) for name in ("a", "b")
    ]
    measure.time_calls(systems, np.zeros(1), rounds=4, slot=1e-5)
    assert [len(s.rounds) for s in systems] == [4, 4]
    assert set(calls) == {"a", "b"}
