"""Floats of 16 bits: float16 and bfloat16, stored as such and computed with as float32."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tests.unit import maths_harness as harness

import tracejit as tj
from tracejit.backends.native import halves
from tracejit.backends.native.emit import vector_type
from tracejit.ir.parsing import parse
from tracejit.ir.printing import print_number
from tracejit.ir.types import FLOAT16, bfloat16
from tracejit.numpy.promotion import promote_dtypes, result_dtype

pytest.importorskip("ml_dtypes")
BFLOAT16 = bfloat16()
HALVES = [pytest.param(d, id=d.name) for d in (FLOAT16, BFLOAT16)]
BACKENDS = ("native", "xla")
ALL_BITS = np.arange(1 << 16, dtype=np.uint16)


def vector(dtype: np.dtype, n: int = 37, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return np.linspace(low, high, n).astype(dtype)


def bits(x: object) -> np.ndarray:
    """What two arrays of halves have to have in common: NaN is NaN."""
    array = np.asarray(x)
    if array.dtype not in (FLOAT16, BFLOAT16):
        return array
    return np.where(np.isnan(array), np.uint16(0xFFFF), array.view(np.uint16))


def agree(f: object, *args: object, exact: tuple[str, ...] = ("native",)) -> None:
    """All backends give what the eager one gives: the same dtypes, and the same bits, or a unit."""
    with tj.config(backend="eager"):
        expected = tj.tree.leaves(tj.jit(f)(*args))
    for backend in BACKENDS:
        with tj.config(backend=backend):
            found = tj.tree.leaves(tj.jit(f)(*args))
        for y, z in zip(found, expected, strict=True):
            assert np.asarray(y).dtype == np.asarray(z).dtype
            if backend in exact:
                np.testing.assert_array_equal(bits(y), bits(z))
            else:
                wide = [np.asarray(a, np.float64) for a in (y, z)]
                np.testing.assert_allclose(*wide, rtol=2e-2, atol=1e-2)


# Conversions


def from_float(dtype: np.dtype, x: np.ndarray, has_instruction: bool) -> np.ndarray:
    def emit(b: object, x: object) -> object:
        b.module.has_half_conversions = has_instruction
        return b.bitcast(b.zext(halves.from_float(b, dtype, x), x.type.integer), x.type)

    found = harness.evaluate(emit, x, lanes=8)
    return found.view(f"u{x.itemsize}").astype(np.uint16).view(dtype)


def to_float(dtype: np.dtype, has_instruction: bool) -> np.ndarray:
    def emit(b: object, x: object) -> object:
        b.module.has_half_conversions = has_instruction
        short = vector_type("i16", x.type.lanes)
        return halves.to_float(b, dtype, b.truncate(b.bits_of(x), short))

    return harness.evaluate(emit, ALL_BITS.astype(np.uint32).view(np.float32), lanes=8)


@pytest.mark.parametrize("has_instruction", [True, False])
@pytest.mark.parametrize("dtype", HALVES)
def test_every_half_becomes_its_float(dtype: np.dtype, has_instruction: bool) -> None:
    with np.errstate(all="ignore"):
        expected = ALL_BITS.view(dtype).astype(np.float32)
    found = to_float(dtype, has_instruction)
    np.testing.assert_array_equal(found, expected)
    real = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(found)[real], np.signbit(expected)[real])


@pytest.mark.parametrize("has_instruction", [True, False])
@pytest.mark.parametrize("source", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", HALVES)
def test_floats_are_rounded_once(dtype: np.dtype, source: type, has_instruction: bool) -> None:
    if dtype != FLOAT16 and source is np.float64:
        source = np.float32  # ml_dtypes rounds twice, and so do programs
    with np.errstate(all="ignore"):
        values = ALL_BITS.view(dtype).astype(source)
        middles = (values[:-1] + values[1:]) / 2
        around = [np.nextafter(middles, source(side)) for side in (-np.inf, np.inf)]
        drawn = np.random.default_rng(0).integers(0, 1 << 32, 40_000, np.uint32).view(np.float32)
        x = np.concatenate([values, middles, *around, drawn.astype(source)])
        x = np.concatenate([x, np.zeros(-x.size % 8, source)])
        expected = x.astype(dtype)
    np.testing.assert_array_equal(bits(from_float(dtype, x, has_instruction)), bits(expected))


@pytest.mark.parametrize("dtype", HALVES)
def test_conversions_of_all_dtypes(dtype: np.dtype) -> None:
    def f(*xs: object) -> object:
        return [x.astype(dtype) for x in xs], [xs[0].astype(x.dtype) for x in xs]

    names = "f8 f4 f2 i1 i2 i4 i8 u1 u2 u4 u8 ?".split()
    xs = [np.array([0, 1, 3, 100, 77]).astype(name) for name in names]
    agree(f, np.array([0.5, 1.5, 3, 100, 7], dtype), *xs, exact=BACKENDS)


# Programs


def _control(x: object) -> object:
    def step(carry: object, y: object) -> object:
        carry = tj.lax.cond(y > 0, lambda c: c * y + 1, lambda c: c - y, carry)
        return carry, carry * 2

    final, rows = tj.lax.scan(step, x[0], x)
    n, turned = tj.lax.while_loop(
        lambda s: s[0] < 5, lambda s: (s[0] + 1, np.roll(s[1], 1) + x[0]), (0, x)
    )
    return final, rows, turned, n


def _writes(x: object) -> object:
    y = np.zeros_like(x)
    y[3:9] = x[:6]
    y[np.array([1, 1, 2])] += x[:3]
    y[::4] *= 2
    return y


PROGRAMS = {
    "arithmetic": lambda x: (x + 1, x * x - 0.1, x / 3, -x, abs(x), x**3, x % 1, x // 0.3),
    "functions": lambda x: (np.exp(x), np.sin(x), np.tanh(x), np.sqrt(abs(x)), np.log1p(abs(x))),
    "comparisons": lambda x: (x > 0.5, x == x[3], np.isnan(x), np.sign(x), np.signbit(x)),
    "choice": lambda x: (np.where(x > 0, x, 0), np.maximum(x, 0.25), np.clip(x, -1, 1)),
    "sums": lambda x: (np.sum(x * x), np.prod(x[:9]), np.max(x), np.argmin(x), np.cumsum(x)),
    "means": lambda x: (np.mean(x), np.var(x), np.std(x)),
    "moves": lambda x: (x[::-2], np.pad(x, 2), np.concatenate([x, x]), x[x.argsort()], np.sort(x)),
    "gathers": lambda x: (x[np.array([3, 1, 30])], np.roll(x, 5), np.take(x, np.arange(4))),
    "products": lambda x: (x @ x, np.outer(x, x) @ x, np.einsum("i,j->ij", x, x)),
    "writes": _writes,
    "control": _control,
    "neighbours": lambda x: (np.nextafter(x, x[5]), np.nextafter(x * 0, x)),
    "promotion": lambda x: (x + np.float32(1), x + np.arange(37, dtype=np.int8), x * 2, 1.5 - x),
    "constants": lambda x: x * vector(np.dtype(np.float32), 37).astype(x.dtype),
    "numbers": lambda x: (x[0] + 1, x[1] * x[2]),
    "iota": lambda x: tj.lax.iota(x.dtype, 37) + x,
    "bits": lambda x: (
        tj.lax.bitcast_convert_type(x, np.uint16), tj.lax.bitcast_convert_type(x, np.int16)
    ),
}  # fmt: skip
#: What is computed by other formulas in NumPy than in machine code.
NEAR = {"functions", "sums", "products", "means", "arithmetic"}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_backends_agree(name: str, dtype: np.dtype) -> None:
    agree(PROGRAMS[name], vector(dtype), exact=() if name in NEAR else ("native",))


@pytest.mark.parametrize("dtype", HALVES)
def test_derivatives_are_of_the_dtype(dtype: np.dtype) -> None:
    def f(x: object) -> object:
        return np.sum(np.tanh(x) * x) + np.max(x)

    x = vector(dtype)
    agree(tj.grad(f), x, exact=())
    agree(tj.hessian(f), x[:5], exact=())
    agree(tj.vmap(tj.value_and_grad(f)), np.stack([x, x]), exact=())
    expected = tj.grad(f)(x.astype(np.float64))
    np.testing.assert_allclose(tj.grad(f)(x).astype(float), expected, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("backend", ["eager", *BACKENDS])
@pytest.mark.parametrize("dtype", HALVES)
def test_sums_do_not_overflow_or_stop_on_the_way(dtype: np.dtype, backend: str) -> None:
    ones, large = np.ones((70_000,), dtype), np.full(1000, 60_000.0, dtype)
    with tj.config(backend=backend):
        assert float(tj.jit(lambda x: np.sum(x))(ones[:32_768])) == 32768
        assert float(tj.jit(lambda x: np.mean(x))(ones)) == 1
        assert float(tj.jit(lambda x: np.mean(x))(large)) == float(large[0])
        assert float(tj.jit(lambda x: np.std(x))(large)) < 0.01
        assert float(tj.jit(lambda x: np.dot(x, x))(ones[:4096])) == 4096


@pytest.mark.parametrize("dtype", HALVES)
def test_python_is_called_with_halves(dtype: np.dtype) -> None:
    seen = []

    def look(x: np.ndarray) -> np.ndarray:
        seen.append(x.dtype)
        return x * dtype.type(2)

    def f(x: object) -> object:
        like = tj.ShapeDtypeStruct(x.shape, x.dtype)
        return tj.pure_callback(look, like, x + 1) - 1

    x = vector(dtype, 5)
    agree(f, x)
    assert set(seen) == {dtype}
    assert tj.jit(f)(x).dtype == dtype


@pytest.mark.parametrize("dtype", HALVES)
def test_calls(dtype: np.dtype) -> None:
    """Arrays, NumPy scalars, views, out of machine code's own entry and out of Python's."""
    f = tj.jit(lambda x, y: (x * y, np.sum(x) * y))
    x, y = vector(dtype), dtype.type(1.5)
    for _ in range(3):
        product, total = f(x, y)
        assert type(product) is np.ndarray and product.dtype == dtype
        assert type(total) is dtype.type
        np.testing.assert_array_equal(product, x * y)
        np.testing.assert_array_equal(f(x[::2], y)[0], x[::2] * y)
    bound = f.bind(x, y)
    np.testing.assert_array_equal(bound()[0], x * y)


# The language


@pytest.mark.parametrize("dtype", HALVES)
def test_literals_have_the_shortest_text(dtype: np.dtype) -> None:
    jaxpr = tj.make_jaxpr(lambda x: (x * 0.1 + 65504.0) / 3)(vector(dtype))
    text = str(jaxpr)
    assert "0.1)" in text or "0.1," in text
    assert str(parse(text)) == text
    for number in ALL_BITS[::97].view(dtype):
        if np.isfinite(number):
            text = print_number(float(number), dtype)
            assert dtype.type(float(text)) == number


@pytest.mark.parametrize("other", "bool int8 uint8 int32 int64 float16 float32 float64".split())
def test_float16_meets_others_as_in_numpy(other: str) -> None:
    dtype = np.dtype(other)
    assert promote_dtypes(FLOAT16, dtype) == np.promote_types(FLOAT16, dtype)


def test_bfloat16_meets_others_as_in_jax() -> None:
    jnp = pytest.importorskip("jax.numpy")
    for other in "bool int8 uint8 int32 int64 float16 float32 float64 complex64".split():
        dtype = np.dtype(other)
        assert promote_dtypes(BFLOAT16, dtype) == jnp.promote_types(BFLOAT16, dtype), other
    assert result_dtype(vector(BFLOAT16), 1.5) == BFLOAT16
    assert result_dtype(vector(FLOAT16), 1.5j) == np.complex64


def test_small_integers_become_float16() -> None:
    for dtype in (bool, np.int8, np.uint8, np.int16, np.int32):
        x = np.array([0, 1, 1], dtype)
        for f in (np.sin, np.sqrt, np.exp):
            assert tj.jit(f)(x).dtype == f(x).dtype


def test_ml_dtypes_is_not_imported_before_it_is_needed() -> None:
    code = (
        "import sys, numpy as np, tracejit as tj\n"
        "assert tj.jit(lambda x: x * 2)(np.ones(3, np.float16)).dtype == np.float16\n"
        "assert 'ml_dtypes' not in sys.modules\n"
        "import ml_dtypes\n"
        "x = np.ones(3, ml_dtypes.bfloat16)\n"
        "assert tj.jit(lambda x: x * 2)(x).dtype == x.dtype\n"
        "assert tj.grad(lambda x: (x * x).sum())(x).dtype == x.dtype\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_unknown_dtypes_say_which_there_are() -> None:
    with pytest.raises(tj.errors.DTypeError, match="float16 to float64, bfloat16"):
        tj.jit(lambda x: x)(np.ones(3, np.longdouble))


def test_names() -> None:
    assert tj.numpy.float16 is np.float16 and tj.numpy.bfloat16 is BFLOAT16.type
    assert float(tj.numpy.finfo(tj.numpy.bfloat16).eps) == 2.0**-7
    assert tj.numpy.finfo(np.float32(1)).eps == np.finfo(np.float32).eps
    assert tj.numpy.zeros(3, "bfloat16").dtype == BFLOAT16


@pytest.mark.parametrize("dtype", HALVES)
def test_draws_are_those_of_jax(dtype: np.dtype) -> None:
    jax = pytest.importorskip("jax")
    for name in ("uniform", "normal", "exponential", "cauchy"):
        ours = getattr(tj.random, name)(tj.random.key(3), (50,), dtype)
        theirs = np.asarray(getattr(jax.random, name)(jax.random.key(3), (50,), dtype))
        assert ours.dtype == dtype
        np.testing.assert_array_equal(bits(ours), bits(theirs))


@pytest.mark.parametrize("dtype", HALVES)
def test_optimisers_move_halves(dtype: np.dtype) -> None:
    def loss(params: object) -> object:
        return np.sum((params["w"] - 1) ** 2)

    for make in (tj.optim.sgd, tj.optim.adam):
        rule, params = make(0.125), {"w": np.zeros(3, dtype)}
        state = rule.init(params)

        @tj.jit
        def step(params: object, state: object, rule: object = rule) -> object:
            updates, state = rule.update(tj.grad(loss)(params), state, params)
            return tj.optim.apply_updates(params, updates), state

        for _ in range(60):
            params, state = step(params, state)
        assert params["w"].dtype == dtype
        np.testing.assert_allclose(params["w"].astype(float), 1, atol=0.1)
