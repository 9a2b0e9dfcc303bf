"""Sparse Jacobians and Hessians: equal to the dense ones, and no more entries than needed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import tracejit as tj
from tracejit import lax
from tracejit.api import sparse_products
from tracejit.errors import ArgumentError, DTypeError, GradError, ShapeError, UnsupportedError
from tracejit.ir.primitive import Primitive
from tracejit.passes.sparsity import known, loops

X = np.linspace(0.2, 1.7, 8)
EDGES = np.array([[0, 3], [3, 5], [1, 7], [7, 7]])
DENSE = np.random.default_rng(0).normal(size=(4, 8))
STACK = np.random.default_rng(1).normal(size=(2, 4, 4)) + 4 * np.eye(4)


def tridiagonal(x):
    return np.concatenate([x[:1] ** 2, x[1:-1] * x[2:] - np.sin(x[:-2]), np.exp(x[-1:])])


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def in_a_loop(x):
    y = np.zeros_like(x)
    for i in range(1, len(x) - 1):
        y[i] = x[i - 1] * x[i + 1] - 2.0 * x[i]
    return y


def recurrence(x):
    """y[i] depends on all x up to i."""
    _, ys = lax.scan(lambda carry, row: (0.5 * carry + row**2,) * 2, 0.0, x)
    return ys


def halved_while(x):
    """A loop whose length depends on values."""
    return lax.while_loop(lambda c: c[1] > 0.01, lambda c: (np.sin(c[0]), c[1] / 2), (x, x[0]))[0]


def scattered(x):
    y = np.zeros(6)
    np.add.at(y, np.array([0, 0, 5]), x[:3] * x[3:6])
    y[2] = x[7] ** 3
    return y


def written(x):
    y = x**2
    y[np.argsort(x[:3])] = x[:3]
    return y


STENCIL = np.diag(-2.0 * np.ones(8)) + np.diag(np.ones(7), 1) + np.diag(np.ones(7), -1)
MASK = np.tri(8, 8, 1) * np.tri(8, 8, 1).T


def admittances(x):
    """A product with a matrix that is zero where a constant one is, and depends on x."""
    d = x[:, None] - x
    return x * ((STENCIL * np.cos(d) + MASK * np.sin(d)) @ x)


def neighbours_in_a_loop(x):
    """Indices, conditions and a branch that are made of the counter of a loop."""
    y = x * (2.0 + 5.0 * x**2) + 1.0
    for k in range(-2, 2):
        if k == 0:
            continue
        i = np.arange(8) + k
        y = y - np.where((i >= 0) & (i < 8), (x * (1.0 + x))[np.clip(i, 0, 7)], 0.0)
    return y


def assembled(x):
    """Loops over a constant matrix, which skip its zeros."""
    y = np.zeros(8)
    for i in range(8):
        for j in range(8):
            if STENCIL[i, j] != 0.0:
                y[i] += STENCIL[i, j] * x[j] ** 2
    return y


def made_in_a_loop():
    """Two rows; entries 0, 1 and 2, 3."""
    def written(i, A):
        return lax.dynamic_update_slice(A, np.ones((1, 2)), (i, 2 * i))

    return lax.fori_loop(0, 2, written, np.zeros((2, 8)))


JACOBIANS = {
    "elementwise": (lambda x: np.sin(x) * x, 8),
    "tridiagonal": (tridiagonal, 1 + 18 + 1),
    "fewer rows": (lambda x: x[::3] * x[1], 6 - 1 + 1),
    "more rows": (lambda x: np.repeat(x[:4], 3) ** 2, 12),
    "transposed": (lambda x: (x.reshape(2, 4).T ** 2)[::-1], 8),
    "outer": (lambda x: np.outer(x[:3], x[3:6]), 18),
    "sums of rows": (lambda x: np.sum(x.reshape(2, 4) ** 2, axis=1), 8),
    "a total": (lambda x: np.sum(x**2), 8),
    "softmax": (lambda x: np.exp(x) / np.sum(np.exp(x)), 64),
    "running sum": (lambda x: np.cumsum(x**2), 36),
    "running sum from the end": (lambda x: np.cumsum((x**2)[::-1])[::-1], 36),
    "running product": (lambda x: np.cumprod(x), 36),
    "gather": (lambda x: x[EDGES[:, 0]] * x[EDGES[:, 1]], 7),
    "scatter": (scattered, 7),
    "dense product": (lambda x: DENSE @ x**2, 32),
    "banded product": (lambda x: np.convolve(x, np.array([1.0, -2.0, 1.0]), mode="valid"), 18),
    "constant stencil": (lambda x: STENCIL @ x**2, 22),
    "constant stencil from the right": (lambda x: x**2 @ STENCIL, 22),
    "constant stencil in a grid": (
        lambda x: STENCIL[:2, :2] @ x.reshape(2, 4) + x.reshape(2, 4) @ STENCIL[:4, :4].T,
        8 + 8 + 12,
    ),
    "incidence": (lambda x: np.eye(8)[EDGES[:, 0]] @ x - np.eye(8)[EDGES[:, 1]] @ x, 7),
    "stack of constant products": (
        lambda x: np.stack([np.eye(4), np.tri(4)]) @ x.reshape(2, 4, 1), 4 + 10
    ),
    "admittances": (admittances, 22),
    "mask": (lambda x: MASK * np.outer(x, x), 22 + 22 - 8),
    "mask of bools": (lambda x: np.sum((MASK > 0) * x[None, :], axis=1), 22),
    "known condition": (lambda x: np.where(MASK > 0, x**2, 0.0) @ np.ones(8), 22),
    "known condition, two sides": (lambda x: np.where(np.arange(8) < 3, x, x[::-1] ** 2), 8),
    "diagonal matrices": (lambda x: np.diag(x) @ np.diag(x[::-1] ** 2), 16),
    "kron": (lambda x: np.kron(np.eye(3), x.reshape(2, 4)), 24),
    "interpolation": (lambda x: np.interp([0.0, 0.1, 0.5, 2.0], np.linspace(0, 1, 8), x), 6),
    "a loop of known places": (neighbours_in_a_loop, 8 + 6 + 7 + 7),
    "a loop that skips zeros": (assembled, 22),
    "a comparison of constants": (
        lambda x: lax.map(lambda row: np.sum(np.where(row > 0.5, x, 0.0)), STENCIL), 14
    ),
    "a matrix made in a loop": (lambda x: made_in_a_loop() @ x, 4),
    "a matrix inside jit": (lambda x: tj.jit(lambda A, x: (2.0 * A) @ x)(STENCIL, x), 22),
    "stack of products": (lambda x: STACK @ x.reshape(2, 4, 1) ** 2, 32),
    "solve": (lambda x: np.linalg.solve(STACK, x.reshape(2, 4, 1)), 32),
    "padded": (lambda x: np.pad(x**2, 2), 8),
    "select": (lambda x: np.where(x > 1.0, x**2, x[::-1]), 16),
    "roll": (lambda x: np.roll(x, 2) - np.abs(x), 16),
    "minimum": (lambda x: np.minimum(x[1:], x[:-1]), 14),
    "extremum": (lambda x: np.max(x.reshape(4, 2), axis=1), 8),
    "sorted": (lambda x: np.sort(x.reshape(4, 2), axis=1), 16),
    "loop": (in_a_loop, 18),
    "recurrence": (recurrence, 36),
    "while": (halved_while, 8),
    "cond": (lambda x: lax.cond(x[0] > 1.0, lambda x: x**2, lambda x: x[::-1] ** 2, x), 16),
    "jit inside": (lambda x: tj.jit(np.sin)(x[:3]), 3),
    "checkpoint": (lambda x: tj.checkpoint(lambda x: np.sin(np.sin(x)))(x), 8),
    "constant": (lambda x: np.ones(3), 0),
    "stopped": (lambda x: x * tj.stop_gradient(x[::-1]), 8),
    "linear": (lambda x: 3.0 * x, 8),
    "a window at a traced place": (lambda x: lax.dynamic_slice(x**2, (np.argmax(x),), (3,)), 24),
    "a window written": (
        lambda x: lax.dynamic_update_slice(x**2, x[:2] * 3.0, (np.argmin(x),)), 8 + 16 - 2
    ),
    "gather at traced places": (lambda x: x.reshape(4, 2)[np.argsort(x[:4])], 8 * 4),
    "scatter at traced places": (written, 8 + 3 * 8 - 3),
    "piecewise constant": (lambda x: np.floor(x) + x, 8),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_a_sparse_jacobian_is_the_dense_one(name: str) -> None:
    f, entries = JACOBIANS[name]
    dense = np.asarray(tj.jacfwd(f)(X)).reshape(-1, X.size)
    sparse = tj.sparse_jacobian(f)(X)
    assert isinstance(sparse, scipy.sparse.csr_array)
    np.testing.assert_allclose(sparse.toarray(), dense, rtol=1e-13, atol=1e-15)
    assert sparse.nnz == entries


HESSIANS = {
    "diagonal": (lambda x: np.sum(np.sin(x)), 8),
    "no diagonal": (lambda x: np.sum(x[:-1] * x[1:]), 14),
    "rosenbrock": (rosenbrock, 8 + 14),
    "arrow": (lambda x: np.sum(x[0] ** 2 * np.sin(x[1:])), 8 + 14),
    "linear": (lambda x: np.sum(3.0 * x), 0),
    "dense": (lambda x: np.sum(x) ** 2, 64),
    "edges": (lambda x: np.sum((x[EDGES[:, 0]] - x[EDGES[:, 1]]) ** 4), 5 + 6),
    "grid": (lambda x: np.sum(np.diff(x.reshape(2, 4), axis=0) ** 3)
             + np.sum(np.diff(x.reshape(2, 4), axis=1) ** 3), 8 + 2 * 10),
    "select": (lambda x: np.sum(np.where(x > 1.0, x**3, 1.0)), 8),
    "quadratic": (lambda x: x @ STENCIL @ x + np.sum(np.cos(x)), 22),
    "squares": (lambda x: np.sum((STENCIL[::3] @ x - 1.0) ** 2), 22),
    "groups": (lambda x: np.sum(np.exp(np.eye(8)[[0, 3, 3, 5]] @ x)), 3),
    "log-likelihood": (lambda x: np.sum(np.log1p(np.exp(x)) - x * x), 8),
}  # fmt: skip


@pytest.mark.parametrize("name", HESSIANS)
def test_a_sparse_hessian_is_the_dense_one(name: str) -> None:
    f, entries = HESSIANS[name]
    sparse = tj.sparse_hessian(f)(X)
    np.testing.assert_allclose(sparse.toarray(), tj.hessian(f)(X), rtol=1e-13, atol=1e-14)
    assert sparse.nnz == entries
    assert (sparse != sparse.T).nnz == 0


def test_the_pattern_holds_for_all_values() -> None:
    pattern = tj.jacobian_sparsity(lambda x: np.where(x > 1.0, x[::-1], x))(np.zeros(2))
    np.testing.assert_array_equal(pattern.toarray(), np.ones((2, 2), bool))
    pattern = tj.hessian_sparsity(rosenbrock, format="coo")(np.zeros(3))
    assert pattern.dtype == bool
    np.testing.assert_array_equal(
        pattern.toarray(), [[True, True, False], [True, True, True], [False, True, True]]
    )


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_formats(format: str) -> None:
    sparse = tj.sparse_jacobian(tridiagonal, format=format)(X)
    assert type(sparse).__name__ == f"{format}_array"
    np.testing.assert_allclose(sparse.toarray(), tj.jacfwd(tridiagonal)(X))


@pytest.mark.parametrize("format", ["csr", "csc", "coo"])
def test_under_jit_it_is_a_tree_with_the_entries_as_a_leaf(format: str) -> None:
    @tj.jit
    def newton_matrix(x):
        jac = tj.sparse_jacobian(tridiagonal, format=format)(x)
        assert isinstance(jac, tj.SparseArray)
        return jac, jac.toarray() @ x

    jac, product = newton_matrix(X)
    dense = tj.jacfwd(tridiagonal)(X)
    assert (jac.shape, jac.dtype, jac.nnz, jac.format) == ((8, 8), np.float64, 20, format)
    np.testing.assert_allclose(jac.toarray(), dense)
    np.testing.assert_allclose(jac.to_scipy().toarray(), dense)
    np.testing.assert_allclose(product, dense @ X)
    assert len(tj.tree.leaves(jac)) == 1 and "nnz=20" in repr(jac)
    if format == "coo":
        with pytest.raises(ArgumentError, match="row and col"):
            _ = jac.indices
    else:
        assert len(jac.indices) == jac.nnz and jac.indptr[-1] == jac.nnz


def test_it_composes_with_other_transforms() -> None:
    def energy(x):
        return np.sum(tj.sparse_hessian(rosenbrock)(x).data ** 2)

    def dense_energy(x):
        return np.sum(tj.hessian(rosenbrock)(x) ** 2)

    np.testing.assert_allclose(tj.grad(energy)(X), tj.grad(dense_energy)(X), rtol=1e-12)
    many = np.stack([X, X[::-1]])
    data = tj.vmap(lambda x: tj.sparse_jacobian(tridiagonal)(x).data)(many)
    np.testing.assert_allclose(data[1], tj.sparse_jacobian(tridiagonal)(X[::-1]).data)


def test_arrays_with_the_same_places_are_trees_of_one_structure() -> None:
    first, second = (tj.jit(tj.sparse_jacobian(f))(X) for f in (np.sin, np.cos))
    total = tj.tree.map(lambda x, y: x + y, first, second)
    np.testing.assert_allclose(total.toarray(), np.diag(np.cos(X) - np.sin(X)))
    other = tj.jit(tj.sparse_jacobian(np.sin, format="csc"))(X)
    assert tj.tree.structure(first) == tj.tree.structure(second) != tj.tree.structure(other)


def test_static_arguments_of_a_jitted_function() -> None:
    def f(x, mode):
        return np.sin(x) if mode == "sin" else x

    jac = tj.sparse_jacobian(tj.jit(f, static_argnames="mode"))
    np.testing.assert_allclose(jac(X, "sin").toarray(), np.diag(np.cos(X)))
    with pytest.raises(DTypeError, match="mode.*\n.*\n.*static_argnames"):
        tj.sparse_jacobian(f)(X, "sin")


def test_what_scipy_changes_in_place_is_its_own() -> None:
    derivative = tj.sparse_jacobian(lambda x: x[::-1] * x)
    derivative(np.zeros(4)).eliminate_zeros()
    assert derivative(np.ones(4)).nnz == 8


def test_trees_of_arguments_and_results() -> None:
    def f(params, scale):
        w, b = params["w"], params["b"]
        return {"out": scale * w * b[:, None], "norm": np.sum(b**2)}

    params = {"w": np.arange(6.0).reshape(3, 2), "b": np.array([1.0, -2.0, 3.0])}
    sparse = tj.sparse_jacobian(f)(params, 2.0)
    dense = tj.jacfwd(f)(params, 2.0)
    for out, rows in (("out", 6), ("norm", 1)):
        for name, size in (("w", 6), ("b", 3)):
            block = sparse[out][name]
            assert block.shape == (rows, size)
            np.testing.assert_allclose(block.toarray(), dense[out][name].reshape(rows, size))
    assert sparse["norm"]["w"].nnz == 0
    both = tj.sparse_jacobian(f, argnums=(0, 1))(params, 2.0)
    np.testing.assert_allclose(
        both["out"][1].toarray().ravel(), tj.jacfwd(f, 1)(params, 2.0)["out"].ravel()
    )


def test_trees_in_hessians() -> None:
    def f(p, q):
        return np.sum(p["a"][:-1] * p["a"][1:] * p["b"]) + np.sum(q**3)

    p, q = {"a": np.arange(4.0), "b": np.float64(2.0)}, np.ones(2)
    sparse, dense = tj.sparse_hessian(f)(p, q), tj.hessian(f)(p, q)
    for i, n in (("a", 4), ("b", 1)):
        for j, m in (("a", 4), ("b", 1)):
            np.testing.assert_allclose(sparse[i][j].toarray(), np.reshape(dense[i][j], (n, m)))
    whole = tj.sparse_hessian(f, argnums=(0, 1))(p, q)
    assert whole[0]["a"][1].shape == (4, 2) and whole[0]["a"][1].nnz == 0
    np.testing.assert_allclose(whole[1][1].toarray(), 6.0 * np.eye(2))


def test_auxiliary_data_keywords_and_plain_numbers() -> None:
    def f(x, k, *, scale):
        return scale * x**k, {"mean": np.mean(x), "k": k}

    jac, aux = tj.sparse_jacobian(f, has_aux=True)(X, 2, scale=3.0)
    np.testing.assert_allclose(jac.toarray(), np.diag(6.0 * X))
    np.testing.assert_allclose(aux["mean"], X.mean())
    hess, aux = tj.sparse_hessian(lambda x: (rosenbrock(x), x[0]), has_aux=True)(X)
    np.testing.assert_allclose(hess.toarray(), tj.hessian(rosenbrock)(X), rtol=1e-13)
    assert aux == X[0]
    assert tj.sparse_jacobian(np.sin)(0.5).toarray() == np.cos(0.5)


def test_float32_and_mixed_dtypes() -> None:
    x = X.astype(np.float32)
    jac = tj.sparse_jacobian(tridiagonal)(x)
    assert jac.dtype == np.float32
    np.testing.assert_allclose(jac.toarray(), tj.jacfwd(tridiagonal)(x), rtol=1e-6)
    mixed = tj.sparse_jacobian(lambda x: (x**2, x.astype(np.float64) ** 3))(x)
    assert [block.dtype for block in mixed] == [np.float32, np.float64]


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_nothing_at_all(shape: tuple[int, ...]) -> None:
    jac = tj.sparse_jacobian(np.sin)(np.zeros(shape))
    assert jac.shape == (0, 0) and jac.nnz == 0
    assert tj.sparse_hessian(lambda x: np.sum(x**2))(np.zeros(shape)).shape == (0, 0)
    assert tj.sparse_jacobian(lambda x: np.sum(x**2))(np.zeros(shape)).shape == (1, 0)
    assert tj.sparse_jacobian(lambda x: x[:0])(X).shape == (0, 8)


def test_a_branch_of_python_has_a_pattern_of_its_own() -> None:
    @tj.sparse_jacobian
    def derivative(x):
        return x**2 if x[0] > 0 else x[::-1] ** 2

    assert derivative(np.ones(3))[0, 0] == 2.0
    assert derivative(-np.ones(3))[0, 2] == -2.0


def bordered(x):
    """A band, with a last equation and a last variable that meet all."""
    u, multiplier = x[:-1], x[-1]
    return np.append(np.sin(u) - multiplier * np.roll(u, 1), np.sum(u**2) - 1.0)


def test_dense_rows_and_columns_go_both_ways() -> None:
    x = np.linspace(0.1, 1.0, 50)
    jac = tj.sparse_jacobian(bordered)(x)
    np.testing.assert_allclose(jac.toarray(), tj.jacfwd(bordered)(x), rtol=1e-13)
    assert jac.nnz == 4 * 49
    program = tj.stages(lambda x: tj.sparse_jacobian(bordered)(x).data)(x)["sparse_jacobian"]
    assert "[50,50]" not in str(program) and "[49,50]" not in str(program)
    pair = tj.sparse_jacobian(lambda u, m: bordered(np.append(u, m)), argnums=(0, 1))(x[:-1], x[-1])
    np.testing.assert_allclose(np.hstack([b.toarray() for b in pair]), jac.toarray())


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 100])
def test_products_in_turns(chunk_size: int) -> None:
    def f(x):
        return np.convolve(x**2, np.arange(1.0, 6.0))

    jac = tj.sparse_jacobian(f, chunk_size=chunk_size)(X)
    np.testing.assert_allclose(jac.toarray(), tj.jacfwd(f)(X), rtol=1e-13)
    hess = tj.sparse_hessian(rosenbrock, chunk_size=chunk_size)(X)
    np.testing.assert_allclose(hess.toarray(), tj.hessian(rosenbrock)(X), rtol=1e-13)
    jac = tj.sparse_jacobian(bordered, chunk_size=chunk_size, format="csc")(X)
    np.testing.assert_allclose(jac.toarray(), tj.jacfwd(bordered)(X), rtol=1e-13)


def test_as_many_products_at_once_as_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse_products, "MEMORY", 4 * X.nbytes)
    program = tj.stages(lambda x: tj.sparse_jacobian(lambda x: np.cumsum(x**2))(x).data)(X)
    assert "scan" in str(program["sparse_jacobian"])
    jac = tj.sparse_jacobian(lambda x: np.cumsum(x**2))(X)
    np.testing.assert_allclose(jac.toarray(), 2.0 * np.tri(8) * X)


@tj.custom_vjp
def sine(x):
    return np.sin(x)


sine.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (ct * np.cos(x),))


@tj.custom_vjp
def cubed(x):
    """Its backward rule has a rule of its own."""
    return x**3


cubed.defvjp(lambda x: (x**3, x), lambda x, ct: (3.0 * ct * sine(x),))


def test_functions_that_have_a_backward_rule_alone() -> None:
    def f(x):
        return sine(x[1:]) * x[:-1] + np.sum(x[:2])

    jac = tj.sparse_jacobian(f)(X)
    np.testing.assert_allclose(jac.toarray(), tj.jacrev(f)(X), rtol=1e-13)
    assert jac.nnz == 7 * 4 - 2 - 1
    in_a_loop = tj.sparse_jacobian(lambda x: lax.map(sine, x))(X)
    np.testing.assert_allclose(in_a_loop.toarray(), np.diag(np.cos(X)))
    assert in_a_loop.nnz == 8
    hess = tj.sparse_hessian(lambda x: np.sum(sine(x)))(X)
    assert hess.nnz == 8
    np.testing.assert_allclose(hess.toarray(), np.diag(-np.sin(X)))
    hess = tj.sparse_hessian(lambda x: np.sum(cubed(x)))(X)
    assert hess.nnz == 8
    np.testing.assert_allclose(hess.toarray(), np.diag(3.0 * np.cos(X)))


def test_few_rows_go_backward() -> None:
    """One row that reads everything: one product backward, n forward."""
    def f(x):
        return np.append(np.sum(x**2), x[:2])

    program = tj.stages(lambda x: tj.sparse_jacobian(f)(x).data)(np.ones(500))["sparse_jacobian"]
    assert "500,500" not in str(program) and "[2,500]" in str(program)


def test_zeros_are_kept_by_operations_that_say_so() -> None:
    for name in known.KEEPS_ZEROS - {"div", "convert", "keep_zeros"}:
        primitive = Primitive.registry[name]
        zeros = [0.0, 0.0] if name in ("add", "sub", "max", "min") else [0.0]
        (result,) = primitive.evaluate(*map(np.float64, zeros))
        assert result == 0.0, name


def test_through_a_constant_zero_goes_nothing() -> None:
    x = np.array([0.0, 4.0])
    jac = tj.sparse_jacobian(lambda x: np.array([0.0, 1.0]) * np.sqrt(x))(x)
    np.testing.assert_array_equal(jac.toarray(), [[0.0, 0.0], [0.0, 0.25]])


def test_matrices_that_are_arguments_are_dense() -> None:
    product = tj.sparse_jacobian(lambda x, A: A @ x)
    assert product(X, STENCIL).nnz == 64
    np.testing.assert_array_equal(product(X, DENSE).toarray(), DENSE)


def test_places_are_computed_where_they_are_made_of_constants() -> None:
    def f(x):
        wrapped = (np.arange(8) * 3 - 2) % 8
        return x[np.where(wrapped > 6, 0, wrapped)] * np.sin(x)

    assert tj.jacobian_sparsity(f)(X).nnz <= 16
    np.testing.assert_allclose(tj.sparse_jacobian(f)(X).toarray(), tj.jacfwd(f)(X))


def test_a_pattern_that_is_known() -> None:
    def mixed(x):
        order = np.argsort(x)  # where x ends up depends on values
        return x[order] * x

    diagonal = scipy.sparse.eye_array(3)
    found = tj.sparse_jacobian(mixed)(np.array([1.0, 2.0, 3.0]))
    given = tj.sparse_jacobian(mixed, sparsity=diagonal)(np.array([1.0, 2.0, 3.0]))
    assert (found.nnz, given.nnz) == (9, 3)
    np.testing.assert_allclose(found.toarray(), given.toarray())
    hess = tj.sparse_hessian(rosenbrock, sparsity=np.ones((8, 8), bool))(X)
    np.testing.assert_allclose(hess.toarray(), tj.hessian(rosenbrock)(X), rtol=1e-13)
    pattern = tj.jit(tj.jacobian_sparsity(tridiagonal))(X)
    assert tj.sparse_jacobian(tridiagonal, sparsity=pattern)(X).nnz == 20


def test_of_a_known_hessian_one_triangle_is_enough() -> None:
    right = tj.hessian(rosenbrock)(X)
    for part in (np.triu(right), np.tril(right)):
        hess = tj.sparse_hessian(rosenbrock, sparsity=part)(X)
        np.testing.assert_allclose(hess.toarray(), right, rtol=1e-13)


def test_of_a_jitted_function() -> None:
    jac = tj.sparse_jacobian(tj.jit(tridiagonal, backend="eager"))(X)
    np.testing.assert_allclose(jac.toarray(), tj.jacfwd(tridiagonal)(X))
    with tj.disable_jit():
        np.testing.assert_allclose(
            tj.sparse_jacobian(tridiagonal)(X).toarray(), tj.jacfwd(tridiagonal)(X)
        )


def total_in_a_loop(x):
    s = 0.0
    for i in range(len(x) - 1):
        s = s + 100.0 * (x[i + 1] - x[i] ** 2) ** 2 + (1.0 - x[i]) ** 2
    return s


def shrinking_in_a_loop(x):
    """y[i] depends on x[i] and on what was written before."""
    y = np.zeros_like(x)
    y[0] = x[0]
    for i in range(1, len(x)):
        y[i] = x[i] + 0.5 * y[i - 1]
    return y


def grid_in_loops(x):
    u, y = x.reshape(40, 30), np.zeros((40, 30))
    for i in range(1, 39):
        for j in range(1, 29):
            y[i, j] = u[i - 1, j] * u[i + 1, j] + u[i, j - 1] * u[i, j + 1]
    return y


@pytest.mark.parametrize("name", ["loop", "recurrence", "while", "running sum", "nested"])
def test_all_rounds_at_once_give_no_less(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a loop is too long to be run round by round."""
    f = _nested if name == "nested" else JACOBIANS[name][0]
    exact = tj.jacobian_sparsity(f)(X)
    monkeypatch.setattr(loops, "take_apart", lambda *args: None)
    monkeypatch.setattr(loops, "MUCH", -1)
    whole = tj.jacobian_sparsity(f)(X)
    assert (exact.toarray() <= whole.toarray()).all()
    jac = tj.sparse_jacobian(f)(X)
    np.testing.assert_allclose(jac.toarray(), tj.jacfwd(f)(X), rtol=1e-13)


