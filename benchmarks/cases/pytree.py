"""A nested dict of 60 small arrays: what flattening and building a tree cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

Tree = dict[str, dict[str, Any]]


def inputs(rng: np.random.Generator, layers: int) -> tuple[Any, ...]:
    names = ("bias", "gain", "shift")
    return ({f"l{i:02d}": {name: rng.normal(size=3) for name in names} for i in range(layers)},)


def model(xp: Any, tree: Tree) -> Any:
    total = 0.0
    for layer in tree.values():
        total = total + xp.sum(layer["gain"] * layer["shift"] + layer["bias"] ** 2)
    return total


LEAVES = [f"x{i}" for i in range(60)]

C = f"""
static double call({"".join(f"const double *restrict {x}, " for x in LEAVES)}double *restrict g) {{
    const double *leaves[] = {{{", ".join(LEAVES)}}};
    double total = 0;
    for (int i = 0; i < LAYERS; i++)
        for (int j = 0; j < 3; j++) {{
            double bias = leaves[3*i][j], gain = leaves[3*i+1][j], shift = leaves[3*i+2][j];
            total += gain * shift + bias * bias;
            g[9*i+j] = 2 * bias; g[9*i+3+j] = shift; g[9*i+6+j] = gain;
        }}
    return total;
}}
"""

CASE = Case("pytree", "calls", {"60 leaves": {"layers": 20}}, inputs, model, c=C)
