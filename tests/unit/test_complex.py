"""Programs with complex numbers, as NumPy runs them: views of parts, writing, loops, branches."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tracejit.errors import ArgumentError, DTypeError, GradError, UnsupportedError

X = np.array([1.0, 2.0, 3.0])
Z = X + 1j * X[::-1]
PROGRAMS: list[Callable[..., Any]] = []


def program(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of NumPy and of X and Z, among the programs."""
    PROGRAMS.append(f)
    return f


@program
def parts_are_assigned(np: Any, x: Any, z: Any) -> Any:
    y = np.zeros(3, complex)
    y.real = x
    y.imag[1:] = 2
    return y


@program
def parts_are_assigned_in_a_loop(np: Any, x: Any, z: Any) -> Any:
    y = np.zeros(3, complex)
    for i in range(3):
        y.real[i] = x[i]
        y[i] += 1j * i
    return y


@program
def parts_are_changed_in_place(np: Any, x: Any, z: Any) -> Any:
    z.real += 1
    z.imag *= x
    np.copyto(z.real[:1], 5.0)
    return z


@program
def parts_are_views(np: Any, x: Any, z: Any) -> Any:
    part = z.real
    z[0] = 7 + 8j
    return part


@program
def parts_of_views(np: Any, x: Any, z: Any) -> Any:
    z.reshape(3, 1).real[:, 0] = x * 2
    z[::-1].imag[0] = 9
    z.real.ravel()[:] = 11  # a copy
    return z


@program
def parts_where(np: Any, x: Any, z: Any) -> Any:
    z.real[z.imag > 1.5] = -1
    z[z.real > 0] = 0
    return z


@program
def the_real_part_of_a_real_array(np: Any, x: Any, z: Any) -> Any:
    x.real = 2
    return x + x.imag


@program
def elements_are_converted(np: Any, x: Any, z: Any) -> Any:
    y = np.zeros(3, complex)
    y[:] = x
    y[1] = 3
    z += x
    z *= 1j
    z[1] = x[0]
    return y + z


@program
def results_are_given_arrays(np: Any, x: Any, z: Any) -> Any:
    size, y = np.zeros(3), np.zeros(3, complex)
    np.abs(z, out=size)
    np.exp(z, out=y, where=size > 3)
    np.add.at(y, [0, 0, 2], z)
    np.multiply.at(y, [1, 1], 1j * z[:2])
    return y + size


@program
def a_sum_of_powers(np: Any, x: Any, z: Any) -> Any:
    total = 0
    for k in range(len(z)):
        total = total + z[k] * 1j**k
    return total


@program
def a_recurrence(np: Any, x: Any, z: Any) -> Any:
    s = 0j
    for k in range(100):
        s = s * z[0] * 0.3 + z[k % 3]
    return s


@program
def steps_until_far(np: Any, x: Any, z: Any) -> Any:
    w, n = z * 0, 0
    while n < 50 and abs(w[0]) < 2:
        w = w * w + z * 0.1
        n += 1
    return w * n


@program
def a_branch(np: Any, x: Any, z: Any) -> Any:
    return z[0] if z[0] else z[1]


@program
def elements_one_by_one(np: Any, x: Any, z: Any) -> Any:
    return sum(z) + list(z)[1] * 2


@program
def numbers_of_python(np: Any, x: Any, z: Any) -> Any:
    return complex(2, 1) + z + np.full(3, z[0]) + np.array([z[0].real, z[0].imag, 1j])


@program
def sums_and_products(np: Any, x: Any, z: Any) -> Any:
    return z @ z.conj() + np.vdot(z, x) + np.sum(z, out=np.zeros((), complex)) + z.sum().real ** 0.5


@program
def moves(np: Any, x: Any, z: Any) -> Any:
    return np.take(z, [0, 2]) + np.flip(z)[:2] + np.roll(z, 1)[:2]


@program
def roots_of_negative_numbers(np: Any, x: Any, z: Any) -> Any:
    return np.sqrt(x - 2.5 + 0j) + np.log(-x + 0j)


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("run", PROGRAMS, ids=lambda f: f.__name__)
def test_as_numpy(run: Callable[..., Any], backend: str) -> None:
    expected = np.asarray(run(np, X.copy(), Z.copy()))
    programs = {"eager": lambda x, z: run(tnp, x, z), "native": lambda x, z: run(np, x, z)}
    result = np.asarray(tj.jit(programs[backend], backend=backend)(X.copy(), Z.copy()))
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    np.testing.assert_allclose(result, expected, rtol=1e-13)


@pytest.mark.parametrize("run", PROGRAMS, ids=lambda f: f.__name__)
def test_derivatives(run: Callable[..., Any]) -> None:
    """Of a real number made of the result, against differences along both parts."""
    w = np.array([1 - 2j, 0.5 + 1j, -1.5 + 0.3j])

    def loss(x: Any, z: Any) -> Any:
        y = run(tnp, x.copy(), z.copy())
        return (tnp.ravel(y + 0j) * w[: np.size(y)]).real.sum()

    tj.test_util.check_grads(loss, (X, Z), 1, atol=1e-5, rtol=1e-5)


def test_the_imaginary_part_of_real_numbers_is_not_written_to() -> None:
    def assigned(x: Any) -> Any:
        y = x.copy()
        y.imag = 2
        return y

    with pytest.raises(ArgumentError, match="read-only"):
        tj.jit(assigned, backend="eager")(X)


