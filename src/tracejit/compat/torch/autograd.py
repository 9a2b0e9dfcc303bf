"""Derivatives: `backward`, `torch.autograd.grad`, and functions with rules of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.api.jit import jit
from tracejit.compat import graph
from tracejit.compat.graph import Cell, Operation, Step
from tracejit.compat.torch.kinds import enable_grad, no_grad, set_grad_enabled
from tracejit.compat.torch.tensor import GradFn, Tensor, fault
from tracejit.transforms.linearize import linearize

__all__ = ["backward", "enable_grad", "functional", "grad", "no_grad", "set_grad_enabled"]

SECOND = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)
NO_GRAD = "element {} of tensors does not require grad and does not have a grad_fn"
NO_SCALAR = "grad can be implicitly created only for scalar outputs"
UNUSED = (
    "The differentiated Tensor at index {} appears to not have been used in the graph. Set "
    "allow_unused=True if this is the desired behavior."
)
WRITTEN = (
    "one of the variables needed for gradient computation has been modified by an inplace "
    "operation: [torch.{}Tensor {}]{} is at version {}; expected version {} instead. Hint: enable "
    "anomaly detection to find the operation that failed to compute its gradient, with "
    "torch.autograd.set_detect_anomaly(True)."
)
_TYPES = {"float32": "Float", "float64": "Double"}


def _list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]


def _roots(tensors: Sequence[Tensor], given: Any) -> tuple[list[Cell], list[Cell | None]]:
    """The cells to differentiate, and their cotangents."""
    cotangents: list[Cell | None] = []
    weights = [None] * len(tensors) if given is None else _list(given)
    for i, (y, ct) in enumerate(zip(tensors, weights, strict=True)):
        if not y.requires_grad:
            raise fault(NO_GRAD.format(i))
        if ct is None:
            if y.shape.numel() != 1:
                raise fault(NO_SCALAR, "y.backward(torch.ones_like(y)) sums; or y.sum().backward()")
            cotangents.append(None)
            continue
        ct = ct if isinstance(ct, Tensor) else Tensor(ct)
        if ct.shape != y.shape:
            raise fault(
                f"Mismatch in shape: grad_output[{i}] has a shape of {ct.shape} and output[{i}] "
                f"has a shape of {y.shape}."
            )
        cotangents.append(ct.cell)
    return [y.cell for y in tensors], cotangents


def _steps(targets: Sequence[Cell]) -> list[Step]:
    """The steps behind the targets; an error if the graph was freed, or is written over."""
    steps = graph.reachable([y.step for y in targets if y.step], lambda cell: not cell.needs)
    for step in steps:
        if step.freed:
            raise fault(SECOND)
        for place, cell in enumerate(step.inputs):
            origin = cell.origin
            if origin is not None and origin.version != origin.box.version:
                _check_version(step, place, cell)
    return steps


def _check_version(step: Step, place: int, cell: Cell) -> None:
    """An error if a derivative reads a value that was written over."""
    read = place in _saved(step.operation)[0]
    made = cell.step is not None and cell.index in _saved(cell.step.operation)[1]
    if not (read or made):
        return
    origin = cell.origin
    made_by = "" if cell.step is None else GradFn(cell.step).name()
    maker = made_by and f", which is output {cell.index} of {made_by},"
    kind = _TYPES.get(cell.type.dtype.name, "Float")
    raise fault(
        WRITTEN.format(kind, list(cell.type.shape), maker, origin.box.version, origin.version)
    )


def _saved(operation: Operation) -> tuple[set[int], set[int]]:
    """Which inputs and which results the derivative of an operation reads."""
    jaxpr = operation.jaxpr
    parts = linearize(jaxpr, tuple(t.is_inexact for t in jaxpr.in_types))
    count = len(jaxpr.outvars)
    known = parts.known
    outs: dict[Any, int] = {y: i for i, y in enumerate(known.outvars[:count])}
    invars: dict[Any, int] = {x: i for i, x in enumerate(known.invars)}
    makers = {v: eqn for eqn in known.equations for v in eqn.outvars}
    inputs, results = set(), set()
    pending: list[Any] = list(known.outvars[count:])
    while pending:
        x = pending.pop()
        if x in outs:
            results.add(outs[x])
        elif x in invars:
            inputs.add(invars[x])
        elif x in makers:
            pending += makers[x].inputs
    return inputs, results


def backward(
    tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None,
    create_graph: bool = False, inputs: Any = None,
) -> None:  # fmt: skip
    """Add the gradients of the tensors to `.grad` of the leaves (or of `inputs`) behind them."""
    tensors = _list(tensors)
    targets, cotangents = _roots(tensors, grad_tensors)
    steps = _steps(targets)
    if inputs is None:
        owners = {y: y.origin.leaf() for y in targets if y.origin is not None and y.origin.leaf}
        for step in steps:
            for cell in step.inputs:
                origin = cell.origin
                if cell.needs and origin is not None and origin.leaf is not None:
                    owners[cell] = origin.leaf()
    else:
        owners = {x.cell: x for x in _list(inputs)}
    sources = list(owners)
    slopes = graph.gradients(targets, sources, cotangents, record=create_graph)
    for cell, slope in zip(sources, slopes, strict=True):
        if slope is not None and owners[cell] is not None:
            _accumulate(owners[cell], slope, create_graph)
    if not (create_graph if retain_graph is None else retain_graph):
        for step in steps:
            step.release()


def _accumulate(x: Tensor, slope: Cell, create_graph: bool) -> None:
    """x.grad += slope; in place, unless derivatives of it may be asked for."""
    slope_tensor = Tensor(slope)
    if x.grad is None:
        x.grad = slope_tensor
    elif create_graph:
        x.grad = x.grad + slope_tensor
    else:
        with no_grad():
            x.grad.write(x.grad + slope_tensor, "backward")


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
    create_graph: bool = False, allow_unused: bool | None = None,
    is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients of the outputs with respect to the inputs; `.grad` stays as it is."""
    outputs, inputs = _list(outputs), _list(inputs)
    for x in inputs:
        if not x.requires_grad:
            raise fault("One of the differentiated Tensors does not require grad")
    targets, cotangents = _roots(outputs, grad_outputs)
    steps = _steps(targets)
    slopes = graph.gradients(targets, [x.cell for x in inputs], cotangents, record=create_graph)
    if not (allow_unused or materialize_grads) and None in slopes:
        raise fault(UNUSED.format(slopes.index(None)))
    if not (create_graph if retain_graph is None else retain_graph):
        for step in steps:
            step.release()
    results = [None if g is None else Tensor(g) for g in slopes]
    if materialize_grads:
        results = [
            Tensor(np.zeros(x.shape, np.float32)) if g is None else g
            for g, x in zip(results, inputs, strict=True)
        ]
    return tuple(results)


