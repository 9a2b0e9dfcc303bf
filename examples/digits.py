"""A network that reads handwritten digits, trained by Adam: each step is one native call.

The data are the 1797 digits of 8 x 8 pixels that scikit-learn brings along.
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.datasets import load_digits

import tracejit as tj
from tracejit import optim

HIDDEN, BATCH, EPOCHS = 128, 64, 30
rng = np.random.default_rng(0)

pixels, digits = load_digits(return_X_y=True)
order = rng.permutation(len(digits))
X, Y = pixels[order] / 16.0, np.eye(10)[digits[order]]
train, test = slice(0, 1437), slice(1437, None)  # a fifth is kept for the test


def scores(params, X):
    """One hidden layer; the score of each digit."""
    return np.maximum(X @ params["W"] + params["b"], 0) @ params["V"] + params["c"]


def loss(params, X, Y):
    """The mean cross entropy."""
    found = scores(params, X)
    return np.mean(tj.nn.logsumexp(found, axis=1) - np.sum(Y * found, axis=1))


params = {
    "W": rng.normal(size=(64, HIDDEN)) * np.sqrt(2 / 64), "b": np.zeros(HIDDEN),
    "V": rng.normal(size=(HIDDEN, 10)) * np.sqrt(1 / HIDDEN), "c": np.zeros(10),
}  # fmt: skip
steps = EPOCHS * (1437 // BATCH)
optimiser = optim.adamw(optim.warmup_cosine_decay_schedule(0.0, 5e-3, 50, steps), weight_decay=1e-2)
state = optimiser.init(params)


@tj.jit
def step(params, state, X, Y):
    """The whole of a step; it writes into the arrays of params and state."""
    value, gradient = tj.value_and_grad(loss)(params, X, Y)
    updates, new = optimiser.update(gradient, state, params)
    optim.assign((params, state), (optim.apply_updates(params, updates), new))
    return value


def accuracy(part):
    """The share of digits that are read right."""
    return np.mean(np.argmax(scores(params, X[part]), axis=1) == np.argmax(Y[part], axis=1))


step(params, state, X[:BATCH], Y[:BATCH])  # compiles
begin = time.perf_counter()
for epoch in range(EPOCHS):
    rows = rng.permutation(1437)
    for at in range(0, 1437 - BATCH + 1, BATCH):
        batch = rows[at : at + BATCH]
        value = step(params, state, X[batch], Y[batch])
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1}: loss {value:.4f}, test accuracy {accuracy(test):.2%}")
spent = time.perf_counter() - begin
print(f"{steps} steps in {spent:.2f} s, {1e6 * spent / steps:.0f} us each, batches and all")
assert accuracy(test) > 0.97
