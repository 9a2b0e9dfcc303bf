"""The life of a program: what was traced, what differentiation and the passes made of it."""

from __future__ import annotations

import numpy as np

import tracejit as tj


def model(x):
    """A small function with something to simplify."""
    y = np.sin(x) * 1.0 + 0.0
    return np.sum(y * np.exp(-x * x))


x = np.linspace(-1.0, 1.0, 5)

# The jaxpr: typed, one equation a line.
print(tj.make_jaxpr(model)(x))

# Every stage between the function and the machine, by name.
stages = tj.stages(tj.value_and_grad(model), backend="native")(x)
print("stages:", ", ".join(stages))
for cost in stages.cost:
    if cost.equations is not None:
        print(f"  {cost.stage:20s} {cost.equations:3d} equations")

# What a pass did, as a diff of two texts.
print(stages.diff("inline", "fold", context=0))

# The machine's own forms are texts, too.
print(stages["kernels"][:400])
assert "sin" in stages["traced"]
