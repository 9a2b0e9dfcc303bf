"""Batching: a jaxpr that works on many inputs at once, stacked along a new first axis.

    fn(x: f64[3], y: f64[3]) { z = add(x, y) }
    ->  fn(x: f64[8,3], y: f64[3]) { w = broadcast(y); z = add(x, w) }        (x batched, y not)
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Pointwise
from tracejit.ir.types import with_axis
from tracejit.ir.walk import Substitution, copy_equation
from tracejit.ops.structure import batch_all
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import remembered


@remembered
def batch(
    jaxpr: Jaxpr, size: int, batched: Mask, wanted: Mask | None = None
) -> tuple[Jaxpr, Mask]:
    """The jaxpr whose inputs marked `batched` have a first axis of `size` more.

    Returns it with a mask: which outputs have that axis too. Outputs marked in `wanted` get it in
    any case.
    """
    with building() as builder:
        env = Substitution(
            (v, Var(v.type.with_shape(with_axis(v.shape, 0, size)) if b else v.type))
            for v, b in zip(jaxpr.invars, batched, strict=True)
        )
        invars = list(env.values())
        many = {v for v, b in zip(jaxpr.invars, batched, strict=True) if b}
        for eqn in jaxpr.equations:
            mask = [x in many for x in eqn.inputs]
            if not any(mask):
                copy_equation(eqn, env, builder)
                continue
            builder.provenance = eqn.provenance.derived(eqn, "batch")
            inputs = env.all(eqn.inputs)
            rule = eqn.primitive.batch
            outs: Sequence[Atom]
            if isinstance(rule, Pointwise):
                outs = eqn.primitive.bind(*batch_all(size, inputs, mask), **eqn.params)
            else:
                outs = rule(size, inputs, mask, **eqn.params)
            env.update(zip(eqn.outvars, outs, strict=True))
            many.update(eqn.outvars)
        force = wanted or (False,) * len(jaxpr.outvars)
        live = tuple(y in many or f for y, f in zip(jaxpr.outvars, force, strict=True))
        has = [y in many for y in jaxpr.outvars]
        results = env.all(jaxpr.outvars)
        full = batch_all(size, results, has)
        results = [f if w else y for f, y, w in zip(full, results, live, strict=True)]
    return builder.finish(invars, results), live  # type: ignore[arg-type]
