"""Hamiltonian Monte Carlo on the eight schools, with keys for random numbers."""

from __future__ import annotations

import numpy as np

import tracejit as tj
from tracejit import lax, random

EFFECTS = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERRORS = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])
STEP, LEAPS, CHAINS, DRAWS = 0.25, 12, 4, 500


def energy(q):
    """Minus the log density of mu, log tau and eight eta."""
    mu, log_tau, eta = q[0], q[1], q[2:]
    tau = np.exp(log_tau)
    off = (EFFECTS - mu - tau * eta) / ERRORS
    return 0.5 * (np.sum(off**2) + np.sum(eta**2) + (mu / 5) ** 2 + (tau / 5) ** 2) - log_tau


force = tj.grad(energy)


def leapfrog(q, p):
    """LEAPS steps along the flow that keeps energy(q) + p.p / 2."""

    def leap(_, state):
        q, p = state
        p = p - 0.5 * STEP * force(q)
        q = q + STEP * p
        return q, p - 0.5 * STEP * force(q)

    return lax.fori_loop(0, LEAPS, leap, (q, p))


def transition(q, key):
    """One draw: a random push, a flight, and the acceptance that corrects its error."""
    push, coin = random.split(key)
    p = random.normal(push, q.shape)
    end, last = leapfrog(q, p)
    gain = energy(q) + 0.5 * p @ p - energy(end) - 0.5 * last @ last
    return np.where(np.log(random.uniform(coin)) < gain, end, q)


def step(q, key):
    """For scan: the new state is the draw."""
    q = transition(q, key)
    return q, q


@tj.jit
@tj.vmap
def chain(start, key):
    """All draws of a chain; vmap runs the chains side by side."""
    return lax.scan(step, start, random.split(key, DRAWS))[1]


start, draw = random.split(random.key(0))
draws = chain(random.normal(start, (CHAINS, 10)), random.split(draw, CHAINS))
kept = draws[:, DRAWS // 2 :].reshape(-1, 10)
print(f"{kept.shape[0]} draws kept of {CHAINS} chains")
print(f"mu  {kept[:, 0].mean():5.2f} +- {kept[:, 0].std():.2f}")
print(f"tau {np.exp(kept[:, 1]).mean():5.2f}")
assert 2.0 < kept[:, 0].mean() < 7.0
