"""Native entries: later calls like this one go straight to machine code.

An entry sees the arguments, but not the configuration. So it has a gate for the configuration it
was compiled under, which is open only while that one holds in every thread: `config.update` opens
one gate and closes another; a block (`with config(...)`), which holds in one thread, closes them
while it lasts. A closed gate admits calls from blocks in which its configuration has been seen to
hold; the first call in a block goes through Python to show it.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from inspect import getattr_static
from types import MemberDescriptorType
from typing import Any, NamedTuple

import numpy as np

from tracejit import tree
from tracejit.backends.native import abi
from tracejit.backends.native.call_signature import (
    COMPARED,
    CallSignature,
    Dict,
    Leaf,
    List,
    Node,
    NoneNode,
    Object,
    Static,
    Tuple,
    describe,
)
from tracejit.backends.native.callable import (
    ALWAYS_OPEN,
    Gate,
    NativeCallable,
    install,
    installed,
)
from tracejit.backends.protocol import Executable
from tracejit.config import TRACING, config
from tracejit.ir.types import ArrayType
from tracejit.runtime.statics import Fixed
from tracejit.treedef import join_fields, node_of

#: A callable asks its entries one by one; with more kinds of calls than this the rest goes through
#: Python.
MOST_ENTRIES = 32


class Setting(NamedTuple):
    """What a compiled call depends on beside its arguments: the values of config's knobs `TRACING`,
    the backend, or None if jit was told one, and whether it follows the knob `threads`, which may
    have any value, if it is the same for all."""

    tracing: tuple[Any, ...]
    backend: str | None
    follows_threads: bool

    def holds(self, value: Callable[[str], Any] = config.for_all) -> bool:
        """Whether it holds where knobs have these values: by default in every thread."""
        return (
            all(value(knob) is False for knob in ("disable_jit", "debug_nans", "debug_infs"))
            and tuple(map(value, TRACING)) == self.tracing
            and self.backend in (None, value("backend"))
            and not (self.follows_threads and value("threads") is None)
        )

    def holds_inside(self, block: Any) -> bool:
        """Whether it holds in a block (see `config.blocks`), which must not set threads for what
        follows them: machine code knows the process's number.
        """
        of_its_own = block is not None and "threads" in block
        return self.holds(partial(config.inside, block)) and not (
            self.follows_threads and of_its_own
        )


@cache
def gate_of(setting: Setting) -> Gate:
    """The gate that is open while the setting holds."""
    gate = Gate(config.blocks)

    def adjust() -> None:
        gate.is_open = setting.holds()
        if gate.admitted:
            gate.admitted = [*filter(setting.holds_inside, gate.admitted)]

    config.watch(adjust)
    return gate


def admit(setting: Setting) -> None:
    """Let calls from here in, by the entries of a setting that holds here, if not everywhere."""
    gate, block = gate_of(setting), config.blocks.get()
    if not gate.is_open and setting.holds_inside(block):
        gate.admitted = [block, *(other for other in gate.admitted if other is not block)]


def install_entry(
    obj: NativeCallable,
    executable: Executable,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    fixed: Fixed,
    result: Node | None,
    setting: Setting,
    keeps_large: bool = False,
    written: Sequence[int] = (),
) -> None:
    """Let later calls with arguments like these enter the executable, where both can do that.

    args, kwargs: without the static arguments, which are in `fixed` (see statics.py).
    keeps_large: see `CallSignature`. written: the leaves that the executable writes to.
    """
    make = getattr(executable, "entry", None)
    if make is None or result is None or len(installed(obj)) >= MOST_ENTRIES:
        return
    statics: dict[int | str, Node | None] = {place: Static(x) for place, x in fixed}
    as_they_are = _AsTheyAre(written) if written else None
    positional = [statics.get(i) or argument_node(x, as_they_are) for i, x in enumerate(args)]
    named = [(name, argument_node(kwargs[name], as_they_are)) for name in sorted(kwargs)]
    named += [(name, node) for name, node in statics.items() if isinstance(name, str)]
    nodes = [node for node in (*positional, *dict(named).values()) if node is not None]
    if len(nodes) < len(positional) + len(named):
        return
    names = [name for name, _ in named]
    positions = len(positional)
    keywords = tuple(zip(names, nodes[positions:], strict=True))
    arguments = tuple(nodes[:positions])
    telling = _telling(arguments, [entry.signature for entry in installed(obj)])
    signature = CallSignature(
        arguments, keywords, result, keeps_large=keeps_large, telling=telling
    )
    entry = make(signature, gate_of(setting))
    if entry is not None:
        install(obj, entry)


def install_flat(
    obj: NativeCallable,
    executable: Executable,
    arrays: Sequence[np.ndarray],
    out_types: Sequence[ArrayType],
) -> None:
    """Let later calls of `obj` with arrays like these enter the executable, where it can do that
    and the configuration does not matter; they get a tuple of results.
    """
    make = getattr(executable, "entry", None)
    if make is not None and not getattr(executable, "follows_threads", False):
        arguments = tuple([Leaf("array", x.dtype, x.shape) for x in arrays])
        results = Tuple(tuple([_result_leaf(type) for type in out_types]))
        entry = make(CallSignature(arguments, (), results), ALWAYS_OPEN)
        if entry is not None:
            install(obj, entry)


def _telling(arguments: Sequence[Node], others: Sequence[CallSignature | None]) -> int | None:
    """The argument, an array or a static one, in which a call differs from most other kinds."""
    known = [other.positional for other in others if other is not None]
    differs = {
        i: sum(len(other) > i and _differ(other[i], node) for other in known)
        for i, node in enumerate(arguments)
        if isinstance(node, Static) or (isinstance(node, Leaf) and node.kind == "array")
    }
    best = max(differs, key=differs.__getitem__, default=None)
    return best if best is not None and differs[best] else None


def _differ(x: Node, y: Node) -> bool:
    """Whether no argument fits both nodes, as far as that is plain."""
    if isinstance(x, Static) and isinstance(y, Static):
        alike = type(x.value) is type(y.value) and type(x.value) in COMPARED
        return x.value is not y.value and not (alike and x.value == y.value)
    return x != y


class _AsTheyAre:
    """Nodes of the leaves of a call, in their order, that writes to some of them: arrays are not
    copied, and those have to be writeable."""

    def __init__(self, written: Sequence[int]):
        self.written = written
        self.count = 0

    def __call__(self, node: Node | None) -> Node | None:
        """The node of the next leaf."""
        place, self.count = self.count, self.count + 1
        if not isinstance(node, Leaf) or node.kind != "array":
            return node
        flags = abi.CONTIGUOUS_ALIGNED | (abi.WRITEABLE if place in self.written else 0)
        return replace(node, needs=flags)


def argument_node(
    x: Any, leaf: Callable[[Node | None], Node | None] | None = None
) -> Node | None:
    """The node of an argument, its leaves in the order of `tree.flatten`; None if there is none.
    leaf: makes the node of a leaf what it has to be."""
    kind = type(x)
    container = node_of(kind)
    if x is None or container is None:
        node = describe(x)
        return leaf(node) if leaf and x is not None else node
    if container.kind == "static":
        return Static(x)
    items, data = container.split(x)
    children = [argument_node(item, leaf) for item in items]
    usual = tuple(x) if kind is dict else ()
    plain = container.kind != "dataclass" or _has_plain_attributes(kind, data)
    return _container(container.kind, kind, data, children, usual) if plain else None


def _container(
    kind: str, type: type, data: Any, found: Sequence[Node | None], usual: tuple[Any, ...] = ()
) -> Node | None:
    """The node of a container (kind, type and data as in a TreeDef), None where there is none, or
    none of an item."""
    children = tuple([node for node in found if node is not None])
    if len(children) < len(found):
        return None
    match kind:
        case "tuple" | "namedtuple":
            return Tuple(children, type)
        case "list":
            return List(children)
        case "dict":
            return Dict(data, children, usual)
        case "dataclass":
            names, statics = data
            fixed = [Static(value) for _, value in statics]
            return Object((*children, *fixed), type, (*names, *dict(statics)))
    return None


def _has_plain_attributes(cls: type, data: Any) -> bool:
    """Whether machine code can take the attributes of an instance: no Python code runs for them."""
    names, statics = data
    if cls.__getattribute__ is not object.__getattribute__:
        return False
    found = [getattr_static(cls, name, None) for name in (*names, *dict(statics))]
    return all(type(x) is MemberDescriptorType or not hasattr(type(x), "__get__") for x in found)


def _is_put_together_plainly(cls: type) -> bool:
    """Whether a container class is put together as machine code does it."""
    container = node_of(cls)
    if container is None or container.kind != "dataclass":
        make = getattr(getattr(cls, "_make", None), "__func__", None)
        return not hasattr(cls, "_make") or getattr(make, "__code__", None) is _MAKE
    abstract = getattr(cls, "__abstractmethods__", None)
    return container.join is join_fields and cls.__new__ is object.__new__ and not abstract


_MAKE = namedtuple("_MAKE", "x")._make.__func__.__code__  # type: ignore[attr-defined]


def result_node(treedef: tree.TreeDef, types: Sequence[ArrayType]) -> Node | None:
    """The node of a result; None if it holds containers that machine code does not make."""
    if treedef.kind == "leaf":
        (type,) = types
        return _result_leaf(type)
    if treedef.kind == "none":
        return NoneNode()
    if treedef.kind == "static":
        return Static(treedef.data)
    children, at = [], 0
    for child in treedef.children:
        children.append(result_node(child, types[at : at + child.num_leaves]))
        at += child.num_leaves
    assert treedef.type is not None
    if not _is_put_together_plainly(treedef.type):
        return None
    return _container(treedef.kind, treedef.type, treedef.data, children)


def _result_leaf(type: ArrayType) -> Leaf:
    return Leaf("array" if type.shape else "scalar", type.dtype, type.shape)


def kinds(leaves: Sequence[Any]) -> tuple[type, ...]:
    """What tells calls apart that one program serves and several entries do."""
    return tuple([type(x) for x in leaves])
