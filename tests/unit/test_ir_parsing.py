"""Text is read back as it was printed, and what is no program is refused with its place."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit.control.call  # noqa: F401  registers `call`
from tracejit.errors import IRSyntaxError
from tracejit.ir.atoms import Literal
from tracejit.ir.parsing import parse
from tracejit.ir.types import DTYPES, FLOAT64, array_type
from tracejit.ir.walk import evaluate

PROGRAM = """\
fn(%0: f64[2,3], %1: bool[2,3]) -> (f64[2], i32[], f64[3]) {
  %2: f64[2,3] = select(%1, %0, 0.0)
  %3: f64[2] = reduce_sum(%2, axes=(1,))
  %4: f64[2] = call(%3, name="half \\"it\\"", jaxpr=fn(%0: f64[2]) -> f64[2] {
    %1: f64[2] = mul(%0, 0.5)
    return %1
  })
  %5: f32[2] = convert(%4, dtype=f32)
  return %4, -3, nan
}"""


def test_a_program_is_printed_as_it_was_read() -> None:
    jaxpr = parse(PROGRAM)
    assert str(jaxpr) == PROGRAM
    x, mask = np.arange(6.0).reshape(2, 3), np.array([[True, False, True], [False] * 3])
    half, minus_three, nans = evaluate(jaxpr, x, mask)
    np.testing.assert_array_equal(half, [1.0, 0.0])
    assert minus_three == -3 and minus_three.dtype == np.int32
    assert np.isnan(nans).all() and nans.shape == (3,)


def test_comments_spaces_and_free_names() -> None:
    text = """
    // a comment in front
    fn(%x: f64[], %step: f64[]) -> f64[] {  // and behind
        %y : f64[]=add( %x,%step )
        return %y
    }  // the end
    """
    assert str(parse(text)) == (
        "fn(%0: f64[], %1: f64[]) -> f64[] {\n  %2: f64[] = add(%0, %1)\n  return %2\n}"
    )


@pytest.mark.parametrize(
    ("head", "number", "value"),
    [
        ("f64[]", "-0.0", -0.0), ("f64[]", "-inf", -math.inf), ("f64[]", "1e+300", 1e300),
        ("f32[3]", "0.1", float(np.float32(0.1))), ("bool[]", "true", True), ("i8[]", "-7", -7),
        ("u64[]", "18446744073709551615", 2**64 - 1), ("f64[]", "3", 3.0), ("f64[0]", "1.", 1.0),
    ],
)  # fmt: skip
def test_numbers(head, number, value) -> None:
    (out,) = parse(f"fn() -> {head} {{ return {number} }}").outvars
    assert isinstance(out, Literal) and repr(out.value) == repr(value)
    assert str(out.type) == head


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("none", None), ("true", True), ("-3", -3), ("0.5", 0.5), ("inf", math.inf),
        ('"a\\n"', "a\n"), ("()", ()), ("(1,)", (1,)), ("((1,), (none,))", ((1,), (None,))),
        ("f32", DTYPES["f32"]), ("f64[3]", array_type(FLOAT64, (3,))),
    ],
)  # fmt: skip
def test_parameters(text, value) -> None:
    (eqn,) = parse(f"fn(%0: f64[]) -> () {{ %1: f64[] = sin(%0, it={text}) return }}").equations
    assert eqn.params == {"it": value}
    assert type(eqn.params["it"]) is type(value)


@pytest.mark.parametrize(
    ("body", "what", "column"),
    [
        ("%1: f64[3] = sinn(%0)", "there is no primitive 'sinn'", 14),
        ("%1: f64[3] = sin(%2)", "%2 is not bound here", 18),
        ("%1: f64[3] = sin(%1)", "%1 is not bound here", 18),
        ("%0: f64[3] = sin(%0)", "%0 is bound twice", 1),
        ("%1: f64[3], %1: f64[3] = sin(%0)", "%1 is bound twice", 13),
        ("%1: f65[3] = sin(%0)", "there is no dtype f65", 5),
        ("%1: f64[3,,] = sin(%0)", "there is no shape [3,,]", 5),
        ("%1: f64 = sin(%0)", "expected a type such as f64[3,4], found `f64`", 5),
        ("%1: f64[3] = sin(%0", "expected `,`, found `return`", 1),
        ("%1: f64[3] = sin(%0) !", "there is no token that begins with '!'", 22),
        ("%1: f64[3] = add(%0, 1)", "no other operand and no result says the type of 1", 22),
        ("%1: f64[3] = add(%0, 1.5: i32[3])", "1.5 is no i32", 22),
        ("%1: f64[3] = add(%0, true: f64[3])", "true is no f64", 22),
        ("%1: f64[3] = sin(%0, rule=<f.<locals>.g>)", "no data cannot be read back", 27),
        ("%1: f64[3] = sin(%0, n=)", "expected the value of a parameter, found `)`", 24),
        ("%1: f64[3] = sin(%0, n=fun)", "expected the value of a parameter, found `fun`", 24),
        ("} return", "expected `return`, found `}`", 1),
        ("return %0, %0", "the head says 1 results, here is one more", 12),
        ("%1: f64[] = reduce_sum(%0, axes=(0,)) return %1", "says f64[3], this is f64[]", 46),
    ],
)  # fmt: skip
def test_faults(body, what, column) -> None:
    text = f"fn(%0: f64[3]) -> f64[3] {{\n{body}\nreturn %0 }}"
    with pytest.raises(IRSyntaxError) as caught:
        parse(text)
    assert what in caught.value.what
    assert caught.value.where is not None
    where, line, caret = caught.value.where.splitlines()
    assert where.endswith(f"column {column}")
    assert caret == " " * (4 + column - 1) + "^"


def test_a_fault_is_shown_in_its_line() -> None:
    with pytest.raises(IRSyntaxError) as caught:
        parse("fn(%0: f64[]) -> f64[] {\n  %1: f64[] = snh(%0)\n  return %1\n}")
    assert str(caught.value) == (
        "there is no primitive 'snh'\n"
        "  at line 2, column 15\n"
        "      %1: f64[] = snh(%0)\n"
        "                  ^\n"
        "  hint: did you mean 'sinh'?"
    )


@pytest.mark.parametrize(
    "text", ["", "fn", "fn(", "fn() -> () { return } fn", "jaxpr", "fn() -> f64[] { return }"]
)
def test_fragments_are_refused(text) -> None:
    with pytest.raises(IRSyntaxError):
        parse(text)
