"""checkpoint: memory for time in reverse mode; policies, and names for them.

    checkpoint(f)                        nothing is kept but what f takes: f is run again
    checkpoint(f, policy=dots_saveable)  ... but for the results of products
    checkpoint(f, slots=100)             of each loop in f the states of 100 rounds are kept
    checkpoint(f, memory="64MB")         ... of as many rounds as there is room for
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

from tracejit import tree
from tracejit.control.call import call
from tracejit.control.loop import while_
from tracejit.control.remat import Policy
from tracejit.control.remat import checkpoint as checkpoint_primitive
from tracejit.control.remat import name as name_primitive
from tracejit.control.scan import scan
from tracejit.control.slots import ROOM, with_slots
from tracejit.control.staging import as_leaves, leaf_type, stage_body
from tracejit.errors import ArgumentError
from tracejit.ir.atoms import Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import Substitution, copy_equation, inline
from tracejit.ops.contraction import dot
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import is_weak
from tracejit.trace.tracer import bind

#: From the bytes of a state to the number of slots, and the bytes for the rounds between two.
Budget = Callable[[int], tuple[int, int]]

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20,
          "GIB": 2**30}  # fmt: skip


def checkpoint(
    fun: Callable[..., Any] | None = None, *, prevent_cse: bool = True,
    policy: Policy | None = None, static_argnums: int | Sequence[int] = (),
    slots: int | None = None, memory: int | str | None = None,
) -> Any:  # fmt: skip
    """fun, with a derivative in reverse mode that computes again what it does not keep.

    policy: what may be kept all the same, see `checkpoint_policies`. prevent_cse=False leaves it to
    the compiler to find that something is computed twice; within loops it cannot, and that is
    cheaper. static_argnums: positions of arguments that are no arrays.
    slots: at least 2; for each loop in fun the states of so many rounds are kept, and the others
    computed from them, by the binomial schedule: memory does not grow with the rounds, whose number
    need not be known. As much memory again, and at least 64 KiB, is for what the derivative needs
    of the rounds in a stretch between two of them, which is turned round at once. memory: bytes,
    or a text as "64MB", for each loop, instead of slots; half of it is for states, half for a
    stretch. With slots or memory alone only loops are run again.
    """
    if fun is None:
        return functools.partial(
            checkpoint, prevent_cse=prevent_cse, policy=policy, static_argnums=static_argnums,
            slots=slots, memory=memory,
        )  # fmt: skip
    if not callable(fun):
        raise ArgumentError(f"checkpoint takes a function, got {fun!r}", where=user_frame())
    budget = _budget(slots, memory)
    fixed = {static_argnums} if isinstance(static_argnums, int) else set(static_argnums)
    primitive = call if budget and policy is None else checkpoint_primitive

    @functools.wraps(fun)
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        static = {i % len(args) for i in fixed} if args else set()
        xs, structure = tree.flatten(([x for i, x in enumerate(args) if i not in static], kwargs))
        leaves = as_leaves(xs, structure, "arguments")

        def flat(given: Any, named: Any) -> Any:
            rest = iter(given)
            return fun(*[x if i in static else next(rest) for i, x in enumerate(args)], **named)

        body = stage_body(
            flat, structure, [*map(leaf_type, leaves)], [*map(is_weak, xs)], "checkpoint"
        )
        jaxpr = _prepared(body.jaxpr, budget)
        params: dict[str, Any] = {"name": "checkpoint"}
        if primitive is checkpoint_primitive:
            params = {"policy": policy, "prevent_cse": prevent_cse}
        outs = bind(primitive, *body.captured, *leaves, jaxpr=jaxpr, **params)
        return body.structure.unflatten(outs)

    return checkpointed


def _budget(slots: int | None, memory: int | str | None) -> Budget | None:
    """The budget of a loop."""
    if slots is not None:
        if memory is not None or slots < 2:
            raise ArgumentError(
                f"checkpoint takes slots, at least 2, or memory; got {slots} and {memory}",
                where=user_frame(),
            )
        return lambda state: (slots, max(ROOM, slots * state))
    if memory is None:
        return None
    text = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", str(memory).lower())
    if text is None or text[2].upper() not in _UNITS:
        raise ArgumentError(
            f"checkpoint: memory is a number of bytes, or a text as '64MB', not {memory!r}",
            where=user_frame(),
        )
    room = int(float(text[1]) * _UNITS[text[2].upper()])
    return lambda state: (max(2, room // (2 * max(1, state))), room // 2)


def _prepared(jaxpr: Jaxpr, budget: Budget | None) -> Jaxpr:
    """The jaxpr without calls, its loops with slots."""
    with building() as builder:
        names = [Var(v.type) for v in jaxpr.invars]
        outs = _prepare(jaxpr, names, budget, builder)
    return builder.finish(names, outs)


def _prepare(
    jaxpr: Jaxpr, inputs: Sequence[Any], budget: Budget | None, builder: Builder
) -> list[Any]:
    env = Substitution(zip(jaxpr.invars, inputs, strict=True))
    for eqn in jaxpr.equations:
        operands = env.all(eqn.inputs)
        if eqn.primitive is call:
            outs = _prepare(eqn.params["jaxpr"], operands, budget, builder)
        elif budget is not None and eqn.primitive in (scan, while_) and _takes_slots(eqn):
            carry = len(eqn.inputs) - eqn.params.get("num_cond_consts", 0)
            first = eqn.params.get("num_consts", eqn.params.get("num_body_consts", 0))
            carry = eqn.params.get("num_carry", carry - first)
            state = sum(v.type.nbytes for v in eqn.outvars[:carry])
            outs = inline(with_slots(eqn, *budget(state)), operands, builder)
        else:
            copy_equation(eqn, env, builder)
            continue
        env.update(zip(eqn.outvars, outs, strict=True))
    return env.all(jaxpr.outvars)


def _takes_slots(eqn: Equation) -> bool:
    """Whether a loop has rounds, and no tapes."""
    return bool(eqn.params.get("length", True))


def checkpoint_name(x: Any, name: str) -> Any:
    """x, under a name that `checkpoint_policies` can tell: keep what this function returns."""
    return tree.map(lambda leaf: bind(name_primitive, leaf, name=name), x)


class _Policies:
    """What a checkpointed function may keep; a policy is a function (primitive, *types, **params)
    -> bool, and says it of what the primitive makes of operands of these types."""

    @staticmethod
    def everything_saveable(*_: Any, **__: Any) -> bool:
        """All."""
        return True

    @staticmethod
    def nothing_saveable(*_: Any, **__: Any) -> bool:
        """Nothing."""
        return False

    @staticmethod
    def dots_saveable(primitive: Primitive, *_: ArrayType, **__: Any) -> bool:
        """Results of products of matrices."""
        return primitive is dot

    @staticmethod
    def dots_with_no_batch_dims_saveable(
        primitive: Primitive, *_: ArrayType, batch: Any = ((), ()), **__: Any
    ) -> bool:
        """Results of products of matrices, if they are not many products in one."""
        return primitive is dot and not any(batch)

    checkpoint_dots = dots_saveable
    checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable

    @staticmethod
    def save_only_these_names(*names: str) -> Policy:
        """What `checkpoint_name` has given one of these names."""
        return lambda primitive, *_, name="", **__: primitive is name_primitive and name in names

    @staticmethod
    def save_any_names_but_these(*names: str) -> Policy:
        """What `checkpoint_name` has given another name."""
        return lambda primitive, *_, name="", **__: (
            primitive is name_primitive and name not in names
        )

    @staticmethod
    def save_anything_except_these_names(*names: str) -> Policy:
        """All but what `checkpoint_name` has given one of these names."""
        return lambda primitive, *_, name="", **__: not (
            primitive is name_primitive and name in names
        )

    @staticmethod
    def save_from_both_policies(first: Policy, second: Policy) -> Policy:
        """What one of the two lets be kept."""
        return lambda *args, **params: first(*args, **params) or second(*args, **params)


checkpoint_policies = _Policies()
