"""autograd's derivatives, by tracejit's.

`argnum` is a position, or a tuple or list of them, for which there is a tuple of derivatives. An
argument is an array, a number, or a list, tuple or dict of these, and so is its gradient.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api import gradients, jacobians, linear_maps
from tracejit.api.checkpointing import checkpoint
from tracejit.api.jit import through_jit
from tracejit.api.recording import positions
from tracejit.compat.autograd.replay import Gradient
from tracejit.errors import ArgumentError, GradError
from tracejit.runtime.arguments import check_callable, name_of
from tracejit.runtime.runner import compiling_repeats
from tracejit.trace.provenance import user_frame

__all__ = [
    "checkpoint", "deriv", "elementwise_grad", "grad", "grad_and_aux", "grad_named", "hessian",
    "hessian_tensor_product", "hessian_vector_product", "holomorphic_grad", "jacobian",
    "make_ggnvp", "make_hvp", "make_jvp", "make_jvp_reversemode", "make_vjp", "multigrad_dict",
    "tensor_jacobian_product", "value_and_grad", "vector_jacobian_product",
]  # fmt: skip

Fun = Callable[..., Any]
Argnum = int | Sequence[int]


# Gradients of functions with one number as their result


def grad(fun: Fun, argnum: Argnum = 0) -> Fun:
    """A function that returns the gradient of `fun`, whose result has one element.

    Raises GradError for a result of more elements, or an argument that is no float.
    """
    check_callable(fun, "grad")
    return through_jit(_grad, fun, argnum)


def value_and_grad(fun: Fun, argnum: Argnum = 0) -> Fun:
    """A function that returns (value, gradient) of `fun`, the value in the shape it has."""
    check_callable(fun, "value_and_grad")
    return through_jit(_value_and_grad, fun, argnum)


def grad_and_aux(fun: Fun, argnum: Argnum = 0) -> Fun:
    """For a `fun` that returns (result, data): a function that returns (gradient, data)."""
    check_callable(fun, "grad_and_aux")

    def scalar(*args: Any, **kwargs: Any) -> Any:
        y, aux = fun(*args, **kwargs)
        return _one(y, "grad_and_aux"), aux

    return gradients.grad(functools.wraps(fun)(scalar), argnum, has_aux=True)


def grad_named(fun: Fun, argname: str) -> Fun:
    """The gradient with respect to the argument of this name, given by position."""
    names = list(inspect.signature(fun).parameters)
    if argname not in names:
        raise ArgumentError(
            f"{name_of(fun)} has no argument {argname!r}", where=user_frame(),
            hint=f"it has {', '.join(names)}",
        )  # fmt: skip
    return grad(fun, names.index(argname))


def multigrad_dict(fun: Fun) -> Fun:
    """A function that returns the gradients with respect to all arguments, by their names."""
    signature = inspect.signature(fun)

    @functools.wraps(fun)
    def gradients_of(*args: Any, **kwargs: Any) -> OrderedDict[str, Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()

        def of_all(arguments: Any) -> Any:
            given = inspect.BoundArguments(signature, arguments)
            return fun(*given.args, **given.kwargs)

        gradient: OrderedDict[str, Any] = grad(of_all)(OrderedDict(bound.arguments))
        return gradient

    return gradients_of


def holomorphic_grad(fun: Fun, argnum: Argnum = 0) -> Fun:
    """The complex derivative of a holomorphic `fun`, whose result has one element: the gradient of
    its real part. Warns where the argument is real."""
    check_callable(fun, "holomorphic_grad")

    def real(*args: Any, **kwargs: Any) -> Any:
        for i in positions(argnum, args, fun):
            if not any(np.iscomplexobj(x) for x in tree.leaves(args[i])):
                warnings.warn("Input to holomorphic_grad is not complex", stacklevel=2)
        return np.real(fun(*args, **kwargs))

    return grad(functools.wraps(fun)(real), argnum)


def _grad(fun: Fun, argnum: Argnum) -> Fun:
    both = _value_and_grad(fun, argnum)

    @functools.wraps(fun, updated=())
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[1]

    return gradient


def _value_and_grad(fun: Fun, argnum: Argnum) -> Fun:
    @functools.wraps(fun, updated=())
    def scalar(*args: Any, **kwargs: Any) -> Any:
        y = fun(*args, **kwargs)
        return _one(y, "grad"), y

    gradient_of = Gradient(scalar, fun, argnum)

    @functools.wraps(fun, updated=())
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        _, value, gradient = gradient_of(args, kwargs)
        return value, gradient

    return value_and_gradient


def _one(y: Any, what: str) -> Any:
    """The result of one element, of shape ()."""
    if tree.structure(y).kind != "leaf" or np.size(y) != 1:
        raise GradError(
            f"{what} only applies to real scalar-output functions, and the result has shape "
            f"{np.shape(y)}", where=user_frame(),
            hint="try jacobian, elementwise_grad or holomorphic_grad",
        )  # fmt: skip
    if np.iscomplexobj(y):
        raise GradError(
            f"{what} only applies to real scalar-output functions, and the result is complex",
            where=user_frame(), hint="try jacobian, elementwise_grad or holomorphic_grad",
        )  # fmt: skip
    return np.reshape(y, ()) if np.shape(y) else y


# Linear maps at a point


def make_vjp(fun: Fun, argnum: Argnum = 0) -> Fun:
    """make_vjp(fun)(*args) is (vjp, value): `vjp` takes a cotangent of the value."""

    def at(*args: Any, **kwargs: Any) -> tuple[Fun, Any]:
        value, pull = linear_maps.vjp(*_unary(fun, argnum, args, kwargs))
        return lambda cotangent: pull(cotangent)[0], value

    return at


def make_jvp(fun: Fun, argnum: Argnum = 0) -> Fun:
    """make_jvp(fun)(*args) is a function: tangent -> (value, tangent of the value)."""

    def at(*args: Any, **kwargs: Any) -> Fun:
        of_x, x = _unary(fun, argnum, args, kwargs)
        return lambda tangent: linear_maps.jvp(of_x, (x,), (tangent,))

    return at


def make_jvp_reversemode(fun: Fun, argnum: Argnum = 0) -> Fun:
    """make_jvp_reversemode(fun)(*args) is a function: tangent -> tangent of the value."""
    push = make_jvp(fun, argnum)
    return lambda *args, **kwargs: lambda tangent: push(*args, **kwargs)(tangent)[1]


def make_hvp(fun: Fun, argnum: Argnum = 0) -> Fun:
    """make_hvp(fun)(*args) is (hvp, gradient): `hvp` takes a vector, and reuses what it can."""

    def at(*args: Any, **kwargs: Any) -> tuple[Fun, Any]:
        of_x, x = _unary(fun, argnum, args, kwargs)
        gradient, push = linear_maps.linearize(grad(of_x), x)
        return push, gradient

    return at


def _half_square(y: Any) -> Any:
    return 0.5 * np.sum(y**2, axis=-1)


def make_ggnvp(f: Fun, g: Fun = _half_square, f_argnum: Argnum = 0) -> Fun:
    """make_ggnvp(f, g)(*args) is v -> J' H J v: J the Jacobian of f, H the Hessian of g at f."""

    def at(*args: Any, **kwargs: Any) -> Fun:
        of_x, x = _unary(f, f_argnum, args, kwargs)
        y, push = linear_maps.linearize(of_x, x)
        pull = linear_maps.linear_transpose(push, x)
        hvp, _ = make_hvp(g)(y)
        return lambda v: pull(hvp(push(v)))[0]

    return at


