"""scan, fori_loop, while_loop and map: loops over the user's functions, as one operation each.

A carry that the body only hands on is no carry: it becomes a constant of the loop, so that no
derivative keeps a copy of it for each round.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.config import config
from tracejit.control.bodies import leave, pick, spread
from tracejit.control.loop import while_ as while_primitive
from tracejit.control.scan import scan as scan_primitive
from tracejit.control.staging import (
    Body,
    Carry,
    answer,
    as_dtype,
    as_leaf,
    as_leaves,
    check_functions,
    leaf_type,
    scalar,
    settle,
    stage_body,
)
from tracejit.errors import ArgumentError, DTypeError, ShapeError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import BOOL, array_type
from tracejit.ops.elementwise import add, lt
from tracejit.ops.structure import concatenate, iota, reshape
from tracejit.ops.structure import slice as slice_primitive
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.stage import is_weak, value_of
from tracejit.trace.tracer import Tracer, bind, current_trace
from tracejit.transforms import batch as batching

Mask = tuple[bool, ...]
Leaves = list[Any]


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Run `carry, y = f(carry, x)` for each row x of xs; returns the last carry, and all y stacked.

    init, xs, y: pytrees; the leaves of xs share their first axis. The carry keeps its structure,
    shapes and dtypes. length: the number of rounds, needed where xs has no leaves. reverse: from
    the last row to the first, ys still in the order of xs. unroll: how many rounds in one JAX would
    take; it is checked, and left to the backend.

    All derivatives of any order are defined. The memory of a reverse pass grows with the length.
    """
    check_functions("scan", f)
    _check_unroll(unroll)
    rows, xs_structure = tree.flatten(xs)
    rows = as_leaves(rows, xs_structure, "xs")
    length = _length(rows, xs_structure, length)
    if config.disable_jit:
        return _scan_plainly(f, init, rows, xs_structure, length, reverse)
    structure = tree.structure((init, xs))
    row_types = [leaf_type(x).with_shape(x.shape[1:]) for x in rows]

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        return _pair(f, f(carry, x))

    def stage_with(carry: Carry) -> Body:
        weak = (*carry.weak, *(False,) * len(row_types))
        return stage_body(step, structure, (*carry.types, *row_types), weak, "scan")

    step.__wrapped__ = f  # type: ignore[attr-defined]
    body, carry = settle(stage_with, Carry.of(init), lambda b: b.structure.children[0], "scan")
    final, ys = _bind_scan(body, carry, rows, length, reverse)
    return carry.structure.unflatten(final), body.structure.children[1].unflatten(ys)


def _check_unroll(unroll: Any) -> None:
    if not isinstance(unroll, (bool, int, np.integer)) or unroll < 0:
        raise ArgumentError(
            f"unroll is a bool, or a number of rounds, got {unroll!r}", where=user_frame()
        )


def _pair(f: Callable[..., Any], out: Any) -> tuple[Any, Any]:
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise ArgumentError(
            f"the body of scan must return a pair, (carry, y), got {type(out).__name__}",
            where=function_place(f), hint="for a loop without rows of results: return carry, None",
        )  # fmt: skip
    return out[0], out[1]


def _length(rows: Sequence[Any], structure: tree.TreeDef, length: int | None) -> int:
    """The number of rounds, on which `length` and the first axis of all of xs agree."""
    paths = tree.paths(structure, "xs")
    for x, path in zip(rows, paths, strict=True):
        if x.ndim == 0:
            raise ShapeError(
                f"scan: {path} is a scalar, it has no rows to run over", where=user_frame(),
                hint="capture it in the body, or put it into the carry",
            )  # fmt: skip
    if length is None:
        if not rows:
            raise ArgumentError("scan: without xs it needs a length", where=user_frame())
        length = rows[0].shape[0]
    try:
        length = operator.index(length)
    except TypeError:
        raise ArgumentError(
            f"scan: length must be an integer, got {length!r}", where=user_frame()
        ) from None
    if length < 0:
        raise ArgumentError(f"scan: length must not be negative, got {length}", where=user_frame())
    for x, path in zip(rows, paths, strict=True):
        if x.shape[0] != length:
            raise ShapeError(
                f"scan: {path} has {x.shape[0]} rows, it should have {length}", where=user_frame()
            )
    return length


