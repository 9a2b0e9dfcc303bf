"""Calls of functions that assign to their arguments: the arrays are written, or left alone."""

from __future__ import annotations

import gc
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tracejit as tj
from tracejit.backends.native.callable import installed
from tracejit.errors import ArgumentError, TracejitError, UnsupportedError

BACKENDS = ["native", "eager"] + (["xla"] if find_spec("jax") else [])


def stencil(A: Any, B: Any) -> Any:
    """Sweeps over two arrays, as solvers have them."""
    for _ in range(2):
        B[1:-1] = 0.5 * (A[:-2] + A[2:])
        A[1:-1] = 0.5 * (B[:-2] + B[2:])


def shifted(A: Any, B: Any) -> Any:
    A[1:] += B[:-1]
    A[0] = 3
    return A.sum()


def swapped(A: Any, B: Any) -> Any:
    t = A.copy()
    A[:] = B
    B[:] = t


def rotated(A: Any, B: Any) -> Any:
    def body(carry: Any) -> Any:
        i, a, b = carry
        return i + 1, b, a * 1.5

    _, A[:], B[:] = tj.lax.while_loop(lambda c: c[0] < 3, body, (0, A, B))


def returned(A: Any, B: Any) -> Any:
    old = A.copy()
    A *= 2
    B[:] = A
    return old, A, B + 1


def in_place(A: Any, B: Any) -> Any:
    A += 1
    A[3] = B[2]
    np.exp(A, out=A)


def constant(A: Any, B: Any) -> Any:
    A[:] = 1
    B[:] = A + B * 0
    return 5


def looped(A: Any, B: Any) -> Any:
    def body(i: Any, a: Any) -> Any:
        a[i] = a[i - 1] + B[i]
        return a

    A[:] = tj.lax.fori_loop(1, 8, body, A)


def onto(A: Any, B: Any) -> Any:
    """What B becomes is read from A before A changes."""
    B[:] = A[::-1] * 2
    A[:] = B[::-1] + A[::-1]


PROGRAMS = (stencil, shifted, swapped, rotated, returned, in_place, constant, looped, onto)


def arrays() -> tuple[np.ndarray, np.ndarray]:
    return np.linspace(0.0, 1.0, 8), np.linspace(2.0, 1.0, 8)


def as_plain(f: Callable[..., Any], backend: str = "native") -> None:
    """The same as NumPy, results and arguments, in the first call and in those after it."""
    jitted = tj.jit(f, backend=backend)
    ours, theirs = arrays(), arrays()
    for _ in range(4):
        result = jitted(*ours)
        expected = f(*theirs) if f not in (rotated, looped) else plain_loop(f, *theirs)
        tj.tree.map(np.testing.assert_allclose, result, expected)
        for x, y in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x, y)
        del result
        gc.collect()


def plain_loop(f: Callable[..., Any], A: Any, B: Any) -> None:
    if f is looped:
        for i in range(1, 8):
            A[i] = A[i - 1] + B[i]
    else:
        A[:], B[:] = B * 1.5, A * 1.5 * 1.5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_arguments_are_written(program: Callable[..., Any], backend: str) -> None:
    as_plain(program, backend)


def test_no_python_runs_once_it_is_known() -> None:
    f = tj.jit(shifted, backend="native")
    A, B = arrays()
    f(A, B)
    assert len(installed(f)) == 1
    f._miss = None  # type: ignore[assignment,method-assign]
    f(A, B)


def test_trees_of_arguments() -> None:
    class Pair(NamedTuple):
        x: Any
        y: Any

    @tj.jit
    def step(state: Any, *, pair: Any) -> Any:
        state["w"] -= 0.5 * state["g"][0]
        pair.y[1] = 7

    state = {"w": np.ones(3), "g": [np.full(3, 2.0)], "n": 3}
    pair = Pair(np.zeros(2), np.zeros(2))
    for _ in range(3):
        step(state, pair=pair)
    np.testing.assert_array_equal(state["w"], -2)  # type: ignore[arg-type]
    np.testing.assert_array_equal(pair.y, [0, 7])


