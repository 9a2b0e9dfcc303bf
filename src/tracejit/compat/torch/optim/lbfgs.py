"""L-BFGS, as `torch.optim.LBFGS`: two loops over the last steps, with or without a line search.

Nocedal and Wright, Numerical Optimization, algorithms 7.4 (two loops), 3.5 and 3.6 (line search),
with PyTorch's choices where the book leaves some.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.kinds import enable_grad, no_grad
from tracejit.compat.torch.optim.base import Optimizer
from tracejit.compat.torch.optim.search import Point, searched
from tracejit.compat.torch.tensor import Tensor


class LBFGS(Optimizer):
    """`step(closure)`: up to max_iter steps, each of one or more evaluations of the closure."""

    defaults: ClassVar = {
        "lr": 1.0, "max_iter": 20, "max_eval": None, "tolerance_grad": 1e-7,
        "tolerance_change": 1e-9, "history_size": 100, "line_search_fn": None,
    }  # fmt: skip

    def __init__(self, params: Any, lr: Any = None, max_iter: Any = None, **options: Any):
        options |= {} if max_iter is None else {"max_iter": max_iter}
        super().__init__(params, lr, **options)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        if self.param_groups[0]["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps towards a minimum of the closure, which computes the loss and its gradients; the
        loss before the first of them."""
        if closure is None:
            raise TypeError("LBFGS.step() missing 1 required positional argument: 'closure'")
        self.steps += 1
        group = self.param_groups[0]
        memory = self.state["lbfgs"]
        memory.setdefault("pairs", [])
        memory.setdefault("n_iter", 0)
        first, loss, g = self._evaluate(closure)
        evaluations, most = 1, group["max_eval"] or group["max_iter"] * 5 // 4
        tolerance, change = group["tolerance_grad"], group["tolerance_change"]
        if _greatest(g) <= tolerance:
            return first
        for n in range(1, group["max_iter"] + 1):
            memory["n_iter"] += 1
            fresh = memory["n_iter"] == 1
            self._learn(memory, g, group["history_size"])
            d = _direction(memory["pairs"], g)
            before, memory["gradient"] = loss, g
            t = group["lr"] * (min(1.0, 1.0 / float(np.abs(g).sum())) if fresh else 1.0)
            memory["direction"], memory["length"] = d, t
            slope = float(g @ d)
            if slope > -change:
                break
            t, loss, g, count = self._move(closure, d, t, loss, g, n == group["max_iter"])
            memory["length"] = t
            evaluations += count
            done = n == group["max_iter"] or evaluations >= most or _greatest(g) <= tolerance
            if done or _greatest(d * d.dtype.type(t)) <= change or abs(loss - before) < change:
                break
        return first

    def _move(
        self, closure: Any, d: np.ndarray, t: float, loss: float, g: np.ndarray, last: bool
    ) -> tuple[float, float, np.ndarray, int]:
        """Go along d; (how far, loss, gradient, evaluations). Without a search the last place is
        not looked at."""
        start, group = self._vector(), self.param_groups[0]
        if group["line_search_fn"] is None:
            self._write(start + d.dtype.type(t) * d)
            if last:
                return t, loss, g, 0
            _, loss, g = self._evaluate(closure)
            return t, loss, g, 1

        def at(length: float) -> Point:
            self._write(start + d.dtype.type(length) * d)
            _, value, gradient = self._evaluate(closure)
            return Point(length, value, float(gradient @ d), gradient)

        origin = Point(0.0, loss, float(g @ d), g)
        found, count = searched(at, origin, t, _greatest(d), group["tolerance_change"])
        self._write(start + d.dtype.type(found.t) * d)
        return found.t, found.value, found.gradient, count

    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]  # type: ignore[no-any-return]

    def _vector(self) -> np.ndarray:
        """The parameters as one vector."""
        return np.concatenate([x._box.cell.value.ravel() for x in self._params()])

    def _write(self, vector: np.ndarray) -> None:
        """The parameters of a vector."""
        at = 0
        with no_grad():
            for x in self._params():
                n = x.shape.numel()
                part = vector[at : at + n].reshape(x.shape).astype(x.dtype.numpy)
                x.write(Tensor(known(part)), "LBFGS")
                at += n

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, float, np.ndarray]:
        """(what the closure gives, as a number, the gradient as one vector)."""
        with enable_grad():
            loss = closure()
        parts = [
            np.zeros(x.shape.numel(), x.dtype.numpy) if x.grad is None
            else x.grad.cell.value.ravel()
            for x in self._params()
        ]  # fmt: skip
        return loss, float(loss), np.concatenate(parts)

    @staticmethod
    def _learn(memory: dict[str, Any], g: np.ndarray, most: int) -> None:
        """Remember how the gradient changed along the last step, if it curved upwards."""
        if "gradient" not in memory:
            return
        s, y = memory["direction"] * g.dtype.type(memory["length"]), g - memory["gradient"]
        if float(y @ s) > 1e-10:
            memory["pairs"] = [*memory["pairs"], (s, y)][-most:]


def _greatest(x: np.ndarray) -> float:
    return float(np.abs(x).max(initial=0.0))


def _direction(pairs: list[tuple[np.ndarray, np.ndarray]], g: np.ndarray) -> np.ndarray:
    """-H g, H the inverse Hessian that the pairs of steps and changes of the gradient tell."""
    q, weights = -g, []
    for s, y in reversed(pairs):
        a = (s @ q) / (y @ s)
        weights.append(a)
        q = q - a * y
    if pairs:
        s, y = pairs[-1]
        q = q * ((y @ s) / (y @ y))
    for (s, y), a in zip(pairs, reversed(weights), strict=True):
        q = q + (a - (y @ q) / (y @ s)) * s
    return q
