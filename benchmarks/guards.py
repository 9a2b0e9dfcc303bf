"""What Python's control flow on traced values costs under jit.

    python -m benchmarks.guards

A guard: a chain of conditions that all hold, against the same arithmetic without them. Paths: calls
that take the first path, another, and both in turn, against a function without conditions. A path's
compilation, from the call that meets it to its result. Calls are timed in interleaved rounds; the
least counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tracejit as tj

ROUNDS, CALLS = 400, 100


def guarded(count: int) -> Callable[..., Any]:
    """A chain of steps, each behind a condition of its own: a loop over a list is unrolled."""
    numbers = [*range(count)]

    def chain(x: Any, y: Any) -> Any:
        s = x
        for i in numbers:
            s = s * 1.0001 + y if x > -float(i) else s - 1.0
        return s

    return chain


def plain(count: int) -> Callable[..., Any]:
    """The same steps."""
    numbers = [*range(count)]

    def chain(x: Any, y: Any) -> Any:
        s = x
        for _ in numbers:
            s = s * 1.0001 + y
        return s

    return chain


def signs(x: Any) -> Any:
    """A path for each pattern of signs."""
    total = 0.0
    for v in [x[i] for i in range(x.shape[0])]:  # a list: each element has a guard of its own
        total = total + (np.sqrt(v) if v > 0.0 else v**2)
    return total


def newton(a: Any) -> Any:
    """A path for each number of steps."""
    x = a
    while abs(x * x - a) > 1e-10 * a:
        x = 0.5 * (x + a / x)
    return x


def least(*calls: Callable[[], Any]) -> list[float]:
    """Nanoseconds of each call, the least of rounds in which they take turns."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for i, call in enumerate(calls):
            start = time.perf_counter_ns()
            for _ in range(CALLS):
                call()
            best[i] = min(best[i], (time.perf_counter_ns() - start) / CALLS)
    return best


def guards() -> None:
    """The cost of a guard."""
    x, y = np.float64(1.0), np.float64(2.0)
    print("| guards | call, ns | without, ns | per guard, ns |\n|---|---|---|---|")
    for count in (1, 10, 100):
        f, g = tj.jit(guarded(count)), tj.jit(plain(count))
        assert f(x, y) == g(x, y)
        with_guards, without = least(lambda f=f: f(x, y), lambda g=g: g(x, y))
        each = (with_guards - without) / count
        print(f"| {count} | {with_guards:.0f} | {without:.0f} | {each:.2f} |")


def paths() -> None:
    """The cost of another path."""
    up, down = np.float64(2.0), np.float64(-2.0)
    f = tj.jit(tj.value_and_grad(lambda x: x * x if x > 0.0 else -x))
    g = tj.jit(tj.value_and_grad(lambda x: x * x))
    for x in (up, down):
        f(x), g(x)

    def in_turn() -> None:
        f(up), f(down)

    first, other, both, alone = least(lambda: f(up), lambda: f(down), in_turn, lambda: g(up))
    print("\n| value and gradient | ns |\n|---|---|")
    print(f"| no condition | {alone:.0f} |\n| the first path | {first:.0f} |")
    print(f"| the other path | {other:.0f} |\n| one after the other | {both:.0f} |")
    f = tj.jit(tj.value_and_grad(newton))
    numbers = [np.float64(10.0**k) for k in range(-8, 9)]
    for a in numbers:
        f(a)
    times = least(*[lambda a=a: f(a) for a in numbers])
    print(f"| Newton's method, {f.cache_size} paths | {min(times):.0f} to {max(times):.0f} |")


def compilation() -> None:
    """The cost of a new path."""
    rng = np.random.default_rng(0)
    print("\n| conditions | first path, ms | each further path, ms |\n|---|---|---|")
    for count in (1, 10, 100):
        f, times = tj.jit(tj.value_and_grad(signs)), []
        for k in range(min(count, 8) + 1):
            x = np.abs(rng.normal(size=count)) + 0.1
            x[:k] *= -1.0
            start = time.perf_counter()
            f(x)
            times.append(1e3 * (time.perf_counter() - start))
        assert f.cache_size == len(times)
        print(f"| {count} | {times[0]:.1f} | {np.median(times[1:]):.1f} |")


if __name__ == "__main__":
    tj.jit(newton)(2.0)  # what loads late
    guards()
    paths()
    compilation()
