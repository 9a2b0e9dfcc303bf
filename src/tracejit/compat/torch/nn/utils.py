"""`torch.nn.utils`: clipping of gradients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.kinds import no_grad
from tracejit.compat.torch.tensor import Tensor


def _gradients(parameters: Any) -> list[Tensor]:
    several: Iterable[Tensor] = [parameters] if isinstance(parameters, Tensor) else parameters
    return [x.grad for x in several if x.grad is not None]


def clip_grad_norm_(parameters: Any, max_norm: float, norm_type: float = 2.0) -> Tensor:
    """Scale the gradients, as one vector, to a norm of max_norm at most; the norm before."""
    gradients = _gradients(parameters)
    sizes = [np.linalg.norm(g.cell.value.ravel(), norm_type) for g in gradients]
    total = np.linalg.norm(np.array(sizes, np.float32), norm_type)
    factor = min(1.0, float(max_norm) / (float(total) + 1e-6))
    with no_grad():
        for g in gradients:
            g.write(g * factor, "clip_grad_norm_")
    return Tensor(known(np.float32(total)))


def clip_grad_value_(parameters: Any, clip_value: float) -> None:
    """Clip each element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for g in _gradients(parameters):
            g.write(g.clamp(-clip_value, clip_value), "clip_grad_value_")  # type: ignore