@pytest.mark.parametrize("backend", BACKENDS)
def test_arrays_that_lie_otherwise(backend: str) -> None:
    f = tj.jit(shifted, backend=backend)
    for _ in range(3):
        base, columns = np.arange(16.0), np.zeros((8, 2))
        expected = base.copy()
        shifted(expected[::2], columns[:, 0])
        f(base[::2], columns[:, 0])
        np.testing.assert_array_equal(base, expected)
    foreign = np.arange(8.0).astype(">f8")
    f(foreign, np.zeros(8))
    np.testing.assert_array_equal(foreign, [3, *range(1, 8)])


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_written(backend: str) -> None:
    f = tj.jit(shifted, backend=backend)
    A, B = arrays()
    f(A, B)
    f(A, B)
    frozen, twice = A.copy(), np.arange(9.0)
    frozen.flags.writeable = False
    for args, message in (
        ((A, A), "argument A of shifted is assigned to, and shares memory with argument B"),
        ((twice[1:], twice[:-1]), "shares memory with argument B"),
        ((twice[:-1][::-1], twice[:-1]), "shares memory with argument B"),
        ((frozen, B), "argument A of shifted is assigned to, and is read-only"),
        ((np.lib.stride_tricks.as_strided(A, (8,), (0,)), B), "elements that share memory"),
    ):
        before = [x.copy() for x in args]
        for _ in range(2):
            with pytest.raises(ArgumentError, match=message):
                f(*args)
            for x, y in zip(args, before, strict=True):
                np.testing.assert_array_equal(x, y)
    interleaved = np.arange(16.0)
    f(interleaved[::2], interleaved[1::2])
    with pytest.raises(ArgumentError, match="is of type float64"):
        tj.jit(lambda x: x.fill(1), backend=backend)(np.float64(2))
    held = np.array(2.0)
    tj.jit(lambda x: x.fill(1), backend=backend)(held)
    assert held == 1


def test_what_shares_memory_may_be_read() -> None:
    f = tj.jit(lambda A, B: A + B)
    A = arrays()[0]
    np.testing.assert_array_equal(f(A, A), A + A)


