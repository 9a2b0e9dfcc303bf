"""Pipelines run, check, report and time; stages keep what they reported."""

from __future__ import annotations

import pytest

from tracejit.config import config
from tracejit.errors import ArgumentError, VerifyError
from tracejit.ir.atoms import Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import FLOAT64, array_type
from tracejit.ops.elementwise import add, mul, sin
from tracejit.passes.pipeline import Pipeline
from tracejit.passes.stages import Stages, dump
from tracejit.passes.standard import SIMPLIFY

SCALAR = array_type(FLOAT64)


def program() -> Jaxpr:
    x = Var(SCALAR)
    with building() as builder:
        y = mul(Literal(2, SCALAR), sin(x))
        z = add(y, mul(sin(x), Literal(2, SCALAR)))
        sin(z)
    return builder.finish((x,), (z,))


def breaking(jaxpr: Jaxpr) -> Jaxpr:
    """A pass that forgets the first equation."""
    return Jaxpr(jaxpr.invars, jaxpr.equations[1:], jaxpr.outvars)


def test_simplify_leaves_what_is_needed() -> None:
    assert str(SIMPLIFY(program())) == (
        "fn(%0: f64[]) -> f64[] {\n"
        "  %1: f64[] = sin(%0)\n"
        "  %2: f64[] = mul(%1, 2.0)\n"
        "  %3: f64[] = add(%2, %2)\n"
        "  return %3\n"
        "}"
    )


def test_a_pass_that_finds_nothing_returns_its_argument() -> None:
    simple = SIMPLIFY(program())
    assert SIMPLIFY(simple) is simple


def test_stages() -> None:
    stages = Stages()
    result = SIMPLIFY(program(), stages)
    stages.add("text", lambda: "; no IR")
    assert list(stages) == ["traced", "inline", "fold", "cse", "dce", "text"]
    assert stages["dce"] == str(result)
    assert stages["text"] == "; no IR"
    assert "// inline (unchanged)\n// fold\nfn(" in str(stages)
    assert [cost.equations for cost in stages.cost] == [6, 6, 6, 4, 3, None]
    assert all(cost.milliseconds >= 0 for cost in stages.cost)
    assert "-  %4: f64[] = sin(%3)" in stages.diff("cse", "dce")
    assert stages.diff("cse", "cse") == ""
    assert "cse" in stages and "fuse" not in stages and len(stages) == 6
    assert repr(stages) == "<stages: traced -> inline -> fold -> cse -> dce -> text>"


def test_a_stage_that_comes_twice_is_numbered() -> None:
    stages = Stages()
    for _ in range(3):
        stages.add("fold", "")
    assert list(stages) == ["fold", "fold 2", "fold 3"]


def test_an_unknown_stage() -> None:
    stages = Stages()
    SIMPLIFY(program(), stages)
    with pytest.raises(ArgumentError, match="did you mean 'fold'"):
        stages["fould"]


def test_check_names_the_pass_that_broke_the_program() -> None:
    broken = Pipeline("broken", [*SIMPLIFY, breaking])
    broken(program())
    with config(check=True), pytest.raises(VerifyError) as caught:
        broken(program())
    assert "pipeline broken, behind breaking: %?0 is bound nowhere" in str(caught.value)


def test_dump_prints_the_stages_that_are_named(capsys) -> None:
    with config(dump="inline,dce,llvm"):
        result = SIMPLIFY(program())
        dump("llvm", "define ...")
        dump("asm", lambda: pytest.fail("made text that nobody asked for"))
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == f"// inline (unchanged)\n// dce\n{result}\n// llvm\ndefine ...\n"


def test_dump_all(capsys) -> None:
    with config(dump="all"):
        SIMPLIFY(program())
    assert capsys.readouterr().err.count("\n// ") == 3


def test_pipelines_are_extended() -> None:
    longer = SIMPLIFY + [breaking]
    assert repr(longer) == "<pipeline simplify: inline, fold, cse, dce, breaking>"
    assert repr(SIMPLIFY) == "<pipeline simplify: inline, fold, cse, dce>"
