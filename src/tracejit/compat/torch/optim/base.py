"""`torch.optim`: optimisers whose step over all parameters is one native call.

A step is a pure function of arrays, (gradient, parameter, state, numbers) -> (parameter, state),
written down once for one parameter, and compiled for the list of all of them. The numbers (lr and
its like) are arguments, so that schedules compile nothing anew. The formulas, and
the order of their operations, are those of PyTorch's documentation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from tracejit.compat.graph import Cell
from tracejit.compat.torch.kinds import enable_grad
from tracejit.compat.torch.tensor import Tensor
from tracejit.errors import ArgumentError
from tracejit.ir.types import FLOAT64, array_type, type_of
from tracejit.runtime.runner import Runner
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import stage

__all__ = ["Optimizer"]

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
        #: How many steps were made.
        self.steps = 0
        self._check()
        self.state: dict[Any, Any] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        groups: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        if not groups:
            raise ArgumentError("optimizer got an empty parameter list", where=user_frame())
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def _check(self) -> None:
        """ValueError for options that cannot be."""
        lr, options = self.options["lr"], self.options
        if not float(lr) >= 0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if float(options.get("weight_decay", 0)) < 0:
            raise ValueError(f"Invalid weight_decay value: {options['weight_decay']}")
        if options.get("nesterov") and not (options["momentum"] > 0 and options["dampening"] == 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        for i, beta in enumerate(options.get("betas", ())):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {i}: {beta}")

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
        self.steps += 1
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


def zeros(x: Tensor, *names: str) -> State:
    return {name: np.zeros_like(x._box.cell.value) for name in names}


def decayed(g: Any, p: Any, n: Numbers) -> Any:
    """The gradient with that of weight_decay / 2 p**2."""
    return g + n["weight_decay"] * p if "weight_decay" in n else g
