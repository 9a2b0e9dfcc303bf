"""Losses as modules, made of `functional`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tracejit.compat.torch.nn import functional
from tracejit.compat.torch.nn.modules import Module
from tracejit.compat.torch.tensor import Tensor
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.trace.provenance import user_frame

#: Which functions the losses are; (name, how many tensors they take).
_LOSSES = {
    "MSELoss": ("mse_loss", 2), "L1Loss": ("l1_loss", 2), "HuberLoss": ("huber_loss", 2),
    "SmoothL1Loss": ("smooth_l1_loss", 2), "NLLLoss": ("nll_loss", 2),
    "CrossEntropyLoss": ("cross_entropy", 2), "BCELoss": ("binary_cross_entropy", 2),
    "BCEWithLogitsLoss": ("binary_cross_entropy_with_logits", 2), "KLDivLoss": ("kl_div", 2),
    "GaussianNLLLoss": ("gaussian_nll_loss", 3), "PoissonNLLLoss": ("poisson_nll_loss", 2),
    "SoftMarginLoss": ("soft_margin_loss", 2), "HingeEmbeddingLoss": ("hinge_embedding_loss", 2),
    "MarginRankingLoss": ("margin_ranking_loss", 3),
    "TripletMarginLoss": ("triplet_margin_loss", 3),
    "CosineEmbeddingLoss": ("cosine_embedding_loss", 3),
}  # fmt: skip


class _Loss(Module):
    """A loss of some tensors with options that are fixed: by position in the order of the
    function's, or by keyword. Weights are buffers."""

    function: Callable[..., Any]
    names: tuple[str, ...]

    def __init__(self, *given: Any, **named: Any):
        super().__init__()
        options = {**dict(zip(self.names, given, strict=False)), **named}
        for name in options.keys() - {*self.names}:
            raise ArgumentError(
                f"{type(self).__name__} has no option {name!r}", where=user_frame(),
                hint=did_you_mean(name, self.names),
            )  # fmt: skip
        for name, x in options.items():
            if isinstance(x, Tensor):
                self.register_buffer(name, x)
            else:
                setattr(self, name, x)
        self.options = tuple(options)

    def forward(self, *tensors: Any) -> Any:
        """The loss."""
        return type(self).function(*tensors, **{name: getattr(self, name) for name in self.options})


def _loss(name: str, function: Any, count: int) -> type[_Loss]:
    body = getattr(function, "__wrapped__", function)
    names = tuple(inspect.signature(body).parameters)[count:]
    made = {"function": staticmethod(function), "names": names, "__doc__": body.__doc__}
    return type(name, (_Loss,), made | {"__module__": __name__})


__all__ = sorted(_LOSSES)
globals().update(
    {name: _loss(name, getattr(functional, f), count) for name, (f, count) in _LOSSES.items()}
)
