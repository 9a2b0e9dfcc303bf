"""Gradients cut to a size."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import tree
from tracejit.errors import ArgumentError
from tracejit.optim.base import GradientTransformation, like, stateless
from tracejit.trace.provenance import user_frame


def global_norm(updates: Any) -> Any:
    """The Euclidean norm of all elements of all leaves."""
    squares = [np.sum(g * g) for g in tree.leaves(updates)]
    return np.sqrt(sum(squares[1:], squares[0])) if squares else 0.0


def clip(max_delta: float) -> GradientTransformation:
    """Each element to [-max_delta, max_delta]."""
    _check(max_delta, "max_delta")
    return stateless(
        lambda updates, params: tree.map(lambda g: np.clip(g, -max_delta, max_delta), updates)
    )


def clip_by_block_rms(threshold: float) -> GradientTransformation:
    """Each leaf to a root mean square of at most `threshold`."""
    _check(threshold, "threshold")

    def clipped(g: Any) -> Any:
        return g / np.maximum(1, np.sqrt(np.mean(g * g)) / threshold)

    return stateless(lambda updates, params: tree.map(clipped, updates))


def clip_by_global_norm(max_norm: float) -> GradientTransformation:
    """All leaves by one factor, to a global norm of at most `max_norm`.

    Pascanu, Mikolov, Bengio, On the difficulty of training recurrent neural networks, 2012.
    """
    _check(max_norm, "max_norm")

    def clipped(updates: Any, params: Any) -> Any:
        norm = global_norm(updates)
        fits = norm < max_norm
        factor = np.where(fits, 1.0, max_norm / np.where(fits, 1.0, norm))
        return tree.map(lambda g: g * like(factor, g), updates)

    return stateless(clipped)


def _check(bound: float, name: str) -> None:
    if isinstance(bound, (int, float)) and not bound > 0:
        raise ArgumentError(f"{name} must be positive, not {bound}", where=user_frame())
