"""Linear algebra by loops, as textbooks write it."""

from __future__ import annotations

import numpy as np
from numpy_registry import normal, program


def _positive(rng, n):
    half = rng.normal(size=(n, n))
    return half @ half.T + n * np.eye(n)


@program(lambda rng: (_positive(rng, 12),))
def cholesky_by_rows(a):
    """The lower factor, in place; what is above the diagonal stays."""
    for i in range(a.shape[0]):
        for j in range(i):
            a[i, j] = (a[i, j] - np.dot(a[i, :j], a[j, :j])) / a[j, j]
        a[i, i] = np.sqrt(a[i, i] - a[i, :i] @ a[i, :i])


@program(lambda rng: (_positive(rng, 11),))
def cholesky_by_columns(a):
    """The lower factor in a new array, by columns."""
    n = a.shape[0]
    factor = np.zeros((n, n), dtype=a.dtype)
    for j in range(n):
        column = a[j:, j] - factor[j:, :j] @ factor[j, :j]
        factor[j:, j] = column / np.sqrt(column[0])
    return factor


@program(lambda rng: (_positive(rng, 11), rng.normal(size=11)))
def eliminate(a, b):
    """LU without pivots in place, then both triangles solved."""
    n = len(b)
    for i in range(n):
        for j in range(i):
            a[i, j] -= a[i, :j] @ a[:j, j]
            a[i, j] /= a[j, j]
        for j in range(i, n):
            a[i, j] -= a[i, :i] @ a[:i, j]
    x, y = np.zeros_like(b), np.zeros_like(b)
    for i in range(n):
        y[i] = b[i] - np.dot(a[i, :i], y[:i])
    for i in range(n - 1, -1, -1):
        x[i] = (y[i] - a[i, i + 1 :] @ x[i + 1 :]) / a[i, i]
    return x


@program(lambda rng: (_positive(rng, 12),))
def eliminate_by_updates(a):
    """LU in place by rank-one updates of what is left."""
    for k in range(a.shape[0] - 1):
        a[k + 1 :, k] /= a[k, k]
        a[k + 1 :, k + 1 :] -= np.outer(a[k + 1 :, k], a[k, k + 1 :])


@program(lambda rng: (_positive(rng, 12),))
def square_root_free(a):
    """L D L^T of a symmetric matrix."""
    n = a.shape[0]
    lower, d = np.eye(n), np.zeros(n)
    for j in range(n):
        d[j] = a[j, j] - np.sum(lower[j, :j] ** 2 * d[:j])
        for i in range(j + 1, n):
            lower[i, j] = (a[i, j] - np.sum(lower[i, :j] * lower[j, :j] * d[:j])) / d[j]
    return lower, d


def _triangle(rng):
    return np.tril(rng.normal(size=(15, 15))) + 5 * np.eye(15), np.zeros(15), rng.normal(size=15)


@program(_triangle)
def forward_substitution(lower, x, b):
    for i in range(x.shape[0]):
        x[i] = (b[i] - lower[i, :i] @ x[:i]) / lower[i, i]


@program(lambda rng: (rng.normal(size=(13, 9)),))
def orthogonalise(a):
    """Modified Gram-Schmidt; the columns that are left are updated at each step."""
    n = a.shape[1]
    q, r = np.zeros_like(a), np.zeros((n, n))
    for k in range(n):
        r[k, k] = np.sqrt(np.dot(a[:, k], a[:, k]))
        q[:, k] = a[:, k] / r[k, k]
        for j in range(k + 1, n):
            r[k, j] = np.dot(q[:, k], a[:, j])
            a[:, j] -= q[:, k] * r[k, j]
    return q, r


@program(lambda rng: (0.9 ** np.arange(1, 17) * rng.uniform(0.2, 0.5, 16),))
def levinson(r):
    """The Toeplitz system of Yule and Walker, by recursion over its order."""
    y = np.empty_like(r)
    y[0] = -r[0]
    alpha, beta = -r[0], 1.0
    for k in range(1, len(r)):
        beta *= 1 - alpha**2
        alpha = -(r[k] + np.dot(r[k - 1 :: -1], y[:k])) / beta
        y[:k] += alpha * y[k - 1 :: -1]
        y[k] = alpha
    return y


@program(lambda rng: (rng.normal(size=(20, 9)), 1e-3))
def correlate_columns(data, floor):
    """Correlations, a row and a column at a time; constant columns are left as they are."""
    columns = data.shape[1]
    spread = np.std(data, axis=0)
    spread[spread <= floor] = 1.0
    data -= data.mean(axis=0)
    data /= np.sqrt(len(data)) * spread
    out = np.eye(columns, dtype=data.dtype)
    for i in range(columns - 1):
        out[i + 1 :, i] = out[i, i + 1 :] = data[:, i] @ data[:, i + 1 :]
    return out


@program(lambda rng: (1.5, 0.7, *normal((9, 7), (9, 9), (9, 7))(rng)))
def symmetric_product(alpha, beta, c, a, b):
    """c = alpha a b + beta c; only the lower triangle of a is looked at."""
    rows, columns = c.shape
    c *= beta
    for i in range(rows):
        for j in range(columns):
            c[:i, j] += alpha * b[i, j] * a[i, :i]
            c[i, j] += alpha * (np.dot(b[:i, j], a[i, :i]) + b[i, j] * a[i, i])


@program(lambda rng: (1.5, 0.7, *normal((10, 10), (10, 6), (10, 6))(rng)))
def symmetric_update(alpha, beta, c, a, b):
    """The lower triangle of c = beta c + alpha (a b^T + b a^T)."""
    for i in range(a.shape[0]):
        c[i, : i + 1] *= beta
        for k in range(a.shape[1]):
            c[i, : i + 1] += alpha * (a[: i + 1, k] * b[i, k] + b[: i + 1, k] * a[i, k])


@program(lambda rng: (1.5, rng.normal(size=(10, 10)), rng.normal(size=(10, 8))))
def triangular_product(alpha, a, b):
    """b = alpha (I + strictly lower a)^T b, in place from the top."""
    for i in range(b.shape[0]):
        for j in range(b.shape[1]):
            b[i, j] += np.dot(a[i + 1 :, i], b[i + 1 :, j])
    b *= alpha


@program(lambda rng: (1.2, 0.3, *(rng.normal(size=s) for s in [(6, 6), *[(6,)] * 6])))
def rank_two_chain(alpha, beta, a, u1, v1, u2, v2, x, y):
    """Updates of a matrix and of vectors that use it."""
    a += np.outer(u1, v1) + np.multiply.outer(u2, v2)
    x += beta * y @ a
    y[:] = alpha * (a @ x)


@program(lambda rng: (rng.normal(size=(3, 4, 6)), rng.normal(size=(6, 6))))
def contract_in_place(a, c):
    for r in range(a.shape[0]):
        for q in range(a.shape[1]):
            a[r, q, :] = a[r, q, :] @ c


@program(lambda rng: (_positive(rng, 6), rng.normal(size=6)))
def conjugate_gradient(a, b):
    """Until the residual is small, or as many steps as there are unknowns."""
    x = np.zeros_like(b)
    r = b.copy()
    p = r.copy()
    rho = r @ r
    for _ in range(len(b)):
        q = a @ p
        step = rho / (p @ q)
        x += step * p
        r -= step * q
        fresh = r @ r
        p = r + (fresh / rho) * p
        rho = fresh
    return x
