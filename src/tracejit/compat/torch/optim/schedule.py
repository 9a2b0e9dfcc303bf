"""What all learning rate schedules have in common."""

from __future__ import annotations

import warnings
from typing import Any


class LRScheduler:
    """Sets `lr` of each group; `step` goes on by one epoch."""

    def __init__(self, optimizer: Any, last_epoch: int = -1):
        self.optimizer, self.last_epoch = optimizer, last_epoch
        groups = optimizer.param_groups
        if last_epoch == -1:
            for group in groups:
                group.setdefault("initial_lr", group["lr"])
        elif any("initial_lr" not in group for group in groups):
            raise KeyError(
                "param 'initial_lr' is not specified in param_groups[0] when resuming a scheduler "
                "with last_epoch >= 0"
            )
        self.base_lrs = [group["initial_lr"] for group in groups]
        self._last_lr = [group["lr"] for group in groups]
        self._advance()

    def get_lr(self) -> list[float]:
        """The learning rate of each group in this epoch."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group as `step` has set it."""
        return self._last_lr

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch, or to one."""
        if self.last_epoch == 0 and not getattr(self.optimizer, "steps", 1):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch "
                "1.1.0 and later, you should call them in the opposite order: `optimizer.step()` "
                "before `lr_scheduler.step()`.", UserWarning, stacklevel=2,
            )  # fmt: skip
        if epoch is not None:
            self.last_epoch = int(epoch) - 1
        self._advance()

    def _advance(self) -> None:
        self.last_epoch += 1
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and functions."""
        kept = vars(self).items()
        return {k: x for k, x in kept if k != "optimizer" and not callable(x) and k != "lr_lambdas"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a `state_dict`."""
        vars(self).update(state_dict)


def set_momentum(group: dict[str, Any], momentum: float) -> None:
    """The momentum of a group, or the first of its betas."""
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum


def has_momentum(optimizer: Any) -> bool:
    """Whether an optimiser has one."""
    return "momentum" in optimizer.options or "betas" in optimizer.options
