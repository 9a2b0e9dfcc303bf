"""Functions with rules of their own: what they compute as a jaxpr, and a rule beside it.

    custom_jvp_call     its jvp is what the rule says; the rule is traced when it is needed
    custom_vjp_call     its jvp is the rule's forward pass and a `custom_lin`
    custom_lin          linear, known by its transpose alone: the rule's backward pass
    custom_vmap_call    its batching is what the rule says

Operands: what the function and its rule close over (`num_consts` of them), then the arguments. A
rule is an object that gives jaxprs (custom_rules.py, custom_batches.py); a batch of it is another
such object. Once the last transform is behind it, an equation only stands for its jaxpr, and costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from tracejit.control.bodies import (
    check_operands,
    divide,
    nonzero_mask,
    pick,
    read_inputs,
    spread,
    zero_tangents,
)
from tracejit.control.call import call as call_primitive
from tracejit.control.call import pull, push
from tracejit.errors import GradError
from tracejit.ir.atoms import Atom, Var, is_zero
from tracejit.ir.builder import building
from tracejit.ir.current import current
from tracejit.ir.graph import Equation, Jaxpr, Provenance
from tracejit.ir.primitive import Joint, Primitive
from tracejit.ir.types import ArrayType, with_axis
from tracejit.ir.walk import evaluate, inline, user_line
from tracejit.ops.structure import batch_all, reduce_sum
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms.jvp import Mask
from tracejit.transforms.linearize import live_equations

Atoms = Sequence[Atom]


class JvpRule(Protocol):
    """jvp(nonzero): (*operands, *tangents of the arguments marked) -> (*results, *tangents), and
    which results have a tangent."""

    def jvp(self, nonzero: Mask) -> tuple[Jaxpr, Mask]: ...


class Backward(Protocol):
    """pull(arrives): (*residuals, *cotangents of the results marked) -> a cotangent for each of the
    arguments that had a tangent. The results are those of float dtype."""

    def pull(self, arrives: Mask) -> Jaxpr: ...


class VjpRule(Protocol):
    """forward(nonzero): (*operands) -> (*results, *residuals), and the way back."""

    def forward(self, nonzero: Mask) -> tuple[Jaxpr, Backward]: ...


class OfOneCall:
    """What belongs to one call, with the numbers that a tape knows of it: no program that holds it
    is kept to be found again (see ir/interning.py)."""

    of_one_call = True


class VmapRule(Protocol):
    """batch(size, batched): the jaxpr for operands of which those marked have a batch; so have all
    results."""

    def batch(self, size: int, batched: Mask) -> Jaxpr: ...


def _typing(
    *types: ArrayType, jaxpr: Jaxpr, rule: Any, num_consts: int, name: str
) -> tuple[ArrayType, ...]:
    check_operands(name or "a function with a rule", jaxpr, types)
    return jaxpr.out_types


def _pull(cts: Atoms, inputs: Sequence[Any], *, jaxpr: Jaxpr, name: str, **_: Any) -> Any:
    """The transpose, where a function is linear in operands: that of what it computes."""
    return pull(call_primitive, cts, inputs, guarded=False, jaxpr=jaxpr, name=name)


def _of_arguments(kind: str, name: str, jaxpr: Jaxpr, tangents: Atoms, num_consts: int) -> Atoms:
    """The tangents of the arguments; GradError where the function closes over a value that has one.
    What the rule alone closes over is known to it."""
    closed, rest = divide(tangents, num_consts)
    read = read_inputs(jaxpr)
    if any(r and not is_zero(t) for t, r in zip(closed, read, strict=False)):
        raise GradError(
            f"{name} is a {kind} function, and is differentiated with respect to a closed-over "
            "value: its rule is about its arguments alone", where=current().provenance,
            hint=f"pass the value to {name} as an argument, and let the rule have it",
        )  # fmt: skip
    return rest


def _inline_rule(jaxpr: Jaxpr, inputs: Atoms, values: int) -> Sequence[Atom]:
    """Inline what a rule consists of. Its first `values` results are the function's own; what only
    the others need comes from the derivative of the equation that the rule is for."""
    place = current().provenance
    own = set(live_equations(jaxpr.equations, jaxpr.outvars[:values], effects=False))
    equations = [eqn if eqn in own else _derived(eqn, place) for eqn in jaxpr.equations]
    return inline(Jaxpr(jaxpr.invars, tuple(equations), jaxpr.outvars), inputs)


def _derived(eqn: Equation, place: Provenance) -> Equation:
    """An equation of a rule, and what it holds, as part of the derivative at a place."""
    if place.primal is None or eqn.provenance.primal is not None:
        return eqn
    params = {name: _derived_within(value, place) for name, value in eqn.params.items()}
    provenance = eqn.provenance.derived(place.primal, place.role)
    return Equation(eqn.primitive, eqn.inputs, params, eqn.outvars, provenance)


def _derived_within(value: Any, place: Provenance) -> Any:
    if isinstance(value, Jaxpr):
        equations = tuple([_derived(eqn, place) for eqn in value.equations])
        return Jaxpr(value.invars, equations, value.outvars)
    if isinstance(value, tuple) and value and isinstance(value[0], Jaxpr):
        return tuple([_derived_within(body, place) for body in value])
    return value


def _bodies_batched(size: int, jaxpr: Jaxpr, batched: Sequence[bool]) -> Jaxpr:
    """What is computed, for a batch; all results have it."""
    return batching.batch(jaxpr, size, tuple(batched), (True,) * len(jaxpr.outvars))[0]


# custom_jvp


class BatchedJvp(OfOneCall):
    """A rule for a batch of calls."""

    def __init__(self, rule: JvpRule, size: int, batched: Mask, num_consts: int):
        self.rule, self.size, self.batched, self.num_consts = rule, size, batched, num_consts
        self.__qualname__ = getattr(rule, "__qualname__", "rule")

    def jvp(self, nonzero: Mask) -> tuple[Jaxpr, Mask]:
        pushed, live = self.rule.jvp(nonzero)
        moving = pick(self.batched[self.num_consts :], nonzero)
        return _bodies_batched(self.size, pushed, (*self.batched, *moving)), live


def _jvp_of_jvp(
    primals: Atoms, tangents: Atoms, *, jaxpr: Jaxpr, rule: JvpRule, num_consts: int, name: str
) -> tuple[Atoms, Atoms]:
    ts = _of_arguments("custom_jvp", name, jaxpr, tangents, num_consts)
    nonzero = nonzero_mask(ts)
    if not any(nonzero):
        params = {"jaxpr": jaxpr, "rule": rule, "num_consts": num_consts, "name": name}
        return custom_jvp_call.bind(*primals, **params), zero_tangents(jaxpr.out_types)
    pushed, live = rule.jvp(nonzero)
    count = len(live)
    outs = _inline_rule(pushed, [*primals, *pick(ts, nonzero)], count)
    return outs[:count], spread(outs[count:], live, zero_tangents(jaxpr.out_types))


def _batch_jvp(
    size: int, inputs: Atoms, batched: Sequence[bool], *, jaxpr: Jaxpr, rule: JvpRule,
    num_consts: int, name: str,
) -> Atoms:  # fmt: skip
    many = BatchedJvp(rule, size, tuple(batched), num_consts)
    body = _bodies_batched(size, jaxpr, batched)
    return custom_jvp_call.bind(*inputs, jaxpr=body, rule=many, num_consts=num_consts, name=name)


custom_jvp_call: Primitive = Primitive(
    "custom_jvp_call", typing=_typing, evaluate=lambda *xs, jaxpr, **_: evaluate(jaxpr, *xs),
    jvp=Joint(_jvp_of_jvp), transpose=_pull, batch=_batch_jvp, single=False,
    defaults={"num_consts": 0, "name": ""},
    doc="The results of a jaxpr, whose jvp is the user's rule.",
)  # fmt: skip


# custom_vjp


class BatchedVjp(OfOneCall):
    """The passes of a rule for a batch of calls."""

    def __init__(self, rule: VjpRule, size: int, batched: Mask, num_consts: int, results: int):
        self.rule, self.size, self.batched = rule, size, batched
        self.num_consts, self.results = num_consts, results
        self.__qualname__ = getattr(rule, "__qualname__", "rule")

    def forward(self, nonzero: Mask) -> tuple[Jaxpr, Backward]:
        one, backward = self.rule.forward(nonzero)
        kept = len(one.outvars) - self.results
        wanted = (True,) * self.results + (False,) * kept
        many, live = batching.batch(one, self.size, self.batched, wanted)
        moving = tuple(pick(self.batched[self.num_consts :], nonzero))
        return many, BatchedBackward(backward, self.size, live[self.results :], moving)


class BatchedBackward(OfOneCall):
    """The way back for a batch. Of residuals and arguments some have it; cotangents all have; for
    an argument that is the same for all members they are summed."""

    def __init__(self, backward: Backward, size: int, residuals: Mask, arguments: Mask):
        self.backward, self.size = backward, size
        self.residuals, self.arguments = residuals, arguments
        self.__qualname__ = getattr(backward, "__qualname__", "backward")

    def pull(self, arrives: Mask) -> Jaxpr:
        many = (*self.residuals, *(True,) * sum(arrives))
        jaxpr = _bodies_batched(self.size, self.backward.pull(arrives), many)
        with building() as builder:
            invars = [Var(v.type) for v in jaxpr.invars]
            outs = [
                ct if moving or is_zero(ct) else reduce_sum(ct, axes=(0,))
                for ct, moving in zip(inline(jaxpr, invars), self.arguments, strict=True)
            ]
        return builder.finish(invars, outs)


def _jvp_of_vjp(
    primals: Atoms, tangents: Atoms, *, jaxpr: Jaxpr, rule: VjpRule, num_consts: int, name: str
) -> tuple[Atoms, Atoms]:
    ts = _of_arguments("custom_vjp", name, jaxpr, tangents, num_consts)
    nonzero = nonzero_mask(ts)
    if not any(nonzero):
        params = {"jaxpr": jaxpr, "rule": rule, "num_consts": num_consts, "name": name}
        return custom_vjp_call.bind(*primals, **params), zero_tangents(jaxpr.out_types)
    ahead, backward = rule.forward(nonzero)
    made = _inline_rule(ahead, primals, len(jaxpr.outvars))
    outs, residuals = divide(made, len(jaxpr.outvars))
    floats = tuple(t.is_inexact for t in jaxpr.out_types)
    moved = custom_lin.bind(
        *residuals, *pick(ts, nonzero), backward=backward, num_residuals=len(residuals),
        results=tuple(pick(jaxpr.out_types, floats)), name=name,
    )  # fmt: skip
    return outs, spread(moved, floats, zero_tangents(jaxpr.out_types))


def _batch_vjp(
    size: int, inputs: Atoms, batched: Sequence[bool], *, jaxpr: Jaxpr, rule: VjpRule,
    num_consts: int, name: str,
) -> Atoms:  # fmt: skip
    many = BatchedVjp(rule, size, tuple(batched), num_consts, len(jaxpr.outvars))
    body = _bodies_batched(size, jaxpr, batched)
    return custom_vjp_call.bind(*inputs, jaxpr=body, rule=many, num_consts=num_consts, name=name)


custom_vjp_call: Primitive = Primitive(
    "custom_vjp_call", typing=_typing, evaluate=lambda *xs, jaxpr, **_: evaluate(jaxpr, *xs),
    jvp=Joint(_jvp_of_vjp), transpose=_pull, batch=_batch_vjp, single=False,
    defaults={"num_consts": 0, "name": ""},
    doc="The results of a jaxpr, whose derivative in reverse mode is the user's rule.",
)  # fmt: skip


def _lin_typing(*types: ArrayType, results: tuple[ArrayType, ...], **_: Any) -> Any:
    return results


def forward_mode(name: str, where: Any) -> GradError:
    """The error of forward mode through a function that has a rule for reverse mode alone."""
    return GradError(
        f"can't apply forward-mode differentiation (jvp) to a custom_vjp function: {name}",
        where=where,
        hint="take reverse mode (grad, vjp, jacrev), or give the function a rule by custom_jvp, "
        "which serves both",
    )


def _lin_has_no_value(*_: Any, name: str, **__: Any) -> NoReturn:
    raise forward_mode(name, None)


def _jvp_of_lin(primals: Atoms, tangents: Atoms, outs: Atoms, *, name: str, **_: Any) -> NoReturn:
    raise forward_mode(name, current().provenance)


def _transpose_lin(
    cts: Atoms, inputs: Sequence[Any], *, backward: Backward, num_residuals: int, **_: Any
) -> Sequence[Atom | None]:
    arrives = nonzero_mask(cts)
    residuals = inputs[:num_residuals]
    back = _inline_rule(backward.pull(arrives), [*residuals, *pick(cts, arrives)], 0)
    return [*[None] * num_residuals, *back]


def _batch_lin(
    size: int, inputs: Atoms, batched: Sequence[bool], *, backward: Backward, num_residuals: int,
    results: tuple[ArrayType, ...], name: str,
) -> Atoms:  # fmt: skip
    residuals, tangents = (tuple(m) for m in divide(batched, num_residuals))
    return custom_lin.bind(
        *inputs, backward=BatchedBackward(backward, size, residuals, tangents),
        num_residuals=num_residuals, name=name,
        results=tuple([t.with_shape(with_axis(t.shape, 0, size)) for t in results]),
    )  # fmt: skip


custom_lin: Primitive = Primitive(
    "custom_lin", typing=_lin_typing, evaluate=_lin_has_no_value, jvp=_jvp_of_lin,
    transpose=_transpose_lin, batch=_batch_lin, single=False, defaults={"name": ""},
    doc="(*residuals, *tangents) -> tangents of the results: the linear map whose transpose is the "
    "user's backward pass. It has no value.",
)  # fmt: skip


# custom_vmap


class JvpOfVmap(OfOneCall):
    """The batching of a jvp: the jvp of the batching."""

    def __init__(self, rule: VmapRule, nonzero: Mask, live: Mask):
        self.rule, self.nonzero, self.live = rule, nonzero, live
        self.__qualname__ = getattr(rule, "__qualname__", "rule")

    def batch(self, size: int, batched: Mask) -> Jaxpr:
        primals, tangents = divide(batched, len(self.nonzero))
        moving = tuple(spread(tangents, self.nonzero, (False,) * len(self.nonzero)))
        either = tuple(p or t for p, t in zip(primals, moving, strict=True))
        body = self.rule.batch(size, either)
        pushed, alive = forward.jvp(body, self.nonzero, self.live)
        wide = (*either, *pick(either, self.nonzero))
        with building() as builder:
            invars = [
                Var(t.with_shape(t.shape[1:]) if needs and not has else t)
                for t, has, needs in zip(pushed.in_types, batched, wide, strict=True)
            ]
            full = batch_all(size, invars, batched)
            inputs = [w if needs else x for w, x, needs in zip(full, invars, wide, strict=True)]
            outs = inline(pushed, inputs)
            count = len(alive)
            moved = spread(outs[count:], alive, zero_tangents(body.out_types))
        return builder.finish(invars, [*outs[:count], *pick(moved, self.live)])


def _jvp_of_vmap(
    primals: Atoms, tangents: Atoms, *, jaxpr: Jaxpr, rule: VmapRule, num_consts: int, name: str
) -> tuple[Atoms, Atoms]:
    nonzero = nonzero_mask(tangents)
    _, live = forward.jvp(jaxpr, nonzero)
    moved = JvpOfVmap(rule, nonzero, live)
    return push(
        custom_vmap_call, primals, tangents, jaxpr=jaxpr, rule=moved, num_consts=num_consts,
        name=name,
    )  # fmt: skip


def _batch_vmap(
    size: int, inputs: Atoms, batched: Sequence[bool], *, jaxpr: Jaxpr, rule: VmapRule,
    num_consts: int, name: str,
) -> Atoms:  # fmt: skip
    return inline(rule.batch(size, tuple(batched)), inputs)


def _split_vmap(eqn: Equation, unknown: Sequence[bool]) -> Any:
    """A known and a linear part, for which there is no rule: they are batched as what they are."""
    params = {"jaxpr": eqn.params["jaxpr"], "name": eqn.params["name"]}
    plain = Equation(call_primitive, eqn.inputs, params, eqn.outvars, eqn.provenance)
    assert call_primitive.split is not None
    return call_primitive.split(plain, unknown)


custom_vmap_call: Primitive = Primitive(
    "custom_vmap_call", typing=_typing, evaluate=lambda *xs, jaxpr, **_: evaluate(jaxpr, *xs),
    jvp=Joint(_jvp_of_vmap),
    transpose=lambda cts, inputs, *, guarded, **params: _pull(cts, inputs, **params),
    batch=_batch_vmap, split=_split_vmap, single=False, defaults={"num_consts": 0, "name": ""},
    doc="The results of a jaxpr, which are batched by the user's rule.",
)  # fmt: skip


def no_forward_mode(eqn: Equation) -> NoReturn:
    """The error of a program that still has a `custom_lin` when it is compiled."""
    raise forward_mode(eqn.params["name"], user_line(eqn))


#: What stands for an equation once the last transform is behind it.
STANDS_FOR: dict[Primitive, Callable[[Equation], Jaxpr]] = {
    custom_jvp_call: lambda eqn: eqn.params["jaxpr"],
    custom_vjp_call: lambda eqn: eqn.params["jaxpr"],
    custom_vmap_call: lambda eqn: eqn.params["jaxpr"],
    custom_lin: no_forward_mode,
}
