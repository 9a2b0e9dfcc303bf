"""`torch.optim`: optimisers whose step over all parameters is one native call.

A step is a pure function of arrays, (gradient, parameter, state, numbers) -> (parameter, state),
written down once for one parameter, and compiled for the list of all of them. The numbers (lr and
its like) are arguments, so that schedules compile nothing anew. The formulas, and
the order of their operations, are those of PyTorch's documentation.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from tracejit.compat.graph import Cell
from tracejit.compat.torch.kinds import enable_grad
from tracejit.compat.torch.tensor import Tensor
from tracejit.errors import ArgumentError
from tracejit.ir.types import FLOAT64, array_type, type_of
from tracejit.numpy import ufuncs
from tracejit.runtime.runner import Runner
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import stage

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer",
    "RMSprop",
]  # fmt: skip

State = dict[str, Any]
Numbers = dict[str, Any]


class Optimizer:
    """Parameters in groups, each with its options; `state` by parameter."""

    #: The options and what they are unless said.
    defaults: ClassVar[dict[str, Any]] = {"lr": 1e-3}

    def __init__(self, params: Any, lr: Any = None, **options: Any):
        unknown = options.keys() - self.defaults.keys() - {"foreach", "fused", "capturable"}
        if unknown:
            raise ArgumentError(
                f"{type(self).__name__} has no option {sorted(unknown)[0]!r}", where=user_frame(),
                hint=f"it has {', '.join(self.defaults)}",
            )  # fmt: skip
        given = {k: x for k, x in options.items() if k in self.defaults}
        given |= {} if lr is None else {"lr": lr}
        self.options = {**self.defaults, **given}
        self.state: dict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not groups:
            raise ArgumentError("optimizer got an empty parameter list", where=user_frame())
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """More parameters, with options of their own."""
        several = group["params"]
        params = [several] if isinstance(several, Tensor) else list(several)
        for x in params:
            if not isinstance(x, Tensor) or not x.is_leaf:
                raise ArgumentError("can't optimize a non-leaf Tensor", where=user_frame())
        self.param_groups.append({**self.options, **group, "params": params})

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for group in self.param_groups:
            for x in group["params"]:
                x.grad = None if set_to_none or x.grad is None else x.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step for all parameters that have gradients; the loss of the closure, if given."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _step_group(self, group: dict[str, Any]) -> None:
        params = [x for x in group["params"] if x.grad is not None]
        if not params:
            return
        for x in params:
            if x not in self.state:
                self.state[x] = {"step": 0, **self._fresh(x, group)}
            self.state[x]["step"] += 1
        by_step: dict[int, list[Any]] = defaultdict(list)
        for x in params:
            by_step[self.state[x]["step"]].append(x)
        for count, several in by_step.items():
            self._step_together(several, self._numbers(group, count), group)

    def _step_together(self, params: list[Any], numbers: Numbers, group: dict[str, Any]) -> None:
        """The step of parameters that have made as many steps."""
        flags = tuple([bool(group.get(k)) for k in ("nesterov", "amsgrad", "maximize")])
        names = tuple([k for k in self.state[params[0]] if k != "step"])
        arrays = [x.grad.cell.value for x in params] + [x._box.cell.value for x in params]
        for x in params:
            arrays += [self.state[x][name] for name in names]
        shape = len(params), names, tuple(numbers)
        key = type(self), flags, shape, tuple([(x.dtype, x.shape) for x in arrays])
        runner = _steps.get(key)
        if runner is None:
            runner = _steps[key] = _program(type(self), flags, arrays, shape)
        results = runner([*arrays, *[np.array(x, np.float64) for x in numbers.values()]])
        for x, value in zip(params, results, strict=False):
            _replace(x, value)
        at = len(params)
        for x in params:
            self.state[x].update(zip(names, results[at : at + len(names)], strict=True))
            at += len(names)

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        """The state of a parameter before its first step."""
        return {}

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        """What the update reads beside arrays, in step number `count`."""
        names = ("lr", "weight_decay")
        return {k: group[k] for k in names if k in group}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """The parameter and its state after a step."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """State and groups, parameters by number."""
        every = [x for group in self.param_groups for x in group["params"]]
        place = {id(x): i for i, x in enumerate(every)}
        groups = [{**g, "params": [place[id(x)] for x in g["params"]]} for g in self.param_groups]
        state = {place[id(x)]: dict(s) for x, s in self.state.items() if id(x) in place}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        every = [x for group in self.param_groups for x in group["params"]]
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({k: v for k, v in saved.items() if k != "params"})
        self.state.clear()
        self.state.update({every[i]: dict(s) for i, s in state_dict["state"].items()})

    def __repr__(self) -> str:
        lines = []
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {k}: {group[k]}" for k in sorted(group) if k != "params"]
        return f"{type(self).__name__} (\n" + "\n".join(lines) + "\n)"


def _replace(x: Tensor, value: np.ndarray) -> None:
    """Write a fresh array into a parameter."""
    value = np.asarray(value)
    x._box.cell = Cell(type_of(value), value)
    x._box.version += 1


_steps: dict[Any, Runner] = {}


def _program(kind: type[Optimizer], flags: Any, arrays: Sequence[Any], shape: Any) -> Runner:
    """The step of every parameter as a program: (gradients, parameters, states, numbers) in a row
    -> (parameters, states). shape: how many there are, the names of a state, those of numbers."""
    count, states, names = shape
    types = [array_type(x.dtype, x.shape) for x in arrays]
    types += [array_type(FLOAT64)] * len(names)

    def flat(*tracers: Any) -> list[Any]:
        numbers = dict(zip(names, tracers[-len(names) :], strict=True))
        outs, after = [], []
        for i in range(count):
            g, p = tracers[i], tracers[count + i]
            at = 2 * count + i * len(states)
            state = dict(zip(states, tracers[at : at + len(states)], strict=True))
            p, state = kind.update(-g if flags[2] else g, p, state, numbers, flags)
            outs.append(p)
            after += [state[name] for name in states]
        return outs + after

    weak = [False] * len(arrays) + [True] * len(names)
    staged = stage(flat, types, weak=weak, name=f"{kind.__name__}.step")
    return Runner(staged.jaxpr, f"{kind.__name__}.step", patience=1)


def _zeros(x: Tensor, *names: str) -> State:
    return {name: np.zeros_like(x._box.cell.value) for name in names}


def _decayed(g: Any, p: Any, n: Numbers) -> Any:
    """The gradient with that of weight_decay / 2 p**2."""
    return g + n["weight_decay"] * p if "weight_decay" in n else g


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
        return _zeros(x, "momentum_buffer") if group["momentum"] else {}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """v = momentum v + (1 - dampening) g; p -= lr v, or lr (g + momentum v) by Nesterov."""
        g = _decayed(g, p, n)
        if "momentum" in n:
            v = n["momentum"] * state["momentum_buffer"] + n["share"] * g
            state = {"momentum_buffer": v}
            g = g + n["momentum"] * v if flags[0] else v
        return p - n["lr"] * g, state


class Adam(Optimizer):
    """Kingma and Ba 2015."""

    defaults: ClassVar = {
        "lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0, "amsgrad": False,
        "maximize": False,
    }  # fmt: skip
    decoupled = False

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        names = ["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * bool(group["amsgrad"])
        return _zeros(x, *names)

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
        g = _decayed(g, p, n)
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
        return _zeros(x, "exp_avg", "exp_inf")

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        first, second = group["betas"]
        decay = {"weight_decay": group["weight_decay"]} if group["weight_decay"] else {}
        size = group["lr"] / (1 - first**count)
        return {"rest1": 1 - first, "beta2": second, "eps": group["eps"], "size": size, **decay}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """u = max(beta2 u, |g| + eps); p -= lr m' / u."""
        g = _decayed(g, p, n)
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
        return _zeros(x, "exp_avg", "exp_avg_sq")

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
        g = _decayed(g, p, n)
        m = state["exp_avg"] + n["rest1"] * (g - state["exp_avg"])
        v = n["beta2"] * state["exp_avg_sq"] + n["rest2"] * (g * g)
        scale = ufuncs.sqrt(v / n["unbias"]) + n["eps"]
        p = p - n["first"] * (g / scale) - n["second"] * (m / scale)
        return p, {"exp_avg": m, "exp_avg_sq": v}


