"""`torch.nn.utils`: clipping of gradients, parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.kinds import no_grad
from tracejit.compat.torch.tensor import Tensor, fault

__all__ = [
    "clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters",
]  # fmt: skip


def _gradients(parameters: Any) -> list[Tensor]:
    several: Iterable[Tensor] = [parameters] if isinstance(parameters, Tensor) else parameters
    return [x.grad for x in several if x.grad is not None]


def get_total_norm(tensors: Any, norm_type: float = 2.0, **_: Any) -> Tensor:
    """The norm of tensors as one vector."""
    values = [x.cell.value for x in tensors]
    kind = values[0].dtype if values else np.float32
    sizes = [np.linalg.norm(v.ravel(), float(norm_type)) for v in values]
    return Tensor(known(np.asarray(np.linalg.norm(np.array(sizes, kind), float(norm_type)), kind)))


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """Scale the gradients, as one vector, to a norm of max_norm at most; the norm before."""
    gradients = _gradients(parameters)
    total = get_total_norm(gradients, norm_type)
    if error_if_nonfinite and not np.isfinite(total.cell.value):
        raise fault(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, "
            "so it cannot be clipped."
        )
    factor = np.minimum(np.float64(max_norm) / (total.item() + 1e-6), 1.0)
    with no_grad():
        for g in gradients:
            g.write(Tensor(known(g.cell.value * g.dtype.numpy.type(factor))), "clip_grad_norm_")
    return total


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Clip each element of the gradients to [-clip_value, clip_value]."""
    with no_grad():
        for g in _gradients(parameters):
            value = np.clip(g.cell.value, -clip_value, clip_value).astype(g.dtype.numpy)
            g.write(Tensor(known(value)), "clip_grad_value_")


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All of them in one row."""
    return FUNCTIONS["cat"]([x.reshape(-1) for x in parameters])  # type: ignore[no-any-return]


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Write what `parameters_to_vector` gave."""
    at = 0
    for x in parameters:
        n = x.shape.numel()
        x.data = vec[at : at + n].reshape(x.shape).detach()
        at += n
