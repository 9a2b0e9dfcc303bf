"""Code written for JAX: keys, pytrees, vmap, and float32 by default."""

from __future__ import annotations

import tracejit as jax
import tracejit.numpy as jnp
from tracejit import random

jax.config.update("jax_enable_x64", False)  # float32, as JAX has it


def init(key, sizes):
    """Weights and biases of each layer, as a list of dicts."""
    keys = random.split(key, len(sizes) - 1)
    return [
        {"W": random.normal(k, (m, n)) / jnp.sqrt(m), "b": jnp.zeros(n)}
        for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def predict(params, x):
    """A perceptron, for one input."""
    for layer in params[:-1]:
        x = jnp.tanh(x @ layer["W"] + layer["b"])
    return (x @ params[-1]["W"] + params[-1]["b"])[0]


def loss(params, xs, ys):
    """The mean over a batch: vmap over inputs, one set of parameters."""
    return jnp.mean((jax.vmap(predict, in_axes=(None, 0))(params, xs) - ys) ** 2)


@jax.jit
def update(params, xs, ys):
    """One step of gradient descent."""
    value, grads = jax.value_and_grad(loss)(params, xs, ys)
    return value, jax.tree.map(lambda p, g: p - 0.1 * g, params, grads)


key, data = random.split(random.PRNGKey(0))
xs = random.uniform(data, (256, 2), minval=-1.0, maxval=1.0)
ys = jnp.sin(3 * xs[:, 0]) * xs[:, 1]
params = init(key, [2, 32, 32, 1])
for epoch in range(301):
    value, params = update(params, xs, ys)
    if epoch % 100 == 0:
        print(f"epoch {epoch:3d}: loss {value:.5f}")
assert value.dtype == jnp.float32
assert value < 0.05

# Gradients of each example, by vmap of grad.
each = jax.vmap(jax.grad(loss), in_axes=(None, 0, 0))(params, xs[:5, None], ys[:5, None])
print("gradients of five examples:", each[0]["W"].shape)
