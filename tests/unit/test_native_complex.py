"""Complex numbers on the native backend: memory, edges, calls, loops, machine code.

Values and gradients of every operation are rows of `testing/rows/complex.py`, and so laws.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

import tracejit as tj
from tracejit import lax
from tracejit.backends.native.callable import installed
from tracejit.ir.types import COMPLEX
from tracejit.passes.pairs.split import has_complex, pairs

RNG = np.random.default_rng(0)


def plane(*shape: int, dtype: Any = np.complex128) -> np.ndarray:
    return (RNG.standard_normal(shape) + 1j * RNG.standard_normal(shape)).astype(dtype)


def native(f: Callable[..., Any]) -> Any:
    return tj.jit(f, backend="native")


def llvm(f: Callable[..., Any], *args: Any) -> str:
    return str(tj.stages(f)(*args)["llvm"])


# The pass


def test_a_program_without_complex_numbers_is_the_same_object() -> None:
    jaxpr = tj.make_jaxpr(lambda x: np.sin(x) * 2)(1.0)
    assert not has_complex(jaxpr) and pairs(jaxpr) is jaxpr


def test_complex_numbers_are_left_at_the_borders_alone() -> None:
    def f(z: Any) -> Any:
        return lax.scan(lambda c, x: (c * x, np.exp(c)), z[0], z)

    after = pairs(tj.make_jaxpr(f)(plane(5)))
    names = {
        eqn.primitive.name for eqn in after.equations
        if any(x.dtype in COMPLEX for x in (*eqn.inputs, *eqn.outvars))
    }  # fmt: skip
    assert names == {"real", "imag", "complex"}


def test_a_literal_part_that_is_0_takes_no_part_in_products() -> None:
    far = np.array([complex(np.inf, 1.0)])
    np.testing.assert_array_equal(native(lambda z: z * 2.0)(far), [complex(np.inf, 2.0)])
    np.testing.assert_array_equal(native(lambda z: z / 2.0)(far), [complex(np.inf, 0.5)])


# Memory


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 100])
def test_every_length_has_its_tail(n: int, dtype: Any) -> None:
    z, w = plane(n, dtype=dtype), plane(n, dtype=dtype)
    out = native(lambda z, w: z + np.conj(w))(z, w)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, z + np.conj(w))


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a.T, lambda a: a[::-1, 1::3], lambda a: a[:, 2], lambda a: a[3],
        lambda a: a.reshape(-1)[5:77:4], lambda a: np.moveaxis(a.reshape(5, 4, 13), 2, 0),
        lambda a: np.concatenate([a, 2 * a], axis=1), lambda a: np.pad(a, 2),
        lambda a: np.broadcast_to(a[:, None], (20, 3, 13)), lambda a: a[np.array([3, 3, 0])],
    ],
)  # fmt: skip
def test_parts_of_arrays(view: Callable[[Any], Any]) -> None:
    a = plane(20, 13)
    np.testing.assert_array_equal(native(lambda a: view(a) + 1j)(a), view(a) + 1j)
    np.testing.assert_array_equal(native(view)(a), view(a))


def test_memory_that_is_not_contiguous_or_aligned() -> None:
    f = native(lambda z: z * 1j)
    a = plane(10, 6)
    odd = np.frombuffer(b"\0" * 3 + a[0].tobytes(), np.complex128, offset=3)
    for _ in range(3):
        for z in (a.T, a[::2, ::3], odd):
            np.testing.assert_array_equal(f(z), z * 1j)


def test_loads_and_stores_are_contiguous() -> None:
    z = plane(1000)
    text = llvm(lambda z, w, c: z * w + c, z, z, z)
    assert "gather" not in text and "scatter" not in text
    assert re.search(r"load <\d+ x double>", text) and re.search(r"store <\d+ x double>", text)


def test_real_programs_have_no_shuffles() -> None:
    assert "shufflevector" not in llvm(lambda x, y: x * y + 1.0, np.ones(64), np.ones(64))


# Calls


@pytest.mark.parametrize(
    "z", [1.5 + 2j, np.complex64(1 + 2j), np.complex128(3j), np.array(1j), plane(3, 4)]
)
def test_calls_go_to_machine_code(z: Any) -> None:
    f = native(lambda z: {"twice": z * 2, "size": np.abs(z)})
    first, kept = f(z), installed(f)
    assert len(kept) == 1
    again = f(z)
    for name, value in first.items():
        assert type(again[name]) is type(value) and again[name].dtype == value.dtype
        np.testing.assert_array_equal(again[name], value)
    assert again["twice"].dtype == np.asarray(z * 2).dtype and installed(f) == kept


def test_pythons_complex_numbers_are_narrowed_where_floats_are() -> None:
    with tj.config(default_float="float32"):
        f = native(lambda z: z * 2)
        for _ in range(3):
            assert f(0.5 + 1j) == 1 + 2j and f(0.5 + 1j).dtype == np.complex64


def test_arguments_are_written_to() -> None:
    @native
    def f(z: Any, x: Any) -> Any:
        z[1:] *= 1j
        z += x
        return z.sum()

    x = np.ones(5)
    for _ in range(3):
        a = plane(5)
        b = a.copy()
        total = f(a, x)
        b[1:] *= 1j
        b += x
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(total, b.sum(), rtol=1e-15)


def test_donated_memory() -> None:
    f = tj.jit(lambda z: z + 1j, backend="native", donate_argnums=0)
    z = plane(40)
    for _ in range(3):
        np.testing.assert_array_equal(f(z.copy()), z + 1j)


def test_long_programs_run_on_threads() -> None:
    z = plane(1 << 18)
    f = native(lambda z: (np.exp(1j * z.real) * z, np.sum(z * np.conj(z))))
    wave, total = f(z)
    np.testing.assert_allclose(wave, np.exp(1j * z.real) * z, rtol=1e-13)
    np.testing.assert_allclose(total, np.sum(np.abs(z) ** 2), rtol=1e-13)


def test_code_is_kept_on_disk(tmp_path: Path) -> None:
    z = plane(9)
    with tj.config(cache_dir=tmp_path):
        once = native(lambda z: np.exp(z) + 2j)(z)
        assert list(tmp_path.rglob("*"))
        np.testing.assert_array_equal(native(lambda z: np.exp(z) + 2j)(z), once)


# Loops, branches, Python


def test_loops_and_tapes() -> None:
    def loss(z: Any) -> Any:
        def outer(state: Any) -> Any:
            i, c = state
            inner = (0, c)
            _, c = lax.while_loop(
                lambda s: s[0] < i, lambda s: (s[0] + 1, s[1] * z[0] + 1j * np.sin(s[1])), inner
            )
            return i + 1, c

        _, c = lax.while_loop(lambda s: s[0] < 4, outer, (0, z[1]))
        c, rows = lax.scan(lambda c, x: (c * x + 1j, c * np.conj(c)), c, z)
        return np.abs(c) + np.sum(np.real(rows))

    z = 0.3 * plane(6)
    gradient = tj.grad(loss)
    np.testing.assert_allclose(native(loss)(z), loss(z), rtol=1e-13)
    np.testing.assert_allclose(native(gradient)(z), gradient(z), rtol=1e-11)


def test_branches_guards_and_callbacks() -> None:
    def f(z: Any) -> Any:
        if z.real > 0:
            z = z * 2j
        z = lax.cond(z.imag > 0, np.conj, lambda z: z + 1, z)
        return tj.pure_callback(lambda z: z * z, tj.ShapeDtypeStruct((), z.dtype), z) / 2

    g = native(f)
    for z in (1 + 1j, -1 + 1j, -1 - 1j, 1 - 1j):
        np.testing.assert_allclose(g(np.complex128(z)), f(np.complex128(z)), rtol=1e-15)


def test_what_python_does() -> None:
    """Operations without a rule in the pass, which the reference computes."""

    def f(z: Any, u: Any) -> Any:
        w = z.copy()
        np.multiply.at(w, np.array([1, 1, 3]), u)
        return w, np.linalg.inv(z.reshape(3, 3))

    z, u = plane(9), plane(3)
    for found, right in zip(native(f)(z, u), f(z, u), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-12)


# Products


@pytest.mark.parametrize(
    "f",
    [
        lambda a, b: a @ b, lambda a, b: b.T @ a.T, lambda a, b: a @ a.conj().T,
        lambda a, b: a.real @ b, lambda a, b: (a @ b)[:3, :3] @ b[:3, :2],
        lambda a, b: np.einsum("ij,jk,k->i", a, b, b[0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("n", [5, 70])
def test_products(f: Callable[[Any, Any], Any], n: int) -> None:
    a, b = plane(n, n + 3), plane(n + 3, n + 1)
    np.testing.assert_allclose(native(f)(a, b), f(a, b), rtol=1e-12)


def test_large_products_are_one_call_of_blas() -> None:
    text = llvm(lambda a: a @ a, plane(80, 80))
    assert "@blas.zgemm" in text and "@blas.dgemm" not in text


# Values at the edges

EDGES = [0.0, -0.0, 1.0, -0.5, 3.0, 1e-300, -1e300, 1e160, 710.0, -710.0, np.inf, -np.inf]
FUNCTIONS = (
    "abs sqrt exp log log10 sin cos sinh cosh tan tanh arcsin arccos arctan arcsinh arccosh arctanh"
).split()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_edges_are_numpys(name: str) -> None:
    """inf and overflow, zeros and their signs; the sign of a zero beside inf or NaN is open."""
    f = getattr(np, name)
    z = np.array([complex(x, y) for x in EDGES for y in EDGES])
    z = z[np.isfinite(z.real) | np.isfinite(z.imag)]
    with np.errstate(all="ignore"):
        expected = f(z)
    found = native(lambda z: f(z))(z)
    tight = np.isfinite(expected)
    for part in (np.real, np.imag):
        x, y = part(found), part(expected)
        np.testing.assert_allclose(x, y, rtol=1e-14, atol=5e-324)
        null = tight & (y == 0)
        np.testing.assert_array_equal(np.signbit(x[null]), np.signbit(y[null]))


PRECISE: dict[str, tuple[Any, float]] = {
    "abs": (abs, 1.1), "sqrt": (mpmath.sqrt, 2), "exp": (mpmath.exp, 2), "log": (mpmath.log, 2),
    "log1p": (lambda z: mpmath.log(1 + z), 2), "expm1": (mpmath.expm1, 3),
    "sin": (mpmath.sin, 3), "cosh": (mpmath.cosh, 3), "tan": (mpmath.tan, 4),
    "tanh": (mpmath.tanh, 4), "arcsin": (mpmath.asin, 4), "arccos": (mpmath.acos, 4),
    "arctan": (mpmath.atan, 4), "arcsinh": (mpmath.asinh, 4), "arccosh": (mpmath.acosh, 4),
    "arctanh": (mpmath.atanh, 4),
}  # fmt: skip


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
@pytest.mark.parametrize("name", PRECISE)
def test_accuracy(name: str, dtype: Any) -> None:
    """The distance from the right value, in roundings of its size."""
    exact, bound = PRECISE[name]
    size, angle = 10.0 ** RNG.uniform(-6, 1.5, 200), RNG.uniform(-np.pi, np.pi, 200)
    z = np.concatenate([size * np.exp(1j * angle), np.exp(1j * angle) * (1 + 1e-9 * size / 100)])
    z, rounding = z.astype(dtype), float(np.finfo(dtype).eps)
    found = native(lambda z: getattr(np, name)(z))(z)
    with mpmath.workdps(50):
        for x, y in zip(z, found, strict=True):
            right = exact(mpmath.mpc(complex(x)))
            assert abs(mpmath.mpc(complex(y)) - right) <= bound * rounding * abs(right), x
