"""Batching rules that the user gives, under the names of `jax.custom_batching`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit import tree
from tracejit.api.custom import WithRules
from tracejit.control.custom import custom_vmap_call
from tracejit.control.custom_batches import VmapByUser
from tracejit.control.custom_rules import Use
from tracejit.control.looping import map as map_rows
from tracejit.runtime.arguments import check_callable
from tracejit.trace.tracer import bind

__all__ = ["custom_vmap", "sequential_vmap"]


class custom_vmap(WithRules):
    """A function that `vmap` replaces by a rule, as `jax.custom_batching.custom_vmap`.

        @custom_vmap
        def f(x): ...

        @f.def_vmap
        def rule(axis_size, in_batched, x):
            return one_call_for_all(x), True

    fun takes and returns trees of arrays; defaults and keywords are resolved to positions. Forward
    mode keeps the rule: its batch is the derivative of the rule. What reverse mode makes of it is
    batched as the operations that it consists of.
    """

    kind = "custom_vmap"

    def __init__(self, fun: Callable[..., Any]):
        super().__init__(fun)

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Give the rule, and return it: `rule(axis_size, in_batched, *args) -> (out, out_batched)`.

        in_batched: for each argument a tree of bools like it: whether a leaf has the batch, as its
        first axis. out_batched: the same for the result.
        """
        check_callable(vmap_rule, "def_vmap")
        self.rules = (vmap_rule,)
        return vmap_rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = self.positional(args, kwargs)
        if not self.rules:
            raise self.missing("batching rule", "def_vmap")
        if self.is_plain(args):
            return self.__wrapped__(*args)
        use = Use(self.__wrapped__, args, self.rules, self.name)
        outs = bind(
            custom_vmap_call, *use.operands, jaxpr=use.jaxpr, rule=VmapByUser(use, self.rules[0]),
            num_consts=len(use.consts), name=self.name,
        )  # fmt: skip
        return use.out_structure.unflatten(outs)


def sequential_vmap(fun: Callable[..., Any]) -> custom_vmap:
    """`fun`, whose batch is computed by a loop over its members, as JAX's `sequential_vmap`."""
    wrapped = custom_vmap(fun)

    @wrapped.def_vmap
    def rule(axis_size: int, in_batched: list[Any], *args: Any) -> tuple[Any, Any]:
        leaves, structure = tree.flatten(args)
        marks = tree.leaves(in_batched)

        def member(rows: list[Any]) -> Any:
            supply = iter(rows)
            own = [next(supply) if on else x for x, on in zip(leaves, marks, strict=True)]
            return fun(*structure.unflatten(own))

        out = map_rows(member, [x for x, on in zip(leaves, marks, strict=True) if on])
        return out, tree.map(lambda _: True, out)

    return wrapped
