"""ForwardAccumulator: derivatives in a direction, beside the values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api import linear_maps
from tracejit.compat.graph import Operation
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tape import GradientTape, UnconnectedGradients
from tracejit.compat.tensorflow.tensor import Tensor, convert
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ShapeError
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import apply, stage

__all__ = ["ForwardAccumulator"]


class ForwardAccumulator(GradientTape):
    """with tf.autodiff.ForwardAccumulator(primals, tangents) as acc: ...; then acc.jvp(y).

    primals: tensors and variables, or a tree of them. tangents: their directions, of their shapes.
    """

    def __init__(self, primals: Any, tangents: Any):
        super().__init__(persistent=True, watch_accessed_variables=False)
        given = tree.leaves(primals)
        directions = [convert(t) for t in tree.leaves(tangents)]
        if [x.shape for x in given] != [t.shape for t in directions]:
            raise ShapeError(
                "ForwardAccumulator: tangents of shapes "
                f"{[tuple(t.shape) for t in directions]} for primals of shapes "
                f"{[tuple(x.shape) for x in given]}", where=user_frame(),
            )  # fmt: skip
        self.watch(primals)
        self._primals = [x._cell if isinstance(x, Variable) else x.cell for x in given]
        self._tangents = [t.cell for t in directions]

    def jvp(
        self, primals: Any, unconnected_gradients: Any = UnconnectedGradients.NONE
    ) -> Any:
        """The derivative of each tensor in a tree; None, or zeros, for those that do not depend on
        the primals."""
        zeros = UnconnectedGradients(unconnected_gradients) is UnconnectedGradients.ZERO
        return tree.map(lambda y: self._of(self._target(y), zeros), primals)

    def _of(self, y: Tensor, zeros: bool) -> Any:
        part = self._cut([y.cell], self._primals)
        if not part.connected:
            return convert(np.zeros(y.shape, y.dtype.numpy_dtype)) if zeros else None
        program, count = part.jaxpr(), len(part.sources)
        tangents = dict(zip(self._primals, self._tangents, strict=True))

        def derivative(*values: Any) -> list[Any]:
            sources, rest = values[:count], values[count : len(program.invars)]
            ts = values[len(program.invars) :]
            return [linear_maps.jvp(lambda *xs: apply(program, [*xs, *rest])[0], sources, ts)[1]]

        directions = [tangents[cell] for cell in part.sources]
        types = [*program.in_types, *[cell.type for cell in directions]]
        staged = stage(derivative, types, name="jvp")
        operation = Operation("jvp", staged.jaxpr, tree.structure(0), staged.captured)
        recorded = bool(STATE.tapes) or STATE.tracing is not None
        return Tensor(operation.apply([*part.inputs, *directions], recorded))
