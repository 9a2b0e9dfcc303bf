"""Derivatives: `backward`, `torch.autograd.grad`, and functions with rules of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.api.jit import jit
from tracejit.compat import graph
from tracejit.compat.graph import Cell, Operation, Step
from tracejit.compat.torch import passes
from tracejit.compat.torch import shapes as _shapes  # noqa: F401 - rows of the table
from tracejit.compat.torch.functional import functional
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.kinds import TYPE_NAMES, enable_grad, no_grad, set_grad_enabled
from tracejit.compat.torch.naming import GradFn
from tracejit.compat.torch.passes import Function
from tracejit.compat.torch.tensor import RECORDER, Tensor, fault, settle, waiting
from tracejit.transforms.linearize import linearize

__all__ = [
    "Function", "backward", "enable_grad", "functional", "grad", "no_grad", "set_grad_enabled",
]  # fmt: skip

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
    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
)


#: The values of an array, as constants.
still: Any = FUNCTIONS["stop_gradients"].__wrapped__  # type: ignore[attr-defined]


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
        if step.operation.jaxpr is None:
            continue
        for place, cell in enumerate(step.inputs):
            origin = cell.origin
            if origin is not None and origin.version != origin.box.counted:
                _check_version(step, place, cell)
    return steps


def _check_version(step: Step, place: int, cell: Cell) -> None:
    """An error if a derivative reads a value that was written over. What writes over it itself
    keeps what it reads."""
    origin = cell.origin
    read = step is not origin.writer and place in _saved(step.operation)[0]
    maker = None if cell.step is None else cell.step.operation
    made = maker is not None and maker.jaxpr is not None and cell.index in _saved(maker)[1]
    if not (read or made):
        return
    now = cell if made else origin.box.cell
    made_by = "" if now.step is None else GradFn(now.step).name().removesuffix("Backward0")
    said = made_by and f", which is output {now.index} of {made_by},"
    kind = TYPE_NAMES.get(cell.type.dtype.name, "Float")
    raise fault(
        WRITTEN.format(kind, list(cell.type.shape), said, origin.box.counted, origin.version)
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


def _slopes(
    targets: list[Cell], cotangents: list[Cell | None], sources: list[Cell], steps: list[Step],
    record: bool,
) -> list[Cell | None]:  # fmt: skip
    """The gradients for the sources, by one program, unless Python has a say on the way."""
    if passes.has_stops(targets, steps):
        return passes.gradients(targets, cotangents, sources, steps, record)
    aside = _aside(set(steps))
    looked_at = {} if record else _looked_at(steps)
    beside = [*aside, *looked_at.values()]
    given = cotangents + [None] * len(beside)
    slopes = graph.gradients(targets + beside, sources, given, record=record)
    for cell in aside:
        settle(cell)
    for step, cell in looked_at.items():
        step.values = (cell.value,)
    return slopes


def _looked_at(steps: list[Step]) -> dict[Step, Cell]:
    """The results that were asked for after such a pass before, as results of its program of which
    no derivative is asked. Tells the steps their places, so that more of them become known."""
    key = tuple([step.operation.number for step in steps])
    for i, step in enumerate(steps):
        step.home = key, i
    found = {}
    for i in graph.wanted.get(key, ()):
        step = steps[i]
        if step.values is None and len(step.operation.out_types) == 1:
            result = Tensor(Cell(step.operation.out_types[0], step=step, needs=True))
            found[step] = RECORDER.perform(still, (result,), record=True)
    return found


def _aside(steps: set[Step]) -> list[Cell]:
    """What waits for a value and depends on nothing else than these steps."""
    found: list[Cell] = []
    inside = set(steps)
    for cell in waiting:
        step = cell.step
        if step is None or cell.known is not None:
            continue
        if all(x.step is None or x.known is not None or x.step in inside for x in step.inputs):
            inside.add(step)
            found.append(cell)
    if found:
        among = set(found)
        waiting[:] = [cell for cell in waiting if cell not in among]
    return found


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
    slopes = _slopes(targets, cotangents, sources, steps, create_graph)
    for cell, slope in zip(sources, slopes, strict=True):
        owner = owners[cell]
        if slope is not None and owner is not None:
            _accumulate(owner, _hooked(owner, Tensor(slope)), create_graph)
    if not (create_graph if retain_graph is None else retain_graph):
        for step in steps:
            step.release()


def _hooked(x: Tensor, slope: Tensor) -> Tensor:
    """The gradient of a leaf after its hooks."""
    for hook in list((x._hooks or {}).values()):
        found = hook(slope)
        slope = slope if found is None else found
    return slope


def _accumulate(x: Tensor, slope: Tensor, create_graph: bool) -> None:
    """x.grad += slope; in place, unless derivatives of it may be asked for."""
    if x.grad is None:
        x.grad = slope
    elif create_graph:
        x.grad = x.grad + slope
    else:
        with no_grad():
            x.grad.write(x.grad + slope, "backward")
    for hook in list((x._after or {}).values()):
        hook(x)


def grad(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None,
    create_graph: bool = False, allow_unused: bool | None = None,
    is_grads_batched: bool = False, materialize_grads: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """The gradients of the outputs with respect to the inputs; `.grad` stays as it is."""
    outputs, inputs = _list(outputs), _list(inputs)
    if is_grads_batched:
        raise fault("is_grads_batched=True is not supported here", "call grad for each of them")
    for x in inputs:
        if not x.requires_grad:
            raise fault("One of the differentiated Tensors does not require grad")
    targets, cotangents = _roots(outputs, grad_outputs)
    steps = _steps(targets)
    slopes = _slopes(targets, cotangents, [x.cell for x in inputs], steps, create_graph)
    if not (allow_unused or materialize_grads) and None in slopes:
        raise fault(UNUSED.format(slopes.index(None)))
    if not (create_graph if retain_graph is None else retain_graph):
        for step in steps:
            step.release()
    results = [
        None if g is None else _hooked(x, Tensor(g)) for x, g in zip(inputs, slopes, strict=True)
    ]
    if materialize_grads:
        results = [
            Tensor(graph.known(np.zeros(x.shape, x.dtype.numpy))) if g is None else g
            for g, x in zip(results, inputs, strict=True)
        ]
    return tuple(results)


def compile_recording(y: Tensor, inputs: Sequence[Tensor]) -> Any:
    """The recording from inputs to a tensor as a jitted function of arrays; without inputs those
    are the leaves behind it, in the order of their first use."""
    target = y.cell
    passes.refuse_stops(_steps([target]))
    sources = [x.cell for x in inputs] or list(
        dict.fromkeys(c for step in _steps([target]) for c in step.inputs if _is_leaf(c))
    )
    return jit(graph.cut([target], sources).function())


def _is_leaf(cell: Cell) -> bool:
    return cell.needs and cell.step is None
