"""Native entries: later calls like this one go straight to machine code.

An entry sees the arguments, but not the configuration. So it has a gate for the configuration it
was compiled under, which is open only while that one holds in every thread: `config.update` opens
one gate and closes another; a block (`with config(...)`), which holds in one thread, closes them
while it lasts, and calls take the path through Python, slower by some microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from tracejit import tree
from tracejit.backends.native.call_signature import (
    CallSignature,
    Dict,
    Leaf,
    List,
    Node,
    NoneNode,
    Static,
    Tuple,
    describe,
)
from tracejit.backends.native.callable import Gate, NativeCallable, install, installed
from tracejit.backends.protocol import Executable
from tracejit.config import TRACING, config
from tracejit.ir.types import ArrayType
from tracejit.runtime.statics import Fixed

#: A callable asks its entries one by one; with more kinds of calls than this the rest goes through
#: Python.
MOST_ENTRIES = 32


class Setting(NamedTuple):
    """What a compiled call depends on beside its arguments: the values of config's knobs `TRACING`,
    and the backend, or None if jit was told one."""

    tracing: tuple[Any, ...]
    backend: str | None

    def holds(self) -> bool:
        """Whether it holds in every thread."""
        return (
            config.for_all("disable_jit") is False
            and tuple(map(config.for_all, TRACING)) == self.tracing
            and self.backend in (None, config.for_all("backend"))
        )


@cache
def gate_of(setting: Setting) -> Gate:
    """The gate that is open while the setting holds."""
    gate = Gate()

    def adjust() -> None:
        gate.is_open = setting.holds()

    config.watch(adjust)
    return gate


def install_entry(
    obj: NativeCallable,
    executable: Executable,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    fixed: Fixed,
    result: Node | None,
    setting: Setting,
) -> None:
    """Let later calls with arguments like these enter the executable, where both can do that.

    args, kwargs: without the static arguments, which are in `fixed` (see statics.py).
    """
    make = getattr(executable, "entry", None)
    if make is None or result is None or len(installed(obj)) >= MOST_ENTRIES:
        return
    statics: dict[int | str, Node | None] = {place: Static(x) for place, x in fixed}
    positional = [statics.get(i) or argument_node(x) for i, x in enumerate(args)]
    named = [(name, argument_node(kwargs[name])) for name in sorted(kwargs)]
    named += [(name, node) for name, node in statics.items() if isinstance(name, str)]
    nodes = [node for node in (*positional, *dict(named).values()) if node is not None]
    if len(nodes) < len(positional) + len(named):
        return
    names = [name for name, _ in named]
    positions = len(positional)
    keywords = tuple(zip(names, nodes[positions:], strict=True))
    entry = make(CallSignature(tuple(nodes[:positions]), keywords, result), gate_of(setting))
    if entry is not None:
        install(obj, entry)


def argument_node(x: Any) -> Node | None:
    """The node of an argument, its leaves in the order of `tree.flatten`; None if there is none."""
    kind = type(x)
    if kind not in (tuple, list, dict):
        return describe(x)
    keys: Any = tree.structure(x).data if kind is dict else range(len(x))
    children = [node for node in (argument_node(x[key]) for key in keys) if node is not None]
    if len(children) < len(x):
        return None
    if kind is dict:
        return Dict(keys, tuple(children), tuple(x))
    return Tuple(tuple(children)) if kind is tuple else List(tuple(children))


def result_node(treedef: tree.TreeDef, types: Sequence[ArrayType]) -> Node | None:
    """The node of a result; None if it holds containers that machine code does not make."""
    if treedef.kind == "leaf":
        (type,) = types
        return Leaf("array" if type.shape else "scalar", type.dtype, type.shape)
    children, at = [], 0
    for child in treedef.children:
        node = result_node(child, types[at : at + child.num_leaves])
        at += child.num_leaves
        if node is None:
            return None
        children.append(node)
    if treedef.type is tuple:
        return Tuple(tuple(children))
    if treedef.type is list:
        return List(tuple(children))
    if treedef.type is dict:
        return Dict(treedef.data, tuple(children))
    return NoneNode() if treedef.kind == "none" else None


def kinds(leaves: Sequence[Any]) -> tuple[type, ...]:
    """What tells calls apart that one program serves and several entries do."""
    return tuple([type(x) for x in leaves])
