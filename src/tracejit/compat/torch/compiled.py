"""`torch.jit.trace`, `torch.jit.script` and `torch.compile`: recordings as programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit import tree
from tracejit.compat.graph import Cell, Operation, cut, known
from tracejit.compat.torch.kinds import enable_grad, mode
from tracejit.compat.torch.nn.modules import Module
from tracejit.compat.torch.tensor import Tensor, wrapped
from tracejit.runtime.arguments import name_of
from tracejit.runtime.runner import Runner

__all__ = ["compile", "script", "trace"]


class Compiled:
    """A function of tensors, or a module, as one operation for each kind of arguments. It is
    recorded with them and compiled when it comes again; derivatives go through."""

    def __init__(self, function: Callable[..., Any]):
        self.__name__, self.__doc__ = name_of(function), function.__doc__
        self._function = function
        self._module = function if isinstance(function, Module) else None
        self._known: dict[Any, Operation] = {}

    def __call__(self, *args: Any) -> Any:
        given, structure = tree.flatten(args)
        places = [i for i, x in enumerate(given) if isinstance(x, Tensor)]
        parameters = [] if self._module is None else list(self._module.parameters())
        cells = [given[i].cell for i in places] + [p.cell for p in parameters]
        others = tuple([x for x in given if not isinstance(x, Tensor)])
        key = structure, others, tuple([cell.type for cell in cells]), self._training
        operation = self._known.get(key)
        if operation is None:
            operation = self._known[key] = self._record(given, structure, places, parameters)
        record = mode.enabled and any(cell.needs for cell in cells)
        return tree.map(wrapped, operation.apply(cells, record))

    @property
    def _training(self) -> bool:
        return self._module is not None and self._module.training

    def _record(
        self, given: Sequence[Any], structure: tree.TreeDef, places: Sequence[int],
        parameters: Sequence[Tensor],
    ) -> Operation:  # fmt: skip
        """Run the function on tensors of which everything is recorded."""
        leaves = list(given)
        stand_ins = {}
        for i in places:
            cell = given[i].cell
            stand_ins[i] = Cell(cell.type, cell.value, needs=True)
            leaves[i] = Tensor(stand_ins[i])
        with enable_grad():
            sources = [*stand_ins.values(), *[p.cell for p in parameters]]
            out = self._function(*structure.unflatten(leaves))
        outs, out_tree = tree.flatten(out)
        part = cut([y.cell if isinstance(y, Tensor) else known(y) for y in outs], sources)
        jaxpr = part.jaxpr()
        count = len(part.sources)
        turned = type(jaxpr)(
            (*jaxpr.invars[count:], *jaxpr.invars[:count]), jaxpr.equations, jaxpr.outvars
        )
        constants = [cell.value for cell in part.constants]
        return Operation(
            "compiled", turned, out_tree, constants, Runner(turned, self.__name__, patience=1)
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_function"], name)


def compile(model: Callable[..., Any] | None = None, **_: Any) -> Any:
    """A function of tensors, or a module, compiled for each kind of arguments. What depends on
    Python values inside is fixed at the first call of a kind."""
    return compile if model is None else Compiled(model)


def trace(func: Callable[..., Any], example_inputs: Any = None, **_: Any) -> Compiled:
    """The same, recorded at once with example inputs."""
    compiled = Compiled(func)
    if example_inputs is not None:
        examples = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
        compiled(*examples)
    return compiled


def script(obj: Callable[..., Any], **_: Any) -> Compiled:
    """As `compile`: a function is recorded, not read."""
    return Compiled(obj)