def _bind_scan(
    body: Body, carry: Carry, rows: Leaves, length: int, reverse: bool
) -> tuple[Leaves, Leaves]:
    """Bind the primitive; carries that are only handed on become constants."""
    start, n = len(body.captured), len(carry.leaves)
    fixed = handed_on(body.jaxpr, start, n)
    jaxpr, constants = constants_first(body.jaxpr, start, fixed), pick(carry.leaves, fixed)
    kept = leave(carry.leaves, fixed)
    jaxpr = Jaxpr(
        jaxpr.invars, jaxpr.equations, (*leave(jaxpr.outvars[:n], fixed), *jaxpr.outvars[n:])
    )
    outs = bind(
        scan_primitive, *body.captured, *constants, *kept, *rows, jaxpr=jaxpr, length=length,
        reverse=bool(reverse), num_consts=start + len(constants), num_carry=len(kept),
    )  # fmt: skip
    return _with_fixed(outs[: len(kept)], fixed, carry.leaves), list(outs[len(kept) :])


def _with_fixed(moving: Sequence[Any], fixed: Mask, start: Leaves) -> Leaves:
    """The last carry: what moved, and what did not as it started (a copy, if it is an array)."""
    still = [x if isinstance(x, Tracer) else np.array(x)[()] for x in start]
    return spread(moving, tuple(not f for f in fixed), still)


def handed_on(jaxpr: Jaxpr, start: int, count: int) -> Mask:
    """Which of the `count` carries, inputs from `start` on, the body returns as they come."""
    pairs = zip(jaxpr.invars[start : start + count], jaxpr.outvars[:count], strict=True)
    return tuple(before is after for before, after in pairs)


def constants_first(jaxpr: Jaxpr, start: int, fixed: Mask) -> Jaxpr:
    """The jaxpr with the fixed ones of its carries, inputs from `start` on, ahead of the others."""
    before, carry = jaxpr.invars[:start], jaxpr.invars[start : start + len(fixed)]
    behind = jaxpr.invars[start + len(fixed) :]
    invars = (*before, *pick(carry, fixed), *leave(carry, fixed), *behind)
    return Jaxpr(invars, jaxpr.equations, jaxpr.outvars)


def _scan_plainly(
    f: Callable[..., Any], init: Any, rows: Leaves, structure: tree.TreeDef, length: int,
    reverse: bool,
) -> tuple[Any, Any]:  # fmt: skip
    """A Python loop, for disable_jit."""
    if length == 0:
        raise ArgumentError("scan of length 0 cannot run with jit disabled", where=user_frame())
    carry, ys = init, []
    for i in reversed(range(length)) if reverse else range(length):
        carry, y = _pair(f, f(carry, structure.unflatten([take_row(x, i) for x in rows])))
        ys.append(y)
    if reverse:
        ys.reverse()
    return carry, tree.map(lambda *leaves: stack_rows([as_leaf(y, "y") for y in leaves]), *ys)


def take_row(x: Any, i: int) -> Any:
    """x[i], of a tracer or an array."""
    zeros, ones = (0,) * (x.ndim - 1), (1,) * x.ndim
    row = bind(slice_primitive, x, start=(i, *zeros), limit=(i + 1, *x.shape[1:]), stride=ones)
    return bind(reshape, row, shape=x.shape[1:])


