"""What the derivative of a function keeps, told to people; and `checkpoint`, which changes it.

    print_saved_residuals(f, x)      f64[3] from the argument x
                                     f64[3] output of cos from model.py:12 (f)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit import tree
from tracejit.api.inspect import make_jaxpr
from tracejit.control.checkpointing import checkpoint, checkpoint_policies
from tracejit.ir.atoms import Atom
from tracejit.ir.graph import Equation
from tracejit.ir.types import ArrayType
from tracejit.transforms.linearize import linearize

remat = checkpoint

__all__ = [
    "checkpoint", "checkpoint_policies", "print_saved_residuals", "remat", "saved_residuals",
]  # fmt: skip


def saved_residuals(
    fun: Callable[..., Any], *args: Any, **kwargs: Any
) -> list[tuple[ArrayType, str]]:
    """What the derivative of fun(*args, **kwargs) in reverse mode keeps of it: type, and where it
    comes from. What a loop keeps of all its rounds is one array, or a tape."""
    jaxpr = make_jaxpr(fun)(*args, **kwargs)
    parts = linearize(jaxpr, tuple(t.is_inexact for t in jaxpr.in_types))
    paths = tree.paths(tree.structure((args, kwargs)), "")
    captured = len(jaxpr.invars) - len(paths)
    origin: dict[Atom, str] = {
        v: "a constant" if i < captured else f"the argument {_argument(paths[i - captured])}"
        for i, v in enumerate(jaxpr.invars)
    }
    inputs = dict(zip(parts.known.invars, origin.values(), strict=True))
    made = {v: _made(e) for e in parts.known.equations for v in e.outvars}
    residuals = parts.known.outvars[len(parts.known.outvars) - parts.residuals :]
    return [
        (v.type, f"from {inputs[v]}" if v in inputs else made.get(v, "a literal"))  # type: ignore
        for v in dict.fromkeys(residuals)
    ]


def _argument(path: str) -> str:
    """A path in (args, kwargs), as one in the call."""
    place, _, rest = path.removeprefix("[").partition("]")
    return rest.lstrip("[").replace("]", "", 1) if place in "01" else path


def _made(eqn: Equation) -> str:
    name = eqn.params.get("name")
    named = f"named {name!r}" if eqn.primitive.name == "name" else f"output of {eqn.primitive.name}"
    place = eqn.provenance
    where = f" from {place.file}:{place.line} ({place.function})" if place.file else ""
    return named + where


def print_saved_residuals(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Print what the derivative of fun(*args, **kwargs) keeps, a line each."""
    for type, origin in saved_residuals(fun, *args, **kwargs):
        print(f"{type} {origin}")
