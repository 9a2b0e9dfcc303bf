# ruff: noqa: E501  a table reads best with a row on a line
"""numpy, nn, lax and scipy against JAX: values, dtypes, shapes, first and second derivatives.

A row calls `j`, which is tracejit or jax, on arrays; where it says so it is differentiated too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.scipy.linalg
import jax.scipy.special

import tracejit as tj
import tracejit.numpy as tnp
from tracejit.numpy.updates import At

_RNG = np.random.default_rng(5)
R = np.array([-7.0, -2.5, -1.0, -0.3, 0.2, 0.9, 1.7, 6.5, 30.0])
P = np.array([0.1, 0.4, 0.9, 1.3, 2.0, 5.5, 12.0])
U = np.array([0.01, 0.2, 0.5, 0.77, 0.999])
M = _RNG.normal(size=(3, 4))
N = _RNG.normal(size=(4, 5))
B = _RNG.normal(size=(2, 3, 4))
Q = _RNG.normal(size=(4, 4))
LARGE = np.eye(12) + np.cos(np.arange(144.0)).reshape(12, 12)
LOW = np.array([[1.0, -np.inf, 2.0], [-np.inf, -np.inf, 0.5]])
INTS = np.array([5, -3, 0, 9, 2, 2], np.int32)


class Row(NamedTuple):
    """A call, its arrays, and how often it is differentiated by the first of them."""

    call: Callable[..., Any]
    arrays: tuple[Any, ...]
    order: int = 1


ROWS: dict[str, Row] = {}


def at(j: Any, x: Any) -> Any:
    """x.at, which arrays that are not traced lack here."""
    return At(x) if j is tj else x.at


def unary(room: str, names: str, x: np.ndarray, order: int = 1) -> None:
    """Functions of one array."""
    for name in names.split():
        def call(j: Any, x: Any, name: str = name) -> Any:
            found = j
            for step in room.split("."):
                found = getattr(found, step)
            return getattr(found, name)(x)

        ROWS[f"{room}.{name}"] = Row(call, (x,), order)


unary("nn", "relu relu6 sigmoid softplus log_sigmoid silu swish soft_sign gelu elu celu selu", R, 2)
unary("nn", "leaky_relu hard_tanh hard_sigmoid hard_silu sparse_plus squareplus mish tanh", R)
unary("nn", "softmax log_softmax logsumexp logmeanexp glu", M, 2)
unary("nn", "standardize", M, 1)
unary("nn", "log1mexp", P)
unary("scipy.special", "expit erf erfc log_ndtr", R, 2)
unary("scipy.special", "gammaln digamma gamma factorial entr", P)
unary("scipy.special", "logit erfinv", U * 0.9)
unary("numpy", "sinc", np.array([0.0, 0.3, -1.2, 2.0]), 2)
unary("numpy", "sort cumsum cumprod max min prod std var mean ptp median ravel tanh nansum", M)
unary("lax", "abs neg sign floor ceil square exp exp2 expm1 logistic tanh sin cos tan atan sinh", R, 1)
unary("lax", "cosh asinh is_finite erf erfc round", R, 1)
unary("lax", "bessel_i0e bessel_i1e", R, 2)
unary("lax", "sqrt rsqrt cbrt log log1p lgamma digamma reciprocal", P, 1)
unary("lax", "population_count clz bitwise_not", np.abs(INTS), 0)
unary("lax", "cumsum cumprod cummax cummin cumlogsumexp sort stop_gradient", M, 1)

ROWS |= {
    "gelu exact": Row(lambda j, x: j.nn.gelu(x, approximate=False), (R,)),
    "leaky slope": Row(lambda j, x: j.nn.leaky_relu(x, 0.3), (R,)),
    "one_hot": Row(lambda j, i: j.nn.one_hot(i, 4), (INTS,), 0),
    "softmax axis": Row(lambda j, x: j.nn.softmax(x, axis=0), (M,)),
    "softmax -inf": Row(lambda j, x: j.nn.softmax(x), (LOW,), 0),
    "log_softmax where": Row(lambda j, x: j.nn.softmax(x, where=M > -0.5), (M,), 1),
    "logsumexp -inf": Row(lambda j, x: j.nn.logsumexp(x, axis=1), (LOW,), 1),
    "logsumexp b": Row(
        lambda j, x: j.scipy.special.logsumexp(x, b=np.array([1.0, -2.0, 0.5, 0.0]), axis=1,
                                               return_sign=True)[0], (M,), 1),
    "xlogy": Row(lambda j, x: j.scipy.special.xlogy(x, x + 1), (P,)),
    "xlog1py": Row(lambda j, x: j.scipy.special.xlog1py(x, x * x), (P,)),
    "betaln": Row(lambda j, x: j.scipy.special.betaln(x, x + 0.5), (P[:6],)),
    "beta": Row(lambda j, x: j.scipy.special.beta(x, x + 0.5), (P,)),
    "rel_entr": Row(lambda j, x: j.scipy.special.rel_entr(x, x * x), (P,)),
    "kl_div": Row(lambda j, x: j.scipy.special.kl_div(x, x * x), (P,)),
    "polygamma": Row(lambda j, x: j.scipy.special.polygamma(2, x), (P,), 1),
    "multigammaln": Row(lambda j, x: j.scipy.special.multigammaln(x + 2, 3), (P,), 1),
    "poch": Row(lambda j, x: j.scipy.special.poch(x, 1.5), (P,), 0),
    "ndtr": Row(lambda j, x: j.scipy.special.ndtr(x), (R,)),
    "logaddexp": Row(lambda j, x: j.numpy.logaddexp(x, x[::-1]), (R,), 2),
    "logaddexp tie": Row(lambda j, x: j.numpy.logaddexp(x, R), (R,), 2),
    "hypot": Row(lambda j, x: j.numpy.hypot(x, x[::-1]), (R,), 1),
    "arctan2": Row(lambda j, x: j.numpy.arctan2(x, x[::-1]), (R,)),
    "norm": Row(lambda j, x: j.numpy.linalg.norm(x, axis=1), (M,)),
    "norm 3": Row(lambda j, x: j.numpy.linalg.norm(x, ord=3, axis=1), (M,)),
    "linalg.solve": Row(lambda j, a, b: j.numpy.linalg.solve(a, b), (Q, M.T), 2),
    "linalg.solve large": Row(lambda j, a, b: j.numpy.linalg.solve(a, b), (LARGE, LARGE[0]), 1),
    "linalg.inv": Row(lambda j, a: j.numpy.linalg.inv(a), (Q,), 2),
    "linalg.det": Row(lambda j, a: j.numpy.linalg.det(a[:3, :3]) + j.numpy.linalg.det(a), (Q,), 2),
    "linalg.slogdet": Row(lambda j, a: j.numpy.linalg.slogdet(a)[1], (Q,), 2),
    "linalg.cholesky": Row(lambda j, a: j.numpy.linalg.cholesky(a), (Q @ Q.T,), 2),
    "linalg.cholesky large": Row(lambda j, a: j.numpy.linalg.cholesky(a), (LARGE @ LARGE.T,), 1),
    "scipy.cholesky": Row(lambda j, a: j.scipy.linalg.cholesky(a), (Q @ Q.T,), 0),
    "scipy.cho_solve": Row(
        lambda j, a, b: j.scipy.linalg.cho_solve(j.scipy.linalg.cho_factor(a @ a.T, lower=True), b), (Q, M.T), 2),
    "scipy.solve": Row(lambda j, a, b: j.scipy.linalg.solve(a @ a.T, b, assume_a="pos"), (Q, M[0]), 1),
    "scipy.solve_triangular": Row(
        lambda j, a, b: j.scipy.linalg.solve_triangular(a, b, trans=1, lower=True), (Q, M.T), 2),
    "scipy.solve_triangular unit": Row(
        lambda j, a, b: j.scipy.linalg.solve_triangular(a, b, unit_diagonal=True), (Q, M.T), 2),
    "scipy.lu_solve": Row(
        lambda j, a, b: j.scipy.linalg.lu_solve(j.scipy.linalg.lu_factor(a), b), (Q, M[0]), 1),
    "scipy.lu_solve transposed": Row(
        lambda j, a, b: j.scipy.linalg.lu_solve(j.scipy.linalg.lu_factor(a), b, trans=1), (Q, M[0]), 1),
    "lax.linalg.cholesky": Row(lambda j, a: j.lax.linalg.cholesky(a) @ a, (Q @ Q.T,), 1),
    "lax.linalg.triangular_solve": Row(
        lambda j, a, b: j.lax.linalg.triangular_solve(a, b, lower=True, transpose_a=True), (Q, M), 1),
    "lax.linalg.lu": Row(lambda j, a: j.lax.linalg.lu(a)[0] + j.lax.linalg.lu(a)[2][:, None], (Q,), 2),
    "where": Row(lambda j, x: j.numpy.where(x > 0, j.numpy.sqrt(j.numpy.where(x > 0, x, 1)), 0), (R,)),
    "power": Row(lambda j, x: x ** 3 + x ** -2 + 2.0 ** x + j.numpy.power(j.numpy.abs(x), x), (P,), 2),
    "interp": Row(lambda j, x: j.numpy.interp(x, np.arange(4.0), np.array([1.0, 3, 2, 5])), (P,), 1),
    "einsum": Row(lambda j, x: j.numpy.einsum("ij,kij->k", x, B), (M,)),
    "matmul": Row(lambda j, x: x @ N, (M,)),
    "quantile": Row(lambda j, x: j.numpy.quantile(x, np.array([0.3, 0.8]), axis=1), (M,), 1),
    "cov": Row(lambda j, x: j.numpy.cov(x), (M,)),
    "take_along_axis": Row(lambda j, x: j.numpy.take_along_axis(x, j.numpy.argsort(x, 1), 1), (M,)),
    "convolve": Row(lambda j, x: j.numpy.convolve(x, x[:3], "same"), (R,)),
    "gather": Row(lambda j, x: x[np.array([0, 2, 2]), 1:], (M,)),
    "clip": Row(lambda j, x: j.numpy.clip(x, -1, 1) * x, (R,)),
    "at": Row(lambda j, x: at(j, at(j, x)[1].multiply(2.0))[np.array([0, 0])].add(x[:2]) ** 2, (M,)),
    "sum where": Row(lambda j, x: j.numpy.sum(x * x, axis=0, where=x > 0), (M,)),
    "fmod": Row(lambda j, x: j.numpy.remainder(x, 1.3) + x % x[::-1], (R,), 1),
    "lax.integer_pow": Row(lambda j, x: j.lax.integer_pow(x, 3), (R,)),
    "lax.pow": Row(lambda j, x: j.lax.pow(x, x + 1) + j.lax.pow(x, 2), (P,)),
    "lax.arithmetic": Row(
        lambda j, x: j.lax.div(j.lax.sub(j.lax.mul(x, x), 1.0), j.lax.add(j.lax.max(x, 0.5), 2.0)), (R,)),
    "lax.div int": Row(lambda j, i: j.lax.div(i, np.int32(2)) + j.lax.rem(i, np.int32(3)), (INTS,), 0),
    "lax.shift": Row(
        lambda j, i: j.lax.shift_left(i, np.int32(2)) + j.lax.shift_right_logical(i, np.int32(1))
        + j.lax.shift_right_arithmetic(i, np.int32(1)), (INTS,), 0),
    "lax.compare": Row(
        lambda j, x: j.lax.select(
            (j.lax.gt(x, 0.0) & j.lax.ge(x, 0.2)) | j.lax.eq(x, -1.0) | j.lax.lt(x, -7.0), x,
            j.lax.select(j.lax.ne(x, 0.2) & j.lax.le(x, 1.0), 2 * x, j.lax.neg(x))), (R,)),
    "lax.atan2": Row(lambda j, x: j.lax.atan2(x, j.lax.min(x, 1.0)), (P,)),
    "lax.clamp": Row(lambda j, x: j.lax.clamp(-1.0, x, 2.0), (R,)),
    "lax.select_n": Row(lambda j, x: j.lax.select_n(np.array([0, 1, 2] * 3), x, 2 * x, x * x), (R,)),
    "lax.convert": Row(lambda j, x: j.lax.convert_element_type(x, np.float32), (R,), 0),
    "lax.bitcast": Row(lambda j, x: j.lax.bitcast_convert_type(x, np.int64), (R,), 0),
    "lax.broadcast": Row(lambda j, x: j.lax.broadcast(x, (2, 3)), (M,)),
    "lax.broadcast_in_dim": Row(lambda j, x: j.lax.broadcast_in_dim(x, (3, 2, 4), (0, 2)), (M,)),
    "lax.reshape": Row(lambda j, x: j.lax.reshape(x, (2, 6)), (M,)),
    "lax.reshape dims": Row(lambda j, x: j.lax.reshape(x, (2, 6), (1, 0)), (M,)),
    "lax.transpose": Row(lambda j, x: j.lax.transpose(x, (1, 0)), (M,)),
    "lax.expand_dims": Row(lambda j, x: j.lax.squeeze(j.lax.expand_dims(x, (1,)), (1,)), (M,)),
    "lax.collapse": Row(lambda j, x: j.lax.collapse(x, 0, 2), (B,)),
    "lax.concatenate": Row(lambda j, x: j.lax.concatenate([x, 2 * x], 1), (M,)),
    "lax.split": Row(lambda j, x: j.lax.split(x, [1, 3], 1)[1], (M,)),
    "lax.rev": Row(lambda j, x: j.lax.rev(x, (1,)), (M,)),
    "lax.pad": Row(lambda j, x: j.lax.pad(x, 1.5, [(1, 2, 0), (0, 1, 2)]), (M,)),
    "lax.pad negative": Row(lambda j, x: j.lax.pad(x, 0.0, [(-1, 2, 0), (1, -2, 1)]), (M,)),
    "lax.slice": Row(lambda j, x: j.lax.slice(x, (0, 1), (3, 4), (2, 1)), (M,)),
    "lax.slice_in_dim": Row(lambda j, x: j.lax.slice_in_dim(x, 1, None, 2, axis=1), (M,)),
    "lax.index_in_dim": Row(lambda j, x: j.lax.index_in_dim(x, -1, 1, keepdims=False), (M,)),
    "lax.dynamic_slice": Row(lambda j, x, i: j.lax.dynamic_slice(x, (i, i - 4), (2, 2)), (M, np.int32(1))),
    "lax.dynamic_slice_in_dim": Row(
        lambda j, x, i: j.lax.dynamic_slice_in_dim(x, i, 2, axis=1), (M, np.int32(3))),
    "lax.dynamic_index_in_dim": Row(
        lambda j, x, i: j.lax.dynamic_index_in_dim(x, i, 1, keepdims=False), (M, np.int32(2))),
    "lax.dynamic_update_slice": Row(
        lambda j, x, i: j.lax.dynamic_update_slice(x, x[:2, :2] ** 2, (i, i)), (M, np.int32(1))),
    "lax.dynamic_update_slice_in_dim": Row(
        lambda j, x, i: j.lax.dynamic_update_slice_in_dim(x, x[:, :2] ** 2, i, 1), (M, np.int32(1))),
    "lax.dynamic_update_index_in_dim": Row(
        lambda j, x, i: j.lax.dynamic_update_index_in_dim(x, x[0] ** 2, i, 0), (M, np.int32(2))),
    "lax.index_take": Row(
        lambda j, x: j.lax.index_take(x, (np.array([0, 2]), np.array([1, 3])), (0, 1)), (M,)),
    "lax.dot": Row(lambda j, x: j.lax.dot(x, N), (M,)),
    "lax.dot_general": Row(lambda j, x: j.lax.dot_general(x, B, (((0,), (1,)), ((1,), (2,)))), (M,)),
    "lax.batch_matmul": Row(lambda j, x: j.lax.batch_matmul(x, np.stack([N, -N])), (B,)),
    "lax.reduce": Row(lambda j, x: j.lax.reduce(x, 1.0, j.lax.mul, (0,)), (M,), 1),
    "lax.reduce max": Row(lambda j, x: j.lax.reduce(x, -np.inf, j.lax.max, (0, 1)), (M,), 0),
    "lax.reduce_sum": Row(lambda j, x: j.lax.reduce_sum(x * x, (0,)), (M,)),
    "lax.reduce_prod": Row(lambda j, x: j.lax.reduce_prod(x, (1,)), (M,)),
    "lax.reduce_max": Row(lambda j, x: j.lax.reduce_max(x, (1,)) - j.lax.reduce_min(x, (1,)), (M,), 1),
    "lax.reduce_xor": Row(lambda j, i: j.lax.reduce_xor(i, (0,)), (INTS,), 0),
    "lax.reduce_and": Row(lambda j, i: j.lax.reduce_and(i, (0,)) + j.lax.reduce_or(i, (0,)), (INTS,), 0),
    "lax.cumsum reverse": Row(lambda j, x: j.lax.cumsum(x, axis=1, reverse=True), (M,)),
    "lax.argmax": Row(lambda j, x: j.lax.argmax(x, 1, np.int32) - j.lax.argmin(x, 1, np.int32), (M,), 0),
    "lax.sort keys": Row(lambda j, i: j.lax.sort((i, i * i, -i), num_keys=2)[2], (INTS,), 0),
    "lax.sort_key_val": Row(lambda j, x: j.lax.sort_key_val(x, x * x)[1], (M,), 1),
    "lax.top_k": Row(lambda j, x: j.lax.top_k(x, 2)[0], (M,), 1),
    "lax.top_k indices": Row(lambda j, x: j.lax.top_k(x, 3)[1], (np.array([1.0, 5, 5, 2, 5]),), 0),
    "lax.iota": Row(lambda j, i: i + j.lax.iota(np.int32, 6), (INTS,), 0),
    "lax.broadcasted_iota": Row(lambda j, i: i + j.lax.broadcasted_iota(np.int32, (2, 6), 1), (INTS,), 0),
    "lax.round": Row(lambda j, x: j.lax.round(x, j.lax.RoundingMethod.TO_NEAREST_EVEN), (R - 0.2,)),
    "lax.full": Row(lambda j, x: x + j.lax.full((3, 4), 2.0) + j.lax.full_like(x, 1), (M,), 1),
    "lax.nextafter": Row(lambda j, x: j.lax.nextafter(x, x + 1), (R,), 0),
    "lax.bitwise": Row(
        lambda j, i: j.lax.bitwise_and(i, np.int32(6)) + j.lax.bitwise_xor(i, np.int32(5))
        + j.lax.bitwise_or(i, np.int32(8)), (INTS,), 0),
    "lax.polygamma": Row(lambda j, x: j.lax.polygamma(1.0, x), (P,), 1),
    "lax.erf_inv": Row(lambda j, x: j.lax.erf_inv(x), (U,), 1),
    "lax.asin": Row(lambda j, x: j.lax.asin(x) * j.lax.acos(x) + j.lax.atanh(x), (U * 0.9,)),
    "lax.acosh": Row(lambda j, x: j.lax.acosh(x + 1), (P,)),
    "lax.complex": Row(
        lambda j, x: j.lax.real(j.lax.conj(j.lax.complex(x, x[::-1])) * 2j)
        + j.lax.imag(j.lax.complex(x, x) ** 2), (R,), 2),
    "lax.fft": Row(
        lambda j, x: j.numpy.abs(j.lax.fft(x, j.lax.FftType.RFFT, (4,)))
        + j.lax.fft(j.lax.fft(x, "FFT", (3, 4)), j.lax.FftType.IRFFT, (6,))[:, :3],
        (M,), 1),
    "fft.irfft2": Row(lambda j, x: j.numpy.fft.irfft2(j.numpy.fft.rfft2(x, norm="ortho") ** 2), (M,), 2),
    "linalg.eigvals": Row(lambda j, x: j.numpy.abs(j.numpy.linalg.eigvals(x)), (Q,), 1),
}  # fmt: skip


def derivatives(j: Any, row: Row) -> list[Any]:
    """The value of a row and, as often as it says, the gradient of a weighted sum of it."""

    def weighed(f: Callable[..., Any]) -> Callable[..., Any]:
        def scalar(*arrays: Any) -> Any:
            y = f(*arrays)
            return j.numpy.sum(y * np.cos(np.arange(np.prod(y.shape))).reshape(y.shape))

        return scalar

    f: Callable[..., Any] = lambda *arrays: row.call(j, *arrays)
    results = []
    for _ in range(row.order + 1):
        results.append(f(*row.arrays))
        f = j.grad(weighed(f))
    return results


@pytest.mark.parametrize("name", sorted(ROWS))
def test_as_jax(name: str) -> None:
    row = ROWS[name]
    ours = derivatives(tj, row)
    with jax.enable_x64(True):
        theirs = jax.jit(lambda *xs: derivatives(jax, row._replace(arrays=xs)))(*row.arrays)
    for order, (x, y) in enumerate(zip(ours, theirs, strict=True)):
        y = np.asarray(y)
        assert np.shape(x) == y.shape
        if order or y.dtype.kind == "f":
            assert np.asarray(x).dtype == y.dtype
        tolerance = 1e-5 if y.dtype == np.float32 else 1e-8 if order else 1e-10
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


def test_every_lax_function_has_a_row() -> None:
    """Or is tested elsewhere: control flow has files of its own."""
    text = " ".join(ROWS) + Path(__file__).read_text()
    control = {"cond", "fori_loop", "map", "scan", "switch", "while_loop", "associative_scan"}
    control |= {"custom_linear_solve", "custom_root"}
    elsewhere = Path(__file__).with_name("test_lax_windows_jax.py").read_text()
    known = {n for n in tj.lax.__all__ if f"lax.{n}" in text}
    known |= set(re.findall(r"\w+", elsewhere))
    assert [n for n in tj.lax.__all__ if n not in control | known] == []


def test_safe_derivatives() -> None:
    """Where the value has a kink or an edge, the derivative is a number."""
    cases = [
        (lambda x: tnp.linalg.norm(x), np.zeros(3), [0, 0, 0]),
        (lambda x: tnp.std(x), np.ones(3), [0, 0, 0]),
        (lambda x: tnp.hypot(x, x).sum(), np.zeros(2), [0, 0]),
        (lambda x: tnp.logaddexp(x, -np.inf).sum(), np.array([-np.inf, 1.0]), [0.5, 1]),
        (lambda x: tj.nn.logsumexp(x), np.full(2, -np.inf), [0, 0]),
        (lambda x: tj.nn.relu(x).sum(), np.array([-1.0, 0.0, 2.0]), [0, 0, 1]),
        (lambda x: tnp.where(x > 0, tnp.log(x), 0.0).sum(), np.array([0.0, 2.0]), [0, 0.5]),
        (lambda x: tj.scipy.special.xlogy(x, x).sum(), np.array([0.0, 1.0]), [0, 1]),
        (lambda x: tnp.abs(x).sum(), np.array([0.0, -2.0]), [0, -1]),
    ]
    for index, (f, x, expected) in enumerate(cases):
        np.testing.assert_allclose(tj.grad(f)(x), expected, err_msg=str(index))