def stack_rows(rows: Sequence[Any]) -> Any:
    """The rows, tracers or arrays of one type, along a new first axis."""
    return bind(concatenate, *[bind(reshape, y, shape=(1, *y.shape)) for y in rows], axis=0)


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """f(x) for each row x of xs, one after the other, stacked. `vmap` does all at once.

    batch_size: so many rows at once, as `vmap` does it, and then the rest of them.
    """
    check_functions("map", f)
    rows, structure = tree.flatten(xs)
    rows = as_leaves(rows, structure, "xs")
    length = _length(rows, structure, None)
    if batch_size is None or config.disable_jit or not length:
        return scan(lambda _, x: (None, f(x)), None, xs)[1]
    if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
        raise ArgumentError(
            f"map: batch_size must be a positive integer, got {batch_size!r}", where=user_frame()
        )
    types = [leaf_type(x).with_shape(x.shape[1:]) for x in rows]
    body = stage_body(f, tree.structure((xs,)), types, (False,) * len(rows), "map")
    body = body.returning(body.types)
    size = min(int(batch_size), length)
    whole = length - length % size
    parts = [_in_batches(body, [_rows(x, 0, whole) for x in rows], size)]
    if whole < length:
        parts.append(_in_batches(body, [_rows(x, whole, length) for x in rows], length - whole))
    outs = [bind(concatenate, *ys, axis=0) for ys in zip(*parts, strict=True)]
    return body.structure.unflatten(outs)


def _rows(x: Any, start: int, stop: int) -> Any:
    """x[start:stop]."""
    zeros, ones = (0,) * (x.ndim - 1), (1,) * x.ndim
    if stop - start == x.shape[0]:
        return x
    return bind(slice_primitive, x, start=(start, *zeros), limit=(stop, *x.shape[1:]), stride=ones)


def _in_batches(body: Body, rows: Leaves, size: int) -> Leaves:
    """What the body makes of all rows, whose number is a multiple of size, `size` at a time."""
    captured = len(body.captured)
    mask = (False,) * captured + (True,) * len(rows)
    wide, _ = batching.batch(body.jaxpr, size, mask, (True,) * len(body.jaxpr.outvars))
    length = rows[0].shape[0] // size
    stacks = [bind(reshape, x, shape=(length, size, *x.shape[1:])) for x in rows]
    outs = bind(
        scan_primitive, *body.captured, *stacks, jaxpr=wide, length=length, reverse=False,
        num_consts=captured, num_carry=0,
    )  # fmt: skip
    return [bind(reshape, y, shape=(length * size, *y.shape[2:])) for y in outs]


# Loops over a carry alone.


def fori_loop(
    lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any,
    *, unroll: int | bool | None = None,
) -> Any:  # fmt: skip
    """`val = body_fun(i, val)` for i from lower to upper - 1; returns the last val.

    With bounds that are known while tracing this is a `scan`, otherwise a `while_loop`. The index
    is a Python number in promotion: it does not change the dtype of what it is multiplied by.
    """
    check_functions("fori_loop", body_fun)
    if unroll is not None:
        _check_unroll(unroll)
    low, high = _bound(lower, "lower"), _bound(upper, "upper")
    known = value_of(low), value_of(high)
    if known[0] is None or known[1] is None:
        return _fori_while(low, high, body_fun, init_val)
    first, length = int(known[0]), max(0, int(known[1]) - int(known[0]))
    if config.disable_jit:
        for i in range(first, first + length):
            init_val = body_fun(i, init_val)
        return init_val
    dtype = np.result_type(low.dtype, high.dtype)
    weak = is_weak(lower) and is_weak(upper)

    def step(i: Any, val: Any) -> Any:
        i.owner.bounds_of[i.atom] = first, first + length - 1
        return body_fun(i, val)

    def stage_with(carry: Carry) -> Body:
        types = (array_type(dtype), *carry.types)
        return stage_body(step, structure, types, (weak, *carry.weak), "fori_loop")

    step.__wrapped__ = body_fun  # type: ignore[attr-defined]
    structure = tree.structure((0, init_val))
    body, carry = settle(stage_with, Carry.of(init_val), lambda b: b.structure, "fori_loop")
    body = _index_last(body)
    final, _ = _bind_scan(body, carry, [_indices(first, length, dtype)], length, False)
    return carry.structure.unflatten(final)


