"""callback, pure_callback and check: Python code that a compiled program calls.

    callback        (*xs) -> results        runs as often as the program comes by, in order
    pure_callback   (*xs) -> results        a function of its operands: may run once, or never
    check           (ok, where, *xs) -> ()  raises CheckError unless `ok`

The function gets fresh arrays, NumPy scalars for rank 0, on every backend. An exception that it
raises ends the program, and reaches its caller as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.members import one_by_one
from tracejit.errors import CheckError, DTypeError, MissingRuleError, ShapeError, TreeError
from tracejit.ir.atoms import Atom, zero
from tracejit.ir.current import current
from tracejit.ir.primitive import ZERO, Primitive
from tracejit.ir.types import BOOL, ArrayType, array_type, tangent_type, with_axis
from tracejit.ops.reduction import reduce_and
from tracejit.ops.structure import batch_all, broadcast, reshape
from tracejit.trace.stage import is_weak

#: Python code runs under NumPy's own settings, wherever it is called from.
_ERRSTATE = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


class Callback:
    """A function of the user as a parameter of equations: from flat arrays to flat arrays.

    in_tree: the structure of (args, kwargs); out_tree: that of the result, None where it does not
    matter. fixed: leaves of the arguments that are no arrays, by their places among all. Each
    object is one of a kind: calls are equal if they have the same one.
    """

    of_one_call = True  # see ir/interning.py

    def __init__(
        self, fun: Callable[..., Any], in_tree: tree.TreeDef, out_tree: tree.TreeDef | None = None,
        fixed: Sequence[tuple[int, Any]] = (),
    ):  # fmt: skip
        self.fun, self.in_tree, self.out_tree, self.fixed = fun, in_tree, out_tree, tuple(fixed)
        self.count = in_tree.num_leaves - len(self.fixed)
        self._plain = in_tree == tree.structure(((0,) * self.count, {}))
        self.__qualname__ = str(getattr(fun, "__name__", type(fun).__name__))

    def __repr__(self) -> str:
        return f"<callback {self.__qualname__}>"

    def __call__(self, *arrays: Any, results: Sequence[ArrayType]) -> tuple[Any, ...]:
        """The results, checked; TreeError, ShapeError or DTypeError where they are others."""
        leaves = [np.array(x)[()] for x in arrays]
        for place, x in self.fixed:
            leaves.insert(place, x)
        args, kwargs = (leaves, {}) if self._plain else self.in_tree.unflatten(leaves)
        with np.errstate(**_ERRSTATE):  # type: ignore[arg-type]
            out = self.fun(*args, **kwargs)
        if self.out_tree is None:
            return ()
        found, structure = tree.flatten(out)
        if structure != self.out_tree:
            raise TreeError(
                f"{self.__qualname__} returned {structure}, and {self.out_tree} was promised",
                hint="result_shape_dtypes has the structure of the result",
            )
        return tuple([self._result(y, t) for y, t in zip(found, results, strict=True)])

    def _result(self, y: Any, type: ArrayType) -> np.ndarray:
        array = np.asarray(y, type.dtype) if is_weak(y) else np.asarray(y)
        if array.shape != type.shape:
            raise ShapeError(
                f"{self.__qualname__} returned an array of shape {array.shape}, and {type} was "
                "promised (result_shape_dtypes)"
            )
        if array.dtype != type.dtype:
            raise DTypeError(
                f"{self.__qualname__} returned an array of dtype {array.dtype}, and {type} was "
                "promised (result_shape_dtypes)",
                hint=f"return x.astype(np.{type.dtype})",
            )
        return array


# The two kinds of callbacks.


def _typing(
    *types: ArrayType, callback: Callback, results: tuple[ArrayType, ...], **params: Any
) -> tuple[ArrayType, ...]:
    if len(types) != callback.count:
        raise TypeError(f"{callback.__qualname__} takes {callback.count} operands")
    return results


def _jvp(
    primals: Sequence[Atom], tangents: Sequence[Atom], outs: Sequence[Atom], *,
    callback: Callback, **params: Any,
) -> Sequence[Atom]:  # fmt: skip
    if any(y.type.is_inexact for y in outs):
        raise MissingRuleError(
            f"{callback.__qualname__} is called back in Python: its derivative is not known",
            where=current().provenance,
            hint="where the derivative does not matter call it on tracejit.stop_gradient(x)",
        )
    return [zero(tangent_type(y.type)) for y in outs]


def _batch(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *, callback: Callback,
    results: tuple[ArrayType, ...],
) -> Sequence[Atom]:  # fmt: skip
    """The members in their order."""

    def call(xs: Sequence[Atom]) -> Sequence[Atom]:
        return callback_.bind(*xs, callback=callback, results=results)

    return one_by_one(size, inputs, batched, call)


def _batch_pure(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *, callback: Callback,
    results: tuple[ArrayType, ...], vmap_method: str | None,
) -> Sequence[Atom]:  # fmt: skip
    """As `vmap_method` says: a loop, or one call for all members."""
    params = {"callback": callback, "vmap_method": vmap_method}
    if vmap_method is None:
        raise MissingRuleError(
            f"{callback.__qualname__} is called by pure_callback under vmap, which cannot know "
            "whether it takes batches",
            where=current().provenance,
            hint='give pure_callback a vmap_method: "sequential" calls it for each member, '
            '"expand_dims" and "broadcast_all" once, on arrays with a first axis more',
        )
    if vmap_method == "sequential":
        return one_by_one(
            size, inputs, batched, lambda xs: pure_callback.bind(*xs, results=results, **params)
        )
    if vmap_method == "broadcast_all":
        inputs = batch_all(size, inputs, batched)
    else:
        inputs = [
            x if many else reshape(x, shape=(1, *x.shape))
            for x, many in zip(inputs, batched, strict=True)
        ]
    wide = tuple([t.with_shape(with_axis(t.shape, 0, size)) for t in results])
    return pure_callback.bind(*inputs, results=wide, **params)


def _evaluate(
    *arrays: Any, callback: Callback, results: tuple[ArrayType, ...], **params: Any
) -> tuple[Any, ...]:
    return callback(*arrays, results=results)


callback_ = Primitive(
    "callback", typing=_typing, evaluate=_evaluate, jvp=_jvp, batch=_batch, single=False,
    effects="ordered",
    doc="What a Python function returns for the operands, `results` being the types; it is called "
    "as often as the program comes by, in order.",
)  # fmt: skip

pure_callback = Primitive(
    "pure_callback", typing=_typing, evaluate=_evaluate, jvp=_jvp, batch=_batch_pure, single=False,
    defaults={"vmap_method": None},
    doc="What a Python function returns, which depends on the operands alone.",
)  # fmt: skip


# Checks.


def _check_typing(
    ok: ArrayType, where: ArrayType, *types: ArrayType, message: str, names: tuple[str, ...],
    members: tuple[tuple[int, ...], ...], axes: int,
) -> tuple[ArrayType, ...]:  # fmt: skip
    if ok != array_type(BOOL) or where.dtype != BOOL:
        raise DTypeError(f"check: the condition must be bool, got {ok} and {where}")
    return ()


def _check(
    ok: Any, where: Any, *arrays: Any, message: str, names: tuple[str, ...],
    members: tuple[tuple[int, ...], ...], axes: int,
) -> tuple[()]:  # fmt: skip
    if ok:
        return ()
    failed = np.asarray(where)
    place = np.unravel_index(int(np.argmin(failed)), failed.shape)
    member, index = place[:axes], tuple(map(int, place[axes:]))
    values = [
        np.asarray(x)[tuple(member[a] for a in own)] for x, own in zip(arrays, members, strict=True)
    ]
    given = len(values) - len(names)
    text = message.format(*values[:given], **dict(zip(names, values[given:], strict=True)))
    if axes:
        text += f" (member {', '.join(map(str, map(int, member)))} of the batch)"
    if index:
        wrong = failed[member]
        text += f"\n  {wrong.size - np.count_nonzero(wrong)} of {wrong.size} elements fail, "
        text += f"the first at {list(index)}"
    raise CheckError(text)


def _batch_check(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *,
    members: tuple[tuple[int, ...], ...], axes: int, **params: Any,
) -> Sequence[Atom]:  # fmt: skip
    """All members are checked at once; what is shown is that of the first that fails."""
    ok, where, *xs = inputs
    if batched[0]:
        ok = reduce_and(ok, axes=(0,))
    if not batched[1]:
        where = broadcast(where, shape=(size, *where.shape), dims=tuple(range(1, where.ndim + 1)))
    later = tuple(
        (*((0,) if many else ()), *[a + 1 for a in own])
        for own, many in zip(members, batched[2:], strict=True)
    )
    return check.bind(ok, where, *xs, members=later, axes=axes + 1, **params)


check = Primitive(
    "check", typing=_check_typing, evaluate=_check, jvp=ZERO, batch=_batch_check, single=False,
    effects="ordered", defaults={"names": (), "members": (), "axes": 0},
    doc="CheckError unless `ok`, which is whether all of `where` holds. `message` is formatted "
    "with the operands, the last of which have `names`. `axes`: the first axes of `where` are of "
    "batches; `members`: which of them each operand has, too.",
)  # fmt: skip
