"""scipy.optimize for NumPy functions of trees: compiled, with exact derivatives of their programs.

    from tracejit.scipy.optimize import minimize

    fit = minimize(loss, {"w": np.zeros(20), "b": 0.0}, args=(X, y), method="Newton-CG")
    fit.x["w"]

Names, arguments and results are SciPy's, which does the work between the calls. `vectors` lays a
tree out as SciPy's vector and makes the programs, `minimizing` and `equations` hand them over.
"""

from __future__ import annotations

from tracejit.errors import BackendError

try:
    from scipy.optimize import (
        BFGS,
        SR1,
        Bounds,
        HessianUpdateStrategy,
        LinearConstraint,
        NonlinearConstraint,
        OptimizeResult,
    )
except ImportError as error:
    raise BackendError(
        "tracejit.scipy.optimize needs SciPy, which cannot be imported", hint="pip install scipy"
    ) from error

from tracejit.scipy.optimize.equations import curve_fit, least_squares, root, root_scalar
from tracejit.scipy.optimize.minimizing import minimize, minimize_scalar

__all__ = [
    "BFGS",
    "SR1",
    "Bounds",
    "HessianUpdateStrategy",
    "LinearConstraint",
    "NonlinearConstraint",
    "OptimizeResult",
    "curve_fit",
    "least_squares",
    "minimize",
    "minimize_scalar",
    "root",
    "root_scalar",
]