class _Functional:
    """`torch.autograd.functional`: derivatives of functions of tensors."""

    @staticmethod
    def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
        """d func / d inputs: one matrix for one input, else a tuple."""
        several = isinstance(inputs, tuple)
        xs = [x if create_graph else x.detach().requires_grad_() for x in _list(inputs)]
        with enable_grad():
            y = func(*xs)
        rows = []
        for i in range(y.shape.numel()):
            unit = np.zeros(y.shape.numel(), y.dtype.numpy)
            unit[i] = 1
            given = Tensor(graph.known(unit.reshape(y.shape)))
            rows.append(grad(y, xs, given, True, create_graph, materialize_grads=True))
        parts = [
            Tensor.functions.stack([row[k] for row in rows]).reshape((*y.shape, *x.shape))
            for k, x in enumerate(xs)
        ]
        return tuple(parts) if several else parts[0]

    @staticmethod
    def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False) -> Any:
        """The second derivative of a scalar function of one tensor."""

        def slope(x: Tensor) -> Tensor:
            return grad(func(x), x, create_graph=True)[0]

        x = inputs if create_graph else inputs.detach().requires_grad_()
        return _Functional.jacobian(slope, x, True) if create_graph else _Functional.jacobian(
            slope, x, True
        ).detach()  # fmt: skip


functional = _Functional


def compile_recording(y: Tensor, inputs: Sequence[Tensor]) -> Any:
    """The recording from inputs to a tensor as a jitted function of arrays; without inputs those
    are the leaves behind it, in the order of their first use."""
    target = y.cell
    sources = [x.cell for x in inputs] or list(
        dict.fromkeys(c for step in _steps([target]) for c in step.inputs if _is_leaf(c))
    )
    return jit(graph.cut([target], sources).function())


def _is_leaf(cell: Cell) -> bool:
    return cell.needs and cell.step is None