def _index_last(body: Body) -> Body:
    """The body with its index behind the carry, where rows are."""
    k = len(body.captured)
    captured, index, carry = body.jaxpr.invars[:k], body.jaxpr.invars[k], body.jaxpr.invars[k + 1 :]
    jaxpr = Jaxpr((*captured, *carry, index), body.jaxpr.equations, body.jaxpr.outvars)
    return Body(body.fun, jaxpr, body.captured, body.types, body.weak, body.structure)


def _indices(first: int, length: int, dtype: np.dtype) -> Any:
    """first, first + 1, ...: computed by the program that is traced, if there is one."""
    trace = current_trace()
    params = {"dtype": dtype, "shape": (length,), "axis": 0}
    if trace is None:
        return np.arange(first, first + length, dtype=dtype)
    (counting,) = trace.emit(iota, (), params)
    indices = Tracer(trace, counting)
    if first == 0:
        return indices
    return bind(add, indices, np.broadcast_to(np.asarray(first, dtype), (length,)))


def _bound(x: Any, name: str) -> Any:
    bound = scalar(x, f"the {name} bound of fori_loop")
    if bound.dtype.kind not in "iu":
        raise DTypeError(
            f"the {name} bound of fori_loop must be an integer, got {bound.dtype}",
            where=user_frame(),
        )
    return bound


def _fori_while(low: Any, high: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
    """fori_loop with a bound that is not known while tracing."""
    dtype = np.result_type(low.dtype, high.dtype)
    low, high = (as_dtype(x, dtype) for x in (low, high))

    def step(state: tuple[Any, Any]) -> tuple[Any, Any]:
        i, val = state
        return bind(add, i, np.ones((), dtype)), body_fun(i, val)

    def more(state: tuple[Any, Any]) -> Any:
        return bind(lt, state[0], high)

    step.__wrapped__ = body_fun  # type: ignore[attr-defined]
    return while_loop(more, step, (low, init_val))[1]


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    """`val = body_fun(val)` as long as `cond_fun(val)` holds; returns the last val.

    val: a pytree, which keeps its structure, shapes and dtypes. cond_fun returns a bool scalar.
    Under `vmap` the members that are done wait for the others. What reverse mode needs of each
    round goes on a tape, and XLA, which has none, runs rounds again; where memory is short, use
    `checkpoint(f, slots=n)`.
    """
    check_functions("while_loop", cond_fun, body_fun)
    while config.disable_jit and (more := answer(bool, cond_fun(init_val))) is not None:
        if not more:
            return init_val
        init_val = body_fun(init_val)
    structure = tree.structure((init_val,))

    def stage_with(carry: Carry) -> Body:
        return stage_body(body_fun, structure, carry.types, carry.weak, "while_loop")

    body, carry = settle(stage_with, Carry.of(init_val), lambda b: b.structure, "while_loop")
    test = stage_body(cond_fun, structure, carry.types, carry.weak, "while_loop")
    if test.types != (array_type(BOOL),):
        got = ", ".join(str(t) for t in test.types) or "nothing"
        raise DTypeError(
            f"the condition of while_loop must return one bool[], got {got}",
            where=function_place(cond_fun), hint="compare, or reduce with np.any or np.all",
        )  # fmt: skip
    fixed = handed_on(body.jaxpr, len(body.captured), len(carry.leaves))
    constants, kept = pick(carry.leaves, fixed), leave(carry.leaves, fixed)
    step = constants_first(body.jaxpr, len(body.captured), fixed)
    outs = bind(
        while_primitive, *test.captured, *constants, *body.captured, *constants, *kept,
        cond=constants_first(test.jaxpr, len(test.captured), fixed),
        body=Jaxpr(step.invars, step.equations, tuple(leave(step.outvars, fixed))),
        num_cond_consts=len(test.captured) + len(constants),
        num_body_consts=len(body.captured) + len(constants),
    )  # fmt: skip
    return carry.structure.unflatten(_with_fixed(outs, fixed, carry.leaves))
