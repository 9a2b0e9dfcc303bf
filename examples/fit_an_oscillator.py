"""Parameters of a differential equation, found by differentiating through its solver."""

from __future__ import annotations

import numpy as np

from tracejit import lax
from tracejit.scipy.optimize import minimize

STEPS, DT = 400, 0.05


def acceleration(position, velocity, stiffness, damping):
    """A damped oscillator."""
    return -stiffness * position - damping * velocity


def simulate(params):
    """Positions after each step of the midpoint rule, from rest at 1."""
    stiffness, damping = params["stiffness"], params["damping"]

    def step(state, _):
        x, v = state
        half_x = x + 0.5 * DT * v
        half_v = v + 0.5 * DT * acceleration(x, v, stiffness, damping)
        x = x + DT * half_v
        v = v + DT * acceleration(half_x, half_v, stiffness, damping)
        return (x, v), x

    return lax.scan(step, (1.0, 0.0), None, length=STEPS)[1]


truth = {"stiffness": 2.0, "damping": 0.15}
seen = np.asarray(simulate(truth)) + 0.02 * np.random.default_rng(0).normal(size=STEPS)


def misfit(params, seen):
    """The mean of squared distances from what was seen."""
    return np.mean((simulate(params) - seen) ** 2)


# Value and gradient are one native function; the gradient runs the loop backwards inside of it.
fit = minimize(misfit, {"stiffness": 1.7, "damping": 0.3}, args=(seen,), method="BFGS")
for name, value in fit.x.items():
    print(f"{name} {value:.3f} (true {truth[name]})")
    assert abs(value - truth[name]) < 0.02
print(f"{fit.nfev} gradients through {STEPS} steps each")
