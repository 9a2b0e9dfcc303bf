"""Bound calls: arguments and results are fixed once, then a call computes and does nothing else.

    call = loss.bind(w, X, y)              # loss = jit(value_and_grad(...)); checks, compiles
    for _ in range(1000):
        value, slope = call()              # reads w, X and y, writes into the same two arrays
        w -= 0.1 * slope

Memory is all that a call and its caller share: so whatever `bind` is given must be usable in place,
and what is written may not be what is read. Everything is checked here, nothing in the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NoReturn

import numpy as np

from tracejit import tree
from tracejit.backends.native.callable import NativeCallable, install
from tracejit.backends.protocol import Executable
from tracejit.errors import ArgumentError, DTypeError, ShapeError, TreeError
from tracejit.ir.types import ArrayType, array_type
from tracejit.runtime.arguments import argument, name_of
from tracejit.runtime.programs import Call, Compiled, Traced
from tracejit.runtime.values import Name
from tracejit.runtime.write_back import writable
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import is_traced
from tracejit.treedef import show


class BoundCall(NativeCallable, method=False):
    """What `jit(f).bind` returns: a callable without arguments, for good.

    `call()` returns `call.result`, the same object with the same arrays each time, written anew: a
    copy is needed to keep a result. Scalars are arrays of rank 0. Before the first call the fresh
    ones hold zeros. The arrays of the arguments, and those of the results, live as long as this
    object; their contents may change between calls, their memory may not (no `x.resize`).

    Arrays that the function assigns to are written to at each call.

    Two threads that share a bound call share its results, too: give each thread its own. Later
    changes of `tracejit.config` concern later calls of `bind`.
    """

    def __init__(
        self,
        name: str,
        executable: Executable,
        inputs: Sequence[np.ndarray],
        outputs: Sequence[np.ndarray],
        result: Any,
        assigned: Sequence[int] = (),
        run: Callable[..., Sequence[np.ndarray]] | None = None,
    ):
        """inputs, outputs: arrays of the executable's types that it may use in place. assigned: the
        inputs that get what the executable gives behind the outputs. run: what gives fresh results
        for the inputs where they may take other paths than the executable's.
        """
        self._name = name
        self._run = run or executable
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._written = tuple([self._inputs[i] for i in assigned])
        self._result = result
        make = getattr(executable, "bound_entry", None)
        entry = make and make(self._inputs, self._outputs, result)
        if entry is not None:
            install(self, entry)

    def _miss(self, /, *args: Any, **kwargs: Any) -> Any:
        """The call where machine code is not entered directly: run, and copy the results."""
        if args or kwargs:
            raise ArgumentError(
                f"a bound call of {self._name} takes no arguments: bind has fixed them",
                where=user_frame(),
                hint="write new values into the arrays that bind was given (x[:] = ...)",
            )
        results = self._run(*self._inputs)
        for mine, fresh in zip((*self._outputs, *self._written), results, strict=True):
            np.copyto(mine, fresh)
        return self._result

    @property
    def result(self) -> Any:
        """What each call returns, with the numbers of the latest one."""
        return self._result

    def __reduce__(self) -> NoReturn:
        raise TypeError("a bound call cannot be pickled: it stands for memory of this process")

    def __repr__(self) -> str:
        return f"<bound call of {self._name}>"


def bound_call(compiled: Compiled, call: Call, out: Any) -> BoundCall:
    """A program bound to the arguments of a call, and to the arrays of `out`."""
    name, traced = name_of(call.fun), compiled.traced
    sources = [
        partial(argument, call.fun, call.args, call.kwargs, i) for i in range(len(call.given))
    ]
    inputs = [
        _readable(x, leaf, dtype, source)
        for x, leaf, dtype, source in zip(
            call.given, call.leaves, compiled.door, sources, strict=True
        )
    ]
    both = [*zip(inputs, sources, strict=True)]
    writable(call.given, traced.assigned, call.name, traced=False)
    types = traced.out_types
    if out is None:
        outputs = [np.zeros(t.shape, t.dtype) for t in types]
        result = traced.out_tree.unflatten(outputs)
    else:
        outputs, result = _given(out, traced, name), out
        paths = [partial(str, path) for path in tree.paths(traced.out_tree, "out")]
        read = [(x, s) for i, (x, s) in enumerate(both) if i not in traced.assigned]
        written = [both[i] for i in traced.assigned]
        _check_apart(read, [*written, *zip(outputs, paths, strict=True)])
    run = partial(_on_any_path, compiled, call) if compiled.paths else compiled.executable
    head = compiled.head.executable
    return BoundCall(name, head, inputs, outputs, result, traced.assigned, run)


def _on_any_path(compiled: Compiled, call: Call, *inputs: np.ndarray) -> list[np.ndarray]:
    """The leaves of the result, and what is assigned to, on the path that the inputs take, which
    are those of the call."""
    _, result = compiled.paths(call, compiled)
    leaves, out_tree = tree.flatten(result)
    types = [array_type(np.asarray(x).dtype, np.shape(x)) for x in leaves]
    if out_tree != compiled.out_tree or types != list(compiled.traced.out_types):
        raise TreeError(
            f"{name_of(call.fun)} returns {show(out_tree)} of {', '.join(map(str, types))} on the "
            f"path that it takes now, and {show(compiled.out_tree)} of "
            f"{', '.join(map(str, compiled.traced.out_types))} when it was bound",
            where=user_frame(), hint="return the same on every path, or do not bind",
        )  # fmt: skip
    return [*leaves, *[inputs[i] for i in compiled.assigned]]  # which the call has written to


def check_concrete(call: Call, values: Sequence[Any]) -> None:
    """Raise unless these values, which a call depends on, are known numbers."""
    if is_traced(*values):
        raise ArgumentError(
            f"{name_of(call.fun)}.bind was called in a function that is being traced, on values "
            "that are not known yet",
            where=user_frame(),
            hint="bind outside of the trace; inside of it call the function itself",
        )


def _readable(x: Any, leaf: np.ndarray | np.generic, dtype: np.dtype, name: Name) -> np.ndarray:
    """A leaf, given and canonical, as an array: an array itself, a number in a new one."""
    if not isinstance(x, np.ndarray):
        if not isinstance(x, (bool, int, float, complex, np.generic)):
            _refuse(name, f"is of type {type(x).__name__}", "np.asarray(x)")
        return np.array(leaf, dtype)
    if not x.dtype.isnative:
        _refuse(name, f"has dtype {x.dtype!s}, not in this machine's order", "x.astype(...)")
    _check_layout(x, name)
    return np.asarray(x)


def _given(out: Any, traced: Traced, name: str) -> list[np.ndarray]:
    """The arrays of `out`, checked against the types of the results."""
    if tree.structure(out) != traced.out_tree:
        what = f"out is {show(tree.structure(out))}, and {name} gives {show(traced.out_tree)}"
        raise TreeError(what, where=user_frame(), hint="a * is an array")
    found = tree.leaves(out)
    for y, type, path in zip(
        found, traced.out_types, tree.paths(traced.out_tree, "out"), strict=True
    ):
        _check_result(y, type, path, name)
    return [np.asarray(y) for y in found]


def _check_result(y: Any, type: ArrayType, path: str, name: str) -> None:
    """Raise unless results of this type can be written into y."""
    text = "{} gives an array of shape {} and dtype {}"
    wanted = partial(text.format, name, type.shape, type.dtype)
    if not isinstance(y, np.ndarray) or isinstance(y, np.ma.MaskedArray):
        raise ArgumentError(
            f"{path} is of type {y.__class__.__name__}, and {wanted()}",
            where=user_frame(),
            hint="numbers are written into arrays, too: np.empty(())" if not type.shape else None,
        )
    if y.shape != type.shape:
        raise ShapeError(f"{path} has shape {y.shape}, and {wanted()}", where=user_frame())
    if y.dtype != type.dtype:
        raise DTypeError(f"{path} has dtype {y.dtype}, and {wanted()}", where=user_frame())
    if not y.flags.writeable:
        raise ArgumentError(
            f"{path} is read-only, and results are written to it", where=user_frame()
        )
    _check_layout(y, partial(str, path))


def _check_layout(x: np.ndarray, name: Name) -> None:
    """Raise unless compiled code can use the array where it is."""
    if not x.flags.c_contiguous:
        _refuse(name, "is not C-contiguous", "np.ascontiguousarray(x)")
    if not x.flags.aligned:
        _refuse(name, "is not aligned", "x.copy()")


def _refuse(name: Name, what: str, remedy: str) -> NoReturn:
    raise ArgumentError(
        f"{name()} {what}: a bound call uses its arrays in place",
        where=user_frame(),
        hint=f"bind a plain contiguous array: {remedy}, which you keep and change instead of x",
    )


def _check_apart(
    read: Sequence[tuple[np.ndarray, Name]], written: Sequence[tuple[np.ndarray, Name]]
) -> None:
    """Raise where an array that is written overlaps with another one.

    Along the addresses in memory: an array must not begin before an end that was met, if it or the
    other one is written.
    """
    spans = [
        (*np.lib.array_utils.byte_bounds(x), name, is_written)
        for arrays, is_written in ((read, False), (written, True))
        for x, name in arrays
        if x.size
    ]
    end, last = {False: 0, True: 0}, dict[bool, Name]()
    for low, high, name, is_written in sorted(spans, key=lambda span: span[:2]):
        for other in (False, True):
            if (is_written or other) and low < end[other]:
                _refuse_overlap(*((name, last[other]) if is_written else (last[other], name)))
        if high > end[is_written]:
            end[is_written], last[is_written] = high, name


def _refuse_overlap(written: Name, other: Name) -> NoReturn:
    raise ArgumentError(
        f"{written()} shares memory with {other()}",
        where=user_frame(),
        hint="give the results memory of their own; to feed them back, copy (x[:] = y), or bind "
        "a second call the other way round",
    )
