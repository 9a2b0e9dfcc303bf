"""The optimisers: chains of transformations. Arguments and defaults are optax's."""

from __future__ import annotations

from typing import Any

from tracejit.optim.base import GradientTransformation, Mask, ScalarOrSchedule, chain, identity
from tracejit.optim.transforms import (
    add_decayed_weights,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
    trace,
)


def sgd(
    learning_rate: ScalarOrSchedule, momentum: float | None = None, nesterov: bool = False,
    accumulator_dtype: Any = None,
) -> GradientTransformation:  # fmt: skip
    """Gradient descent, with momentum or Nesterov's."""
    return chain(
        identity() if momentum is None else trace(momentum, nesterov, accumulator_dtype),
        scale_by_learning_rate(learning_rate),
    )


def adagrad(
    learning_rate: ScalarOrSchedule, initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformation:
    """Steps over the root of the sum of squared gradients."""
    return chain(
        scale_by_rss(initial_accumulator_value, eps), scale_by_learning_rate(learning_rate)
    )


def rmsprop(
    learning_rate: ScalarOrSchedule, decay: float = 0.9, eps: float = 1e-8,
    initial_scale: float = 0.0, eps_in_sqrt: bool = True, centered: bool = False,
    momentum: float | None = None, nesterov: bool = False, bias_correction: bool = False,
) -> GradientTransformation:  # fmt: skip
    """Steps over the root of the running mean of squared gradients, centred or not."""
    by = scale_by_stddev if centered else scale_by_rms
    return chain(
        by(decay, eps, initial_scale, eps_in_sqrt, bias_correction),
        scale_by_learning_rate(learning_rate),
        identity() if momentum is None else trace(momentum, nesterov),
    )


def adam(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
    eps_root: float = 0.0, mu_dtype: Any = None, *, nesterov: bool = False,
) -> GradientTransformation:  # fmt: skip
    """Steps by the running mean of gradients over the root of that of their squares."""
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        scale_by_learning_rate(learning_rate),
    )


def adamw(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
    eps_root: float = 0.0, mu_dtype: Any = None, weight_decay: ScalarOrSchedule = 1e-4,
    mask: Mask | None = None, *, nesterov: bool = False,
) -> GradientTransformation:  # fmt: skip
    """Adam, with weights that decay apart from it: Loshchilov, Hutter, 2019.

    mask: which parameters decay: a tree of bools, or a function from parameters to it.
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, mu_dtype, nesterov=nesterov),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def lion(
    learning_rate: ScalarOrSchedule, b1: float = 0.9, b2: float = 0.99, mu_dtype: Any = None,
    weight_decay: ScalarOrSchedule = 1e-3, mask: Mask | None = None,
) -> GradientTransformation:  # fmt: skip
    """Steps by the sign of a mean of gradients, with weights that decay."""
    return chain(
        scale_by_lion(b1, b2, mu_dtype),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )
