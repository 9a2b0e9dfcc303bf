"""What a gradient transformation is, how several become one, and how parameters get their updates.

A transformation is a pair of pure functions on trees:

    state = init(params)                             numbers that it remembers, a tree of arrays
    updates, state = update(updates, state, params)  gradients in, what to add to parameters out

They are ordinary NumPy code, so they run on arrays as they are, and inside of `jit` as a part of
the step. Names, arguments and numbers are those of optax 0.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tracejit import tree
from tracejit.errors import ArgumentError, DTypeError
from tracejit.ir.types import COMPLEX, FLOATS
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer

#: A number, or a function from the number of steps done to it.
ScalarOrSchedule = Any
#: A tree of truth values, a prefix of the parameters; or a function from parameters to it.
Mask = Any


class GradientTransformation(NamedTuple):
    """`init(params)` gives a state, `update(updates, state, params=None)` new updates and state."""

    init: Callable[[Any], Any]
    update: Callable[..., tuple[Any, Any]]


class GradientTransformationExtraArgs(GradientTransformation):
    """A transformation whose `update` takes keywords, such as the value of the loss."""

    __slots__ = ()


def with_extra_args_support(tx: GradientTransformation) -> GradientTransformation:
    """The same transformation; if it takes no keywords, one that leaves them unread."""
    if isinstance(tx, GradientTransformationExtraArgs):
        return tx

    def update(updates: Any, state: Any, params: Any = None, **_: Any) -> tuple[Any, Any]:
        return tx.update(updates, state, params)

    return GradientTransformationExtraArgs(tx.init, update)


class EmptyState(NamedTuple):
    """The state of what remembers nothing."""


class MaskedState(NamedTuple):
    """The state of a transformation that sees a part of the parameters."""

    inner_state: Any


def stateless(function: Callable[[Any, Any], Any]) -> GradientTransformation:
    """The transformation whose updates are `function(updates, params)`."""

    def update(updates: Any, state: EmptyState, params: Any = None) -> tuple[Any, EmptyState]:
        return function(updates, params), state

    return GradientTransformation(lambda params: EmptyState(), update)


def identity() -> GradientTransformation:
    """Updates as they are."""
    return stateless(lambda updates, params: updates)


def chain(*args: GradientTransformation) -> GradientTransformation:
    """One after the other; the state is the tuple of their states. Keywords of `update` go to those
    that take some."""
    for i, one in enumerate(args):
        if not (hasattr(one, "init") and hasattr(one, "update")):
            raise ArgumentError(
                f"argument {i} of chain is of type {type(one).__name__}, not a transformation",
                where=user_frame(),
                hint="call the optimiser first: chain(clip(1.0), adam(1e-3))",
            )

    def init(params: Any) -> tuple[Any, ...]:
        return tuple([one.init(params) for one in args])

    parts = [with_extra_args_support(one) for one in args]

    def update(
        updates: Any, state: Any, params: Any = None, **extra: Any
    ) -> tuple[Any, tuple[Any, ...]]:
        if not isinstance(state, tuple) or len(state) != len(args):
            raise ArgumentError(
                f"a chain of {len(args)} got another state, of type {type(state).__name__}",
                where=user_frame(),
                hint="states come from `init` of the same chain: update(gradients, state, params)",
            )
        news = []
        for one, old in zip(parts, state, strict=True):
            updates, new = one.update(updates, old, params, **extra)
            news.append(new)
        return updates, tuple(news)

    if any(isinstance(one, GradientTransformationExtraArgs) for one in args):
        return GradientTransformationExtraArgs(init, update)
    return GradientTransformation(init, lambda g, state, params=None: update(g, state, params))


def masked(inner: GradientTransformation, mask: Mask) -> GradientTransformation:
    """`inner` on the leaves where the mask is true; the other updates stay as they are.

    mask: a tree of bools, the parameters' structure or a prefix of it; or a function from the
          parameters (in `update`, from the updates) to one.
    """

    def part(flags: list[bool], whole: Any) -> Any:
        leaves, structure = tree.flatten(whole)
        return structure.unflatten([x if f else None for x, f in zip(leaves, flags, strict=True)])

    def flags_of(whole: Any) -> list[bool]:
        return tree.leaves(tree.broadcast(mask(whole) if callable(mask) else mask, whole))

    def init(params: Any) -> MaskedState:
        return MaskedState(inner.init(part(flags_of(params), params)))

    inner = with_extra_args_support(inner)

    def update(
        updates: Any, state: MaskedState, params: Any = None, **extra: Any
    ) -> tuple[Any, MaskedState]:
        flags = flags_of(updates)
        seen = None if params is None else part(flags, params)
        changed, new = inner.update(part(flags, updates), state.inner_state, seen, **extra)
        leaves, structure = tree.flatten(updates)
        news = iter(tree.leaves(changed))
        merged = [next(news) if f else x for x, f in zip(leaves, flags, strict=True)]
        return structure.unflatten(merged), MaskedState(new)

    return GradientTransformationExtraArgs(init, update)


def apply_updates(params: Any, updates: Any) -> Any:
    """params + updates, leaf by leaf, in the dtypes of the parameters; DTypeError for integers."""

    def moved(path: tree.KeyPath, p: Any, u: Any) -> Any:
        require_float(path, p)
        return like(p + u, p)

    return tree.map_with_path(moved, params, updates)


def assign(target: Any, values: Any) -> None:
    """Write the leaves of `values` into the arrays of `target`, a tree of the same structure.

    In a function that is compiled, `target` being (a part of) its arguments, the caller's arrays
    are updated in place:

        assign((params, state), (apply_updates(params, updates), new_state))

    All values are those before the first is written: `assign((a, b), (b, a))` swaps.
    Raises TreeError where the structures differ, ArgumentError for a leaf that is no array.
    """
    leaves, structure = tree.flatten(target)
    news = tree.flatten_up_to(structure, values)
    names = tree.paths(structure, "target")
    for x, name in zip(leaves, names, strict=True):
        if isinstance(x, (bool, int, float, np.generic)):
            raise ArgumentError(
                f"{name} is a number of type {type(x).__name__}, which cannot be written to",
                where=user_frame(),
                hint="keep it in an array of rank 0: np.array(x)",
            )
    written = {id(_root(x)) for x in leaves}
    kept = [
        y.copy() if isinstance(y, Tracer) or id(_root(y)) in written else y for y in news
    ]  # as they were before; of what is traced a copy costs nothing
    for x, y in zip(leaves, kept, strict=True):
        x[...] = y


def _root(x: Any) -> Any:
    """The array whose memory a view shows."""
    while isinstance(base := getattr(x, "base", None), np.ndarray):
        x = base
    return x


# ---- for those who write transformations


def like(x: Any, leaf: Any) -> Any:
    """x in the dtype of a leaf."""
    dtype = dtype_of(leaf)
    return x if dtype_of(x) == dtype else _cast(x, dtype)


def _cast(x: Any, dtype: np.dtype) -> Any:
    return x.astype(dtype) if hasattr(x, "astype") else dtype.type(x)


def dtype_of(x: Any) -> np.dtype:
    """The dtype of an array or a number."""
    return np.dtype(x.dtype) if hasattr(x, "dtype") else np.asarray(x).dtype


def start(params: Any, value: float = 0.0, dtype: Any = None) -> Any:
    """Arrays of the parameters' shapes that hold one value; DTypeError for one that is no float."""

    def filled(path: tree.KeyPath, p: Any) -> Any:
        require_float(path, p)
        return np.full_like(p, value, dtype=dtype or dtype_of(p))

    return tree.map_with_path(filled, params)


def require_float(path: tree.KeyPath, p: Any) -> None:
    """DTypeError for a parameter that cannot move."""
    found = dtype_of(p)
    if found in FLOATS:
        return
    hint = "make it a float, or keep it out of the parameters"
    if found in COMPLEX:
        hint = "take the real and the imaginary part as two parameters: the gradient of a complex "
        hint += "one is du/dx - i du/dy, and its conjugate is what leads up"
    raise DTypeError(
        f"parameter params{tree.keystr(path)} has dtype {found}, and optimisers move floats",
        where=user_frame(), hint=hint,
    )  # fmt: skip


def no_steps() -> Any:
    """The number of steps before the first one."""
    return np.zeros((), np.int32)


def one_more(count: Any) -> Any:
    """count + 1, or the largest int32 for good."""
    top = np.iinfo(np.int32).max
    return np.minimum(count, top - 1) + np.int32(1)


def needs_params(params: Any, what: str) -> None:
    """ArgumentError unless `update` got parameters."""
    if params is None:
        raise ArgumentError(
            f"{what} needs the parameters, and update was called without them",
            where=user_frame(),
            hint="update(gradients, state, params)",
        )