def deriv(fun: Fun, argnum: Argnum = 0) -> Fun:
    """The derivative in the direction of ones, by forward mode."""

    def derivative(*args: Any, **kwargs: Any) -> Any:
        of_x, x = _unary(fun, argnum, args, kwargs)
        return linear_maps.jvp(of_x, (x,), (tree.map(np.ones_like, x),))[1]

    return functools.wraps(fun)(derivative)


def elementwise_grad(fun: Fun, argnum: Argnum = 0) -> Fun:
    """The gradient of the sum of the result: where element i depends on element i of the argument
    alone, the derivative of each."""
    check_callable(fun, "elementwise_grad")

    def total(*args: Any, **kwargs: Any) -> Any:
        return sum(map(np.sum, tree.leaves(fun(*args, **kwargs))))

    return grad(functools.wraps(fun)(total), argnum)


# Jacobians and Hessians


def jacobian(fun: Fun, argnum: Argnum = 0) -> Fun:
    """The Jacobian by reverse mode, of shape (*result, *argument)."""
    check_callable(fun, "jacobian")
    return through_jit(_repeating, fun, jacobians.jacrev, _argnums(argnum))


def hessian(fun: Fun, argnum: Argnum = 0) -> Fun:
    """The second derivatives, of shape (*result, *argument, *argument)."""
    check_callable(fun, "hessian")
    return through_jit(_repeating, fun, jacobians.hessian, _argnums(argnum))


def hessian_tensor_product(fun: Fun, argnum: Argnum = 0) -> Fun:
    """A function of (*args, v): the Hessian with respect to argument `argnum` times v, which is
    like that argument; forward over reverse mode."""

    def product(*args: Any, **kwargs: Any) -> Any:
        of_x, x = _unary(fun, argnum, args[:-1], kwargs)
        with compiling_repeats():
            return linear_maps.jvp(grad(of_x), (x,), (args[-1],))[1]

    return functools.wraps(fun)(product)


def tensor_jacobian_product(fun: Fun, argnum: Argnum = 0) -> Fun:
    """A function of (*args, w): w times the Jacobian, over all axes of w."""

    def product(*args: Any, **kwargs: Any) -> Any:
        *rest, w = args
        return np.tensordot(w, fun(*rest, **kwargs), axes=np.ndim(w))

    return jacobian(functools.wraps(fun)(product), argnum)


hessian_vector_product = hessian_tensor_product
vector_jacobian_product = tensor_jacobian_product


# Calls


def _repeating(fun: Fun, transform: Callable[..., Fun], argnums: int | tuple[int, ...]) -> Fun:
    """transform(fun, argnums), whose programs are compiled when they come again."""
    derivative = transform(fun, argnums)

    @functools.wraps(fun, updated=())
    def at(*args: Any, **kwargs: Any) -> Any:
        with compiling_repeats():
            return derivative(*args, **kwargs)

    return at


def _argnums(argnum: Argnum) -> int | tuple[int, ...]:
    return argnum if isinstance(argnum, int) else tuple(argnum)


def _unary(
    fun: Fun, argnum: Argnum, args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Fun, Any]:
    """fun as a function of the chosen argument, or of the tuple of them; and that argument."""
    check_callable(fun, "a derivative")
    places = positions(argnum, args, fun)

    def of_x(x: Any) -> Any:
        given = list(args)
        for place, value in zip(places, [x] if isinstance(argnum, int) else x, strict=True):
            given[place] = value
        return fun(*given, **kwargs)

    chosen = tuple([args[i] for i in places])
    return functools.wraps(fun)(of_x), chosen[0] if isinstance(argnum, int) else chosen
