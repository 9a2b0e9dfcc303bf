"""Derivatives where there is none, or several: the table of docs/numerics.md, line by line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tracejit as tj
from tracejit import backends
from tracejit.scipy.special import entr, logsumexp, xlogy

BACKENDS = [name for name in ("eager", "native", "xla") if backends.available(name)]
inf, nan = np.inf, np.nan
A = np.array
WEIGHTS = np.arange(3.0)


def weighted(f):
    return lambda x: np.sum(f(x) * np.arange(1.0, 1 + len(x)))


# name -> (function, arguments, gradient for each); what is the same in docs/numerics.md.
ROWS = {
    # Kinks: one of the subgradients, symmetric where nothing says otherwise.
    "abs": (np.abs, (0.0,), (0.0,)),
    "sign": (np.sign, (0.0,), (0.0,)),
    "maximum": (np.maximum, (1.0, 1.0), (0.5, 0.5)),
    "minimum": (np.minimum, (1.0, 1.0), (0.5, 0.5)),
    "fmax": (np.fmax, (1.0, 1.0), (0.5, 0.5)),
    "max": (np.max, (A([1.0, 2, 2]),), (A([0, 0.5, 0.5]),)),
    "nanmax": (np.nanmax, (A([nan, 1.0, 1.0]),), (A([0, 0.5, 0.5]),)),
    "ptp": (np.ptp, (np.ones(2),), (np.zeros(2),)),
    "relu": (tj.nn.relu, (0.0,), (0.0,)),
    "clip low": (lambda x: np.clip(x, 0.0, 1.0), (0.0,), (0.5,)),
    "clip high": (lambda x: np.clip(x, 0.0, 1.0), (1.0,), (0.5,)),
    "clip beyond": (lambda x: np.clip(x, 0.0, 1.0), (2.0,), (0.0,)),
    "lax.clamp": (lambda x: tj.lax.clamp(0.0, x, 1.0), (1.0,), (0.0,)),
    # Steps: 0.
    "floor": (np.floor, (1.0,), (0.0,)),
    "round": (np.round, (0.5,), (0.0,)),
    "mod": (np.mod, (4.0, 2.0), (1.0, -2.0)),
    "floor_divide": (np.floor_divide, (4.0, 2.0), (0.0, 0.0)),
    "heaviside": (np.heaviside, (0.0, 0.5), (0.0, 1.0)),
    # Cones: 0 at the tip.
    "norm": (np.linalg.norm, (np.zeros(3),), (np.zeros(3),)),
    "norm 1": (lambda x: np.linalg.norm(x, 1), (np.zeros(3),), (np.zeros(3),)),
    "norm 3": (lambda x: np.linalg.norm(x, 3), (np.zeros(3),), (np.zeros(3),)),
    "norm inf": (lambda x: np.linalg.norm(x, inf), (np.zeros(3),), (np.zeros(3),)),
    "norm fro": (np.linalg.norm, (np.zeros((2, 2)),), (np.zeros((2, 2)),)),
    "norm nuc": (lambda x: np.linalg.norm(x, "nuc"), (2 * np.eye(2),), (np.eye(2),)),
    "hypot": (np.hypot, (0.0, 0.0), (0.0, 0.0)),
    "arctan2": (np.arctan2, (0.0, 0.0), (0.0, 0.0)),
    "arctan2 of -1": (np.arctan2, (0.0, -1.0), (-1.0, 0.0)),
    "std": (np.std, (np.ones(3),), (np.zeros(3),)),
    "var": (np.var, (np.ones(3),), (np.zeros(3),)),
    # Ends of a domain: the limit, which may be infinite.
    "sqrt": (np.sqrt, (0.0,), (inf,)),
    "cbrt": (np.cbrt, (0.0,), (inf,)),
    "log": (np.log, (0.0,), (inf,)),
    "arccos": (np.arccos, (1.0,), (-inf,)),
    "arcsin": (np.arcsin, (-1.0,), (inf,)),
    "arccosh": (np.arccosh, (1.0,), (inf,)),
    "arctanh": (np.arctanh, (1.0,), (inf,)),
    # Powers of 0.
    "0 ** 0": (np.power, (0.0, 0.0), (0.0, 0.0)),
    "0 ** 0.5": (np.power, (0.0, 0.5), (inf, 0.0)),
    "0 ** 1": (np.power, (0.0, 1.0), (1.0, 0.0)),
    "0 ** 2": (np.power, (0.0, 2.0), (0.0, 0.0)),
    "x ** 0": (lambda x: x**0, (0.0,), (0.0,)),
    "x ** 1": (lambda x: x**1, (0.0,), (1.0,)),
    "x ** 2": (lambda x: x**2, (0.0,), (0.0,)),
    "c ** y": (lambda y: 0.0**y, (0.0,), (0.0,)),
    # Order: ties as a stable sort leaves them.
    "sort": (weighted(np.sort), (A([1.0, 1, 0]),), (A([2.0, 3, 1]),)),
    "argsort": (weighted(lambda x: x[np.argsort(x)]), (A([1.0, 1, 0]),), (A([2.0, 3, 1]),)),
    "median": (np.median, (A([2.0, 2, 2]),), (A([0.0, 1, 0]),)),
    "quantile": (lambda x: np.quantile(x, 0.3), (A([2.0, 2, 2]),), (A([0.4, 0.6, 0]),)),
    "cummax": (lambda x: np.sum(np.maximum.accumulate(x)), (A([2.0, 1, 3]),), (A([2.0, 0, 1]),)),
    # Products with zeros: exact.
    "prod": (np.prod, (A([0.0, 2, 3]),), (A([6.0, 0, 0]),)),
    "prod 00": (np.prod, (A([0.0, 2, 0]),), (np.zeros(3),)),
    "cumprod": (lambda x: np.sum(np.cumprod(x)), (A([2.0, 0, 3]),), (A([1.0, 8, 0]),)),
    "cumprod 00": (lambda x: np.sum(np.cumprod(x)), (A([0.0, 2, 0, 1]),), (A([3.0, 0, 0, 0]),)),
    # Infinities.
    "logaddexp inf": (np.logaddexp, (inf, inf), (0.5, 0.5)),
    "logaddexp -inf": (np.logaddexp, (-inf, -inf), (0.5, 0.5)),
    "logaddexp one": (np.logaddexp, (-inf, 0.0), (0.0, 1.0)),
    "logsumexp": (logsumexp, (np.full(3, -inf),), (np.zeros(3),)),
    "logsumexp one": (logsumexp, (A([-inf, 0.0]),), (A([0.0, 1.0]),)),
    "softmax": (weighted(tj.nn.softmax), (A([-inf, 0.0]),), (np.zeros(2),)),
    "softmax nothing": (weighted(tj.nn.softmax), (np.full(2, -inf),), (np.full(2, nan),)),
    "exp times 0": (lambda x: np.exp(x) * 0.0, (1000.0,), (0.0,)),
    "logistic": (tj.nn.sigmoid, (1000.0,), (0.0,)),
    "softplus": (tj.nn.softplus, (1000.0,), (1.0,)),
    # Complex numbers: du/dx - i du/dy of a real u(x + iy).
    "abs of c": (np.abs, (0j,), (0j,)),
    "sign of c": (lambda z: np.sign(z).real, (0j,), (0j,)),
    "angle": (np.angle, (0j,), (0j,)),
    "angle of c": (np.angle, (3 + 4j,), (-0.16 - 0.12j,)),
    "norm of c": (np.linalg.norm, (np.zeros(2, complex),), (np.zeros(2),)),
    "std of c": (np.std, (np.full(3, 1 + 1j),), (np.zeros(3),)),
    "0 ** y of c": (lambda z: (z ** (z * 0)).real, (0j,), (0j,)),
    "prod of c": (lambda z: np.prod(z).real, (A([0j, 2j, 3]),), (A([6j, 0, 0]),)),
    "real": (np.real, (1 + 2j,), (1.0,)),
    "imag": (np.imag, (1 + 2j,), (-1j,)),
    "abs squared": (lambda z: abs(z) ** 2, (3 + 4j,), (6 - 8j,)),
    # Holes that are filled.
    "sinc": (np.sinc, (0.0,), (0.0,)),
    "xlogy": (xlogy, (0.0, 2.0), (np.log(2.0), 0.0)),
    "xlogy 00": (xlogy, (0.0, 0.0), (0.0, 0.0)),
    "entr": (entr, (0.0,), (0.0,)),
    # What the operations do not know to be more than they are.
    "sqrt of square": (lambda x: np.sqrt(x * x), (0.0,), (nan,)),
    "x / x": (lambda x: x / x, (0.0,), (nan,)),
    "log1p of exp": (lambda x: np.log1p(np.exp(x)), (1000.0,), (nan,)),
}


def gradients(argument):
    return {
        name: tj.grad(fun, argnums=tuple(range(len(args))))(*argument[name])
        for name, (fun, args, _) in ROWS.items()
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["plain", *BACKENDS])
def test_conventions(mode) -> None:
    """As it stands in the table, however it is run."""
    given = {name: args for name, (_, args, _) in ROWS.items()}
    run = gradients if mode == "plain" else tj.jit(gradients, backend=mode)
    found, wrong = run(given), []
    for name, (_, _, expected) in ROWS.items():
        for x, e in zip(found[name], expected, strict=True):
            if not np.allclose(x, e, rtol=1e-12, atol=1e-15, equal_nan=True):
                wrong.append(f"{name}: {x} instead of {e}")
    assert not wrong


def test_the_page_names_them() -> None:
    """Each function of the rows is in the table of the page."""
    page = (Path(__file__).parents[2] / "docs" / "numerics.md").read_text(encoding="utf-8")
    words = {name.split()[0] for name in ROWS}
    assert [w for w in words if len(w) > 1 and f"`{w}" not in page] == []
