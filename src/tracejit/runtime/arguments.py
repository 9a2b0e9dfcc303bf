"""What messages call the leaves of a call: by the names of parameters, and the path below them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tracejit import tree
from tracejit.errors import ArgumentError
from tracejit.trace.provenance import user_frame

BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def name_of(fun: Callable[..., Any]) -> str:
    """What messages, jaxprs and profiles call a function."""
    inner = fun
    while not hasattr(inner, "__name__") and hasattr(inner, "func"):
        inner = inner.func  # functools.partial
    return str(getattr(inner, "__name__", type(inner).__name__))


def parameters_of(fun: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function; none where Python cannot tell."""
    try:
        return list(inspect.signature(fun).parameters.values())
    except (ValueError, TypeError):
        return []


def positional_name(fun: Callable[..., Any], index: int) -> str:
    """The name of a positional argument: `x`, or `args[2]` where it has none."""
    names = [p.name for p in parameters_of(fun) if p.kind in BY_POSITION]
    return names[index] if index < len(names) else f"args[{index}]"


def paths(
    fun: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] | None = None
) -> list[str]:
    """`params['n']`, for each leaf of the arguments, in the order of flatten((args, kwargs))."""
    kwargs = kwargs or {}
    named = [(positional_name(fun, i), arg) for i, arg in enumerate(args)]
    named += [(name, kwargs[name]) for name in sorted(kwargs)]
    return [path for name, arg in named for path in tree.paths(tree.structure(arg), name)]


def argument(
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any] | None,
    index: int,
) -> str:
    """`argument params['n'] of loss`: the name of a leaf."""
    return f"argument {paths(fun, args, kwargs)[index]} of {name_of(fun)}"


def result(fun: Callable[..., Any], out_tree: tree.TreeDef, index: int) -> str:
    """`the result [0] of loss`: the name of a leaf that a function returned."""
    path = tree.paths(out_tree)[index]
    return f"the result{f' {path}' if path else ''} of {name_of(fun)}"


def check_callable(fun: Any, what: str) -> None:
    """Raise unless fun can be called."""
    if not callable(fun):
        raise ArgumentError(
            f"{what} takes a function, not {type(fun).__name__} {fun!r}", where=user_frame()
        )
