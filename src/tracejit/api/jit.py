"""jit: a function traced once for each kind of arguments, compiled, and called as machine code."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from tracejit.api.bound import BoundCall, bound_call, check_concrete
from tracejit.backends import NEEDS
from tracejit.backends.native.callable import NativeCallable, uninstall
from tracejit.config import Config, config
from tracejit.errors import ArgumentError, BackendError, did_you_mean
from tracejit.ir.graph import Jaxpr
from tracejit.runtime.arguments import check_callable, name_of
from tracejit.runtime.native_calls import Setting, admit, install_entry, kinds
from tracejit.runtime.once import Once
from tracejit.runtime.paths import Paths
from tracejit.runtime.programs import (
    Call,
    Compiled,
    Traced,
    bind_call,
    compile_traced,
    fit,
    take_apart,
    trace,
)
from tracejit.runtime.statics import Statics
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import is_traced


class JitFunction(NativeCallable):
    """What `jit` returns; `__wrapped__` is the function."""

    def __init__(
        self,
        fun: Callable[..., Any],
        statics: Statics,
        backend: str | None,
        threads: int | None,
        donates: bool,
    ):
        functools.update_wrapper(self, fun, updated=())
        self.statics = statics
        self.backend = backend
        self.threads = threads
        self.donates = donates
        self._traces: Once[Traced] = Once()
        self._programs: Once[Compiled] = Once()

    def _miss(self, *args: Any, **kwargs: Any) -> Any:
        """The call, where no machine code takes it at once."""
        if config.disable_jit:
            return self.__wrapped__(*args, **kwargs)
        call, key = self._take(args, kwargs)
        if is_traced(*call.leaves):
            return bind_call(self._traced(call, key), call)
        backend = self.backend or config.backend
        compiled = self._programs.get((key, backend))
        if compiled is None:
            traced = self._traced(call, key)
            if not traced.closed:
                return bind_call(traced, call)
            compiled = self._compiled(fit(traced, call, backend), call, key, backend)
        if compiled.paths is None:
            result = compiled(call)
        else:
            compiled, result = compiled.paths(call)
        if compiled is not None:
            self._enter(compiled.head, call, backend)
        return result

    def _enter(self, compiled: Compiled, call: Call, backend: str) -> None:
        """Let later calls of this kind go to machine code at once, where the backend has that."""
        kind = kinds(call.given)
        follows_threads = getattr(compiled.executable, "follows_threads", False)
        setting = Setting(config.tracing, None if self.backend else backend, follows_threads)
        admit(setting)
        if kind not in compiled.entered:
            compiled.entered.add(kind)
            install_entry(
                self, compiled.executable, call.args, call.kwargs, call.fixed, compiled.result,
                setting, self.donates, compiled.assigned,
            )  # fmt: skip

    def _take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Call, Any]:
        """The call taken apart, and the key of its trace."""
        rest, named, fixed = self.statics.split(args, kwargs)
        call = take_apart(self.__wrapped__, rest, named, fixed)
        return call, (call.types_key(), self.statics.key(fixed))

    def _compiled(self, traced: Traced, call: Call, key: Any, backend: str) -> Compiled:
        """The program of a function that was traced for this call: of several paths the first."""
        compile = functools.partial(
            compile_traced, weak=call.weak, backend=backend, threads=self.threads
        )

        def make() -> Compiled:
            root = compile(traced)
            return Paths(root, compile).root if traced.answers else root

        return self._programs.make((key, backend), make)

    def bind(self, /, *args: Any, out: Any = None, **kwargs: Any) -> BoundCall:
        """This function for these very arguments: `call()` computes its result without looking at
        anything, allocating anything, or running any Python. See `bound.BoundCall`.

        Arrays among the arguments are read in place at each call; they are C-contiguous and
        aligned. Numbers and static arguments stay as they are. out: a tree of arrays for the
        results, like the result of the function; without it there are fresh ones. An argument of
        the function that is called `out`, too, is given by position.

        Raises ArgumentError for an array that cannot be used in place, or that overlaps with an
        array of `out`; TreeError, ShapeError or DTypeError where `out` differs from the result.
        """
        call, key = self._take(args, kwargs)
        check_concrete(call, call.leaves)
        backend = self.backend or config.backend
        traced = fit(self._traced(call, key), call, backend)
        check_concrete(call, traced.captured)
        compiled = self._compiled(traced, call, key, backend)
        if compiled.paths is not None:
            compiled = compiled.paths.program(traced)
        return bound_call(compiled, call, out)

    def _traced(self, call: Call, key: Any) -> Traced:
        """The traced function; kept unless it holds values of a trace around it."""
        known = self._traces.get(key)
        return known or self._traces.make(
            key, lambda: trace(call, finals=True), keep=lambda t: t.serves_all
        )

    def trace(self, *args: Any, **kwargs: Any) -> Jaxpr:
        """The jaxpr for such arguments: captured arrays first, then the leaves of the arguments."""
        call, key = self._take(args, kwargs)
        return self._traced(call, key).jaxpr

    def like(self, fun: Callable[..., Any]) -> JitFunction:
        """Another function of the same arguments, compiled in the same manner."""
        statics = Statics(fun, self.statics.argnums, self.statics.argnames)
        return JitFunction(fun, statics, self.backend, self.threads, self.donates)

    @property
    def cache_size(self) -> int:
        """How many programs have been compiled: one for each path through the function."""
        return sum(1 if p.paths is None else len(p.paths) for p in self._programs.values())

    def clear_cache(self) -> None:
        """Forget what was traced and compiled."""
        uninstall(self)
        self._traces.clear()
        self._programs.clear()

    def __reduce__(self) -> str:
        """Pickled by name, as functions are."""
        return str(self.__qualname__)

    def __repr__(self) -> str:
        return f"<jit of {self.__wrapped__!r}>"


def jit(
    fun: Callable[..., Any] | None = None,
    /,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Iterable[str] | None = None,
    backend: str | None = None,
    threads: int | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Iterable[str] | None = None,
    keep_unused: bool = False,
    inline: bool = False,
) -> Any:
    """`fun`, compiled for each structure, dtypes and shapes of its arguments, as `jax.jit`.

        @jit                                    @jit(static_argnames="n")
        def f(x): ...                           def g(x, n): ...

    static_argnums, static_argnames: arguments that belong to the program: any values with == and
        hash. One is inferred from the other.
    backend: "native", "eager" or "xla"; None takes `config.backend` at each call.
    threads: how many threads a call may use, at most, whatever `config.threads` says then. On the
        native backend; a function called by a compiled one runs on the threads of that one.
    donate_argnums, donate_argnames: arguments that the caller does not need after a call, as in
        `params = step(params)`. Results of any size are then kept, and filled again once nobody
        holds them any more; without it, small ones are. What somebody holds is never overwritten,
        donated or not.
    keep_unused, inline: accepted for JAX's sake, without effect; a pass inlines nested calls.

    Arguments are arrays, numbers, and trees of them. Results are fresh ndarrays, and NumPy scalars
    for rank 0. The function runs once for each kind of arguments, on tracers; what it does besides
    computing its result (printing, appending) happens then.
    """
    if fun is None:
        return functools.partial(
            jit, static_argnums=static_argnums, static_argnames=static_argnames, backend=backend,
            threads=threads, donate_argnums=donate_argnums, donate_argnames=donate_argnames,
        )  # fmt: skip
    check_callable(fun, "jit")
    if backend is not None and backend not in NEEDS:
        raise BackendError(
            f"there is no backend {backend!r}",
            where=user_frame(),
            hint=did_you_mean(backend, NEEDS),
        )
    if threads is not None and (type(threads) is not int or threads < 1):
        raise ArgumentError(
            f"threads must be a whole number of at least 1, not {threads!r}", where=user_frame()
        )
    statics = Statics(fun, static_argnums, static_argnames)
    donated = Statics(fun, donate_argnums, donate_argnames, "donate")
    if both := {*statics.argnums} & {*donated.argnums} or {*statics.argnames} & {*donated.argnames}:
        raise ArgumentError(
            f"arguments {sorted(both)} of {name_of(fun)} are static and donated",
            where=user_frame(),
            hint="a static argument has no memory that a result could use",
        )
    donates = bool(donated.argnums or donated.argnames)
    return JitFunction(fun, statics, backend, threads, donates)


def through_jit(
    transform: Callable[..., Callable[..., Any]], fun: Callable[..., Any], *options: Any
) -> Callable[..., Any]:
    """transform(fun, *options); of a jitted function it is jitted, too: what the user wanted
    compiled stays compiled in grad(jit(f)).
    """
    if isinstance(fun, JitFunction):
        return fun.like(transform(fun.__wrapped__, *options))
    return transform(fun, *options)


def debug_nans(raises: bool = True) -> AbstractContextManager[Config]:
    """In this block, NaN in the result of a compiled function, or of an eager derivative, is a
    NonFiniteError (a FloatingPointError) that says where it arose: docs/numerics.md."""
    return config.override(debug_nans=raises)


def debug_infs(raises: bool = True) -> AbstractContextManager[Config]:
    """As `debug_nans`, for infinity."""
    return config.override(debug_infs=raises)


def disable_jit(disable: bool = True) -> AbstractContextManager[Config]:
    """In this block, functions that `jit` decorates run as plain Python."""
    return config.override(disable_jit=disable)
