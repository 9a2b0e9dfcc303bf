"""What a native call takes and returns: a tree of nodes for each argument and for the result.

A `CallSignature` is what `entry.native_entry` takes. Nodes speak of exact types only: a subclass of ndarray,
tuple or dict, a dataclass, a namedtuple or a registered pytree node has no node, and such calls stay in Python. `describe`
makes the node of an example object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tracejit.backends.native import abi

NODE_LIMIT = 4096
"""Above this many nodes a call's work is in its data, not its overhead, and the entry's stack frame stays small."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value the kernel sees: kind "array" (dtype, shape), "scalar" (dtype), "float", "int" or "bool".

    As a result only "array", a fresh C-contiguous ndarray, and "scalar", a NumPy scalar object.
    """

    kind: str
    dtype: np.dtype | None = None
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Tuple:
    """An exact tuple."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class List:
    """An exact list."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Dict:
    """An exact dict with these keys: all str, all int or all bytes. In the order of `keys` it is matched fastest."""

    keys: tuple[str | int | bytes, ...]
    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class NoneNode:
    """The object None."""


@dataclass(frozen=True, slots=True, eq=False)
class Static:
    """An argument that must be this very object (or equal it, for int, str and bytes), or a constant result."""

    value: object


Node = Leaf | Tuple | List | Dict | NoneNode | Static


@dataclass(frozen=True, slots=True)
class CallSignature:
    """What an entry takes and returns; keywords may come in any order."""

    positional: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]
    result: Node
    release_gil: bool = False


def describe(value: object) -> Node | None:
    """The node of an example argument or result; None if it is, or holds, something an entry does not handle."""
    kind = type(value)
    if value is None:
        return NoneNode()
    if kind in _EXACT_KINDS:
        return Leaf(_EXACT_KINDS[kind])
    if kind is np.ndarray:
        return Leaf("array", value.dtype, value.shape)
    if kind in abi.SCALARS:
        return Leaf("scalar", value.dtype)
    if kind not in (tuple, list, dict):
        return None
    items = value.values() if kind is dict else value
    children = tuple(child for child in map(describe, items) if child is not None)
    if len(children) != len(value):
        return None
    if kind is dict:
        return Dict(tuple(value), children)
    return Tuple(children) if kind is tuple else List(children)


_EXACT_KINDS: Mapping[type, str] = {float: "float", int: "int", bool: "bool"}
COMPARED = (int, str, bytes)  # exact types whose == runs no Python code and means interchangeable


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, none for a leaf."""
    return node.children if isinstance(node, Tuple | List | Dict) else ()


def is_native(signature: CallSignature) -> bool:
    """Whether native code can check and make every node of the signature, and there are not too many."""
    keywords = [node for _, node in signature.keywords]
    waiting, count = [*signature.positional, *keywords, signature.result], 0
    while waiting and count <= NODE_LIMIT:
        node = waiting.pop()
        count += 1
        if isinstance(node, Leaf) and not _is_native_leaf(node):
            return False
        if isinstance(node, Dict):
            kinds = set(map(type, node.keys))
            if len(kinds) > 1 or not kinds.issubset(COMPARED):
                return False
        waiting += children(node)
    return count <= NODE_LIMIT


def _is_native_leaf(leaf: Leaf) -> bool:
    if leaf.kind in _EXACT_KINDS.values():
        return True
    return leaf.dtype is not None and leaf.dtype.type in abi.SCALARS and leaf.dtype.isnative
