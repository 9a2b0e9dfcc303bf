"""The text of programs: numbers, types, parameters, nesting, provenance."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit.ir.atoms import Literal, Var
from tracejit.ir.builder import Builder, building, provenance
from tracejit.ir.graph import Equation, Jaxpr, Provenance
from tracejit.ir.printing import print_jaxpr, print_number, print_param
from tracejit.ir.types import DTYPES, FLOAT0, FLOAT64, array_type
from tracejit.ops import elementwise as el
from tracejit.ops import structure as st

VECTOR = array_type(FLOAT64, (3,))


def line_of(bind, *types) -> str:
    """The first equation that `bind` makes of variables of these types."""
    invars = [Var(t) for t in types]
    with building() as builder:
        bind(*invars)
    return str(builder.finish(invars, ())).splitlines()[1].strip()


def test_a_program() -> None:
    x, y = Var(VECTOR), Var(VECTOR)
    with building() as builder:
        z = el.mul(el.sin(x), y)
        total = st.reduce_sum(z, axes=(0,))
    jaxpr = builder.finish((x, y), (total, z, Literal(0, VECTOR)))
    assert repr(jaxpr) == str(jaxpr)
    assert str(jaxpr) == (
        "fn(%0: f64[3], %1: f64[3]) -> (f64[], f64[3], f64[3]) {\n"
        "  %2: f64[3] = sin(%0)\n"
        "  %3: f64[3] = mul(%2, %1)\n"
        "  %4: f64[] = reduce_sum(%3, axes=(0,))\n"
        "  return %4, %3, 0.0\n"
        "}"
    )


def test_no_inputs_and_no_outputs() -> None:
    assert str(Jaxpr((), (), ())) == "fn() -> () {\n  return\n}"


@pytest.mark.parametrize(
    ("bind", "types", "text"),
    [
        (lambda x: el.add(x, Literal(1, x.type)), [VECTOR], "f64[3] = add(%0, 1.0)"),
        (lambda x: el.lt(x, Literal(1, x.type)), [VECTOR], "bool[3] = lt(%0, 1.0)"),
        (
            lambda c: el.select(c, Literal(1, VECTOR), Literal(0, VECTOR)),
            [array_type(DTYPES["bool"], (3,))],
            "f64[3] = select(%0, 1.0, 0.0)",
        ),
        (
            lambda x: st.pad(
                x, Literal(0, array_type(FLOAT64)), low=(1,), high=(0,), interior=(0,)
            ),
            [VECTOR],
            "f64[4] = pad(%0, 0.0: f64[], high=(0,), interior=(0,), low=(1,))",
        ),
        (
            lambda: el.convert(Literal(2, VECTOR), dtype=DTYPES["f32"]),
            [],
            "f32[3] = convert(2.0: f64[3], dtype=f32)",
        ),
        (
            lambda: st.iota(dtype=DTYPES["i32"], shape=(2, 3), axis=1),
            [],
            "i32[2,3] = iota(axis=1, dtype=i32, shape=(2, 3))",
        ),
    ],
)
def test_literals_have_a_type_only_where_none_can_be_deduced(bind, types, text) -> None:
    assert line_of(bind, *types).split(": ", 1)[1] == text


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (0.1, "f64", "0.1"), (0.1, "f32", "0.1"), (-0.0, "f64", "-0.0"), (1e300, "f64", "1e+300"),
        (np.inf, "f32", "inf"), (-np.inf, "f64", "-inf"), (np.nan, "f64", "nan"),
        (True, "bool", "true"), (-128, "i8", "-128"), (2**64 - 1, "u64", "18446744073709551615"),
        (5e-324, "f64", "5e-324"), (16777216.0, "f32", "1.6777216e+07"),
    ],
)  # fmt: skip
def test_numbers(value, dtype, text) -> None:
    literal = Literal(value, array_type(DTYPES[dtype]))
    assert print_number(literal.value, literal.dtype) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "none"), (True, "true"), (3, "3"), (np.int64(3), "3"), (0.5, "0.5"),
        ('a "b"\n', '"a \\"b\\"\\n"'), ((), "()"), ((1,), "(1,)"), (((1,), ()), "((1,), ())"),
        (DTYPES["f32"], "f32"), (FLOAT0, "float0"), (VECTOR, "f64[3]"), (len, "<len>"),
    ],
)  # fmt: skip
def test_parameters(value, text) -> None:
    assert print_param(value) == text


def test_defaults_are_left_out_and_jaxprs_come_last() -> None:
    class Holder:
        name, defaults = "holder", {"lazy": False, "n": 1}

    x, y = Var(VECTOR), Var(VECTOR)
    inner = Jaxpr((x,), (), (x,))
    params = {"body": inner, "branches": (inner, inner), "lazy": False, "n": True, "zeta": 1}
    out = Jaxpr((y,), (Equation(Holder, (y,), params, (Var(VECTOR),)),), ())  # type: ignore
    assert str(out) == (
        "fn(%0: f64[3]) -> () {\n"
        "  %1: f64[3] = holder(%0, n=true, zeta=1, body=fn(%0: f64[3]) -> f64[3] {\n"
        "    return %0\n"
        "  }, branches=(fn(%0: f64[3]) -> f64[3] {\n"
        "    return %0\n"
        "  }, fn(%0: f64[3]) -> f64[3] {\n"
        "    return %0\n"
        "  }))\n"
        "  return\n"
        "}"
    )


def test_provenance_on_request() -> None:
    x, builder = Var(VECTOR), Builder()
    place = Provenance("/home/u/model.py", 12, "loss")
    with building(builder), provenance(builder, place):
        y = el.sin(x)
        builder.provenance = place.derived(builder.equations[0], "jvp")
        el.cos(x)
        builder.provenance = Provenance()
        el.exp(x)
    lines = print_jaxpr(builder.finish((x,), (y,)), provenance=True).splitlines()
    assert lines[1] == "  %1: f64[3] = sin(%0)  // model.py:12 in loss"
    assert lines[2] == "  %2: f64[3] = cos(%0)  // model.py:12 in loss (jvp of sin)"
    assert lines[3] == "  %3: f64[3] = exp(%0)"


def test_variables_that_nobody_binds() -> None:
    x, y = Var(VECTOR), Var(VECTOR)
    assert str(Jaxpr((), (), (y, x, y))).splitlines()[1] == "  return %?0, %?1, %?0"
