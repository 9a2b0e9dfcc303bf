"""Losses as modules, made of `functional`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.compat.torch.nn import functional
from tracejit.compat.torch.nn.modules import Module

__all__ = [
    "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "HuberLoss", "KLDivLoss", "L1Loss",
    "MSELoss", "NLLLoss", "SmoothL1Loss",
]  # fmt: skip


class _Loss(Module):
    """A loss of (input, target) with options that are fixed."""

    function: Callable[..., Any]

    def __init__(self, weight: Any = None, **options: Any):
        super().__init__()
        self.options = options if weight is None else {"weight": weight, **options}

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return type(self).function(input, target, **self.options)


def _loss(name: str, function: Callable[..., Any]) -> type[_Loss]:
    body = {"function": staticmethod(function), "__doc__": function.__doc__}
    return type(name, (_Loss,), body | {"__module__": __name__})


MSELoss = _loss("MSELoss", functional.mse_loss)
L1Loss = _loss("L1Loss", functional.l1_loss)
HuberLoss = _loss("HuberLoss", functional.huber_loss)
SmoothL1Loss = _loss("SmoothL1Loss", functional.smooth_l1_loss)
NLLLoss = _loss("NLLLoss", functional.nll_loss)
CrossEntropyLoss = _loss("CrossEntropyLoss", functional.cross_entropy)
BCELoss = _loss("BCELoss", functional.binary_cross_entropy)
BCEWithLogitsLoss = _loss("BCEWithLogitsLoss", functional.binary_cross_entropy_with_logits)
KLDivLoss = _loss("KLDivLoss", functional.kl_div)
