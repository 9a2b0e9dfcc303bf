"""What a native call takes and returns: a tree of nodes for each argument and for the result.

A `CallSignature` is what `entry.native_entry` takes. Nodes speak of exact types only. What has no
node (a subclass of ndarray or dict, a class with functions of its own that take it apart) stays in
Python. `describe` makes the node of an example object of builtin types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.backends.native import abi
from tracejit.ir.types import HALVES

NODE_LIMIT = 4096
"""Above this many nodes a call's work is in its data, not its overhead, and the entry's stack
frame stays small.
"""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value the kernel sees: kind "array" (with dtype and shape), "scalar" (with dtype), "float",
    "complex", "int" or "bool" (which have no dtype of their own).

    As a result only "array", a fresh C-contiguous ndarray, and "scalar", a NumPy scalar object.
    needs: flags of an array that is not to be copied, because the kernel writes to it, or to others
    that it must not overlap.
    """

    kind: str
    dtype: np.dtype = np.dtype(object)
    shape: tuple[int, ...] = ()
    needs: int = 0


@dataclass(frozen=True, slots=True)
class Tuple:
    """An exact tuple, or an instance of exactly this class of namedtuples."""

    children: tuple[Node, ...]
    kind: type = tuple


@dataclass(frozen=True, slots=True)
class List:
    """An exact list."""

    children: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Dict:
    """An exact dict with these keys: all str, all int or all bytes.

    Leaves are counted in the order of `keys`, and a result has this order. An argument may have any
    order; the one in `usual` (a permutation of the keys, by default `keys`) is checked fastest.
    """

    keys: tuple[str | int | bytes, ...]
    children: tuple[Node, ...]
    usual: tuple[str | int | bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Object:
    """An instance of exactly this class, taken apart by `object.__getattribute__`, which runs no
    Python code for these names, and made by `object.__new__` and `object.__setattr__`.
    """

    children: tuple[Node, ...]
    kind: type
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoneNode:
    """The object None."""


@dataclass(frozen=True, slots=True, eq=False)
class Static:
    """An argument that must be this very object (or equal it, for int, str and bytes), or a
    constant result.
    """

    value: object


Node = Leaf | Tuple | List | Dict | Object | NoneNode | Static


@dataclass(frozen=True, slots=True)
class CallSignature:
    """What an entry takes and returns; keywords may come in any order.

    keeps_large: whether results of any size are kept, to be filled again when nobody holds them.
    telling: the number of a positional argument, an array or Static, in which the signature differs
    from others of a callable; it is looked at first.
    """

    positional: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]
    result: Node
    release_gil: bool = False
    keeps_large: bool = False
    telling: int | None = None


def describe(value: Any) -> Node | None:
    """The node of an example argument or result; None if something in it is not for entries."""
    kind = type(value)
    if value is None:
        return NoneNode()
    if kind in _EXACT_KINDS:
        return Leaf(_EXACT_KINDS[kind])
    if kind is np.ndarray:
        return Leaf("array", value.dtype, value.shape)
    if kind in abi.SCALARS or (issubclass(kind, np.generic) and value.dtype in HALVES):
        return Leaf("scalar", value.dtype)
    if kind not in (tuple, list, dict):
        return None
    items = value.values() if kind is dict else value
    below = tuple(node for node in map(describe, items) if node is not None)
    if len(below) != len(value):
        return None
    if kind is dict:
        return Dict(tuple(value), below)
    return Tuple(below) if kind is tuple else List(below)


_EXACT_KINDS: Mapping[type, str] = {float: "float", complex: "complex", int: "int", bool: "bool"}
_PYTHON_KINDS = tuple(_EXACT_KINDS.values())
COMPARED = (int, str, bytes)  # exact types whose == runs no Python code and means interchangeable


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below, none for a leaf."""
    return node.children if isinstance(node, Tuple | List | Dict | Object) else ()


def is_native(signature: CallSignature) -> bool:
    """Whether native code can check and make every node, and there are not too many of them."""
    arguments = _below([*signature.positional, *(node for _, node in signature.keywords)])
    results = _below([signature.result])
    return (
        len(arguments) + len(results) <= NODE_LIMIT
        and all(_has_native_types(node) for node in (*arguments, *results))
        and not any(isinstance(node, Leaf) and node.kind in _PYTHON_KINDS for node in results)
    )


def can_be_spare(result: Node) -> bool:
    """Whether an object made for this result can be filled again: it is no constant, and nothing
    can be attached to its tuples.
    """
    constant = isinstance(result, NoneNode | Static)
    truth = isinstance(result, Leaf) and result.dtype.type is np.bool_
    return not (constant or truth) and not any(
        node.kind.__dictoffset__ or node.kind.__weakrefoffset__
        for node in _below([result])
        if isinstance(node, Tuple)
    )


def _below(nodes: list[Node]) -> list[Node]:
    """The nodes and all that are below them, or some of these where there are too many."""
    for node in nodes:
        nodes += children(node)
        if len(nodes) > NODE_LIMIT:
            break
    return nodes


def _has_native_types(node: Node) -> bool:
    match node:
        case Leaf(kind, dtype):
            assert kind in (*_PYTHON_KINDS, "array", "scalar"), kind
            return kind in _PYTHON_KINDS or (
                (dtype.type in abi.SCALARS or dtype in HALVES) and dtype.isnative
            )
        case Dict(keys):
            kinds = set(map(type, keys))
            return len(kinds) <= 1 and kinds.issubset(COMPARED)
    return True
