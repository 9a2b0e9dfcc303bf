"""Effects while user code is traced: which take place at once.

A tape (eager `grad`, `jvp`, `vjp`) knows its numbers, so that an effect on it takes place where the
program comes by, and is not recorded. In a trace without numbers every effect is recorded, also one
that reads no traced value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.ir.current import stack
from tracejit.ir.effects import is_effectful, quiet
from tracejit.ir.graph import Equation
from tracejit.ir.primitive import Primitive
from tracejit.ir.walk import evaluate_equation


def takes_place_now() -> bool:
    """Whether an effect takes place at once: nothing around it is a program in the making.

    A trace with a decider is one, though it knows the numbers of one call; so is one that does not
    know all of its arguments.
    """
    return all(
        getattr(sink, "values", ()) is not None
        and getattr(sink, "decider", None) is None
        and getattr(sink, "knows", True)
        for sink in stack.sinks
    )


def number_of(eqn: Equation, inputs: Sequence[Any]) -> Sequence[Any]:
    """The values of an equation while a program is made, without its effects; None where these make
    the values."""
    after = quiet(eqn)
    if after is None or is_effectful(after):
        return [None] * len(eqn.outvars)
    return evaluate_equation(after, inputs)


def is_recorded(primitive: Primitive, params: dict[str, Any]) -> bool:
    """Whether an operation is recorded although it reads no traced value, because of its effect."""
    eqn = Equation(primitive, (), params, ())
    return bool(stack.sinks) and is_effectful(eqn) and not takes_place_now()


def settle(tape: Any, first: int) -> None:
    """Let the effects of a tape's equations take place, from number `first` on.

    What the tape keeps of them has no effect. Where their results are part of what has to be
    differentiated that cannot be: they take place when the tape is run.
    """
    if tape.values is None or not takes_place_now():
        return
    kept = []
    for eqn in tape.equations[first:]:
        after = quiet(eqn) if is_effectful(eqn) else eqn
        if after is not eqn and (after is None or not is_effectful(after)):
            outs = evaluate_equation(eqn, [tape.value_of(x) for x in eqn.inputs])
            tape.values.update(zip(eqn.outvars, outs, strict=True))
        kept += [] if after is None else [after]
    tape.equations[first:] = kept
    tape.made = min(tape.made, first)
