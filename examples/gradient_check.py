"""One loss in five styles: the same numbers to the last bit, and the same machine code."""

from __future__ import annotations

import numpy as np

import tracejit as tj
from tracejit.compat import autograd, torch
from tracejit.compat import tensorflow as tf
from tracejit.compat.graph import cut
from tracejit.compat.micrograd import Value

START = (0.7, -1.3, 0.25)


def loss(w1, w2, b, tanh=np.tanh):
    """A neuron, and how far it is from what it should say."""
    return (tanh(w1 * 2.0 + w2 * 0.5 + b) - 0.25) ** 2


def in_pytorch():
    """backward, on tensors."""
    ws = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in START]
    y = loss(*ws, tanh=torch.tanh)
    recorded = cut([y.cell], [w.cell for w in ws]).function()
    y.backward()
    return y.item(), [w.grad.item() for w in ws], recorded


def in_tensorflow():
    """A tape, on variables."""
    ws = [tf.Variable(x, dtype=tf.float64) for x in START]
    with tf.GradientTape() as tape:
        y = loss(*ws, tanh=tf.tanh)
    recorded = tape.compile(y, ws)
    return float(y), [float(g) for g in tape.gradient(y, ws)], recorded


def in_micrograd():
    """backward, on numbers."""
    ws = [Value(x) for x in START]
    y = loss(*ws, tanh=Value.tanh)
    y.backward()
    recorded = cut([y.cell], [w.cell for w in ws]).function()
    return y.data, [w.grad for w in ws], recorded


def in_autograd():
    """A function that is differentiated."""
    value, gradient = autograd.value_and_grad(loss, (0, 1, 2))(*START)
    return float(value), [float(g) for g in gradient], loss


def program(fun, value_and_grad=tj.value_and_grad):
    """What goes to the machine for the value and the gradient of a function."""
    whole = value_and_grad(fun, (0, 1, 2))
    return tj.stages(whole, backend="native")(*map(np.float64, START))["assembly"]


value, gradient = tj.value_and_grad(loss, (0, 1, 2))(*START)
plain = [float(value), *map(float, gradient)]
code = program(loss)
compiled = tj.jit(tj.value_and_grad(loss, (0, 1, 2)))(*map(np.float64, START))
print(f"{'tracejit':12}", *(f"{x:+.17f}" for x in plain))

for door in (in_pytorch, in_tensorflow, in_micrograd, in_autograd):
    value, gradient, recorded = door()
    print(f"{door.__name__[3:]:12}", *(f"{x:+.17f}" for x in (value, *gradient)))
    assert [value, *gradient] == plain, "not the same numbers"
    value_and_grad = autograd.value_and_grad if door is in_autograd else tj.value_and_grad
    assert program(recorded, value_and_grad) == code, "not the same machine code"
    kernel = tj.jit(value_and_grad(recorded, (0, 1, 2)))
    assert kernel(*map(np.float64, START)) == compiled, "not the same compiled numbers"

print(f"the same numbers, and the same {len(code.splitlines())} lines of machine code")
