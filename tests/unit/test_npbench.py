"""The runner of NPBench on a checkout of our own making; nothing here measures time."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
from benchmarks.npbench import __main__ as runner
from benchmarks.npbench import rounds, suite, versions
from benchmarks.npbench.checks import Checks, compared, quotient

SOURCES = {
    "scaled": (
        """
        import numpy as np
        def work(n, x, shift):
            return np.sin(x) * n + shift, np.float32(2) * x
        """,
        ["n", "x", "shift"],
    ),
    "kinked": (
        """
        import numpy as np
        def work(n, x, shift):
            return np.sum(np.where(x > 0, x, 0) * x)
        """,
        ["n", "x", "shift"],
    ),
    "refused": (
        """
        import numpy as np
        def work(n, x, shift):
            return np.asarray(list(set(x.tolist())))
        """,
        ["n", "x", "shift"],
    ),
    "imaginary": (
        """
        import numpy as np
        def work(n, x, shift):
            return 1j * x
        """,
        ["n", "x", "shift"],
    ),
}

INITIALIZE = """
import numpy as np
def initialize(n):
    return np.random.rand(n), np.float64(0.5)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder like a checkout of the suite: info, inputs and sources."""
    (tmp_path / "bench_info").mkdir()
    for name, (source, inputs) in SOURCES.items():
        info = {
            "short_name": name[:3], "relative_path": name, "module_name": name,
            "func_name": "work", "parameters": {"S": {"n": 4}, "M": {"n": 9}},
            "init": {"func_name": "initialize", "input_args": ["n"],
                     "output_args": ["x", "shift"]},
            "input_args": inputs, "array_args": ["x"], "output_args": [],
        }  # fmt: skip
        (tmp_path / "bench_info" / f"{name}.json").write_text(json.dumps({"benchmark": info}))
        folder = tmp_path / "npbench" / "benchmarks" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.py").write_text(INITIALIZE)
        (folder / f"{name}_numpy.py").write_text(textwrap.dedent(source))
    return tmp_path


def one(checkout: Path, name: str) -> suite.Program:
    (program,) = suite.programs(checkout, [name])
    return program


def test_programs_are_found_by_either_name(checkout: Path) -> None:
    assert [p.name for p in suite.programs(checkout)] == sorted(SOURCES)
    assert one(checkout, "sca").name == "scaled"
    with pytest.raises(SystemExit, match="no program 'lost'; there are: imaginary"):
        suite.programs(checkout, ["lost"])
    with pytest.raises(SystemExit, match="no checkout"):
        suite.programs(checkout / "npbench")


def test_arguments_are_made_by_the_suite(checkout: Path) -> None:
    program = one(checkout, "scaled")
    n, x, shift = program.arguments("M")
    assert (n, x.shape, shift) == (9, (9,), 0.5)
    assert np.array_equal(x, program.arguments("M")[1])
    assert suite.static_positions([n, x, shift]) == [0]
    assert suite.float_positions([n, x, shift]) == [1]
    assert suite.float_positions([n, 1j * x, shift]) == [1]


def test_values_and_gradients_are_judged(checkout: Path) -> None:
    for name in ("scaled", "kinked", "imaginary"):
        checks = Checks(one(checkout, name), None)
        assert checks.value("S")["what"] == "equal"
        assert checks.gradient("S")["what"] == "equal"
    refused = Checks(one(checkout, "refused"), None).value("S")
    assert not refused["good"]
    assert "TracedConversionError" in refused["what"]
    assert "`return np.asarray(list(set(x.tolist())))`" in refused["what"]


def test_a_wrong_gradient_is_found(checkout: Path, monkeypatch) -> None:
    checks = Checks(one(checkout, "kinked"), None)
    monkeypatch.setattr("benchmarks.npbench.checks.quotient", lambda *args: (7.0, 0.0))
    assert checks.gradient("S")["what"].endswith("the difference quotient 7")


def test_differences_are_named() -> None:
    x = np.array([1.0, 2.0, np.nan])
    assert compared([x], [x.copy()]) == ""
    assert compared([x * (1 + 1e-12)], [x]) == ""
    assert compared([x * (1 + 1e-6)], [x]) == "array 0 (float64[3]) differs by 1.0e-06"
    assert compared([np.ones(3)], [x]) == "array 0 (float64[3]) differs by inf"
    assert compared([x], []) == "1 results for 0"
    assert compared([x[:2]], [x]) == "array 0 has shape (2,), not (3,)"
    assert compared([np.float32(x)], [x]) == "array 0 is float32, not float64"
    assert compared([np.array([3])], [np.array([4])]) == "array 0 (int64[1]) differs by 1.0e+00"


def test_quotients_are_derivatives() -> None:
    args = [3, np.array([0.5, 1.5])]
    slope, noise = quotient(lambda n, x: np.sum(np.exp(x) * n), args, {1: np.array([1.0, -1.0])})
    assert slope == pytest.approx(3 * (np.exp(0.5) - np.exp(1.5)), rel=1e-9)
    assert noise < 1e-5


def test_assigned_arguments_are_outputs_of_the_loss() -> None:
    def work(x, out):
        out[:] = 2 * x
        return 1

    x, out = np.ones(3), np.zeros(3)
    after = suite.call(work, [x, out])
    assert suite.assigned([x, out], after) == [1]
    assert suite.loss_of(work, [1], np.sum)(x, out) == 6.0
    assert not out.any()


def test_what_is_assigned_may_have_been_there() -> None:
    def steady(n, x):
        x[1:-1] += x[:-2] - 2 * x[1:-1] + x[2:]

    line = np.arange(5.0)
    assert suite.assigned([0, line], suite.call(steady, [0, line])) == []
    assert suite.assigns(steady, [0, line]) == [1]
    assert line.tolist() == [0, 1, 2, 3, 4]


def test_smaller_steps_meet_fewer_jumps() -> None:
    def jumps(x):
        return np.sum(x + (x > 1.0))

    args, tangents = [np.array([1 - 1e-6, 2.0])], {0: np.array([1.0, 1.0])}
    assert abs(quotient(jumps, args, tangents)[0] - 2.0) > 1e3
    assert quotient(jumps, args, tangents, 1e-7)[0] == pytest.approx(2.0, rel=1e-6)


def test_the_command_writes_a_table(checkout: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "found"
    runner.main([str(checkout), "scaled", "imaginary", "--grad", "--out", str(out)])
    printed = capsys.readouterr().out
    assert "Equal: 2 of 2 values, 2 of 2 gradients." in printed
    rows = json.loads(out.with_suffix(".json").read_text())
    assert rows[0]["value"]["good"]


def test_timings_are_reported_as_ratios() -> None:
    def timing(seconds: float | None) -> dict:
        return {"least": seconds, "memory": None, "note": "" if seconds else "it failed"}

    rows = [
        {"program": "a", "times": {"native": timing(1.0), "jax": timing(8.0)}},
        {"program": "b", "times": {"native": timing(1.0), "jax": timing(2.0)}},
        {"program": "c", "times": {"native": timing(1.0), "jax": timing(None)}},
        {"program": "d"},
    ]
    text = rounds.report(rows, "M")
    assert "| geometric mean |  |  | 4.00 |  |  |  |" in text
    assert "- c, jax: it failed" in text


def test_our_versions_compute_the_same() -> None:
    jnp = pytest.importorskip("jax.numpy")
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(5, 5)), rng.normal(size=(5, 4))
    want = 1.5 * (b + np.tril(a, -1).T @ b)
    got = versions.of("trmm", True)(1.5, jnp.array(a), jnp.array(b))
    assert np.allclose(got, want, atol=1e-5)
    data = rng.normal(size=(7, 5))
    got = versions.of("covariance", True)(5, 7.0, jnp.array(data))
    assert np.allclose(got, np.cov(data.T), atol=1e-5)
    assert versions.of("trmm", False) is None
