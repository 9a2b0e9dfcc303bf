"""The batching rules that users give, as jaxprs: traced when they are first needed."""

from __future__ import annotations

from typing import Any

from tracejit import tree
from tracejit.control.bodies import divide
from tracejit.control.custom import OfOneCall
from tracejit.control.custom_rules import Use, staged_once
from tracejit.control.custom_values import Function, ask, fitting, pair
from tracejit.control.staging import show
from tracejit.errors import TreeError, UnsupportedError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import ArrayType
from tracejit.ops.structure import broadcast
from tracejit.trace.provenance import function_place
from tracejit.trace.tracer import bind
from tracejit.transforms.jvp import Mask


class VmapByUser(OfOneCall):
    """rule(size, in_batched, *args) -> (results, which of them have the batch), on trees: see
    custom.VmapRule."""

    def __init__(self, use: Use, rule: Function):
        self.use, self.rule = use, rule
        self.__qualname__ = f"vmap of {use.name}"

    def batch(self, size: int, batched: Mask) -> Jaxpr:
        """The rule, traced for arguments of which those marked have a first axis of `size`."""
        closed, of_arguments = divide(batched, len(self.use.consts))
        if any(closed):
            raise UnsupportedError(
                f"the custom_vmap function {self.use.name} closes over a value that is mapped",
                where=function_place(self.use.fun),
                hint=f"pass the value to {self.use.name} as an argument",
            )
        return self._staged(size, tuple(of_arguments))

    @staged_once
    def _staged(self, size: int, batched: Mask) -> Jaxpr:
        use = self.use
        wide = [_widened(t, size) if on else t for t, on in zip(use.types, batched, strict=True)]

        def flat(*leaves: Any) -> list[Any]:
            args = use.structure.unflatten(leaves)
            marks = list(use.structure.unflatten(batched))
            what = f"vmap rule of {use.name}"
            out = ask(self.rule, what, "(axis_size, in_batched, *args)", size, marks, *args)
            return self._leaves(size, *pair(out, self.rule, what, "of results and their batching"))

        return use.stage(self.rule, flat, wide, primals=False)

    def _leaves(self, size: int, out: Any, out_batched: Any) -> list[Any]:
        """The results, all of them with the batch."""
        use, rule, what = self.use, self.rule, f"vmap rule of {self.use.name}"
        marks, structure = tree.flatten(out_batched)
        if structure != tree.structure(out):
            raise TreeError(
                f"{what}: structures of the results and of their batching are inconsistent",
                where=function_place(rule),
                hint=f"results:  {show(tree.structure(out))}\nbatching: {show(structure)}",
            )
        if structure != use.out_structure:
            raise TreeError(
                f"{what}: the results have another structure than those of the function",
                where=function_place(rule),
                hint=f"function: {show(use.out_structure)}\nrule:     {show(structure)}",
            )
        many = [
            fitting(x, _widened(t, size) if on else t, f"{what}: a result", rule)
            for x, t, on in zip(tree.leaves(out), use.out_types, marks, strict=True)
        ]
        return [
            x if on else bind(broadcast, x, shape=(size, *x.shape), dims=(*range(1, x.ndim + 1),))
            for x, on in zip(many, marks, strict=True)
        ]


def _widened(type: ArrayType, size: int) -> ArrayType:
    return type.with_shape((size, *type.shape))
