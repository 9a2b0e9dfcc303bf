"""Views of programs: the jaxpr of a function, the shapes of its results, every stage of its life.

    make_jaxpr(f)(x)                  the jaxpr
    eval_shape(f, x)                  the result's tree of ShapeDtypeStruct
    stages(f, backend="native")(x)    traced, differentiated, each pass, the machine's own forms
    explain(f, backend="native")(x)   what the backend decided and why; memory, traffic, operations

Arguments may be arrays, or stand for them: `ShapeDtypeStruct((3,), "float64")`. Where Python's `if`
and `while` depend on values, arrays are needed: what is shown is the path that they take.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import numpy as np

from tracejit import tree
from tracejit.api.jit import JitFunction
from tracejit.backends.explanation import Explanation
from tracejit.config import config
from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import ArrayType
from tracejit.passes.stages import Stages
from tracejit.runtime.arguments import check_callable
from tracejit.runtime.programs import (
    Call,
    Compiled,
    Traced,
    compile_traced,
    take_apart,
    trace,
)
from tracejit.runtime.report import listening
from tracejit.runtime.statics import Statics
from tracejit.runtime.values import Name, abstract, canonical, is_number
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer

T = TypeVar("T")


class ShapeDtypeStruct:
    """The shape and dtype of an array that is not there; a leaf of trees."""

    __slots__ = ("dtype", "shape")

    def __init__(self, shape: Sequence[int], dtype: Any):
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ShapeDtypeStruct):
            return NotImplemented
        return (self.shape, self.dtype) == (other.shape, other.dtype)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"ShapeDtypeStruct(shape={self.shape}, dtype={self.dtype})"


def make_jaxpr(
    fun: Callable[..., Any],
    static_argnums: int | Iterable[int] = (),
    *,
    static_argnames: str | Iterable[str] = (),
    return_shape: bool = False,
) -> Callable[..., Any]:
    """A function of the same arguments that returns the jaxpr of `fun`, which prints.

    The jaxpr takes the arrays that `fun` closes over first, then the leaves of the arguments. With
    `return_shape` the result is (jaxpr, the result's tree of ShapeDtypeStruct).
    """
    check_callable(fun, "make_jaxpr")
    statics = _statics(fun, static_argnums, static_argnames)

    @functools.wraps(fun, updated=())
    def jaxpr_of(*args: Any, **kwargs: Any) -> Any:
        traced = trace(_abstract_call(fun, statics, args, kwargs))
        if not return_shape:
            return traced.jaxpr
        return traced.jaxpr, _shapes(traced.out_tree, traced.jaxpr)

    return jaxpr_of


def eval_shape(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The tree of ShapeDtypeStruct of fun(*args, **kwargs), without computing it."""
    check_callable(fun, "eval_shape")
    traced = trace(take_apart(fun, args, kwargs, leaf=abstract))
    return _shapes(traced.out_tree, traced.jaxpr)


def stages(
    fun: Callable[..., Any],
    *,
    backend: str | None = None,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
) -> Callable[..., Stages]:
    """A function of the same arguments that returns every form between `fun` and the machine.

    Of a jitted function it takes over what is static, and the backend. The stages, by name:
    traced; where it differentiates, before that, linearized: known, linearized: linear, transposed
    (or jvp, batched, ...), and then `whole`, the program with its derivative; each pass; and what
    the backend has: kernels, llvm, assembly.
    """
    return _inspected(fun, "stages", backend, static_argnums, static_argnames, _add_texts)


def explain(
    fun: Callable[..., Any],
    *arguments: Any,
    backend: str | None = None,
    static_argnums: int | Iterable[int] = (),
    static_argnames: str | Iterable[str] = (),
) -> Callable[..., Explanation]:
    """A function of the same arguments that returns an `Explanation`: what its backend made of
    `fun`, step by step, with the reason of each decision; it prints.

    Fields: steps, temporary_bytes (in use at a time, neither argument nor result), peak (what lies
    there then), argument_bytes, result_bytes, kept (what the forward part leaves for the
    derivative), bytes_read, bytes_written, flops (estimates), threads. See docs/explain.md.
    Of a jitted function it takes over what is static, and the backend. The arguments are given to
    the function that it returns, `explain(f)(x)`; here they are an ArgumentError.
    """
    if arguments:
        raise ArgumentError(
            f"explain takes a function, and was given {1 + len(arguments)} arguments",
            where=user_frame(), hint="explain(f)(x), not explain(f, x)",
        )  # fmt: skip
    return _inspected(fun, "explain", backend, static_argnums, static_argnames, _explained)


def _add_texts(found: Stages, traced: Traced, compiled: Compiled) -> Stages:
    for name, text in compiled.executable.texts().items():
        found.add(name, text)
    return found


def _explained(found: Stages, traced: Traced, compiled: Compiled) -> Explanation:
    return compiled.executable.explain(traced.name)


def _inspected(
    fun: Callable[..., Any],
    caller: str,
    backend: str | None,
    argnums: int | Iterable[int],
    argnames: str | Iterable[str],
    show: Callable[[Stages, Traced, Compiled], T],
) -> Callable[..., T]:
    """A function of the arguments of `fun` that compiles it for them and returns what `show` sees:
    all that was reported on the way, the traced function, the compiled one."""
    check_callable(fun, caller)
    statics = _statics(fun, argnums, argnames)
    if isinstance(fun, JitFunction):
        statics, backend, fun = fun.statics, backend or fun.backend, fun.__wrapped__

    @functools.wraps(fun, updated=())
    def inspected(*args: Any, **kwargs: Any) -> T:
        found = Stages()
        with listening(found):
            call = _abstract_call(fun, statics, args, kwargs)
            traced = trace(call, finals=True)
            if not traced.closed:
                raise UnsupportedError(
                    f"{caller} of {traced.name}, which uses values of a trace around it",
                    where=user_frame(), hint="ask outside of jit, grad and vmap",
                )  # fmt: skip
            found.add("whole" if len(found) else "traced", traced.jaxpr)
            compiled = compile_traced(traced, call.weak, backend or config.backend)
        return show(found, traced, compiled)

    return inspected


def _statics(
    fun: Callable[..., Any], argnums: int | Iterable[int], argnames: str | Iterable[str]
) -> Statics:
    """The static arguments; an empty collection says nothing, so that the other is inferred."""
    return Statics(fun, None if argnums == () else argnums, None if argnames == () else argnames)  # type: ignore[arg-type]


def _abstract_call(
    fun: Callable[..., Any], statics: Statics, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Call:
    rest, named, fixed = statics.split(args, kwargs)
    return take_apart(fun, rest, named, fixed, leaf=_leaf)


def _leaf(x: Any, name: Name) -> Any:
    """An array or a number as it is, so that its values can decide; else its type."""
    known = hasattr(x, "__array__") or is_number(x)
    return canonical(x, name) if known and not isinstance(x, Tracer) else abstract(x, name)


def _shapes(out_tree: tree.TreeDef, jaxpr: Jaxpr) -> Any:
    return out_tree.unflatten([_struct(t) for t in jaxpr.out_types])


def _struct(type: ArrayType) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(type.shape, type.dtype)
