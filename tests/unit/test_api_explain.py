"""explain: what was decided, why, and what it costs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj
from tracejit import backends
from tracejit.__main__ import main
from tracejit.backends.explanation import Array, Explanation, Step, total
from tracejit.backends.native import plan
from tracejit.errors import ArgumentError, UnsupportedError

PAGE = Path(__file__).parents[2] / "docs" / "explain.md"


def all_arrays(explanation: Explanation) -> list[Array]:
    """Of the steps, and of the steps in them."""

    def inside(steps: tuple[Step, ...]) -> list[Array]:
        return [x for s in steps for x in (*s.arrays, *inside(s.steps))]

    return inside(explanation.steps)


def least_squares(w, x, y):
    return np.sum((x @ w - y) ** 2)


ARGUMENTS = np.ones(3), np.ones((7, 3)), np.ones(7)


def test_memory_is_what_the_program_takes() -> None:
    fun = tj.value_and_grad(least_squares)
    found = tj.explain(fun)(*ARGUMENTS)
    native = backends.load("native").compile(tj.jit(fun).trace(*ARGUMENTS))
    assert found.temporary_bytes == native.summary.workspace_bytes
    assert sum(-(-x.nbytes // 64) * 64 for x in found.peak) <= found.temporary_bytes
    assert (found.argument_bytes, found.result_bytes) == (8 * (3 + 21 + 7), 8 * 4)
    assert (found.backend, found.threads) == ("native", 1)


def test_each_array_in_memory_has_a_place_a_reason_and_a_line() -> None:
    found = tj.explain(tj.value_and_grad(least_squares))(*ARGUMENTS)
    arrays = all_arrays(found)
    assert [x.made_by for x in arrays].count("dot") == 2
    for x in arrays:
        assert x.place and re.match(r"test_api_explain.py:\d+ in least_squares", x.where)
        assert x.reason or x.type == "f64[]"
    assert "21 multiplications, fewer than BLAS is worth" in str(found)
    assert "where results go" in {x.place for x in arrays}


def test_work_is_counted() -> None:
    n = 100
    found = tj.explain(lambda x, y: np.sum(x * y + 1.0))(np.ones(n), np.ones(n))
    assert (found.bytes_read, found.bytes_written, found.flops) == (16 * n, 0, 3 * n)
    assert found.steps[0].inline == ("add", "mul")
    found = tj.explain(lambda x: x[:10] * 2.0)(np.ones(n))
    assert (found.bytes_read, found.bytes_written, found.flops) == (80, 80, 10)
    found = tj.explain(lambda x: x @ x)(np.ones((50, 50)))
    assert (found.bytes_read, found.flops) == (50 * 50 * 8, 2 * 50**3)
    assert "by BLAS: 125,000 multiplications" in str(found)


def test_what_takes_the_place_of_what_dies() -> None:
    def fun(x, y):
        return y @ np.exp(np.cumsum(x))

    arguments = np.ones(50), np.ones((50, 50))
    running, *_ = all_arrays(tj.explain(fun)(*arguments))
    assert running.place == "in memory that a later result lends"
    running, exp, *_ = all_arrays(tj.explain(lambda *args: np.sum(fun(*args)))(*arguments))
    assert running.place == "in temporary memory"
    assert exp.place == f"in the place of {running.name}, which dies here"


def test_what_is_kept_for_the_derivative() -> None:
    def loss(x):
        return np.sum(np.cumsum(np.exp(np.cumsum(x))) ** 2)

    found = tj.explain(tj.grad(loss))(np.ones(50))
    assert found.kept_bytes == sum(x.nbytes for x in found.kept) >= 400
    assert all("transpose" not in x.where for x in found.kept)
    assert not tj.explain(loss)(np.ones(50)).kept
    assert "kept for the derivative" in str(found)


def test_what_is_computed_again_has_its_cost() -> None:
    def fun(x):
        return np.sum(x * 2.0 + 1.0), np.max(np.cumsum(x) * (x * 2.0 + 1.0))

    found = tj.explain(fun)(np.ones(50))
    again = [text for step in found.steps for text in step.again]
    told = rf"%\d+ add, as in step 1 \(cost 2, at most {plan.DEAR}\)"
    assert any(re.match(told, text) for text in again)


def test_a_body_counts_as_often_as_it_runs() -> None:
    def fun(x, steps):
        return tj.lax.fori_loop(0, steps, lambda i, x: x * 2.0 + 1.0, x)

    few, many = (tj.explain(fun, static_argnums=1)(np.ones(50), n) for n in (3, 30))
    (loop,) = [s for s in many.steps if s.title == "scan"]
    assert loop.times == 30 and loop.steps
    assert many.flops == 10 * few.flops == 30 * total(loop.steps, "flops") > 0
    assert "scan, 30 times" in str(many)


def test_a_while_loop_runs_as_often_as_it_takes() -> None:
    def fun(x):
        return tj.lax.while_loop(lambda x: x[0] < 9.0, lambda x: x * 2.0, x)

    found = tj.explain(fun)(np.ones(5))
    assert [s.times for s in found.steps] == [None]
    assert "while, as often as it takes" in str(found) and found.flops >= 5


def test_branches_are_steps() -> None:
    def fun(x):
        return tj.lax.cond(x[0] > 0, np.sin, np.cos, x)

    found = tj.explain(fun)(np.ones(5))
    (branch,) = [s for s in found.steps if s.title == "cond"]
    assert {x.made_by for s in branch.steps for x in s.arrays} == {"sin", "cos"}


def test_a_group_of_nests_says_what_it_saves() -> None:
    types = [tj.ShapeDtypeStruct(shape, "float64") for shape in ((20,), (2000, 20), (2000,))]
    found = tj.explain(tj.value_and_grad(least_squares))(*types)
    assert re.search(r"group of \d nests, \d+ of 2000 rows at a time: [\d,]+ B less", str(found))
    assert "rows at a time, since only this group reads it" in str(found)


def test_what_threads_share() -> None:
    x = tj.ShapeDtypeStruct((1_000_000,), "float64")
    with tj.config(threads=1):
        alone = tj.explain(lambda x: np.exp(np.sin(x)))(x)
    with tj.config(threads=3):
        found = tj.explain(lambda x: np.exp(np.sin(x)))(x)
    assert (alone.threads, found.threads) == (1, 3)
    assert re.search(r"\d+ parts, which threads share", str(found))
    assert found.temporary_bytes >= alone.temporary_bytes


def test_eager_is_explained() -> None:
    found = tj.explain(least_squares, backend="eager")(*ARGUMENTS)
    assert [s.title for s in found.steps] == ["dot", "sub", "integer_pow", "reduce_sum"]
    assert found.temporary_bytes == 2 * 56 and len(found.peak) == 2


def test_every_backend_tells_its_memory(backend: str) -> None:
    found = tj.explain(tj.jit(tj.value_and_grad(least_squares), backend=backend))(*ARGUMENTS)
    assert found.backend == backend and found.steps and found.temporary_bytes >= 0
    assert found.argument_bytes == 248 and found.result_bytes >= 32
    assert str(found).startswith(f"{found.name} on {backend}\narguments 248 B")


def test_bad_calls() -> None:
    with pytest.raises(ArgumentError, match="explain"):
        tj.explain(3)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="explain of .* uses values of a trace around it"):
        tj.jit(lambda y: tj.explain(lambda x: x * y)(1.0))(1.0)


def test_the_page_shows_what_is_printed(request: pytest.FixtureRequest) -> None:
    """Vectors aside, which are as long as the machine has them; written by --update-golden."""
    page = PAGE.read_text()
    code, shown = re.findall(r"^```(?:python|text)\n(.*?)^```", page, re.M | re.S)
    lines: list[str] = []
    with tj.config(threads=1):
        exec(compile(code, "page.py", "exec"), {"print": lambda x: lines.append(str(x))})
    text = "\n".join(lines) + "\n"
    if request.config.getoption("--update-golden"):
        PAGE.write_text(page.replace(shown, text))
        return

    def plain(text: str) -> str:
        return re.sub(r" by \d+( x \d+)?", "", text)

    if plain(text) != plain(shown):
        command = f"pytest '{request.node.nodeid}' --update-golden"
        pytest.fail(f"docs/explain.md is not\n{text}\nif that is right: {command}", False)


def test_the_arguments_go_to_what_it_returns() -> None:
    with pytest.raises(ArgumentError, match=r"explain\(f\)\(x\), not explain\(f, x\)"):
        tj.explain(np.sin, 1.0)


# The command.


def test_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    name = f"{Path(__file__).stem}:least_squares"
    assert main(["explain", name, "f64[3]", "f64[7,3]", "f64[7]", "--grad"]) == 0
    told = str(tj.explain(tj.value_and_grad(least_squares))(*ARGUMENTS))
    assert capsys.readouterr().out == f"{told}\n"
    assert main(["explain", "numpy:linalg.norm", "f32[2,2]", "--backend", "eager"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["numpy:no_such_name"], "there is no function 'numpy:no_such_name'"),
        (["no_such_module:f"], "there is no function 'no_such_module:f'"),
        (["numpy"], "there is no function 'numpy'"),
        (["numpy:sin", "double[3]"], r"'double\[3\]' is no type of an argument"),
        (["numpy:sin", "f64[3]", "--backend", "nope"], "nope"),
        (["numpy:dot", "f64[3]", "f64[4]"], "dot"),
        (["numpy:linalg.norm"], "missing a required argument: 'x'"),
        (["test_api_explain:least_squares", "f64[3]"], "missing a required argument: 'x'"),
    ],
)
def test_the_command_says_what_is_wrong(arguments, message, capsys, monkeypatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    assert main(["explain", *arguments]) == 2
    assert re.search(message, capsys.readouterr().err)
