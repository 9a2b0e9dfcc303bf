"""A step of training in PyTorch's style: tracejit.compat.torch against PyTorch, one thread each.

    python -m benchmarks.doors [--steps 300]

The same program text runs under both names: zero_grad, the loss of a network of tanh layers,
backward, a step of the optimiser. The systems take turns in one process; minimum and median of the
steps behind the first 50 are told, in microseconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from tracejit.compat import torch as ours

#: (sizes of layers, rows, optimiser)
CASES = [
    ((4, 16, 16, 1), 32, "SGD"), ((4, 16, 16, 1), 32, "Adam"), ((64, 128, 10), 128, "Adam"),
    ((64, 512, 10), 256, "Adam"),
]  # fmt: skip
WARM = 50


def steps(t: Any, sizes: tuple[int, ...], rows: int, name: str) -> Any:
    """A function that makes one step, and returns the loss."""
    layers: list[Any] = []
    for n, m in zip(sizes, sizes[1:], strict=False):
        layers += [t.nn.Linear(n, m), t.nn.Tanh()]
    model = t.nn.Sequential(*layers[:-1])
    optimizer = getattr(t.optim, name)(model.parameters(), lr=0.01)
    x, y = t.randn(rows, sizes[0]), t.randn(rows, sizes[-1])

    def step() -> Any:
        optimizer.zero_grad()
        loss = t.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


def main() -> None:
    """Measure, and print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    count = parser.parse_args().steps
    torch.set_num_threads(1)
    for sizes, rows, name in CASES:
        libraries = {"tracejit": ours, "torch": torch}
        systems = {k: steps(t, sizes, rows, name) for k, t in libraries.items()}
        times: dict[str, list[float]] = {system: [] for system in systems}
        for _ in range(WARM + count):
            for system, step in systems.items():
                start = time.perf_counter()
                step()
                times[system].append((time.perf_counter() - start) * 1e6)
        told = [
            f"{system} {min(found[WARM:]):5.0f} ({statistics.median(found[WARM:]):.0f})"
            for system, found in times.items()
        ]
        print(f"{'-'.join(map(str, sizes)):12} x {rows:3} {name:5}", *told, sep="  ")


if __name__ == "__main__":
    main()
