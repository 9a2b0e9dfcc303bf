"""A loss in NumPy, its gradient as native code, and a fit with SciPy."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

import tracejit as tj

rng = np.random.default_rng(0)
X = rng.normal(size=(1000, 20))
truth = rng.normal(size=20)
y = np.sign(X @ truth + 0.5 * rng.normal(size=1000))


@tj.jit
@tj.value_and_grad
def loss(w, X, y):
    """Logistic regression: ordinary NumPy code."""
    return np.mean(np.logaddexp(0.0, -y * (X @ w))) + 1e-3 * np.sum(w**2)


value, gradient = loss(np.zeros(20), X, y)
print(f"at zero: loss {value:.6f}, gradient of shape {gradient.shape}")

# The compiled function takes and gives NumPy arrays, which is what SciPy wants.
fit = minimize(loss, np.zeros(20), args=(X, y), jac=True, method="L-BFGS-B")
print(f"fitted in {fit.nfev} gradients: loss {fit.fun:.6f}")
print(f"right on {np.mean(np.sign(X @ fit.x) == y):.1%} of the data")
assert fit.success

# Transformations nest: the Hessian at the optimum, for error bars.
hessian = tj.jit(tj.hessian(lambda w: np.mean(np.logaddexp(0.0, -y * (X @ w)))))
spread = np.sqrt(np.diag(np.linalg.inv(1000 * hessian(fit.x))))
print(f"first weight {fit.x[0]:.2f} +- {spread[0]:.2f}")
