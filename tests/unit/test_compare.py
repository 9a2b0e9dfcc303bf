"""tracejit.compare and `tracejit compare`: rows, agreement, notes, tables. Nothing here asserts
how long anything takes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.__main__ import main
from tracejit.api import compare as module
from tracejit.errors import ArgumentError

QUICK: dict[str, Any] = {"rounds": 1, "seconds": 0.001, "backends": ["native"]}


def loss(w: Any, x: Any) -> Any:
    return np.sum(np.tanh(x @ w) ** 2)


W, X = np.linspace(-1, 1, 4), np.cos(np.arange(40.0)).reshape(10, 4)


def test_the_eager_mode_and_a_backend() -> None:
    found = tj.compare(loss, W, X, **QUICK)
    assert [row.system for row in found.rows] == ["eager", "native"]
    assert found["eager"].ulps == 0
    native = found["native"]
    assert native.ulps is not None and native.ulps < 50
    assert native.relative is not None and native.relative < 1e-14
    assert native.results == 8 and native.temporary is not None
    assert native.least and native.median and native.first
    assert native.least <= native.median


def test_value_and_gradient() -> None:
    found = tj.compare(loss, W, X, grad=True, **QUICK)
    assert found.name == "loss, value and gradient"
    assert [row.results for row in found.rows] == [40, 40]
    assert tj.compare(loss, W, X, grad=True, argnums=(0, 1), **QUICK)["native"].results == 360


def test_other_functions_and_what_they_are_given() -> None:
    def late(w: Any, x: Any) -> Any:
        waited = []
        y = np.asarray(np.float32(loss(w, x)))
        return SimpleLeaf(y, waited)

    class SimpleLeaf:
        """A result that is there when it was waited for."""

        def __init__(self, y: Any, waited: list[int]):
            self.y, self.waited = y, waited

        def block_until_ready(self) -> None:
            self.waited.append(1)

        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            assert self.waited
            return np.asarray(self.y, dtype)

    others = {
        "late": late,
        "doubled": (lambda w: 2 * loss(w, X), (W,)),
        "flat": lambda w, x: np.ones(3),
        "broken": lambda w, x: [][0],
    }
    found = tj.compare(loss, W, X, others=others, **QUICK)
    assert found["late"].ulps is not None and found["late"].ulps < 1
    assert found["doubled"].relative == pytest.approx(1)
    assert found["flat"].note == "results of shapes (3,)" and found["flat"].ulps is None
    assert found["broken"].note == "IndexError: list index out of range"
    assert found["broken"].least is None


def test_memory_as_a_jitted_function_of_jax_tells_it() -> None:
    told = SimpleNamespace(temp_size_in_bytes=77)
    compiled = SimpleNamespace(memory_analysis=lambda: told)

    class Jitted:
        def __call__(self, w: Any, x: Any) -> Any:
            return loss(w, x)

        def lower(self, w: Any, x: Any) -> Any:
            return SimpleNamespace(compile=lambda: compiled)

    assert tj.compare(loss, W, X, others={"jax": Jitted()}, **QUICK)["jax"].temporary == 77


def test_arguments_that_are_written_to_stay_as_they_were() -> None:
    def doubled(x: Any) -> None:
        x *= 2

    x = np.ones(3)
    found = tj.compare(doubled, x, **QUICK)
    assert x.tolist() == [1, 1, 1]
    assert found["native"].ulps == 0


def test_a_jitted_function_keeps_what_is_static() -> None:
    def power(x: Any, n: int) -> Any:
        return x ** (2 if n == 2 else 3)

    found = tj.compare(tj.jit(power, static_argnums=1), X, 2, **QUICK)
    assert found.name == "power" and found["native"].note == ""
    assert tj.compare(power, X, 2, static_argnames="n", **QUICK)["native"].note == ""


def test_a_backend_that_cannot_has_a_note() -> None:
    def fails(x: Any) -> Any:
        return x + (1 if type(x) is np.ndarray else [][0])

    assert tj.compare(fails, X, **QUICK)["native"].note.startswith("IndexError")
    with pytest.raises(ZeroDivisionError):
        tj.compare(lambda x: 1 / 0, X, **QUICK)


@pytest.mark.parametrize(
    ("y", "z", "ulps", "relative"),
    [
        ([1.0, np.nan], [1.0, np.nan], 0, 0),
        ([1.0 + 2**-52, 8.0], [1.0, 8.0], 1, 2**-52 / 8),
        ([np.inf, 1.0], [np.inf, 1.0], 0, 0),
        ([], [], 0, 0),
        ([0.0], [-0.0], 0, 0),
    ],
)
def test_distances(y: Any, z: Any, ulps: float, relative: float) -> None:
    found = module._distance([np.array(y)], [np.array(z)])
    assert found == (ulps, pytest.approx(relative), "")


def test_a_number_that_is_missing_is_infinitely_far() -> None:
    assert module._distance([np.array([np.nan])], [np.ones(1)]) == (np.inf, np.inf, "")


def test_distances_of_single_precision_and_of_integers() -> None:
    one = np.float32(1)
    assert module._distance([np.nextafter(one, np.float32(2))], [np.array(1.0)])[0] == 1
    assert module._distance([np.array([1, 2])], [np.array([1, 2])]) == (0, 0, "")


def test_it_prints_as_a_table() -> None:
    rows = (
        module.Row("eager", 2e-3, 3e-3, 0.9999, 1500, 8, 0.0, 0.0),
        module.Row("native", 1e-6, 2e-6, 0.5, 0, 8, 2.0, 1e-16),
        module.Row("<other>", note="it fell over"),
    )
    found = module.Comparison("loss", rows)
    assert str(found) == (
        "loss\n"
        "         least  median    speed   first  temporary  results  ulps  relative\n"
        "eager     2 ms    3 ms      1 x     1 s     1.5 kB      8 B     0   0.0e+00\n"
        "native    1 us    2 us  2e+03 x  500 ms        0 B      8 B     2   1.0e-16\n"
        "<other>" + " " * 70 + "it fell over"
    )
    assert "<td>&lt;other&gt;</td>" in found._repr_html_()
    with pytest.raises(ArgumentError, match=r"no system 'nativ'[^$]*did you mean 'native'"):
        _ = found["nativ"]


def test_a_backend_that_is_not_there() -> None:
    with pytest.raises(ArgumentError, match="no backend 'cuda'"):
        tj.compare(loss, W, X, backends=["cuda"])


def test_complex_results_are_compared_whole() -> None:
    found = tj.compare(
        lambda x: x * (1.0 + 2.0j), np.float64(1.0), backends=[], rounds=1,
        others={"real": lambda x: np.complex128(1.0), "near": lambda x: np.complex128(1 + 2.0001j)},
    )  # fmt: skip
    assert found["real"].relative == pytest.approx(2 / np.sqrt(5))
    assert found["near"].relative == pytest.approx(1e-4 / np.sqrt(5))


def test_results_that_are_no_numbers_have_a_note() -> None:
    found = tj.compare(np.sum, np.ones(2), backends=[], rounds=1, others={"text": lambda x: "a"})
    assert found["text"].note == "results of dtype <U1" and found["text"].ulps is None


def test_mistakes_are_named() -> None:
    with pytest.raises(ArgumentError, match="rounds must be a positive int, not 0"):
        tj.compare(np.sum, np.ones(2), rounds=0)
    with pytest.raises(ArgumentError, match="others must be a dict.*list"):
        tj.compare(np.sum, np.ones(2), others=[np.sum])  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="there is a system 'eager' already"):
        tj.compare(np.sum, np.ones(2), others={"eager": np.sum})
    found = tj.compare(np.sum, np.ones(2), backends="eager", rounds=1)
    assert [row.system for row in found.rows] == ["eager"]


def test_a_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = module.Comparison("loss", (module.Row("eager", 2e-3, 3e-3, 0.2, 1500, 8, 0.0, 0.0),))
    if importlib.util.find_spec("matplotlib"):
        found.plot(tmp_path / "a.png")
        assert (tmp_path / "a.png").stat().st_size > 1000
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ArgumentError, match="needs matplotlib"):
        found.plot()


SOURCE = """
import numpy as np
def loss(x, y):
    return np.sum(x * y)
loss.example_args = lambda: (np.ones(3), 2.0)
"""


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compared_model.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    command = ["compare", "compared_model:loss", "--rounds", "1", "--backends", "native"]
    assert main([*command, "--grad"]) == 0
    assert capsys.readouterr().out.startswith("loss, value and gradient\n")
    assert main([*command, "--args", "np.ones(5), 3.0"]) == 0
    assert "native" in capsys.readouterr().out
    assert main([*command, "--args", "np.wons(5)"]) == 2
    assert "such as --args" in capsys.readouterr().err
    assert main([*command, "--args", "np.ones(5)"]) == 2
    told = capsys.readouterr().err
    assert "compared_model:loss(x, y): missing a required argument: 'y'" in told
    assert main([*command, "--args", ""]) == 2
    assert "give each argument" in capsys.readouterr().err
    assert main([*command, "--plot", str(tmp_path / "no" / "where.png")]) == 2
    shown = capsys.readouterr()
    assert "native" in shown.out and "--plot" in shown.err