def _nested(x):
    return lax.scan(lambda c, row: (np.roll(c, 1) * row[0], lax.map(np.sin, row)), x[:3],
                    x[2:].reshape(3, 2))[0]  # fmt: skip


def test_long_python_loops_have_the_pattern_of_array_code() -> None:
    x = np.linspace(0.1, 1.0, 3000)
    hess = tj.sparse_hessian(total_in_a_loop)(x)
    right = tj.sparse_hessian(rosenbrock)(x)
    assert hess.nnz == right.nnz == 3 * 3000 - 2
    assert abs(hess - right).max() < 1e-11
    jac = tj.sparse_jacobian(in_a_loop)(x)
    assert jac.nnz == 3 * 2998
    assert (jac[7, 6], jac[7, 7], jac[7, 8]) == (x[8], -2.0, x[6])
    ys = tj.sparse_jacobian(lambda x: lax.map(np.sin, x))(x)
    assert ys.nnz == 3000


def test_nested_loops_and_loops_that_read_what_they_wrote() -> None:
    x = np.linspace(0.1, 1.0, 1200)
    jac = tj.sparse_jacobian(grid_in_loops)(x)
    assert jac.nnz == 4 * 38 * 28
    np.testing.assert_allclose(jac[[31 * 1]].toarray()[0, [1, 61, 30, 32]], x[[61, 1, 32, 30]])
    small = tj.sparse_jacobian(shrinking_in_a_loop)(x[:9])
    assert small.nnz == 45
    large = tj.sparse_jacobian(shrinking_in_a_loop)(x[:300])
    np.testing.assert_allclose(large.toarray(), tj.jacfwd(shrinking_in_a_loop)(x[:300]))


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ArgumentError, match="csrr.*\n.*\n.*csr"):
        tj.sparse_jacobian(np.sin, format="csrr")
    with pytest.raises(GradError, match="needs floats"):
        tj.sparse_jacobian(np.sin)(np.arange(3))
    with pytest.raises(GradError, match="float results"):
        tj.sparse_jacobian(np.argsort)(X)
    with pytest.raises(GradError, match="scalar float result"):
        tj.sparse_hessian(np.sin)(X)
    with pytest.raises(ShapeError, match=r"\(3, 8\).*\n?.*\(8, 8\)"):
        tj.sparse_jacobian(np.sin, sparsity=np.ones((3, 8)))(X)
    with pytest.raises(ArgumentError, match="chunk_size must be a positive int"):
        tj.sparse_hessian(np.sum, chunk_size=0)
    with pytest.raises(ArgumentError, match="must be a matrix"):
        tj.sparse_jacobian(np.sin, sparsity=np.ones(3))
    with pytest.raises(UnsupportedError, match="on the way there are 100000000 elements"):
        tj.sparse_jacobian(lambda x: np.outer(x, x))(np.zeros(10_000))
    with pytest.raises(GradError, match=r"takes real numbers, and <lambda> has c128\[8\]"):
        tj.sparse_jacobian(lambda x: x * 1j)(X)
    matrix = tj.jit(tj.sparse_jacobian(np.sin))(X)
    with pytest.raises(ArgumentError, match="two sparse matrices"):
        _ = matrix @ matrix
    with pytest.raises(UnsupportedError, match="not sparse"):
        tj.sparse_jacobian(lambda x: x - np.mean(x))(np.zeros(100_000))
    with pytest.raises(ArgumentError, match="no positional argument 1"):
        tj.sparse_jacobian(np.sin, argnums=1)(X)