class RMSprop(Optimizer):
    """Hinton's lecture 6e: the gradient over the root of the mean of its square."""

    defaults: ClassVar = {
        "lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0.0, "momentum": 0.0,
        "centered": False, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        names = ["square_avg"] + ["momentum_buffer"] * bool(group["momentum"])
        return _zeros(x, *names, *["grad_avg"] * bool(group["centered"]))

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        extra = {k: group[k] for k in ("weight_decay", "momentum") if group[k]}
        alpha = group["alpha"]
        fixed = {"lr": group["lr"], "alpha": alpha, "rest": 1 - alpha, "eps": group["eps"]}
        return {**fixed, **extra}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """p -= lr g / (sqrt(mean of g**2, less its mean squared if centred) + eps)."""
        g = _decayed(g, p, n)
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
        g = _decayed(g, p, n)
        total = state["sum"] + g * g
        return p - n["lr"] * (g / (ufuncs.sqrt(total) + n["eps"])), {"sum": total}


class Adadelta(Optimizer):
    """Zeiler 2012: steps in the units of the parameters."""

    defaults: ClassVar = {
        "lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0.0, "maximize": False,
    }  # fmt: skip

    def _fresh(self, x: Tensor, group: dict[str, Any]) -> State:
        return _zeros(x, "square_avg", "acc_delta")

    def _numbers(self, group: dict[str, Any], count: int) -> Numbers:
        decay = {"weight_decay": group["weight_decay"]} if group["weight_decay"] else {}
        rho = group["rho"]
        return {"lr": group["lr"], "rho": rho, "rest": 1 - rho, "eps": group["eps"], **decay}

    @staticmethod
    def update(g: Any, p: Any, state: State, n: Numbers, flags: Any) -> tuple[Any, State]:
        """d = g sqrt(mean of d**2 + eps) / sqrt(mean of g**2 + eps); p -= lr d."""
        g = _decayed(g, p, n)
        v = n["rho"] * state["square_avg"] + n["rest"] * (g * g)
        d = ufuncs.sqrt(state["acc_delta"] + n["eps"]) / ufuncs.sqrt(v + n["eps"]) * g
        u = n["rho"] * state["acc_delta"] + n["rest"] * (d * d)
        return p - n["lr"] * d, {"square_avg": v, "acc_delta": u}
