"""The verifier finds each fault of a jaxpr, and shows it among its neighbours."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tracejit.control.call  # noqa: F401  registers `call`
from tracejit.errors import VerifyError
from tracejit.ir.atoms import Literal, Var
from tracejit.ir.check import verify, verify_linear
from tracejit.ir.graph import Equation, Jaxpr, Provenance
from tracejit.ir.parsing import parse
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import DTYPES, FLOAT64, ArrayType, array_type
from tracejit.ops.elementwise import add, sin

SCALAR = array_type(FLOAT64)


def fault(jaxpr: Jaxpr) -> str:
    with pytest.raises(VerifyError) as caught:
        verify(jaxpr)
    return str(caught.value)


def fault_of(body: str) -> str:
    return fault(parse(f"fn(%0: f64[3], %1: i32[3]) -> () {{ {body} return }}")).splitlines()[0]


def test_five_lines_around_the_fault_and_the_users_line() -> None:
    variables = [Var(SCALAR) for _ in range(9)]
    equations = [
        Equation(sin, (x,), {}, (y,), Provenance("/home/me/model.py", line, "loss"))
        for line, (x, y) in enumerate(zip(variables, variables[1:], strict=False), 30)
    ]
    wrong = Literal(2, array_type(FLOAT64, (4,)))
    equations[4] = Equation(
        add, (variables[4], wrong), {}, equations[4].outvars, equations[4].provenance
    )
    assert fault(Jaxpr((variables[0],), tuple(equations), (variables[-1],))) == (
        "add: operands differ in shape, f64[] and f64[4]\n"
        "    %3: f64[] = sin(%2)\n"
        "    %4: f64[] = sin(%3)\n"
        "  > %5: f64[] = add(%4, 2.0: f64[4])\n"
        "    %6: f64[] = sin(%5)\n"
        "    %7: f64[] = sin(%6)\n"
        "  at /home/me/model.py:34 in loss"
    )


def test_a_short_program_is_shown_with_head_and_return() -> None:
    x, y = Var(SCALAR), Var(SCALAR)
    assert fault(Jaxpr((x,), (Equation(sin, (y,), {}, (y,)),), (y,))) == (
        "%1 is read before it is bound\n"
        "    fn(%0: f64[]) -> f64[]\n"
        "  > %1: f64[] = sin(%1)\n"
        "    return %1"
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("%2: f64[3] = add(%0, %1)", "add: operands differ in dtype, f64[3] and i32[3]"),
        ("%2: f64[4] = sin(%0)", "sin gives f64[3], but f64[4] is bound"),
        ("%2: f64[3], %3: f64[3] = sin(%0)", "sin has 1 results, but 2 are bound"),
        ("%2: f64[] = reduce_sum(%0, axes=(1,))", "reduce_sum: axes (1,) do not fit"),
        ("%2: f64[] = reduce_sum(%0)", "missing"),
        ("%2: f64[3] = sin(%0, %0)", "sin takes 1 operands, got 2"),
        ("%2: f64[3] = reshape(%0, shape=3)", "reshape"),
    ],
)
def test_equations(body, what) -> None:
    assert what in fault_of(body)


def test_scope() -> None:
    x, y = Var(SCALAR), Var(SCALAR)
    once = Equation(sin, (x,), {}, (y,))
    assert "%1 is bound twice" in fault(Jaxpr((x,), (once, once), ()))
    assert "%0 is bound twice" in fault(Jaxpr((x, x), (), ()))
    assert "%0 is bound twice" in fault(Jaxpr((x,), (Equation(sin, (x,), {}, (x,)),), ()))
    assert "%?0 is bound nowhere" in fault(Jaxpr((x,), (), (y,)))


def test_atoms_types_and_parameters() -> None:
    x, y, long = Var(SCALAR), Var(SCALAR), ArrayType(np.dtype("longdouble"), ())

    def one(x: object, params: dict | None = None) -> Jaxpr:
        return Jaxpr((), (Equation(sin, (x,), params or {}, (y,)),), ())  # type: ignore[arg-type]

    assert "an operand is neither variable nor literal, but float" in fault(one(1.0))
    assert "300 is no i8" in fault(one(Literal(300, array_type(DTYPES["i8"]))))
    assert f"no type of dtype {long.dtype}" in fault(Jaxpr((Var(long),), (), ()))
    assert "shape (-1,)" in fault(Jaxpr((Var(array_type(FLOAT64, (-1,))),), (), ()))
    assert "the parameter n is not hashable, list" in fault(
        Jaxpr((x,), (Equation(sin, (x,), {"n": [1]}, (y,)),), ())
    )


def test_primitives_are_registered() -> None:
    impostor = object.__new__(Primitive)
    impostor.name, impostor.defaults = "sin", {}
    x, y = Var(SCALAR), Var(SCALAR)
    assert "sin is no registered primitive" in fault(
        Jaxpr((x,), (Equation(impostor, (x,), {}, (y,)),), ())
    )


def test_held_jaxprs_keep_the_rules_too() -> None:
    text = """
    fn(%0: f64[]) -> f64[] {
      %1: f64[] = call(%0, name="outer", jaxpr=fn(%0: f64[]) -> f64[] {
        %1: f64[] = call(%0, name="inner", jaxpr=fn(%0: f64[]) -> f64[] {
          %1: i32[] = sin(%0)
          return %0
        })
        return %1
      })
      return %1
    }"""
    assert fault(parse(text)) == (
        "call.jaxpr: call.jaxpr: sin gives f64[], but i32[] is bound\n"
        "    fn(%0: f64[]) -> f64[]\n"
        "  > %1: i32[] = sin(%0)\n"
        "    return %0"
    )


LINEAR = [
    "%2: f64[] = mul(%0, %1)", "%2: f64[] = mul(%1, %0)", "%2: f64[] = div(%0, %1)",
    "%2: f64[] = neg(%0)", "%2: f64[] = add(%0, %0)", "%2: f64[] = add(%0, 0.0)",
    "%2: f64[1] = reshape(%0, shape=(1,))", "%2: f64[] = select(true: bool[], %0, 0.0)",
    "%2: f64[] = keep_zeros(%0, %1)", "%2: f64[] = keep_zeros(%0, %1, %0)",
    "%2: f64[] = sin(%1) %3: f64[] = mul(%0, %2)",
]  # fmt: skip
NOT_LINEAR = [
    ("%2: f64[] = sin(%0)", "sin has no transpose"),
    ("%2: f64[] = mul(%0, %0)", "mul is not linear in these operands together"),
    ("%2: f64[] = div(%1, %0)", "div is not linear in these operands together"),
    ("%2: f64[] = keep_zeros(%1, %0)", "keep_zeros is not linear in these operands together"),
    ("%2: f64[] = add(%0, %1)", "add mixes a linear value with one that is not"),
    ("%2: f64[] = sub(1.0, %0)", "sub mixes a linear value with one that is not"),
    (
        "%2: f64[] = select(true: bool[], %0, 1.0)",
        "select mixes a linear value with one that is not",
    ),
    ("%2: f64[] = mul(%1, %1)", "a result is neither linear nor zero"),
]


def linear_program(body: str) -> Jaxpr:
    out = re.findall(r"%\d(?=:)", body)[-1]
    shape = "f64[1]" if "reshape" in body else "f64[]"
    return parse(f"fn(%0: f64[], %1: f64[]) -> ({shape}, f64[]) {{ {body} return {out}, 0.0 }}")


@pytest.mark.parametrize("body", LINEAR)
def test_linear_programs(body) -> None:
    verify_linear(linear_program(body), [0])


@pytest.mark.parametrize(("body", "what"), NOT_LINEAR)
def test_programs_that_are_not_linear(body, what) -> None:
    with pytest.raises(VerifyError) as caught:
        verify_linear(linear_program(body), [0])
    assert what in caught.value.what
