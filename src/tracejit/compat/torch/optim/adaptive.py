"""Optimisers of Adam's kind: means of the gradient and of its square."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from tracejit.compat.torch.optim.base import Numbers, Optimizer, State, decayed, zeros
from tracejit.compat.torch.tensor import Tensor
from tracejit.numpy import ufuncs

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]


class Adam(Optimizer):
    """Kingma and Ba 2015."""

    defaults: ClassVar = {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False,
        "maximize": False,
    }  # fmt: skip
    decoupled = False

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * bool(group["amsgrad"])
        return zeros(x, *names)

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        first, second = group["betas"]
        numbers = {
            "rest1": 1 - first, "beta2": second, "rest2": 1 - second, "eps": group["eps"],
            "size": group["lr"] / (1 - first**count), "root": math.sqrt(1 - second**count),
        }  # fmt: skip
        if group["weight_decay"]:
            decay = group["weight_decay"]
            if self.decoupled:
                numbers["keep"] = 1 - group["lr"] * decay
            else:
                numbers["weight_decay"] = decay
        return numbers

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """m, v: means of g and of its square; p -= lr m' / (sqrt(v') + eps), both unbiased."""
        if "keep" in n:
            p = p * n["keep"]
        g = decayed(g, p, n)
        m = state["exp_avg"] + n["rest1"] * (g - state["exp_avg"])
        v = n["beta2"] * state["exp_avg_sq"] + n["rest2"] * (g * g)
        after, scale = {"exp_avg": m, "exp_avg_sq": v}, v
        if flags[1]:
            scale = after["max_exp_avg_sq"] = ufuncs.maximum(state["max_exp_avg_sq"], v)
        return p - n["size"] * (m / (ufuncs.sqrt(scale) / n["root"] + n["eps"])), after


class AdamW(Adam):
    """Adam with decay of the weights themselves: Loshchilov and Hutter 2019."""

    defaults: ClassVar = {**Adam.defaults, "weight_decay": 1e-2}
    decoupled = True


class Adamax(Optimizer):
    """Adam by the greatest of gradients: Kingma and Ba 2015, section 7."""

    defaults: ClassVar = {
        "lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        return zeros(x, "exp_avg", "exp_inf")

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        first, second = group["betas"]
        decay = {"weight_decay": group["weight_decay"]} if group["weight_decay"] else {}
        size = group["lr"] / (1 - first**count)
        return {"rest1": 1 - first, "beta2": second, "eps": group["eps"], "size": size, **decay}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """u = max(beta2 u, |g| + eps); p -= lr m' / u."""
        g = decayed(g, p, n)
        m = state["exp_avg"] + n["rest1"] * (g - state["exp_avg"])
        u = ufuncs.maximum(n["beta2"] * state["exp_inf"], ufuncs.absolute(g) + n["eps"])
        return p - n["size"] * (m / u), {"exp_avg": m, "exp_inf": u}


class NAdam(Optimizer):
    """Adam with Nesterov's momentum: Dozat 2016."""

    defaults: ClassVar = {
        "lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0,
        "momentum_decay": 4e-3, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        return zeros(x, "exp_avg", "exp_avg_sq")

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        (first, second), decay = group["betas"], group["momentum_decay"]
        rates = [first * (1 - 0.5 * 0.96 ** (t * decay)) for t in range(1, count + 2)]
        before, now = math.prod(rates[:-1]), math.prod(rates)
        numbers = {
            "rest1": 1 - first, "beta2": second, "rest2": 1 - second, "eps": group["eps"],
            "unbias": 1 - second**count, "first": group["lr"] * (1 - rates[-2]) / (1 - before),
            "second": group["lr"] * rates[-1] / (1 - now),
        }  # fmt: skip
        if group["weight_decay"]:
            numbers["weight_decay"] = group["weight_decay"]
        return numbers

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """A step along the gradient, and one along the mean that comes next."""
        g = decayed(g, p, n)
        m = state["exp_avg"] + n["rest1"] * (g - state["exp_avg"])
        v = n["beta2"] * state["exp_avg_sq"] + n["rest2"] * (g * g)
        scale = ufuncs.sqrt(v / n["unbias"]) + n["eps"]
        p = p - n["first"] * (g / scale) - n["second"] * (m / scale)
        return p, {"exp_avg": m, "exp_avg_sq": v}


class RAdam(Optimizer):
    """Adam that trusts the mean of squares as far as it is known: Liu et al. 2020."""

    defaults: ClassVar = {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        return zeros(x, "exp_avg", "exp_avg_sq")

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        first, second = group["betas"]
        size = group["lr"] / (1 - first**count)
        most = 2 / (1 - second) - 1
        rho = most - 2 * count * second**count / (1 - second**count)
        plain, scaled = size, 0.0
        if rho > 5.0:
            above = (rho - 4) * (rho - 2) * most / ((most - 4) * (most - 2) * rho)
            plain, scaled = 0.0, size * math.sqrt(above * (1 - second**count))
        numbers = {
            "rest1": 1 - first, "beta2": second, "rest2": 1 - second, "eps": group["eps"],
            "plain": plain, "scaled": scaled,
        }  # fmt: skip
        decay = {"weight_decay": group["weight_decay"]} if group["weight_decay"] else {}
        return {**numbers, **decay}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """p -= m (plain + scaled / (sqrt(v) + eps)), one of the two being 0."""
        g = decayed(g, p, n)
        m = state["exp_avg"] + n["rest1"] * (g - state["exp_avg"])
        v = n["beta2"] * state["exp_avg_sq"] + n["rest2"] * (g * g)
        p = p - m * (n["plain"] + n["scaled"] / (ufuncs.sqrt(v) + n["eps"]))
        return p, {"exp_avg": m, "exp_avg_sq": v}
