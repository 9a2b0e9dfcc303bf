"""custom_jvp, custom_vjp, custom_gradient, closure_convert: derivatives that the user gives.

    @custom_jvp                              @custom_vjp
    def f(x): ...                            def f(x): ...
    @f.defjvp                                f.defvjp(lambda x: (f(x), x), lambda x, ct: (ct * x,))
    def rule(xs, ts): ...

Names and meaning are those of JAX. A rule is traced when a derivative needs it;
what it makes is a program like any other: it is differentiated again, batched, compiled.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.custom import custom_jvp_call, custom_vjp_call
from tracejit.control.custom_closure import closed_over
from tracejit.control.custom_rules import Fixed, JvpByUser, Use, VjpByUser
from tracejit.control.custom_values import CustomVJPPrimal, SymbolicZero, ask, pair
from tracejit.control.staging import Body, as_leaves, leaf_type, stage_body
from tracejit.errors import ArgumentError, NoRuleError, TracerError
from tracejit.ir.atoms import is_zero
from tracejit.runtime.arguments import BY_POSITION, check_callable, name_of, parameters_of
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.stage import apply, is_weak
from tracejit.trace.tracer import Tracer, bind, current_trace, is_traced

__all__ = [
    "CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp",
    "custom_vjp",
]  # fmt: skip

Function = Callable[..., Any]


class WithRules:
    """A function with rules: what `custom_jvp`, `custom_vjp` and `custom_vmap` share.

    kind: what messages call it. rules: what the user has given.
    """

    kind = ""

    def __init__(
        self, fun: Function, nondiff_argnums: int | Sequence[int] = (),
        nondiff_argnames: str | Sequence[str] = (),
    ):  # fmt: skip
        check_callable(fun, self.kind)
        functools.update_wrapper(self, fun)  # type: ignore[arg-type]
        self.__wrapped__ = fun
        self.name = name_of(fun)
        self.rules: tuple[Function, ...] = ()
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else nondiff_argnums
        names = (nondiff_argnames,) if isinstance(nondiff_argnames, str) else nondiff_argnames
        if not all(type(i) is int for i in numbers):
            raise ArgumentError(
                f"{self.kind}: nondiff_argnums={nondiff_argnums!r} are no positions",
                where=user_frame(), hint="names of arguments go into nondiff_argnames",
            )  # fmt: skip
        self._parameters = parameters_of(fun)
        self.nondiff = tuple(sorted({*numbers, *[self._place(name) for name in names]}))
        self._arity = len(self._parameters) if self._is_simple() else None

    def _is_simple(self) -> bool:
        """Whether arguments by position are all that there is to resolve, if they are complete."""
        return bool(self._parameters) and all(p.kind in BY_POSITION for p in self._parameters)

    def _place(self, name: str) -> int:
        """The position of a parameter."""
        parameters = [p.name for p in self._parameters]
        if name not in parameters:
            raise ArgumentError(
                f"{self.kind}: {self.name} has no argument {name!r}", where=user_frame()
            )
        return parameters.index(name)

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """The arguments of a call by position, with the defaults; ArgumentError where they do not
        fit, or where some can be given by keyword alone."""
        if not kwargs and self._arity == len(args):
            return args
        if isinstance(self.__wrapped__, (np.ufunc, functools.partial)) and not kwargs:
            return args
        try:
            bound = inspect.signature(self.__wrapped__).bind(*args, **kwargs)
        except TypeError as error:
            method = bool(self._parameters) and self._parameters[0].name == "self"
            raise ArgumentError(
                f"the arguments of {self.kind} function {self.name}: {error}", where=user_frame(),
                hint="as in JAX it is not bound to an object: give it as the first argument"
                if method else None,
            ) from None  # fmt: skip
        except ValueError:  # no signature
            return args
        bound.apply_defaults()
        if bound.kwargs:
            raise ArgumentError(
                f"{self.kind} function {self.name}: the keyword arguments "
                f"{', '.join(bound.kwargs)} could not be resolved to positions",
                where=user_frame(), hint="rules get their arguments by position",
            )  # fmt: skip
        return bound.args

    def divide(self, args: tuple[Any, ...]) -> tuple[Fixed, tuple[Any, ...]]:
        """The arguments that are not differentiated, and the others."""
        count = len(args)
        for i in self.nondiff:
            if not -count <= i < count:
                raise ArgumentError(
                    f"{self.kind} function {self.name}: nondiff_argnums has {i}, and the call has "
                    f"{count} arguments", where=user_frame(),
                )  # fmt: skip
        places = tuple(sorted(i % count for i in self.nondiff))
        rest = tuple([x for i, x in enumerate(args) if i not in places])
        return Fixed(places, tuple([args[i] for i in places])), rest

    def is_plain(self, args: tuple[Any, ...]) -> bool:
        """Whether a call computes numbers and no program, so that no rule can matter."""
        if current_trace() is None and not any(isinstance(x, Tracer) for x in tree.leaves(args)):
            return True
        given = is_traced(*[x for x in tree.leaves(args) if isinstance(x, Tracer)])
        return not given and not closed_over(self.__wrapped__, *self.rules, args)

    def missing(self, what: str, how: str) -> NoRuleError:
        return NoRuleError(
            f"No {what} defined for {self.kind} function {self.name} using {how}",
            where=user_frame(), hint=f"give it one: {self.name}.{how}(...)",
        )  # fmt: skip

    def __reduce__(self) -> Any:
        """A decorated function of a module is known by its name, as functions are."""
        fun, found = self.__wrapped__, sys.modules.get(self.__module__)
        for name in getattr(fun, "__qualname__", "").split("."):
            found = getattr(found, name, None)
        return fun.__qualname__ if found is self else super().__reduce__()

    def __repr__(self) -> str:
        return f"<{self.kind} of {self.__wrapped__!r}>"


class custom_jvp(WithRules):
    """A function whose jvp the user gives, as `jax.custom_jvp`; it serves forward and reverse mode.

        @custom_jvp
        def f(x, y): return np.sin(x) * y

        @f.defjvp
        def f_jvp(primals, tangents):
            (x, y), (s, t) = primals, tangents
            return f(x, y), np.cos(x) * s * y + np.sin(x) * t

    fun takes and returns trees of arrays; defaults and keywords are resolved to positions.
    nondiff_argnums, nondiff_argnames: arguments that the rule gets ahead of the others, as they
    are: functions, options. For reverse mode the rule has to be linear in the tangents. Values that
    fun or its rule close over are constants: a derivative with respect to them is a GradError.
    """

    kind = "custom_jvp"
    symbolic_zeros = False

    def defjvp(self, jvp: Function, symbolic_zeros: bool = False) -> Function:
        """Give the rule: `jvp(*nondiff, primals, tangents) -> (result, its tangent)`; returns it.

        The tangent has the structure, shapes and dtypes of the result, float0 for integers. A
        tangent that is zero is an array of zeros, or, with symbolic_zeros, a `SymbolicZero`, which
        the rule may return, too.
        """
        check_callable(jvp, "defjvp")
        self.rules, self.symbolic_zeros = (jvp,), symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Function | None) -> None:
        """Give a rule for each argument, `jvp(t, result, *primals)`, None for zero; the tangent of
        the result is their sum."""
        if self.nondiff:
            raise ArgumentError(
                "Can't use defjvps with nondiff_argnums", where=user_frame(),
                hint="give one rule for all arguments with defjvp",
            )  # fmt: skip

        given = [rule for rule in jvps if rule is not None]
        for rule in given:
            check_callable(rule, "defjvps")

        @functools.wraps(given[0] if given else self.__wrapped__)
        def jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            if len(jvps) != len(primals):
                raise ArgumentError(
                    f"defjvps of {self.name} got {len(jvps)} rules, and the function has "
                    f"{len(primals)} arguments", where=function_place(jvp),
                    hint="give a rule for each argument, None for zero",
                )  # fmt: skip
            out, what = self(*primals), f"Custom JVP rule of {self.name}"
            takes = f"(tangent, result, {len(primals)} arguments)"
            parts = [
                ask(rule, what, takes, t, out, *primals)
                for rule, t in zip(jvps, tangents, strict=True)
                if rule is not None and not _nothing(t)
            ]
            zeros = tree.map(lambda y: SymbolicZero(leaf_type(as_leaves([y], _LEAF, "")[0])), out)
            return out, tree.map(_sum, zeros, *parts)

        self.rules = (jvp, *given)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = self.positional(args, kwargs)
        if not self.rules:
            raise self.missing("JVP", "defjvp")
        if self.is_plain(args):
            return self.__wrapped__(*args)
        fixed, rest = self.divide(args)
        use = Use(self.__wrapped__, rest, self.rules, self.name, fixed)
        by_user = JvpByUser(use, self.rules[0], self.symbolic_zeros)
        outs = bind(
            custom_jvp_call, *use.operands, jaxpr=use.jaxpr, rule=by_user,
            num_consts=len(use.consts), name=self.name,
        )  # fmt: skip
        return use.out_structure.unflatten(outs)


_LEAF = tree.structure(0)


def _nothing(t: Any) -> bool:
    """Whether all of a tangent is known to be zero."""
    return all(not isinstance(x, Tracer) or is_zero(x.atom) for x in tree.leaves(t))


def _sum(zero: SymbolicZero, *parts: Any) -> Any:
    return functools.reduce(lambda a, b: a + b, parts) if parts else zero


class custom_vjp(WithRules):
    """A function whose reverse mode the user gives, as `jax.custom_vjp`.

        @custom_vjp
        def clip_gradient(lo, hi, x): return x

        clip_gradient.defvjp(
            lambda lo, hi, x: (x, (lo, hi)),                                 # result, residuals
            lambda res, ct: (None, None, np.clip(ct, *res)),                 # cotangents
        )

    fun takes and returns trees of arrays; defaults and keywords are resolved to positions.
    nondiff_argnums, nondiff_argnames: arguments, no arrays that are traced, that bwd gets ahead of
    the residuals; fwd gets them in their places. Forward mode through it is a GradError; higher
    derivatives take apart what the rules do.
    """

    kind = "custom_vjp"
    symbolic_zeros = False

    def defvjp(
        self, fwd: Function, bwd: Function, symbolic_zeros: bool = False,
        optimize_remat: bool = False,
    ) -> None:  # fmt: skip
        """Give the rules: `fwd(*args) -> (result, residuals)` and
        `bwd(*nondiff, residuals, ct) -> (ct of each argument)`.

        A cotangent has the structure, shapes and dtypes of its argument; None stands for zeros.
        symbolic_zeros: fwd gets `CustomVJPPrimal(value, perturbed)` for each array, and bwd a
        `SymbolicZero` for a cotangent that is zero. optimize_remat: accepted for JAX's sake; what
        nobody reads is never computed.
        """
        check_callable(fwd, "defvjp")
        check_callable(bwd, "defvjp")
        self.rules, self.symbolic_zeros = (fwd, bwd), symbolic_zeros

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args = self.positional(args, kwargs)
        if not self.rules:
            raise self.missing("VJP", "defvjp")
        if self.is_plain(args):
            return self.__wrapped__(*args)
        fixed, rest = self.divide(args)
        self._refuse_traced(fixed)
        use = Use(self.__wrapped__, rest, self.rules, self.name, fixed)
        fwd, bwd = self.rules
        by_user = VjpByUser(use, fwd, bwd, self.symbolic_zeros)
        outs = bind(
            custom_vjp_call, *use.operands, jaxpr=use.jaxpr, rule=by_user,
            num_consts=len(use.consts), name=self.name,
        )  # fmt: skip
        return use.out_structure.unflatten(outs)

    def _refuse_traced(self, fixed: Fixed) -> None:
        if any(isinstance(x, Tracer) for x in tree.leaves(fixed.values)):
            raise TracerError(
                f"a traced value is passed to the custom_vjp function {self.name} for an argument "
                "of nondiff_argnums", where=user_frame(),
                hint="those are for functions and options: leave arrays out of nondiff_argnums, "
                "and return None as their cotangent",
            )  # fmt: skip


def custom_gradient(fun: Function) -> custom_vjp:
    """A function that returns its result and its vjp, as `jax.custom_gradient`.

        @custom_gradient
        def f(x): return x ** 2, lambda ct: 3.0 * x * ct

    The vjp takes a cotangent of the result and returns a tuple with a cotangent for each argument,
    or the cotangent of the only one.
    """
    check_callable(fun, "custom_gradient")

    def both(*args: Any, **kwargs: Any) -> tuple[Any, Function]:
        what = f"the function {name_of(fun)} of custom_gradient"
        out, pull = pair(fun(*args, **kwargs), fun, what, "of its result and its vjp")
        check_callable(pull, "custom_gradient")
        return out, pull

    @functools.wraps(fun)
    def value(*args: Any, **kwargs: Any) -> Any:
        return both(*args, **kwargs)[0]

    @functools.wraps(fun)
    def fwd(*args: Any) -> tuple[Any, Any]:
        out, pull = both(*args)
        body = _staged(pull, (out,), name_of(fun))

        def back(captured: Sequence[Any], ct: Any) -> Any:
            return _apply(body, captured, ct)

        return out, tree.Partial(back, list(body.captured))

    @functools.wraps(fun)
    def bwd(residuals: Any, ct: Any) -> Any:
        cts = residuals(ct)
        return cts if isinstance(cts, tuple) else (cts,)

    wrapped = custom_vjp(value)
    wrapped.defvjp(fwd, bwd)
    return wrapped


def _staged(fun: Function, args: tuple[Any, ...], name: str) -> Body:
    """A function of arguments like these, staged in the current trace."""
    given, structure = tree.flatten(args)
    leaves = as_leaves(given, structure, f"the arguments of {name}")
    return stage_body(fun, structure, [*map(leaf_type, leaves)], [*map(is_weak, given)], name)


def _apply(body: Body, captured: Sequence[Any], *args: Any) -> Any:
    """Call a staged function, with other values for what it closes over."""
    leaves = as_leaves(*tree.flatten(args), "the arguments")
    return body.structure.unflatten(apply(body.jaxpr, [*captured, *leaves]))


def closure_convert(fun: Function, *example_args: Any) -> tuple[Function, list[Any]]:
    """(converted, consts) with converted(*args, *consts) == fun(*args), as `jax.closure_convert`.

    consts: the traced floats that fun closes over. So a function that is passed to a custom_vjp
    function is differentiated with respect to what it closes over: pass the consts, too.
    """
    check_callable(fun, "closure_convert")
    body = _staged(fun, example_args, name_of(fun))
    hoisted = [isinstance(x, Tracer) and x.aval.is_inexact for x in body.captured]
    consts = [x for x, on in zip(body.captured, hoisted, strict=True) if on]
    kept = [None if on else x for x, on in zip(body.captured, hoisted, strict=True)]
    open_body = replace(body, captured=())
    structure = tree.structure(example_args)

    def converted(*args: Any) -> Any:
        count = len(args) - len(consts)
        own, given = args[:count], iter(args[count:])
        if tree.structure(own) != structure:
            raise ArgumentError(
                f"the closure-converted {name_of(fun)} takes arguments like the examples, and then "
                f"{len(consts)} values that it closes over", where=function_place(fun),
            )  # fmt: skip
        captured = [next(given) if on else x for x, on in zip(kept, hoisted, strict=True)]
        return _apply(open_body, captured, *own)

    return converted, consts
