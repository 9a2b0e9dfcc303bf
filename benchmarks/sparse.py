"""Sparse derivatives of 100,000 variables, against CasADi and JAX.

    python benchmarks/sparse.py [variables]

1. The Jacobian of a banded system, each equation of three neighbours: sin(x[i-1]) + x[i] x[i+1].
2. The Hessian of the chained Rosenbrock function.

`tracejit` finds pattern and colours by itself: `entries` is a jitted function that returns them,
`scipy` a plain call that returns a csr_array. `casadi` finds them, too; it runs its own graph (SX)
from buffer to buffer, without any conversion. `jax, columns` is jacfwd: a dense matrix does not fit
into memory, so some columns are computed and the time is taken times the number of such parts.
`jax, coloured` is what a JAX user can write who knows the colours: three products under vmap, as
compressed as they come. First results are from the function to the entries, once, imports apart.
Every system's entries are checked, against the formula, before they are timed in turn.
"""

from __future__ import annotations

import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import casadi
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse

import tracejit as tj

jax.config.update("jax_enable_x64", True)

VARIABLES, COLUMNS, ROUNDS = 100_000, 20, 60


class Task(NamedTuple):
    """A function of vectors, for NumPy or JAX and for CasADi's, and its derivative as diagonals."""

    name: str
    function: Callable[[Any, Any], Any]
    symbolic: Callable[[Any, int], Any]
    hessian: bool
    diagonals: Callable[[np.ndarray], dict[int, np.ndarray]]


def banded(xp: Any, x: Any) -> Any:
    """f[0] = x0^2,  f[i] = sin(x[i-1]) + x[i] x[i+1],  f[n-1] = exp(x[n-1])."""
    middle = xp.sin(x[:-2]) + x[1:-1] * x[2:]
    return xp.concatenate([x[:1] ** 2, middle, xp.exp(x[-1:])])


def banded_symbolic(x: Any, n: int) -> Any:
    middle = casadi.sin(x[: n - 2]) + x[1 : n - 1] * x[2:]
    return casadi.vertcat(x[0] ** 2, middle, casadi.exp(x[n - 1]))


def banded_diagonals(x: np.ndarray) -> dict[int, np.ndarray]:
    return {
        -1: np.append(np.cos(x[:-2]), 0.0),
        0: np.concatenate([2 * x[:1], x[2:], np.exp(x[-1:])]),
        1: np.append(0.0, x[1:-1]),
    }


def rosenbrock(xp: Any, x: Any) -> Any:
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def rosenbrock_symbolic(x: Any, n: int) -> Any:
    here, there = x[: n - 1], x[1:]
    return casadi.sum1(100.0 * (there - here**2) ** 2 + (1.0 - here) ** 2)


def rosenbrock_diagonals(x: np.ndarray) -> dict[int, np.ndarray]:
    main = np.append(1200.0 * x[:-1] ** 2 - 400.0 * x[1:] + 2.0, 0.0)
    main[1:] += 200.0
    return {-1: -400.0 * x[:-1], 0: main, 1: -400.0 * x[:-1]}


TASKS = [
    Task("Jacobian, banded", banded, banded_symbolic, False, banded_diagonals),
    Task("Hessian, Rosenbrock", rosenbrock, rosenbrock_symbolic, True, rosenbrock_diagonals),
]

#: A call, what it gives as a sparse matrix, by how much its time is to be multiplied.
System = tuple[Callable[[], Any], Callable[[Any], Any], float]


def entries(task: Task, x: np.ndarray) -> System:
    transform = tj.sparse_hessian if task.hessian else tj.sparse_jacobian
    call = tj.jit(transform(lambda x: task.function(np, x)), backend="native")
    return lambda: call(x), lambda found: found.to_scipy(), 1.0


def scipy_matrix(task: Task, x: np.ndarray) -> System:
    transform = tj.sparse_hessian if task.hessian else tj.sparse_jacobian
    call = transform(lambda x: task.function(np, x))
    return lambda: call(x), lambda found: found, 1.0


def casadi_graph(task: Task, x: np.ndarray) -> System:
    symbol = casadi.SX.sym("x", x.size)
    value = task.symbolic(symbol, x.size)
    found = casadi.hessian(value, symbol)[0] if task.hessian else casadi.jacobian(value, symbol)
    function = casadi.Function("f", [symbol], [found])
    sparsity = function.sparsity_out(0)
    indptr, rows = (np.array(part) for part in (sparsity.colind(), sparsity.row()))
    data = np.zeros(sparsity.nnz())
    buffer, run = function.buffer()
    buffer.set_arg(0, memoryview(x))
    buffer.set_res(0, memoryview(data))
    alive = function, buffer, data, x  # which `run` needs, and does not hold

    def call() -> Any:
        run()
        return alive[2]

    return call, lambda found: scipy.sparse.csc_array((found, rows, indptr), sparsity.shape), 1.0


