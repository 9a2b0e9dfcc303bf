"""Optimisers: pure functions on trees, compiled with the step into one native function.

    optimiser = tj.optim.adam(1e-3)
    state = optimiser.init(params)

    @tj.jit
    def step(params, state, X, y):
        value, gradient = tj.value_and_grad(loss)(params, X, y)
        updates, new = optimiser.update(gradient, state, params)
        tj.optim.assign((params, state), (tj.optim.apply_updates(params, updates), new))
        return value                      # the caller's arrays have been updated in place

`base` says what a transformation is; `transforms`, `clipping` and `lbfgs` hold the rules, `rules`
the optimisers that are made of them, `schedules` the numbers that change from step to step,
`wrappers` what goes around an optimiser.
"""

from __future__ import annotations

from tracejit.optim.base import (
    EmptyState,
    GradientTransformation,
    GradientTransformationExtraArgs,
    MaskedState,
    apply_updates,
    assign,
    chain,
    identity,
    masked,
    stateless,
    with_extra_args_support,
)
from tracejit.optim.clipping import (
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    global_norm,
)
from tracejit.optim.lbfgs import (
    ScaleByBacktrackingLinesearchState,
    ScaleByLBFGSState,
    lbfgs,
    scale_by_backtracking_linesearch,
    scale_by_lbfgs,
)
from tracejit.optim.rules import (
    adagrad,
    adam,
    adamw,
    lion,
    rmsprop,
    sgd,
)
from tracejit.optim.schedules import (
    Schedule,
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from tracejit.optim.transforms import (
    ScaleByAdamState,
    ScaleByLionState,
    ScaleByRmsState,
    ScaleByRmsWithCountState,
    ScaleByRssState,
    ScaleByRStdDevState,
    ScaleByRStdDevWithCountState,
    ScaleByScheduleState,
    TraceState,
    add_decayed_weights,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_rms,
    scale_by_rss,
    scale_by_schedule,
    scale_by_stddev,
    trace,
)
from tracejit.optim.wrappers import (
    ApplyIfFiniteState,
    InjectHyperparamsState,
    MultiSteps,
    MultiStepsState,
    PartitionState,
    apply_if_finite,
    inject_hyperparams,
    multi_transform,
    partition,
    set_to_zero,
)

__all__ = [
    "ApplyIfFiniteState",
    "EmptyState",
    "GradientTransformation",
    "GradientTransformationExtraArgs",
    "InjectHyperparamsState",
    "MaskedState",
    "MultiSteps",
    "MultiStepsState",
    "PartitionState",
    "ScaleByAdamState",
    "ScaleByBacktrackingLinesearchState",
    "ScaleByLBFGSState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRStdDevWithCountState",
    "ScaleByRmsState",
    "ScaleByRmsWithCountState",
    "ScaleByRssState",
    "ScaleByScheduleState",
    "Schedule",
    "TraceState",
    "adagrad",
    "adam",
    "adamw",
    "add_decayed_weights",
    "apply_if_finite",
    "apply_updates",
    "assign",
    "chain",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "exponential_decay",
    "global_norm",
    "identity",
    "inject_hyperparams",
    "join_schedules",
    "lbfgs",
    "linear_schedule",
    "lion",
    "masked",
    "multi_transform",
    "partition",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "rmsprop",
    "scale",
    "scale_by_adam",
    "scale_by_backtracking_linesearch",
    "scale_by_lbfgs",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_stddev",
    "set_to_zero",
    "sgd",
    "stateless",
    "trace",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "with_extra_args_support",
]
