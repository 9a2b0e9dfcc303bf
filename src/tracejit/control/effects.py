"""Effects for the user: print, call back and check, from compiled programs, in program order.

Where no program is being traced, and on the tape of an eager derivative, which knows its numbers,
an effect takes place at once, as it does in plain Python. Elsewhere it is bound, and takes place
each time that the program comes by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import Formatter
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.callback import Callback, callback_
from tracejit.control.callback import check as check_primitive
from tracejit.control.callback import pure_callback as pure_primitive
from tracejit.control.staging import as_leaf, as_leaves
from tracejit.errors import ArgumentError, DTypeError, TracejitError
from tracejit.ir.types import BOOL, ArrayType, array_type, has_dtype
from tracejit.ops.reduction import reduce_and
from tracejit.trace.effects import takes_place_now
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import value_of
from tracejit.trace.tracer import Tracer, bind

VMAP_METHODS = ("sequential", "sequential_unrolled", "expand_dims", "broadcast_all")


def debug_callback(
    callback: Callable[..., Any], *args: Any, ordered: bool = False, partitioned: bool = False,
    **kwargs: Any,
) -> None:  # fmt: skip
    """Call `callback(*args, **kwargs)`, as `jax.debug.callback`; what it returns is dropped.

    args, kwargs: pytrees. For what is traced, and for arrays and numbers, the callback gets arrays,
    NumPy scalars for rank 0; what else there is (a text) it gets as it is.

    It is called each time that the program comes by: in each round of a loop, in the branch that is
    taken, for each member of a batch in order; in a derivative once, with the primal values.

    ordered, partitioned: accepted for JAX's sake. Effects are in program order in any case.
    """
    leaves, structure = tree.flatten((args, kwargs))
    fixed = [(i, x) for i, x in enumerate(leaves) if not _is_array(x)]
    arrays = [as_leaf(x, "an argument of a callback") for x in leaves if _is_array(x)]
    _call(Callback(_callable(callback, "debug.callback"), structure, fixed=fixed), arrays, ())


def debug_print(
    fmt: str, *args: Any, ordered: bool = False, partitioned: bool = False,
    skip_format_check: bool = False, **kwargs: Any,
) -> None:  # fmt: skip
    """Print `fmt.format(*args, **kwargs)` when the program comes by, as `jax.debug.print`.

        tj.debug.print("step {i}: {loss:.3f}", i=i, loss=loss)

    An argument that is not used, or a field without one, is an ArgumentError at once, unless
    `skip_format_check`. See `debug_callback` for when it prints.
    """
    if not skip_format_check:
        _check_format(fmt, args, kwargs, "debug.print")

    def print_values(*args: Any, **kwargs: Any) -> None:
        print(fmt.format(*args, **kwargs))

    debug_callback(print_values, *args, **kwargs)


def io_callback(
    callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any, sharding: Any = None,
    ordered: bool = False, **kwargs: Any,
) -> Any:  # fmt: skip
    """What `callback(*args, **kwargs)` returns, as `jax.experimental.io_callback`.

    result_shape_dtypes: a pytree like the result, its leaves having shape and dtype. It is called
    as often as the program comes by, in order, for a batch once for each member. It has no
    derivative. sharding, ordered: accepted for JAX's sake.
    """
    called, leaves, types = _described(
        callback, result_shape_dtypes, args, kwargs, "io_callback"
    )
    outs = _call(called, leaves, types)
    assert called.out_tree is not None
    return called.out_tree.unflatten(outs)


def pure_callback(
    callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any, sharding: Any = None,
    vmap_method: str | None = None, **kwargs: Any,
) -> Any:  # fmt: skip
    """What `callback(*args, **kwargs)` returns, as `jax.pure_callback`.

    result_shape_dtypes: a pytree like the result, its leaves having shape and dtype. The result
    depends on the arguments alone; so how often it is called is not said, not at all where nobody
    needs the result.
    vmap_method: "sequential" calls it for each member of a batch; "expand_dims" once, its arguments
    having a first axis more, of length 1 where they are the same for all members; "broadcast_all"
    once, that axis being as long for all of them. None: vmap is an error. It has no derivative.
    """
    if vmap_method is not None and vmap_method not in VMAP_METHODS:
        raise ArgumentError(
            f"pure_callback: there is no vmap_method {vmap_method!r}", where=user_frame(),
            hint=f"one of {', '.join(map(repr, VMAP_METHODS))}, or None",
        )  # fmt: skip
    if vmap_method == "sequential_unrolled":
        vmap_method = "sequential"
    called, leaves, types = _described(
        callback, result_shape_dtypes, args, kwargs, "pure_callback"
    )
    outs = bind(pure_primitive, *leaves, callback=called, results=types, vmap_method=vmap_method)
    assert called.out_tree is not None
    return called.out_tree.unflatten(outs)


def check(condition: Any, message: str, *args: Any, **kwargs: Any) -> None:
    """Raise CheckError, when the program runs, unless the condition holds.

        tj.check(n > 0, "n is {n}", n=n)
        tj.check(np.isfinite(x), "x has no number at step {i}", i=i)

    condition: a bool or an array of them, all of which have to hold; the error says where the first
    does not. message: formatted with the other arguments, arrays and numbers, as they were then. It
    is checked each time that the program comes by: in each round of a loop, in the branch that is
    taken, for all members of a batch. What the program would have returned is lost, and nothing is
    written to the caller's arrays.
    """
    _check_format(message, args, kwargs, "check")
    where = as_leaf(condition, "the condition of check")
    if where.dtype != BOOL:
        raise DTypeError(
            f"the condition of check is of dtype {where.dtype}, not bool", where=user_frame(),
            hint="compare it with something: check(x > 0, ...), check(n != 0, ...)",
        )  # fmt: skip
    names = tuple(kwargs)
    values = [
        as_leaf(x, f"an argument of check, {name}")
        for x, name in zip((*args, *kwargs.values()), (*map(str, range(len(args))), *names),
                           strict=True)
    ]  # fmt: skip
    params = {"message": message, "names": names, "members": ((),) * len(values), "axes": 0}
    if takes_place_now():
        known = [np.asarray(value_of(x)) for x in (where, *values)]
        try:
            check_primitive.evaluate(known[0].all(), *known, **params)
        except TracejitError as error:
            raise error.at(user_frame()) from None
        return
    ok = bind(reduce_and, where, axes=tuple(range(where.ndim))) if where.ndim else where
    bind(check_primitive, ok, where, *values, **params)


# What they share.


def _call(called: Callback, leaves: Sequence[Any], types: tuple[ArrayType, ...]) -> Sequence[Any]:
    """Call it now, or bind the call."""
    if not takes_place_now():
        return bind(callback_, *leaves, callback=called, results=types)
    try:
        outs = called(*[value_of(x) for x in leaves], results=types)
    except TracejitError as error:
        raise error.at(user_frame()) from None
    return [y[()] for y in outs]


def _described(
    callback: Callable[..., Any], results: Any, args: tuple[Any, ...], kwargs: dict[str, Any],
    name: str,
) -> tuple[Callback, list[Any], tuple[ArrayType, ...]]:  # fmt: skip
    """A callback with results: the function, the leaves of its arguments, the types it promises."""
    leaves, in_tree = tree.flatten((args, kwargs))
    promised, out_tree = tree.flatten(results)
    types = tuple([_promised(x, name) for x in promised])
    called = Callback(_callable(callback, name), in_tree, out_tree)
    return called, as_leaves(leaves, in_tree, f"the arguments of {name}"), types


def _promised(x: Any, name: str) -> ArrayType:
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if shape is None or dtype is None or not has_dtype(np.dtype(dtype)):
        raise ArgumentError(
            f"{name}: {x!r} in result_shape_dtypes does not say a shape and a dtype that there is",
            where=user_frame(), hint="for example tracejit.ShapeDtypeStruct((3,), np.float64)",
        )  # fmt: skip
    return array_type(np.dtype(dtype), tuple(map(int, shape)))


def _is_array(x: Any) -> bool:
    """Whether a leaf is, or stands for, an array that tracejit knows."""
    return isinstance(x, Tracer) or has_dtype(np.asarray(x).dtype)


def _callable(fun: Any, name: str) -> Callable[..., Any]:
    if not callable(fun):
        raise ArgumentError(f"{name} needs a function, not {fun!r}", where=user_frame())
    return fun


def _check_format(
    fmt: str, args: Sequence[Any], kwargs: dict[str, Any], name: str
) -> None:
    """ArgumentError unless the fields of a format and the arguments for it are the same."""
    if not isinstance(fmt, str):
        raise ArgumentError(f"{name} needs a format, not {fmt!r}", where=user_frame())
    fields = _fields(fmt, name)
    missing = [field for field in fields if field not in kwargs and not _is_place(field, args)]
    spare = [str(i) for i in range(len(args)) if str(i) not in fields]
    spare += [key for key in kwargs if key not in fields]
    for what, found in (("has no argument for", missing), ("does not show", spare)):
        if found:
            raise ArgumentError(
                f"{name}: {fmt!r} {what} {', '.join(found)}", where=user_frame(),
                hint='as in "loss {x} at {}", with x=... and one argument without a name',
            )  # fmt: skip


def _fields(fmt: str, name: str) -> list[str]:
    """The arguments that a format shows, by name or place."""
    fields: list[str] = []
    try:
        parsed = [*Formatter().parse(fmt)]
        for _, field, spec, _ in parsed:
            if field is not None:
                key = field.split(".")[0].split("[")[0]
                fields.append(key or str(sum(f.isdigit() for f in fields)))
                fields += _fields(spec or "", name)
    except ValueError as error:
        raise ArgumentError(f"{name}: {fmt!r} is no format: {error}", where=user_frame()) from None
    return fields


def _is_place(field: str, args: Sequence[Any]) -> bool:
    return field.isdigit() and int(field) < len(args)