def test_real_parts_of_traced_numbers_are_asked_for() -> None:
    with pytest.raises(UnsupportedError, match="x.real is the real part"):
        tj.grad(lambda z: tnp.real_if_close(z * z.conj()))(1j)
    assert tnp.real_if_close(np.array([1 + 1e-17j])).dtype == float


def test_what_loses_the_imaginary_part_is_an_error() -> None:
    def added(z: Any) -> Any:
        y = tnp.zeros(3)
        y += z
        return y

    with pytest.raises(DTypeError, match="complex128, which cannot be written into an array"):
        tj.jit(added, backend="eager")(Z)


def test_gradients_are_those_of_jax() -> None:
    assert tj.grad(tnp.abs)(3 + 4j) == 0.6 - 0.8j
    assert tj.grad(tnp.abs)(0j) == 0
    assert tj.grad(lambda z: tnp.sign(z).real)(0j) == 0
    assert tj.grad(lambda z: tnp.sin(z), holomorphic=True)(1 + 1j) == np.cos(1 + 1j)
    np.testing.assert_allclose(tj.grad(lambda z: tnp.angle(z))(3 + 4j), -4 / 25 - 3j / 25)
    with pytest.raises(GradError, match="holomorphic"):
        tj.grad(lambda z: z.sum())(Z)


def loss(z: Any) -> Any:
    """The sum of squares."""
    return (tnp.abs(z) ** 2).sum()


def test_optimisers_and_solvers_take_real_numbers() -> None:
    opt = tj.optim.sgd(0.1)
    updates, _ = opt.update(tj.grad(loss)(Z), opt.init(Z), Z)
    with pytest.raises(DTypeError, match="conjugate"):
        tj.optim.apply_updates(Z, updates)
    with pytest.raises(DTypeError, match=r"params\['a'\] has dtype complex128"):
        tj.optim.adam(0.1).init({"a": Z})
    solve = tj.scipy.optimize
    for call in (
        lambda: solve.minimize(loss, Z),
        lambda: solve.minimize(lambda x: (x * 1j).sum(), X),
        lambda: solve.least_squares(lambda x: x * 1j, X),
        lambda: solve.curve_fit(lambda x, a: a * x, X, Z),
    ):
        with pytest.raises(DTypeError, match="complex128"):
            call()
    both = solve.least_squares(lambda x: tnp.concatenate([(x * 1j - Z).real, (x * 1j - Z).imag]), X)
    np.testing.assert_allclose(both.x, Z.imag, atol=1e-9)


def test_carries_that_start_as_a_complex_number_of_python() -> None:
    total, rows = tj.lax.scan(lambda c, x: (c + x, c), 1j, X.astype(np.float32))
    assert (total, rows.dtype) == (6 + 1j, np.complex64)
    assert tj.lax.while_loop(lambda c: abs(c) < 5, lambda c: c * np.float32(2), 1j) == 8j
    assert tj.lax.fori_loop(0, 3, lambda i, c: c * 1j, 1.0) == -1j


def test_draws_have_two_normal_parts() -> None:
    z = tj.random.normal(tj.random.key(0), (4000,), dtype=complex)
    assert z.dtype == np.complex128
    assert abs(np.mean(z)) < 0.05 and abs(np.var(z) - 1) < 0.05
    assert abs(np.var(z.real) - 0.5) < 0.03


def test_sums_of_exponentials_of_complex_numbers() -> None:
    z = np.array([1 + 2j, 300 + 4j, -1.5])
    expected = 300 + np.log(np.exp(z - 300).sum())
    np.testing.assert_allclose(tj.scipy.special.logsumexp(z), expected, rtol=1e-14)


@pytest.mark.parametrize("take", [tj.sparse_jacobian, tj.sparse_hessian])
def test_sparse_derivatives_are_of_real_numbers(take: Any) -> None:
    with pytest.raises(GradError, match="real numbers"):
        take(loss if take is tj.sparse_hessian else tnp.exp)(Z)


@pytest.mark.parametrize("door", ["torch", "tensorflow"])
def test_doors_without_complex_numbers_say_so(door: str) -> None:
    room = importlib.import_module(f"tracejit.compat.{door}")
    make = room.tensor if door == "torch" else room.constant
    with pytest.raises(UnsupportedError, match="no tensors of dtype complex128"):
        make([1j]).dtype  # noqa: B018


def test_nan_in_a_complex_result_is_reported() -> None:
    compiled = tj.jit(lambda z: tnp.log(z * 0) * 0, backend="eager")
    report = pytest.raises(tj.errors.NonFiniteError, match="inf came from log")
    with tj.config.override(debug_nans=True), report:
        compiled(Z)


def test_gradients_through_a_transform_by_loops() -> None:
    def transform(x: Any) -> Any:
        y = np.zeros(3, complex)
        for k in range(3):
            for j in range(3):
                y[k] += x[j] * np.exp(-2j * np.pi * k * j / 3)
        return y

    np.testing.assert_allclose(tj.jit(transform, backend="eager")(Z), np.fft.fft(Z), atol=1e-14)
    gradient = tj.grad(lambda z: (np.abs(transform(z)) ** 2).sum())(Z)
    np.testing.assert_allclose(gradient, 6 * Z.conj(), atol=1e-13)  # Parseval
