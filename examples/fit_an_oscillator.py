"""Parameters of a differential equation, found by differentiating through its solver."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

import tracejit as tj
from tracejit import lax

STEPS, DT = 400, 0.05


def acceleration(position, velocity, stiffness, damping):
    """A damped oscillator."""
    return -stiffness * position - damping * velocity


def simulate(params):
    """Positions after each step of the midpoint rule, from rest at 1."""
    stiffness, damping = params[0], params[1]

    def step(state, _):
        x, v = state
        half_x = x + 0.5 * DT * v
        half_v = v + 0.5 * DT * acceleration(x, v, stiffness, damping)
        x = x + DT * half_v
        v = v + DT * acceleration(half_x, half_v, stiffness, damping)
        return (x, v), x

    return lax.scan(step, (1.0, 0.0), None, length=STEPS)[1]


truth = np.array([2.0, 0.15])
seen = np.asarray(simulate(truth)) + 0.02 * np.random.default_rng(0).normal(size=STEPS)


@tj.jit
@tj.value_and_grad
def misfit(params, seen):
    """The gradient runs the loop backwards, inside the same native function."""
    return np.mean((simulate(params) - seen) ** 2)


fit = minimize(misfit, np.array([1.7, 0.3]), args=(seen,), jac=True, method="BFGS")
print(f"stiffness {fit.x[0]:.3f} (true {truth[0]}), damping {fit.x[1]:.3f} (true {truth[1]})")
print(f"{fit.nfev} gradients through {STEPS} steps each")
assert np.allclose(fit.x, truth, atol=0.02)
