"""Schedules that go up and down, momentum the other way: L. N. Smith 2015 and 2018."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracejit.compat.torch.optim.schedule import LRScheduler, has_momentum, set_momentum


def _listed(x: Any, count: int) -> list[float]:
    return list(x) if isinstance(x, (list, tuple)) else [x] * count


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (1 + math.cos(math.pi * share))


def _line(start: float, end: float, share: float) -> float:
    return (end - start) * share + start


class CyclicLR(LRScheduler):
    """From base_lr to max_lr in step_size_up steps, and back in step_size_down."""

    def __init__(
        self, optimizer: Any, base_lr: Any, max_lr: Any, step_size_up: int = 2000,
        step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle",
        cycle_momentum: bool = True, base_momentum: float = 0.8, max_momentum: float = 0.9,
        last_epoch: int = -1,
    ):  # fmt: skip
        count = len(optimizer.param_groups)
        if cycle_momentum and not has_momentum(optimizer):
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        lows = _listed(base_lr, count)
        if last_epoch == -1:
            for group, lr in zip(optimizer.param_groups, lows, strict=True):
                group["lr"] = lr
        self.max_lrs = _listed(max_lr, count)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size = float(step_size_up + down)
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self.cycle_momentum = mode, gamma, cycle_momentum
        self.scale_fn, self.scale_mode = scale_fn, scale_mode if scale_fn else (
            "iterations" if mode == "exp_range" else "cycle"
        )  # fmt: skip
        self.base_momentum, self.max_momentum = base_momentum, max_momentum
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def _scale(self, x: float) -> float:
        if self.scale_fn is not None:
            return self.scale_fn(x)
        if self.mode == "triangular2":
            return 1 / (2.0 ** (x - 1))
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[float]:
        """The rates on the triangle; sets the momentum as well."""
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        share = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = share * self._scale(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                drop = (self.max_momentum - self.base_momentum) * scale
                set_momentum(group, self.max_momentum - drop)
        pairs = zip(self.base_lrs, self.max_lrs, strict=True)
        return [low + (high - low) * scale for low, high in pairs]


class OneCycleLR(LRScheduler):
    """Up to max_lr, then down to almost nothing, in total_steps steps."""

    def __init__(
        self, optimizer: Any, max_lr: Any, total_steps: int | None = None,
        epochs: int | None = None, steps_per_epoch: int | None = None, pct_start: float = 0.3,
        anneal_strategy: str = "cos", cycle_momentum: bool = True, base_momentum: float = 0.85,
        max_momentum: float = 0.95, div_factor: float = 25.0, final_div_factor: float = 1e4,
        three_phase: bool = False, last_epoch: int = -1,
    ):  # fmt: skip
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError(
                    "You must define either total_steps OR (epochs AND steps_per_epoch)"
                )
            total_steps = epochs * steps_per_epoch
        if cycle_momentum and not has_momentum(optimizer):
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.total_steps, self.cycle_momentum = total_steps, cycle_momentum
        self.anneal = _cosine if anneal_strategy == "cos" else _line
        top = float(pct_start * total_steps) - 1
        if three_phase:
            ends = [top, 2 * top, total_steps - 1]
            self.points: list[tuple[int, ...]] = [(0, 1, 1, 0), (1, 0, 0, 1), (0, 2, 1, 1)]
        else:
            ends = [top, total_steps - 1]
            self.points = [(0, 1, 1, 0), (1, 2, 0, 1)]
        self.ends = ends
        self.momenta = (base_momentum, max_momentum)
        highs = _listed(max_lr, len(optimizer.param_groups))
        self.levels = [(h / div_factor, h, h / div_factor / final_div_factor) for h in highs]
        if last_epoch == -1:
            for group, levels in zip(optimizer.param_groups, self.levels, strict=True):
                group["lr"] = levels[0]
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The rates; sets the momentum as well."""
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The total number of steps is {self.total_steps}"
            )
        phase = next((k for k, end in enumerate(self.ends) if step <= end), len(self.ends) - 1)
        start = self.ends[phase - 1] if phase else 0.0
        share = (step - start) / (self.ends[phase] - start)
        first, last, before, after = self.points[phase]
        if self.cycle_momentum:
            low_high = self.momenta
            for group in self.optimizer.param_groups:
                set_momentum(group, self.anneal(low_high[before], low_high[after], share))
        return [self.anneal(levels[first], levels[last], share) for levels in self.levels]
