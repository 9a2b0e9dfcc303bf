"""Each rule of fold, as lines of text; and that folding keeps what a primitive computes."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tracejit.ops.contraction
import tracejit.ops.reduction  # noqa: F401
from tracejit.ir.check import verify
from tracejit.ir.parsing import parse
from tracejit.ir.walk import evaluate
from tracejit.passes.dce import dce
from tracejit.passes.fold import fold
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing import SAMPLES
from tracejit.testing.samples import Sample

INPUTS = {
    "x": "f64[3]", "y": "f64[3]", "s": "f64[]", "m": "f64[2,3]", "i": "i32[3]", "u": "u8[3]",
    "c": "bool[3]", "f": "f32[3]", "one": "f64[1,3]", "none": "f64[0]", "n": "f64[3,2]",
}  # fmt: skip


def folded(body: str) -> str:
    """The lines that fold leaves of a body, the last result of which is returned.

    Inputs keep their letters; results are %a, %b, ... in order.
    """
    used = [name for name in INPUTS if re.search(rf"%{name}\b", body)]
    lines = [line.strip() for line in body.strip().split(";")]
    out, _, type = lines[-1].partition(" = ")[0].partition(": ")
    head = ", ".join(f"%{name}: {INPUTS[name]}" for name in used)
    jaxpr = parse(f"fn({head}) -> {type} {{ {' '.join(lines)} return {out} }}")
    verify(jaxpr)
    after = dce(fold(jaxpr))
    verify(after)
    assert fold(after) is after, "folding again changes nothing"
    rng = np.random.default_rng(1)
    values = [3 * rng.standard_normal(t.shape) for t in jaxpr.in_types]
    arrays = [np.abs(v).astype(t.dtype) for v, t in zip(values, jaxpr.in_types, strict=True)]
    np.testing.assert_allclose(
        evaluate(after, *arrays)[0], evaluate(jaxpr, *arrays)[0], rtol=1e-14, strict=True
    )
    text = "; ".join(line.strip() for line in str(after).splitlines()[1:-1])
    names = used + list("abcdefgh")
    text = re.sub(r"%(\d+)", lambda match: "%" + names[int(match[1])], text)
    return re.sub(r": \w+\[[\d,]*\] = ", " = ", text).replace("return ", "")


ELEMENTWISE = [
    ("%a: f64[3] = add(%x, 0.0)", "%x"),
    ("%a: f64[3] = add(0.0, %x)", "%x"),
    ("%a: f64[3] = sub(%x, 0.0)", "%x"),
    ("%a: f64[3] = sub(0.0, %x)", "%a = neg(%x); %a"),
    ("%a: f64[3] = mul(1.0, %x)", "%x"),
    ("%a: f64[3] = mul(%x, -1.0)", "%a = neg(%x); %a"),
    ("%a: f64[3] = mul(%x, 0.0)", "%a = mul(%x, 0.0); %a"),
    ("%a: i32[3] = mul(%i, 0)", "0"),
    ("%a: f64[3] = mul(3.0, %x)", "%a = mul(%x, 3.0); %a"),
    ("%a: f64[3] = mul(%x, %x)", "%a = square(%x); %a"),
    ("%a: f64[3] = div(%x, 1.0)", "%x"),
    ("%a: f64[3] = div(%x, -8.0)", "%a = mul(%x, -0.125); %a"),
    ("%a: f64[3] = div(%x, 3.0)", "%a = div(%x, 3.0); %a"),
    ("%a: f64[3] = div(%x, 5e-324)", "%a = div(%x, 5e-324); %a"),
    ("%a: i32[3] = div(%i, 2)", "%a = div(%i, 2); %a"),
    ("%a: f64[3] = div(1.0, %x)", "%a = div(1.0, %x); %a"),
    ("%a: bool[3] = lt(1.0, %x)", "%a = gt(%x, 1.0); %a"),
    ("%a: bool[3] = ge(1.0, %x)", "%a = le(%x, 1.0); %a"),
    ("%a: f64[3] = max(%x, -inf)", "%x"),
    ("%a: f64[3] = min(%x, %x)", "%x"),
    ("%a: i32[3] = sub(%i, %i)", "0"),
    ("%a: f64[3] = sub(%x, %x)", "%a = sub(%x, %x); %a"),
    ("%a: f64[3] = neg(%x); %b: f64[3] = neg(%a)", "%x"),
    ("%a: f64[3] = neg(%y); %b: f64[3] = add(%x, %a)", "%a = sub(%x, %y); %a"),
    ("%a: f64[3] = neg(%x); %b: f64[3] = add(%a, %y)", "%a = sub(%y, %x); %a"),
    ("%a: f64[3] = neg(%y); %b: f64[3] = sub(%x, %a)", "%a = add(%x, %y); %a"),
    ("%a: f64[3] = neg(%x); %b: f64[3] = mul(%a, 3.0)", "%a = mul(%x, -3.0); %a"),
    ("%a: f64[3] = mul(%x, 3.0); %b: f64[3] = neg(%a)", "%a = mul(%x, -3.0); %a"),
    ("%a: f64[3] = div(%x, 3.0); %b: f64[3] = neg(%a)", "%a = div(%x, -3.0); %a"),
    ("%a: u8[3] = mul(%u, 3); %b: u8[3] = neg(%a)", "%a = mul(%u, 3); %b = neg(%a); %b"),
    ("%a: f64[3] = neg(%x); %b: f64[3] = cos(%a)", "%a = cos(%x); %a"),
    ("%a: f64[3] = neg(%x); %b: f64[3] = mul(%a, %a)", "%a = square(%x); %a"),
    ("%a: f64[3] = square(%x); %b: f64[3] = abs(%a)", "%a = square(%x); %a"),
    ("%a: f64[3] = pow(%x, 2.0)", "%a = square(%x); %a"),
    ("%a: f64[3] = pow(%x, 0.5)", "%a = sqrt(%x); %a"),
    ("%a: f64[3] = pow(%x, -0.5)", "%a = rsqrt(%x); %a"),
    ("%a: f64[3] = pow(%x, -1.0)", "%a = div(1.0, %x); %a"),
    ("%a: f64[3] = pow(%x, 3.0)", "%a = integer_pow(%x, n=3); %a"),
    ("%a: f64[3] = pow(%x, 0.0)", "1.0"),
    ("%a: f64[3] = pow(%x, 1.0)", "%x"),
    ("%a: f64[3] = pow(%x, 30.0)", "%a = pow(%x, 30.0); %a"),
    ("%a: f64[3] = pow(2.0, %x)", "%a = exp2(%x); %a"),
    ("%a: i32[3] = pow(%i, 3)", "%a = integer_pow(%i, n=3); %a"),
    ("%a: f64[3] = integer_pow(%x, n=2)", "%a = square(%x); %a"),
    ("%a: bool[3] = and(%c, true)", "%c"),
    ("%a: bool[3] = and(%c, false)", "false"),
    ("%a: bool[3] = or(%c, false)", "%c"),
    ("%a: bool[3] = xor(true, %c)", "%a = not(%c); %a"),
    ("%a: i32[3] = and(%i, -1)", "%i"),
    ("%a: u8[3] = or(%u, 255)", "255"),
    ("%a: bool[3] = not(%c); %b: bool[3] = not(%a)", "%c"),
    ("%a: bool[3] = eq(%x, %y); %b: bool[3] = not(%a)", "%a = ne(%x, %y); %a"),
    ("%a: bool[3] = eq(%c, false)", "%a = not(%c); %a"),
    ("%a: bool[3] = ne(%c, false)", "%c"),
    ("%a: f64[3] = select(%c, %x, %x)", "%x"),
    ("%a: f64[3] = select(true: bool[3], %x, %y)", "%x"),
    ("%a: bool[3] = select(%c, true, false)", "%c"),
    ("%a: bool[3] = not(%c); %b: f64[3] = select(%a, %x, %y)", "%a = select(%c, %y, %x); %a"),
    (
        "%a: f64[3] = select(%c, %x, 0.0); %b: f64[3] = select(%c, %a, %y)",
        "%a = select(%c, %x, %y); %a",
    ),
    ("%a: f64[3] = stop_gradient(%x)", "%x"),
    ("%a: f64[3] = convert(%x, dtype=f64)", "%x"),
    ("%a: f64[3] = convert(%f, dtype=f64); %b: f32[3] = convert(%a, dtype=f32)", "%f"),
    (
        "%a: f32[3] = convert(%x, dtype=f32); %b: f64[3] = convert(%a, dtype=f64)",
        "%a = convert(%x, dtype=f32); %b = convert(%a, dtype=f64); %b",
    ),
    (
        "%a: i64[3] = convert(%u, dtype=i64); %b: f64[3] = convert(%a, dtype=f64)",
        "%a = convert(%u, dtype=f64); %a",
    ),
    (
        "%a: f64[3] = convert(%i, dtype=f64); %b: u8[3] = convert(%a, dtype=u8)",
        "%a = convert(%i, dtype=f64); %b = convert(%a, dtype=u8); %b",
    ),
    ("%a: i32[3] = convert(%c, dtype=i32); %b: bool[3] = ne(%a, 0)", "%c"),
    ("%a: f64[3] = exp(0.0: f64[3]); %b: f64[3] = add(%a, %a)", "2.0"),
    ("%a: i32[] = convert(1e+30: f64[], dtype=i32)", "%a = convert(1e+30: f64[], dtype=i32); %a"),
    ("%a: i32[] = convert(-7.5: f64[], dtype=i32)", "-7"),
    ("%a: f32[3] = add(0.1: f32[3], 0.2: f32[3])", "0.3"),
    ("%a: f64[3] = mul(%x, 3.0); %b: f64[3] = mul(%a, 0.5)", "%a = mul(%x, 1.5); %a"),
    ("%a: f64[3] = mul(%x, 2.0); %b: f64[3] = mul(%a, -0.5)", "%a = neg(%x); %a"),
    (
        "%a: f64[3] = mul(%x, 3.0); %b: f64[3] = mul(%a, 5.0)",
        "%a = mul(%x, 3.0); %b = mul(%a, 5.0); %b",
    ),
    (
        "%a: f64[3] = mul(%x, 1e-300); %b: f64[3] = mul(%a, 1.2e-38)",
        "%a = mul(%x, 1e-300); %b = mul(%a, 1.2e-38); %b",
    ),
    ("%a: f64[3] = select(%c, 1.0, 0.0); %b: bool[3] = eq(%a, 0.0)", "%a = not(%c); %a"),
    (
        "%a: f64[3] = select(%c, 2.0, 0.0); %b: f64[3] = mul(%y, %a);"
        "%d: f64[3] = keep_zeros(%b, %a)",
        "%a = mul(%y, 2.0); %b = select(%c, %a, 0.0); %b",
    ),
    (
        "%a: f64[3] = select(%c, 0.0, 1.0); %b: f64[3] = mul(%a, %y);"
        "%d: f64[3] = keep_zeros(%b, %a)",
        "%a = select(%c, 0.0, %y); %a",
    ),
    ("%a: f64[3] = keep_zeros(%x, 1.0)", "%x"),
    ("%a: f64[3] = keep_zeros(0.0, %x)", "0.0"),
    ("%a: f64[3] = keep_zeros(%x, %y)", "%a = keep_zeros(%x, %y); %a"),
    ("%a: f64[3] = mul(%x, 3.0); %b: f64[3] = keep_zeros(%a, %x)", "%a = mul(%x, 3.0); %a"),
    (
        "%a: f64[3] = mul(%x, 3.0); %d: f64[3] = neg(%x); %b: f64[3] = keep_zeros(%a, %d)",
        "%a = mul(%x, 3.0); %a",
    ),
    (
        "%a: f64[3] = mul(%x, 3.0); %d: f64[3] = mul(%x, 0.0); %b: f64[3] = keep_zeros(%a, %d)",
        "%a = mul(%x, 3.0); %b = mul(%x, 0.0); %c = keep_zeros(%a, %b); %c",
    ),
]

STRUCTURE = [
    ("%a: f64[2,3] = broadcast(1.0: f64[3], shape=(2, 3), dims=(1,))", "1.0"),
    ("%a: f64[3] = broadcast(%x, shape=(3,), dims=(0,))", "%x"),
    (
        "%a: f64[2,3] = broadcast(%x, shape=(2,3), dims=(1,));"
        "%b: f64[4,2,3] = broadcast(%a, shape=(4,2,3), dims=(1,2))",
        "%a = broadcast(%x, dims=(2,), shape=(4, 2, 3)); %a",
    ),
    (
        "%a: f64[2,3] = broadcast(%x, shape=(2,3), dims=(1,)); %b: f64[2,3] = div(1.0, %a);"
        "%c1: f64[2,3] = broadcast(%y, shape=(2,3), dims=(1,)); %d: f64[2,3] = add(%b, %c1)",
        "%a = div(1.0, %x); %b = add(%a, %y); %c = broadcast(%b, dims=(1,), shape=(2, 3)); %c",
    ),
    ("%a: f64[6] = reshape(%m, shape=(6,)); %b: f64[2,3] = reshape(%a, shape=(2,3))", "%m"),
    (
        "%a: f64[6] = broadcast(%s, shape=(6,), dims=());%b: f64[2,3] = reshape(%a, shape=(2,3))",
        "%a = broadcast(%s, dims=(), shape=(2, 3)); %a",
    ),
    ("%a: f64[3,2] = permute(%m, order=(1,0)); %b: f64[2,3] = permute(%a, order=(1,0))", "%m"),
    (
        "%a: f64[2,3] = broadcast(%x, shape=(2,3), dims=(1,));"
        "%b: f64[3,2] = permute(%a, order=(1,0))",
        "%a = broadcast(%x, dims=(0,), shape=(3, 2)); %a",
    ),
    ("%a: f64[1,3] = reverse(%one, axes=(0,1))", "%a = reverse(%one, axes=(1,)); %a"),
    ("%a: f64[3] = reverse(%x, axes=(0,)); %b: f64[3] = reverse(%a, axes=(0,))", "%x"),
    ("%a: f64[3] = slice(%x, start=(0,), limit=(3,), stride=(1,))", "%x"),
    (
        "%a: f64[2] = slice(%x, start=(1,), limit=(3,), stride=(1,));"
        "%b: f64[1] = slice(%a, start=(1,), limit=(2,), stride=(3,))",
        "%a = slice(%x, limit=(3,), start=(2,), stride=(3,)); %a",
    ),
    (
        "%a: f64[6] = concatenate(%x, %y, axis=0);"
        "%b: f64[2] = slice(%a, start=(3,), limit=(6,), stride=(2,))",
        "%a = slice(%y, limit=(3,), start=(0,), stride=(2,)); %a",
    ),
    ("%a: f64[3] = pad(%x, 0.0: f64[], low=(0,), high=(0,), interior=(0,))", "%x"),
    ("%a: f64[6] = pad(1.0: f64[3], 1.0: f64[], low=(1,), high=(0,), interior=(1,))", "1.0"),
    ("%a: f64[3] = concatenate(%none, %x, axis=0)", "%x"),
    ("%a: f64[5] = concatenate(1.0: f64[2], 1.0: f64[3], axis=0)", "1.0"),
    ("%a: i32[2,1] = iota(dtype=i32, shape=(2,1), axis=1)", "0"),
    ("%a: f64[3] = reduce_sum(%one, axes=(0,))", "%a = reshape(%one, shape=(3,)); %a"),
    ("%a: f64[3] = reduce_max(%x, axes=())", "%x"),
    ("%a: f64[] = reduce_sum(0.5: f64[3], axes=(0,))", "1.5"),
    ("%a: i8[] = reduce_sum(100: i8[3], axes=(0,))", "%a = reduce_sum(100: i8[3], axes=(0,)); %a"),
    (
        "%a: f64[5,3] = broadcast(%x, shape=(5,3), dims=(1,));"
        "%b: f64[3] = reduce_sum(%a, axes=(0,))",
        "%a = mul(%x, 5.0); %a",
    ),
    (
        "%a: f64[5,3] = broadcast(%x, shape=(5,3), dims=(1,));"
        "%b: f64[3] = reduce_max(%a, axes=(0,))",
        "%x",
    ),
    ("%a: f64[] = reduce_min(2.0: f64[3], axes=(0,))", "2.0"),
    ("%a: f64[1,3] = cumsum(%one, axis=0)", "%one"),
    (
        "%a: f64[3,2] = permute(%m, order=(1,0));"
        "%b: f64[3,3] = dot(%a, %m, contract=((1,), (0,)), batch=((), ()))",
        "%a = dot(%m, %m, batch=((), ()), contract=((0,), (0,))); %a",
    ),
    (
        "%a: f64[2,3] = permute(%n, order=(1,0));"
        "%b: f64[3,2] = dot(%x, %a, contract=((), ()), batch=((0,), (1,)))",
        "%a = broadcast(%x, dims=(0,), shape=(3, 2)); %b = mul(%a, %n); %b",
    ),
    (
        "%a: f64[2] = dynamic_slice(%x, 5: i64[], sizes=(2,))",
        "%a = slice(%x, limit=(3,), start=(1,), stride=(1,)); %a",
    ),
    ("%a: f64[3] = dynamic_update_slice(%x, %y, 2: i64[])", "%y"),
]


@pytest.mark.parametrize(("before", "after"), ELEMENTWISE + STRUCTURE)
def test_rules(before: str, after: str) -> None:
    assert folded(before) == after


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_simplified_primitives_compute_the_same(sample: Sample) -> None:
    before = sample.program()
    after = SIMPLIFY(before)
    verify(after)
    assert after.in_types == before.in_types and after.out_types == before.out_types
    assert SIMPLIFY(after) is after
    arrays = sample.arrays()
    for x, y in zip(evaluate(before, *arrays), evaluate(after, *arrays), strict=True):
        np.testing.assert_allclose(x, y, rtol=4e-7 if x.dtype == np.float32 else 1e-14, strict=True)


@pytest.mark.parametrize("start", [0, 1, 3, 4])
def test_a_slice_of_an_array_at_a_traced_place_wherever_that_is(start: int) -> None:
    """Also where the place has to be moved, so that the array fits."""
    before = parse(
        "fn(%0: f64[5], %1: i64[]) -> f64[5] {"
        " %2: f64[9] = dynamic_update_slice(0.0: f64[9], %0, %1)"
        f" %3: f64[5] = slice(%2, start=({start},), limit=({start + 5},), stride=(1,))"
        " return %3 }"
    )
    after = SIMPLIFY(before)
    assert "dynamic_update_slice" not in str(after)
    x = np.arange(1.0, 6)
    for place in range(-3, 9):
        (want,), (got,) = (evaluate(f, x, np.int64(place)) for f in (before, after))
        np.testing.assert_array_equal(got, want)