def _derivative(task: Task) -> Callable[[Any], Any]:
    def function(x: Any) -> Any:
        return task.function(jnp, x)

    return jax.grad(function) if task.hessian else function


def jax_columns(task: Task, x: np.ndarray) -> System:
    """COLUMNS of them; n / COLUMNS such calls make a matrix."""
    derivative, n = _derivative(task), x.size
    units = jnp.zeros((COLUMNS, n)).at[jnp.arange(COLUMNS), jnp.arange(COLUMNS)].set(1.0)
    columns = jax.jit(jax.vmap(lambda x, t: jax.jvp(derivative, (x,), (t,))[1], (None, 0)))
    point = jnp.asarray(x)
    return lambda: columns(point, units).block_until_ready(), lambda found: found, n / COLUMNS


def jax_coloured(task: Task, x: np.ndarray) -> System:
    derivative, n = _derivative(task), x.size
    units = jnp.asarray(np.arange(n) % 3 == np.arange(3)[:, None], float)
    products = jax.jit(jax.vmap(lambda x, t: jax.jvp(derivative, (x,), (t,))[1], (None, 0)))
    point = jnp.asarray(x)

    def matrix(found: Any) -> Any:
        found, i = np.asarray(found), np.arange(n)
        parts = {k: found[(i + k) % 3, i] for k in (-1, 0, 1)}
        return _banded_matrix({-1: parts[-1][1:], 0: parts[0], 1: parts[1][:-1]}, n)

    return lambda: products(point, units).block_until_ready(), matrix, 1.0


SYSTEMS: dict[str, Callable[[Task, np.ndarray], System]] = {
    "tracejit, entries": entries, "tracejit, scipy": scipy_matrix, "casadi": casadi_graph,
    "jax, columns": jax_columns, "jax, coloured": jax_coloured,
}  # fmt: skip


def _banded_matrix(diagonals: dict[int, np.ndarray], n: int) -> Any:
    return scipy.sparse.diags_array(
        list(diagonals.values()), offsets=list(diagonals), shape=(n, n), format="csr"
    )


def check(task: Task, name: str, system: System, x: np.ndarray) -> None:
    """Stop unless the entries are those of the formula."""
    call, matrix, times = system
    found, right = matrix(call()), _banded_matrix(task.diagonals(x), x.size)
    if times > 1.0:
        found, right = scipy.sparse.csr_array(found.T), right[:, :COLUMNS]
    off = abs(found - right).max() / abs(right).max()
    if not off < 1e-12:
        raise SystemExit(f"{task.name}, {name}: off by {off:.1e}")


def main() -> None:
    """Measure and print."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else VARIABLES
    x = np.linspace(0.1, 1.0, n)
    print(f"{n} variables; tracejit {tj.__version__} on {tj.config.threads} threads, "
          f"casadi {casadi.__version__}, jax {jax.__version__}, "
          f"Python {platform.python_version()}")  # fmt: skip
    for task in TASKS:
        systems, firsts = {}, {}
        for name, prepare in SYSTEMS.items():
            prepare(task, x[:100])[0]()  # what is loaded on first use is loaded
            begin = time.perf_counter()
            systems[name] = prepare(task, x)
            systems[name][0]()
            firsts[name] = time.perf_counter() - begin
            check(task, name, systems[name], x)
        times: dict[str, list[float]] = {name: [] for name in systems}
        for _ in range(ROUNDS):
            for name, (call, _, times_over) in systems.items():
                begin = time.perf_counter()
                call()
                times[name].append(times_over * (time.perf_counter() - begin))
        report(task, times, firsts)


def report(task: Task, times: dict[str, list[float]], firsts: dict[str, float]) -> None:
    """Print the table of a task: medians, minima in brackets, ratios of minima to the first."""
    print(f"\n{task.name:22s}{'a call, ms':>16s}{'':12s}{'ratio':>10s}{'first result, s':>18s}")
    base = min(next(iter(times.values())))
    for name, found in times.items():
        middle, least = (1e3 * f(found) for f in (statistics.median, min))
        print(f"{name:22s}{middle:16.3f} [{least:9.3f}]{least / base / 1e3:10.1f}"
              f"{firsts[name]:18.2f}")  # fmt: skip


if __name__ == "__main__":
    main()
