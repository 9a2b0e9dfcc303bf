"""L-BFGS, as `torch.optim.LBFGS`: two loops over the last steps, with or without a line search.

Nocedal and Wright, Numerical Optimization, algorithms 7.4 (two loops), 3.5 and 3.6 (line search).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.kinds import enable_grad, no_grad
from tracejit.compat.torch.optim.algorithms import Optimizer
from tracejit.compat.torch.tensor import Tensor

#: How far the line search goes, and its two constants.
_STEPS, _DECREASE, _CURVATURE = 25, 1e-4, 0.9


class LBFGS(Optimizer):
    """`step(closure)`: up to max_iter steps, each of one or more evaluations of the closure."""

    defaults: ClassVar = {
        "lr": 1.0, "max_iter": 20, "max_eval": None, "tolerance_grad": 1e-7,
        "tolerance_change": 1e-9, "history_size": 100, "line_search_fn": None,
    }  # fmt: skip

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps towards a minimum of the closure, which computes the loss and its gradients; the
        loss before the first of them."""
        assert closure is not None, "LBFGS.step needs a closure"
        group = self.param_groups[0]
        memory = self.state.setdefault("lbfgs", {"pairs": [], "gradient": None, "step": None})
        first = value = self._evaluate(closure)
        evaluations = 1
        most = group["max_eval"] or group["max_iter"] * 5 // 4
        for _ in range(group["max_iter"]):
            loss, g = value
            if np.abs(g).max(initial=0.0) <= group["tolerance_grad"]:
                break
            self._learn(memory, g, group["history_size"])
            direction = _direction(memory["pairs"], g)
            slope = float(g @ direction)
            if slope > -group["tolerance_change"]:
                break
            fresh = memory["gradient"] is None
            t = min(1.0, 1.0 / float(np.abs(g).sum())) * group["lr"] if fresh else group["lr"]
            memory["gradient"] = g
            start = self._vector()
            if group["line_search_fn"] == "strong_wolfe":
                t, value, count = self._search(closure, start, direction, t, loss, slope)
            else:
                value, count = self._at(closure, start + t * direction), 1
            evaluations += count
            memory["step"] = t * direction
            small = np.abs(t * direction).max() <= group["tolerance_change"]
            still = abs(float(value[0]) - float(loss)) < group["tolerance_change"]
            if small or still or evaluations >= most:
                break
        return Tensor(known(first[0]))

    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]  # type: ignore[no-any-return]

    def _vector(self) -> np.ndarray:
        """The parameters as one vector."""
        return np.concatenate([x._box.cell.value.ravel() for x in self._params()])

    def _at(self, closure: Callable[[], Any], vector: np.ndarray) -> tuple[Any, np.ndarray]:
        """Loss and gradient with the parameters of a vector."""
        at = 0
        with no_grad():
            for x in self._params():
                n = x.shape.numel()
                part = vector[at : at + n].reshape(x.shape).astype(x.dtype.numpy)
                x.write(Tensor(known(part)), "LBFGS")
                at += n
        return self._evaluate(closure)

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[Any, np.ndarray]:
        with enable_grad():
            loss = closure()
        parts = [
            np.zeros(x.shape.numel()) if x.grad is None else x.grad.cell.value.ravel()
            for x in self._params()
        ]
        return np.asarray(loss.cell.value), np.concatenate(parts)

    @staticmethod
    def _learn(memory: dict[str, Any], g: np.ndarray, most: int) -> None:
        """Remember how the gradient changed along the last step, if it curved upwards."""
        if memory["gradient"] is None:
            return
        s, y = memory["step"], g - memory["gradient"]
        if float(y @ s) > 1e-10:
            memory["pairs"] = [*memory["pairs"], (s, y)][-most:]

    def _search(
        self, closure: Callable[[], Any], start: np.ndarray, direction: np.ndarray, t: float,
        loss: Any, slope: float,
    ) -> tuple[float, tuple[Any, np.ndarray], int]:  # fmt: skip
        """A step that fulfils the strong Wolfe conditions: brackets it, then halves the bracket."""
        low, high, base = 0.0, np.inf, float(loss)
        value = self._at(closure, start + t * direction)
        for count in range(1, _STEPS):
            along = float(value[1] @ direction)
            if float(value[0]) > base + _DECREASE * t * slope:
                high = t
            elif abs(along) <= -_CURVATURE * slope:
                return t, value, count
            elif along < 0:
                low = t
            else:
                high = t
            t = 2 * low if np.isinf(high) else (low + high) / 2
            value = self._at(closure, start + t * direction)
        return t, value, _STEPS


def _direction(pairs: list[tuple[np.ndarray, np.ndarray]], g: np.ndarray) -> np.ndarray:
    """-H g, H the inverse Hessian that the pairs of steps and changes of the gradient tell."""
    q, weights = -g, []
    for s, y in reversed(pairs):
        a = float(s @ q) / float(y @ s)
        weights.append(a)
        q = q - a * y
    if pairs:
        s, y = pairs[-1]
        q = q * (float(y @ s) / float(y @ y))
    for (s, y), a in zip(pairs, reversed(weights), strict=True):
        q = q + (a - float(y @ q) / float(y @ s)) * s
    return q
