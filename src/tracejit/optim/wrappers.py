"""Transformations around others: steps of several gradients, parts of the parameters, numbers that
may be changed between steps, steps that are left out.

Names, arguments and states are those of optax 0.2.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tracejit import lax, tree
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    dtype_of,
    like,
    masked,
    no_steps,
    one_more,
    start,
    stateless,
    with_extra_args_support,
)
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer


class MultiStepsState(NamedTuple):
    """The gradients since the last step, the number of steps, the inner state, and what has been
    gathered."""

    mini_step: Any
    gradient_step: Any
    inner_opt_state: Any
    acc_grads: Any


class PartitionState(NamedTuple):
    """The states by label."""

    inner_states: Any


class InjectHyperparamsState(NamedTuple):
    """The number of steps, the numbers as they were in the last one, the inner state."""

    count: Any
    hyperparams: dict[str, Any]
    inner_state: Any


class ApplyIfFiniteState(NamedTuple):
    """How many steps in a row were not finite, whether the last was, how many were not in all."""

    notfinite_count: Any
    last_finite: Any
    total_notfinite: Any
    inner_state: Any


def set_to_zero() -> GradientTransformation:
    """No updates: parameters that stay as they are."""
    return stateless(lambda updates, params: tree.map(np.zeros_like, updates))


class MultiSteps:
    """A step of `opt` for every k gradients, with their mean, or their sum.

    every_k_schedule: k, or a function from the number of steps of `opt` to it.
    use_grad_mean:    the mean; else the sum.

    Between these steps the updates are zeros, and the inner state stays. It has the methods of a
    transformation; `gradient_transformation()` is one, for `chain`.
    """

    def __init__(
        self, opt: GradientTransformation, every_k_schedule: int | Callable[[Any], Any],
        use_grad_mean: bool = True,
    ):  # fmt: skip
        if not callable(every_k_schedule) and not every_k_schedule >= 1:
            raise ArgumentError(
                f"every_k_schedule must be 1 or more, not {every_k_schedule}", where=user_frame()
            )
        self.inner_opt = with_extra_args_support(opt)
        self._every = every_k_schedule if callable(every_k_schedule) else lambda _: every_k_schedule
        self._mean = use_grad_mean

    def init(self, params: Any) -> MultiStepsState:
        """Nothing gathered yet."""
        return MultiStepsState(no_steps(), no_steps(), self.inner_opt.init(params), start(params))

    def update(
        self, updates: Any, state: MultiStepsState, params: Any = None, **extra: Any
    ) -> tuple[Any, MultiStepsState]:
        """The updates of the k-th gradient; zeros before."""
        weight = 1 / (state.mini_step + 1.0) if self._mean else None
        gathered = tree.map(
            lambda g, a: a + (g if weight is None else (g - a) * like(weight, a)),
            updates, state.acc_grads,
        )  # fmt: skip
        gathered = tree.map(like, gathered, state.acc_grads)

        def step() -> Any:
            found, inner = self.inner_opt.update(gathered, state.inner_opt_state, params, **extra)
            return tree.map(like, found, updates), inner, tree.map(np.zeros_like, gathered)

        def wait() -> Any:
            return tree.map(np.zeros_like, updates), state.inner_opt_state, gathered

        last = state.mini_step >= self._every(state.gradient_step) - 1
        found, inner, kept = lax.cond(last, step, wait)
        number = np.where(last, np.int32(0), one_more(state.mini_step))
        steps = np.where(last, one_more(state.gradient_step), state.gradient_step)
        return found, MultiStepsState(number, steps, inner, kept)

    def has_updated(self, state: MultiStepsState) -> Any:
        """Whether the last update was a step."""
        return (state.mini_step == 0) & (state.gradient_step > 0)

    def gradient_transformation(self) -> GradientTransformation:
        """The same as a transformation."""
        return GradientTransformationExtraArgs(self.init, self.update)


def partition(
    transforms: Mapping[Hashable, GradientTransformation], param_labels: Any
) -> GradientTransformation:
    """Each of the parameters its own transformation, by labels.

    transforms:   from labels to transformations.
    param_labels: a tree of labels, the parameters' structure or a prefix of it; or a function from
                  the parameters to it.
    """

    def labels_of(whole: Any) -> Any:
        labels = param_labels(whole) if callable(param_labels) else param_labels
        spread = tree.broadcast(labels, whole)
        for label in tree.leaves(spread):
            if label not in transforms:
                raise ArgumentError(
                    f"there is no transformation for the label {label!r}", where=user_frame(),
                    hint=did_you_mean(str(label), map(str, transforms)),
                )  # fmt: skip
        return spread

    def parts(whole: Any) -> Iterable[tuple[Hashable, GradientTransformation]]:
        labels = labels_of(whole)
        for name, transform in transforms.items():
            flags = tree.map(lambda label, name=name: label == name, labels)
            yield name, masked(with_extra_args_support(transform), flags)

    def init(params: Any) -> PartitionState:
        return PartitionState({name: part.init(params) for name, part in parts(params)})

    def update(
        updates: Any, state: PartitionState, params: Any = None, **extra: Any
    ) -> tuple[Any, PartitionState]:
        news = {}
        for name, part in parts(updates):
            updates, news[name] = part.update(updates, state.inner_states[name], params, **extra)
        return updates, PartitionState(news)

    return GradientTransformationExtraArgs(init, update)


#: The name that it had in optax for long.
multi_transform = partition


def inject_hyperparams(
    inner_factory: Callable[..., GradientTransformation], static_args: str | Iterable[str] = (),
    hyperparam_dtype: Any = None,
) -> Callable[..., GradientTransformation]:  # fmt: skip
    """An optimiser whose numbers are in its state, where they may be read, and changed:

        optimiser = inject_hyperparams(adam)(learning_rate=cosine_decay_schedule(0.1, 500), b1=0.9)
        state.hyperparams["b1"][...] = 0.95

    Numbers among the arguments of `inner_factory`, defaults included, are kept there as arrays of
    the first parameter's dtype; of functions, which are schedules, the value of the last step.
    static_args: names of arguments to leave alone, such as masks that are functions.
    """
    if not callable(inner_factory):
        raise ArgumentError(
            "inject_hyperparams takes what makes an optimiser, not one that is made",
            where=user_frame(), hint="inject_hyperparams(adam)(1e-3)",
        )  # fmt: skip
    static = {static_args} if isinstance(static_args, str) else set(static_args)
    signature = inspect.signature(inner_factory)
    if unknown := static - set(signature.parameters):
        raise ArgumentError(
            f"{inner_factory.__name__} has no argument {min(unknown)!r}", where=user_frame(),
            hint=did_you_mean(min(unknown), signature.parameters),
        )  # fmt: skip

    def make(*args: Any, **kwargs: Any) -> GradientTransformation:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = {k: v for k, v in bound.arguments.items() if k not in static}
        schedules = {k: v for k, v in given.items() if callable(v)}
        numbers = {k: v for k, v in given.items() if k not in schedules and _is_number(v)}

        def built(hyperparams: Mapping[str, Any]) -> GradientTransformation:
            bound.arguments.update(hyperparams)
            return with_extra_args_support(inner_factory(*bound.args, **bound.kwargs))

        def at(count: Any, leaves: list[Any]) -> dict[str, Any]:
            dtype = np.dtype(hyperparam_dtype or (dtype_of(leaves[0]) if leaves else float))
            return {k: like(f(count), np.zeros((), dtype)) for k, f in schedules.items()}

        def init(params: Any) -> InjectHyperparamsState:
            leaves, count = tree.leaves(params), no_steps()
            dtype = np.dtype(hyperparam_dtype or (dtype_of(leaves[0]) if leaves else float))
            values = {k: _array(v, dtype) for k, v in (numbers | at(count, leaves)).items()}
            return InjectHyperparamsState(count, values, built(values).init(params))

        def update(
            updates: Any, state: InjectHyperparamsState, params: Any = None, **extra: Any
        ) -> tuple[Any, InjectHyperparamsState]:
            values = {**state.hyperparams, **at(state.count, tree.leaves(updates))}
            found, inner = built(values).update(updates, state.inner_state, params, **extra)
            return found, InjectHyperparamsState(one_more(state.count), values, inner)

        return GradientTransformationExtraArgs(init, update)

    return make


def _is_number(x: Any) -> bool:
    if isinstance(x, (bool, np.bool_)):
        return False
    return isinstance(x, (int, float, np.generic, np.ndarray, Tracer))


def _array(x: Any, dtype: np.dtype) -> Any:
    """An array of its own, which may be written to; or traced."""
    return like(x, np.zeros((), dtype)) if isinstance(x, Tracer) else np.array(x, dtype)


def apply_if_finite(
    inner: GradientTransformation, max_consecutive_errors: int
) -> GradientTransformation:
    """No step where a gradient is NaN or infinite: zeros, and the inner state stays.

    max_consecutive_errors: after so many such gradients in a row they are taken after all.
    """
    inner = with_extra_args_support(inner)

    def init(params: Any) -> ApplyIfFiniteState:
        return ApplyIfFiniteState(no_steps(), np.array(True), no_steps(), inner.init(params))

    def update(
        updates: Any, state: ApplyIfFiniteState, params: Any = None, **extra: Any
    ) -> tuple[Any, ApplyIfFiniteState]:
        finite: Any = np.bool_(True)
        for g in tree.leaves(updates):
            finite = finite & np.all(np.isfinite(g))
        row = np.where(finite, np.int32(0), one_more(state.notfinite_count))

        def step() -> Any:
            found, new = inner.update(updates, state.inner_state, params, **extra)
            return tree.map(like, found, updates), new

        def wait() -> Any:
            return tree.map(np.zeros_like, updates), state.inner_state

        found, new = lax.cond(finite | (row > max_consecutive_errors), step, wait)
        total = np.where(finite, state.total_notfinite, one_more(state.total_notfinite))
        return found, ApplyIfFiniteState(row, finite, total, new)

    return GradientTransformationExtraArgs(init, update)
