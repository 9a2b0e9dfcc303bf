"""Programs for TensorFlow run as they stand, imports aside, and print the numbers they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracejit.compat import tensorflow as tf

GRADIENT = """
# Define a simple function
x = tf.Variable(3.0)
with tf.GradientTape() as tape:
    y = x ** 2  # Define the computation
    loss = y + 2  # Some loss function

# Compute the gradient of loss w.r.t. x
gradients = tape.gradient(loss, x)
print(gradients)  # Output: 6.0, since d(loss)/dx = 2*x = 2*3
"""
POLYNOMIAL = """
x = tf.Variable(2.0)

# Record operations for automatic differentiation
with tf.GradientTape() as tape:
    y = x**2 + 3*x

# Compute gradient of y with respect to x
dy_dx = tape.gradient(y, x)
print(dy_dx.numpy())  # Outputs: 7.0 (dy/dx = 2x + 3, at x=2.0)
"""
OPTIMIZER = """
optimizer = tf.optimizers.Adam()

with tf.GradientTape() as tape:
    # Forward pass
    loss = model(inputs)

# Compute gradients
gradients = tape.gradient(loss, model.trainable_variables)

# Apply gradients
optimizer.apply_gradients(zip(gradients, model.trainable_variables))
"""
SECOND = """
with tf.GradientTape() as tape2:
    with tf.GradientTape() as tape1:
        y = x**2 + 3*x
    grad1 = tape1.gradient(y, x)

grad2 = tape2.gradient(grad1, x)  # Second derivative
"""


def run(program: str, **names: Any) -> dict[str, Any]:
    """The names after a program that finds `tf` and these."""
    space = {"tf": tf, **names}
    exec(program, space)
    return space


@pytest.mark.parametrize(
    ("program", "printed"),
    [(GRADIENT, "tf.Tensor(6.0, shape=(), dtype=float32)\n"), (POLYNOMIAL, "7.0\n")],
)
def test_a_program_prints_what_it_promises(program, printed, capsys) -> None:
    run(program)
    assert capsys.readouterr().out == printed


def test_the_second_derivative() -> None:
    space = run(SECOND, x=tf.Variable(2.0))
    assert space["grad1"].numpy() == 7.0 and space["grad2"].numpy() == 2.0


def test_a_model_and_an_optimizer() -> None:
    """The first step of Adam is the learning rate in the direction of the gradient's sign."""
    model = tf.keras.Sequential([tf.keras.layers.Dense(1, input_shape=(3,))])
    before = [v.numpy() for v in model.trainable_variables]
    inputs = tf.constant([[1.0, -2.0, 3.0]])
    space = run(OPTIMIZER, model=model, inputs=inputs)
    assert [g.shape for g in space["gradients"]] == [(3, 1), (1,)]
    for old, new, g in zip(before, model.trainable_variables, space["gradients"], strict=True):
        np.testing.assert_allclose(new.numpy() - old, -0.001 * np.sign(g.numpy()), rtol=1e-3)
