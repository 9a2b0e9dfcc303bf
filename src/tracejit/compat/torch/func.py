"""`torch.func`: transforms of functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api.batching import vmap as map_arrays
from tracejit.compat.graph import Cell, cut, known
from tracejit.compat.torch import autograd
from tracejit.compat.torch.functional import functional
from tracejit.compat.torch.kinds import enable_grad
from tracejit.compat.torch.tensor import Tensor, fault, run

__all__ = [
    "functional_call", "grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp",
    "vmap",
]  # fmt: skip


def _watched(x: Any) -> Any:
    """The tensors of a tree, as ones that derivatives are asked of, with the history they have."""
    return tree.map(lambda t: t.view_as(t) if t.requires_grad else t.detach().requires_grad_(), x)


def _slopes(y: Tensor, x: Any, weights: Any = None) -> Any:
    leaves, structure = tree.flatten(x)
    if not y.requires_grad:
        found: Any = [Tensor.functions.zeros_like(t.detach()) for t in leaves]
    else:
        found = autograd.grad(y, leaves, weights, create_graph=True, materialize_grads=True)
    return structure.unflatten(list(found))


def grad_and_value(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Any:
    """(*args) -> (gradient with respect to arguments, value); with has_aux (gradient, (value,
    aux))."""

    def function(*args: Any, **kwargs: Any) -> Any:
        several = isinstance(argnums, tuple)
        places = argnums if several else (argnums,)
        with enable_grad():
            given = list(args)
            for i in places:
                given[i] = _watched(given[i])
            out = func(*given, **kwargs)
            y = out[0] if has_aux else out
            if y.ndim:
                raise fault(
                    "Expected f(*args) to return a scalar tensor, got tensor with "
                    f"{y.ndim} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            slopes = _slopes(y, tuple([given[i] for i in places]))
        outside = any(t.requires_grad for t in tree.leaves(args) if isinstance(t, Tensor))
        found = slopes if several else slopes[0]
        if not outside and not _recording:
            found, out = _plain(found), _plain(out)
        return found, out

    return function


#: How many recordings of `vmap` are being made: what is computed in them stays in them.
_recording: list[None] = []


def _plain(x: Any) -> Any:
    return tree.map(lambda t: t.detach() if isinstance(t, Tensor) else t, x)


def grad(func: Callable[..., Any], argnums: Any = 0, has_aux: bool = False) -> Any:
    """(*args) -> the gradient with respect to arguments; with has_aux (gradient, aux)."""
    both = grad_and_value(func, argnums, has_aux)

    def function(*args: Any, **kwargs: Any) -> Any:
        slopes, out = both(*args, **kwargs)
        return (slopes, out[1]) if has_aux else slopes

    return function


def vjp(func: Callable[..., Any], *primals: Any) -> Any:
    """(func(*primals), function of the cotangent that gives the gradients of the primals)."""
    with enable_grad():
        given = [_watched(x) for x in primals]
        y = func(*given)

    def pull(cotangent: Any) -> Any:
        found = autograd.grad(
            y, given, cotangent, retain_graph=True, create_graph=True, materialize_grads=True
        )
        return tuple([g.detach() for g in found])

    return y.detach(), pull


def jvp(func: Callable[..., Any], primals: Any, tangents: Any) -> Any:
    """(func(*primals), its Jacobian times the tangents)."""
    return functional.jvp(func, tuple(primals), tuple(tangents))


def jacrev(func: Callable[..., Any], argnums: int = 0) -> Any:
    """(*args) -> the Jacobian with respect to an argument."""

    def function(*args: Any) -> Any:
        def of_one(x: Any) -> Any:
            return func(*args[:argnums], x, *args[argnums + 1 :])

        wanted = args[argnums].requires_grad or bool(_recording)
        return functional.jacobian(of_one, args[argnums], create_graph=wanted)

    return function


jacfwd = jacrev


def hessian(func: Callable[..., Any], argnums: int = 0) -> Any:
    """(*args) -> the second derivative with respect to an argument."""

    def function(*args: Any) -> Any:
        def of_one(x: Any) -> Any:
            return func(*args[:argnums], x, *args[argnums + 1 :])

        wanted = args[argnums].requires_grad or bool(_recording)
        return functional.hessian(of_one, args[argnums], create_graph=wanted)

    return function


def vmap(
    func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error",
    chunk_size: int | None = None,
) -> Any:  # fmt: skip
    """func for all parts of the arguments along in_dims at once. It is recorded with the first of
    them: what depends on numbers in Python is as it was for that one."""

    def function(*args: Any) -> Any:
        dims = in_dims if isinstance(in_dims, tuple) else (in_dims,) * len(args)
        leaves, structure = tree.flatten(args)
        axes: list[Any] = []
        for x, d in zip(args, dims, strict=True):
            count = len(tree.leaves(x))
            axes += [d] * count if d is None or isinstance(d, int) else tree.leaves(d)
        tensors = [i for i, x in enumerate(leaves) if isinstance(x, Tensor)]
        stand_ins = list(leaves)
        cells = []
        for i in tensors:
            value = leaves[i].cell.value
            first = value if axes[i] is None else np.take(value, 0, axis=axes[i])
            cell = Cell(known(first).type, np.asarray(first), needs=True)
            cells.append(cell)
            stand_ins[i] = Tensor(cell)
        _recording.append(None)
        try:
            with enable_grad():
                out = func(*structure.unflatten(stand_ins))
        finally:
            _recording.pop()
        outs, out_tree = tree.flatten(out)
        results = [y.cell if isinstance(y, Tensor) else known(y) for y in outs]
        part = cut(results, cells)
        body = part.function(getattr(func, "__name__", "vmapped"))
        mapped = map_arrays(
            body, in_axes=tuple([axes[i] for i in tensors]), out_axes=out_dims
        )
        found = run(mapped, tuple([leaves[i] for i in tensors]))
        several = list(found) if isinstance(found, (list, tuple)) else [found]
        return out_tree.unflatten(several)

    return function


def functional_call(module: Any, parameters_and_buffers: Any, args: Any = None,
                    kwargs: Any = None) -> Any:  # fmt: skip
    """module(*args, **kwargs) with other tensors in the places of its parameters and buffers."""
    given = args if isinstance(args, tuple) else () if args is None else (args,)
    before = []
    try:
        for path, x in dict(parameters_and_buffers).items():
            place, _, name = path.rpartition(".")
            owner = module.get_submodule(place)
            table = owner._parameters if name in owner._parameters else owner._buffers
            if name not in table:
                raise AttributeError(f"{type(owner).__name__} has no parameter or buffer {name!r}")
            before.append((table, name, table[name]))
            table[name] = x
        return module(*given, **(kwargs or {}))
    finally:
        for table, name, x in reversed(before):
            table[name] = x


