"""`torch.autograd.functional`: derivatives of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit.compat import graph
from tracejit.compat.torch.kinds import enable_grad
from tracejit.compat.torch.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _several(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (tuple, list)) else [x]


def _like(x: Any, found: Any) -> Any:
    """As a tuple where x is one, else the only one."""
    return tuple(found) if isinstance(x, (tuple, list)) else found[0]


def _grad(*args: Any, **kwargs: Any) -> Any:
    return Tensor.functions.autograd_grad(*args, materialize_grads=True, **kwargs)


def _fresh(inputs: Any, create_graph: bool) -> list[Any]:
    """The inputs as tensors that require gradients and have no history but what is wanted."""
    if create_graph:
        return [x if x.requires_grad else x.detach().requires_grad_() for x in _several(inputs)]
    return [x.detach().clone().requires_grad_() for x in _several(inputs)]


def _done(x: Any, create_graph: bool) -> Any:
    if isinstance(x, tuple):
        return tuple([_done(y, create_graph) for y in x])
    return x if create_graph else x.detach()


def _rows(y: Any, xs: list[Any], create_graph: bool) -> list[Any]:
    """d y / d x for each x."""
    if not y.requires_grad:
        shapes = [(*y.shape, *x.shape) for x in xs]
        return [Tensor(graph.known(np.zeros(s, y.dtype.numpy))) for s in shapes]
    rows = []
    for i in range(y.shape.numel()):
        unit = np.zeros(y.shape.numel(), y.dtype.numpy)
        unit[i] = 1
        given = Tensor(graph.known(unit.reshape(y.shape)))
        rows.append(_grad(y, xs, given, retain_graph=True, create_graph=create_graph))
    return [
        Tensor.functions.stack([row[k] for row in rows]).reshape((*y.shape, *x.shape))
        for k, x in enumerate(xs)
    ]


def jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """d func / d inputs: a matrix for one input and output, else tuples, by output, then input."""
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        y = func(*xs)
        found = [_like(inputs, _rows(part, xs, create_graph)) for part in _several(y)]
    return _done(_like(y, found), create_graph)


def hessian(
    func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
    vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The second derivative of a scalar function; for several inputs tuples of tuples."""

    def slope(*xs: Any) -> Any:
        return _like(inputs, _grad(func(*xs), list(xs), create_graph=True))

    return jacobian(slope, inputs, create_graph)


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> Any:  # fmt: skip
    """(the function's value, v^T times its Jacobian)."""
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        y = func(*xs)
        slopes = _grad(_several(y), xs, v, create_graph=create_graph)
    return _done(y, create_graph), _done(_like(inputs, slopes), create_graph)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> Any:  # fmt: skip
    """(the function's value, its Jacobian times v): the derivative of v^T J with respect to v."""
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        y = func(*xs)
        ys = _several(y)
        weights = [Tensor(graph.known(np.zeros(z.shape, z.dtype.numpy))) for z in ys]
        weights = [w.requires_grad_() for w in weights]
        slopes = _grad(ys, xs, weights, create_graph=True)
        ones = [Tensor.functions.ones_like(x.detach()) for x in xs] if v is None else v
        tangents = _grad(list(slopes), weights, ones, create_graph=create_graph)
    return _done(y, create_graph), _done(_like(y, tangents), create_graph)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False,
        strict: bool = False) -> Any:  # fmt: skip
    """(the value of a scalar function, its second derivative times v)."""
    with enable_grad():
        xs = _fresh(inputs, create_graph)
        y = func(*xs)
        slopes = _grad(y, xs, create_graph=True)
        found = _grad(list(slopes), xs, v, create_graph=create_graph)
    return _done(y, create_graph), _done(_like(inputs, found), create_graph)


vhp = hvp

functional = SimpleNamespace(
    hessian=hessian, hvp=hvp, jacobian=jacobian, jvp=jvp, vhp=vhp, vjp=vjp
)