def test_an_exception_leaves_arguments_alone() -> None:
    def fails(A: Any) -> Any:
        A[0] = 5
        raise RuntimeError("no")

    def far(A: Any) -> Any:
        A[0] = 5
        A[99] = 1

    for f, error in ((fails, RuntimeError), (far, TracejitError)):
        A, _ = arrays()
        with pytest.raises(error):
            tj.jit(f)(A)
        np.testing.assert_array_equal(A, arrays()[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_bound_calls_write_in_place(backend: str) -> None:
    A, B = arrays()
    C, D = arrays()
    call = tj.jit(shifted, backend=backend).bind(A, B)
    np.testing.assert_array_equal(A, C)
    for _ in range(3):
        total = call()
        np.testing.assert_allclose(total, shifted(C, D))
        np.testing.assert_array_equal(A, C)
    with pytest.raises(ArgumentError, match="shares memory"):
        tj.jit(shifted).bind(A, A)
    with pytest.raises(ArgumentError, match="shares memory"):
        tj.jit(returned).bind(A, B, out=(np.empty(8), A, np.empty(8)))


def test_jit_inside_of_jit() -> None:
    @tj.jit
    def inner(A: Any) -> None:
        A[0] += 1
        A.T[1] = 7

    @tj.jit
    def outer(A: Any, x: Any) -> Any:
        inner(A[1:])
        B = A * 2
        inner(B)
        return B.sum() * x

    A = np.arange(5.0)
    assert outer(A, 2.0) == 72
    np.testing.assert_array_equal(A, [0, 2, 7, 3, 4])

    def twice(A: Any) -> None:
        tj.jit(lambda x, y: x.fill(y[0]))(A, A[1:])

    with pytest.raises(ArgumentError, match="shares memory with argument y"):
        tj.jit(twice)(A)


def test_closures_of_a_jitted_function() -> None:
    @tj.jit
    def outer(A: Any) -> Any:
        @tj.jit
        def inner(x: Any) -> None:
            A[0] = x

        inner(3.0)
        return A[0] + A[1]

    A = np.ones(2)
    assert outer(A) == 4
    np.testing.assert_array_equal(A, [3, 1])


def test_transforms_leave_arguments_alone() -> None:
    def f(A: Any, B: Any) -> Any:
        A[1:] *= B[:-1]
        B[0] = 2.0
        return A.sum() + B.sum()

    for g in (f, tj.jit(f)):
        A, B = arrays()
        slope = tj.grad(g, argnums=(0, 1))(A, B)
        np.testing.assert_allclose(slope[0], [1, *B[:-1]])
        np.testing.assert_allclose(slope[1], [A[1], *(A[2:] + 1), 1])
        tj.jvp(g, (A, B), (A.copy(), B.copy()))
        tj.vmap(g)(np.stack([A, B]), np.stack([A, B]))
        tj.make_jaxpr(g)(A, B)
        tj.value_and_grad(g)(A, B)
        np.testing.assert_allclose(tj.grad(g, argnums=1)(A, B), slope[1])
        np.testing.assert_array_equal(A, arrays()[0])
        np.testing.assert_array_equal(B, arrays()[1])


def test_gradients_are_those_of_differences() -> None:
    def f(A: Any) -> Any:
        row = A[1:].reshape(-1)
        row[::2] *= A[0, 0]
        A.T[1] += np.sin(A[:, 0])
        A[A[:, 0] > 0.5] = 2.0
        np.multiply(A, A, out=A)
        return np.sum(A * np.arange(6.0).reshape(3, 2))

    x = np.array([[0.3, 0.2], [0.1, 0.9], [0.7, -0.4]])
    slope = tj.jit(tj.grad(f))(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        assert abs((f(up) - f(down)) / 2e-6 - slope[i]) < 1e-6


# Final values as results


def kernel(n: int, A: Any, *, state: Any = None) -> Any:
    for _ in range(n):
        A[1:-1] = 0.5 * A[1:-1] + 0.25 * (A[:-2] + A[2:])
    if state is not None:
        state["w"] *= 2
    return A[0] + 1


def test_final_values_can_be_asked_for() -> None:
    A, state = arrays()[0] ** 2, {"w": np.ones(2), "v": np.ones(2)}
    expected = A.copy()
    kernel(3, expected)
    for call in (
        tj.with_finals(kernel),
        tj.jit(tj.with_finals(kernel), static_argnums=0),
        tj.with_finals(tj.jit(kernel, static_argnums=0)),
    ):
        result, finals = call(3, A, state=state)
        assert result == A[0] + 1
        assert sorted(finals) == ["A", "state['w']"]
        np.testing.assert_allclose(finals["A"], expected)
        np.testing.assert_array_equal(finals["state['w']"], 2)
        np.testing.assert_array_equal(A, arrays()[0] ** 2)
        np.testing.assert_array_equal(state["w"], 1)
    assert tj.with_finals(np.sum)(A)[1] == {}


def test_final_values_are_differentiated_and_mapped() -> None:
    A = arrays()[0] ** 2

    def total(A: Any) -> Any:
        return (tj.with_finals(kernel)(3, A)[1]["A"] * np.arange(8)).sum()

    def plain(A: Any) -> Any:
        A = A.copy()
        kernel(3, A)
        return (A * np.arange(8)).sum()

    slope = [(plain(A + e) - plain(A - e)) / 2e-6 for e in 1e-6 * np.eye(8)]
    for gradient in (tj.grad(total), tj.jit(tj.grad(total)), tj.grad(tj.jit(total))):
        np.testing.assert_allclose(gradient(A), slope, rtol=1e-6)
    many = tj.vmap(lambda A: tj.with_finals(kernel)(3, A)[1]["A"])(np.stack([A, 2 * A]))
    np.testing.assert_allclose(many[1], 2 * many[0])


# Random programs


PARTS = ("[1:]", "[:-1]", "[::2]", "[::-1]", "[2]", "[1:3]", "[:, 1]", "[:, ::-1]", ".T",
         ".reshape(-1)", "[None]", "[1:, 1:]", ".ravel()", ".swapaxes(0, 1)", "[[1, 0]]",
         "[-1]")  # fmt: skip
WRITES = ("{v}[...] = {e}", "{v} += {e}", "{v} *= {e}", "np.add({v}, {e}, out={v})",
          "{v}[0] = {e}", "{v}[1:] -= {e}", "{v}.fill({e})")  # fmt: skip


@st.composite
def programs(draw: Any) -> list[str]:
    """Statements that name parts of two arrays, parts of these, and write to any of them."""
    lines, names = [], ["x", "y"]
    for number in range(draw(st.integers(2, 7))):
        name = draw(st.sampled_from(names))
        if draw(st.booleans()):
            lines.append(f"v{number} = {name}{draw(st.sampled_from(PARTS))}")
            names.append(f"v{number}")
        else:
            other = draw(st.sampled_from(names))
            element = draw(st.sampled_from(["2.0", f"{other}.sum()", f"{other}.max() * 0.5"]))
            lines.append(draw(st.sampled_from(WRITES)).format(v=name, e=element))
    return lines


@settings(max_examples=60, deadline=None)
@given(programs())
def test_random_programs(lines: list[str]) -> None:
    def run(x: Any, y: Any) -> list[Any]:
        """What the names stand for in the end; a line that NumPy refuses is left out."""
        names: dict[str, Any] = {"x": x, "y": y, "np": np}
        for line in kept:
            exec(line, names)
        return [v + 0 for k, v in sorted(names.items()) if k[0] == "v"]

    def accepted() -> list[str]:
        names: dict[str, Any] = {"x": start(), "y": -start(), "np": np}
        found = []
        for line in lines:
            try:
                exec(line, names)
            except (ValueError, IndexError, TypeError, NameError, AttributeError):
                continue
            found.append(line)
        return found

    def start() -> np.ndarray:
        return np.linspace(-1.0, 1.0, 12).reshape(4, 3)

    kept = accepted()
    ours, theirs = (start(), -start()), (start(), -start())
    result, expected = tj.jit(run, backend="native")(*ours), run(*theirs)
    for x, y in zip((*result, *ours), (*expected, *theirs), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12, err_msg="\n".join(kept))


def test_a_known_array_says_that_it_cannot_be_written() -> None:
    table = np.zeros(3)

    def f(x: Any) -> Any:
        table[0] = x
        return table.sum()

    with pytest.raises(UnsupportedError):
        tj.jit(f)(2.0)
