"""A scan whose carry is 60 scalars, a tanh each: small work per step, many names."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

CARRIES = 60


def inputs(rng: np.random.Generator, steps: int) -> tuple[Any, ...]:
    return rng.normal(size=CARRIES), 0.1 * rng.normal(size=steps)


def model(xp: Any, w: Any, drive: Any) -> Any:
    def step(c: tuple[Any, ...], u: Any) -> tuple[tuple[Any, ...], None]:
        return tuple(xp.tanh(w[i] * c[i] + 0.3 * c[i - 1] + u) for i in range(CARRIES)), None

    start = tuple(0.0 * w[i] for i in range(CARRIES))
    final, _ = xp.lax.scan(step, start, drive)
    return sum(c * c for c in final)


def idiomatic(xp: Any, w: Any, drive: Any) -> Any:
    """The carries as one array."""
    final, _ = xp.lax.scan(
        lambda c, u: (xp.tanh(w * c + 0.3 * xp.roll(c, 1) + u), None), xp.zeros_like(w), drive
    )
    return xp.sum(final * final)


def with_roll(xp: Any, w: Any, drive: Any) -> Any:
    """The same for autograd and torch, whose scalars are dear."""
    c = 0.0 * w
    for u in drive:
        c = xp.tanh(w * c + 0.3 * xp.roll(c, 1) + u)
    return xp.sum(c * c)


def by_hand(w: np.ndarray, drive: np.ndarray) -> tuple[float, np.ndarray]:
    steps, n = drive.size, w.size
    state = np.zeros((steps + 1, n))
    for t in range(steps):
        for i in range(n):
            state[t + 1, i] = np.tanh(w[i] * state[t, i] + 0.3 * state[t, i - 1] + drive[t])
    total = 0.0
    gradient, pull, back = np.zeros(n), np.empty(n), np.empty(n)
    for i in range(n):
        total += state[steps, i] * state[steps, i]
        pull[i] = 2.0 * state[steps, i]
    for t in range(steps - 1, -1, -1):
        back[:] = 0.0
        for i in range(n):
            d = pull[i] * (1.0 - state[t + 1, i] * state[t + 1, i])
            gradient[i] += d * state[t, i]
            back[i] += d * w[i]
            back[i - 1] += 0.3 * d
        pull[:] = back
    return total, gradient


C = """
#define K 60
static double state[STEPS+1][K+1];   /* column 0 is a copy of the last */
static double call(const double *restrict w, const double *restrict drive, double *restrict g) {
    double total = 0, pull[K+1], d[K+1];
    memset(g, 0, sizeof(double) * K);
    memset(state[0], 0, sizeof state[0]);
    for (int t = 0; t < STEPS; t++) {
        for (int i = 0; i < K; i++)
            state[t+1][i+1] = tanh(w[i] * state[t][i+1] + 0.3 * state[t][i] + drive[t]);
        state[t+1][0] = state[t+1][K];
    }
    for (int i = 0; i < K; i++) {
        double last = state[STEPS][i+1];
        total += last * last;
        pull[i] = 2 * last;
    }
    for (int t = STEPS - 1; t >= 0; t--) {
        for (int i = 0; i < K; i++) {
            d[i] = pull[i] * (1 - state[t+1][i+1] * state[t+1][i+1]);
            g[i] += d[i] * state[t][i+1];
        }
        d[K] = d[0];
        for (int i = 0; i < K; i++) pull[i] = d[i] * w[i] + 0.3 * d[i+1];
    }
    return total;
}
"""

SIZES = {"20": {"steps": 20}, "614": {"steps": 614}}

CASE = Case(
    "60 carries", "loops", SIZES, inputs, model,
    {"jax-idiomatic": idiomatic, "autograd": with_roll, "torch": with_roll, "torch-compile": None},
    numba=by_hand, c=C,
)  # fmt: skip
