"""Optimisers: steps along gradients, and along scaled ones."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from tracejit.compat.torch.optim.base import Numbers, Optimizer, State, decayed, zeros
from tracejit.compat.torch.tensor import Tensor
from tracejit.numpy import choosing, ufuncs

__all__ = ["ASGD", "SGD", "Adadelta", "Adagrad", "RMSprop", "Rprop"]


class SGD(Optimizer):
    """p -= lr g, with momentum if asked for."""

    defaults: ClassVar = {
        "lr": 1e-3, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False,
        "maximize": False,
    }  # fmt: skip

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        names = [k for k in ("weight_decay", "momentum") if group[k]]
        numbers = {"lr": group["lr"], **{k: group[k] for k in names}}
        if group["momentum"]:  # the buffer is the first gradient itself
            numbers["share"] = 1 - group["dampening"] if count > 1 else 1.0
        return numbers

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        return zeros(x, "momentum_buffer") if group["momentum"] else {}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """v = momentum v + (1 - dampening) g; p -= lr v, or lr (g + momentum v) by Nesterov."""
        g = decayed(g, p, n)
        if "momentum" in n:
            v = n["momentum"] * state["momentum_buffer"] + n["share"] * g
            state = {"momentum_buffer": v}
            g = g + n["momentum"] * v if flags[0] else v
        return p - n["lr"] * g, state


class RMSprop(Optimizer):
    """Hinton's lecture 6e: the gradient over the root of the mean of its square."""

    defaults: ClassVar = {
        "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0,
        "centered": False, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        names = ["square_avg"] + ["momentum_buffer"] * bool(group["momentum"])
        return zeros(x, *names, *["grad_avg"] * bool(group["centered"]))

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        extra = {k: group[k] for k in ("weight_decay", "momentum") if group[k]}
        alpha = group["alpha"]
        fixed = {"lr": group["lr"], "alpha": alpha, "rest": 1 - alpha, "eps": group["eps"]}
        return {**fixed, **extra}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """p -= lr g / (sqrt(mean of g**2, less its mean squared if centred) + eps)."""
        g = decayed(g, p, n)
        v = n["alpha"] * state["square_avg"] + n["rest"] * (g * g)
        after, scale = {"square_avg": v}, v
        if "grad_avg" in state:
            mean = after["grad_avg"] = state["grad_avg"] + n["rest"] * (g - state["grad_avg"])
            scale = v - mean * mean
        step = g / (ufuncs.sqrt(scale) + n["eps"])
        if "momentum" in n:
            step = after["momentum_buffer"] = n["momentum"] * state["momentum_buffer"] + step
        return p - n["lr"] * step, after


class Adagrad(Optimizer):
    """Duchi et al. 2011: the gradient over the root of the sum of its squares."""

    defaults: ClassVar = {
        "lr": 1e-2, "lr_decay": 0.0, "weight_decay": 0.0, "initial_accumulator_value": 0.0,
        "eps": 1e-10, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        start = group["initial_accumulator_value"]
        return {"sum": np.full_like(x._box.cell.value, start)}

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        decay = {"weight_decay": group["weight_decay"]} if group["weight_decay"] else {}
        lr = group["lr"] / (1 + (count - 1) * group["lr_decay"])
        return {"lr": lr, "eps": group["eps"], **decay}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """s += g**2; p -= lr g / (sqrt(s) + eps)."""
        g = decayed(g, p, n)
        total = state["sum"] + g * g
        return p - n["lr"] * (g / (ufuncs.sqrt(total) + n["eps"])), {"sum": total}


class Adadelta(Optimizer):
    """Zeiler 2012: steps in the units of the parameters."""

    defaults: ClassVar = {
        "lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        return zeros(x, "square_avg", "acc_delta")

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        decay = {"weight_decay": group["weight_decay"]} if group["weight_decay"] else {}
        rho = group["rho"]
        return {"lr": group["lr"], "rho": rho, "rest": 1 - rho, "eps": group["eps"], **decay}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """d = g sqrt(mean of d**2 + eps) / sqrt(mean of g**2 + eps); p -= lr d."""
        g = decayed(g, p, n)
        v = n["rho"] * state["square_avg"] + n["rest"] * (g * g)
        d = ufuncs.sqrt(state["acc_delta"] + n["eps"]) / ufuncs.sqrt(v + n["eps"]) * g
        u = n["rho"] * state["acc_delta"] + n["rest"] * (d * d)
        return p - n["lr"] * d, {"square_avg": v, "acc_delta": u}


class ASGD(Optimizer):
    """Polyak and Juditsky 1992: steps that get smaller, and the mean of the points as `ax`."""

    defaults: ClassVar = {
        "lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6, "weight_decay": 0.0, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        return zeros(x, "ax")

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        done, lr = count - 1, group["lr"]
        eta = lr / (1 + group["lambd"] * lr * done) ** group["alpha"] if done else lr
        share = 1 / max(1.0, done - group["t0"])
        decay = {"weight_decay": group["weight_decay"]} if group["weight_decay"] else {}
        return {"kept": 1 - group["lambd"] * eta, "eta": eta, "share": share, **decay}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """p = (1 - lambd eta) p - eta g; ax moves to p by a share."""
        g = decayed(g, p, n)
        p = n["kept"] * p - n["eta"] * g
        return p, {"ax": state["ax"] + n["share"] * (p - state["ax"])}


class Rprop(Optimizer):
    """Riedmiller and Braun 1993: steps by the signs alone, longer while these stay the same."""

    defaults: ClassVar = {
        "lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50.0), "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        value = x._box.cell.value
        return {"prev": np.zeros_like(value), "step_size": np.full_like(value, group["lr"])}

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        (less, more), (least, most) = group["etas"], group["step_sizes"]
        return {"less": less, "more": more, "least": least, "most": most}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """Where the sign has changed no step is made, and the next one is shorter."""
        same = g * state["prev"]
        factor = choosing.where(same > 0, n["more"], choosing.where(same < 0, n["less"], 1.0))
        size = ufuncs.minimum(ufuncs.maximum(state["step_size"] * factor, n["least"]), n["most"])
        g = choosing.where(same < 0, 0.0, g)
        return p - ufuncs.sign(g) * size, {"prev": g, "step_size": size}
