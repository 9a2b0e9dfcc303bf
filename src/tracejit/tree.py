"""Pytrees: nested containers taken apart into leaves and a TreeDef, and put together again.

    leaves, treedef = flatten({"W": w, "b": [b1, b2]})           # [w, b1, b2]
    treedef                                                      # TreeDef({'W': *, 'b': [*, *]})
    unflatten(treedef, leaves)                                   # {"W": w, "b": [b1, b2]}

Containers are tuple, list, dict (in the order of its sorted keys; in its own order where they
cannot be sorted), OrderedDict, defaultdict, namedtuples, dataclasses, None (a container of nothing)
and the classes that are registered here. Everything else is a leaf: arrays, numbers, and also
subclasses of tuple, list and dict that nobody registered.

Dataclasses need no registration. Their fields are children, except those marked as static by
`field(metadata={"static": True})`, which belong to the structure. They are put together field by
field, without `__init__` or `__post_init__`, so that any object can stand in a field for a while (a
traced value, a type, None). A dataclass that is a value in itself says so with `register_leaf`.

The names and meanings are those of `jax.tree` and `jax.tree_util`.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tracejit.errors import TreeError
from tracejit.treedef import (
    LEAF,
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    IsLeaf,
    KeyPath,
    SequenceKey,
    TreeDef,
    child_keys,
    keystr,
    node_of,
    put_together,
    register_dataclass,
    register_leaf,
    register_pytree_node,
    register_pytree_node_class,
    register_pytree_with_keys,
    register_pytree_with_keys_class,
    register_static,
    same,
    show,
    take_apart,
)

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyPath",
    "Partial",
    "SequenceKey",
    "TreeDef",
    "all",
    "broadcast",
    "flatten",
    "flatten_up_to",
    "flatten_with_path",
    "keystr",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "paths",
    "reduce",
    "register_dataclass",
    "register_leaf",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "structure",
    "transpose",
    "unflatten",
]

# ---- taking apart and putting together


def flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], TreeDef]:
    """The leaves, in order, and the structure. Where `is_leaf` says so, a container is a leaf.

    Raises TreeError if the tree contains itself.
    """
    node = node_of(type(tree))
    if node is None or (is_leaf is not None and is_leaf(tree)):
        return [tree], LEAF
    out: list[Any] = []
    try:
        return out, take_apart(tree, node, out, is_leaf)
    except RecursionError as error:
        raise TreeError("a tree is nested too deeply, or contains itself") from error


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of a structure with the given leaves; TreeError if their number differs."""
    return treedef.unflatten(leaves)


def leaves(tree: Any, is_leaf: IsLeaf | None = None) -> list[Any]:
    """The leaves, in order."""
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf | None = None) -> TreeDef:
    """The structure."""
    return flatten(tree, is_leaf)[1]


def _key_paths(treedef: TreeDef, above: KeyPath = ()) -> Iterator[KeyPath]:
    """The path of each leaf."""
    if treedef.type is None:
        yield above
        return
    for key, child in zip(child_keys(treedef), treedef.children, strict=True):
        yield from _key_paths(child, (*above, key))


def paths(treedef: TreeDef, name: str = "") -> list[str]:
    """The text of the path of each leaf, behind a name for the whole: `params['W'][0]`."""
    return [name + keystr(path) for path in _key_paths(treedef)]


def flatten_with_path(
    tree: Any, is_leaf: IsLeaf | None = None
) -> tuple[list[tuple[KeyPath, Any]], TreeDef]:
    """As `flatten`, with a (path, leaf) for each leaf."""
    found, treedef = flatten(tree, is_leaf)
    return list(zip(_key_paths(treedef), found, strict=True)), treedef


def leaves_with_path(tree: Any, is_leaf: IsLeaf | None = None) -> list[tuple[KeyPath, Any]]:
    """A (path, leaf) for each leaf."""
    return flatten_with_path(tree, is_leaf)[0]


# ---- several trees of one structure


class _Mismatch(Exception):
    """Where two structures differ, and how; the path grows while the exception climbs."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.path: KeyPath = ()


def _differ(treedef: TreeDef, tree: Any, found: TreeDef | None) -> str:
    """How a tree's top differs from a structure's; `found` is the tree's top, None of a leaf."""
    if found is None:
        return f"{show(treedef)} in the first, a leaf ({type(tree).__name__}) in the other"
    if treedef.kind == found.kind and treedef.type is found.type:
        mine, other = child_keys(treedef), child_keys(found)
        only = [[str(key) for key in a if key not in b] for a, b in ((mine, other), (other, mine))]
        if only[0] or only[1]:
            first, second = (" ".join(keys) or "nothing more" for keys in only)
            return f"only the first has {first}, only the other has {second}"
    return f"{show(treedef)} in the first, {show(found)} in the other"


def _match(treedef: TreeDef, tree: Any, out: list[Any]) -> None:
    """Append the subtrees of `tree` at the leaves of a structure; _Mismatch if there are none."""
    if treedef.type is None:
        out.append(tree)
        return
    node = node_of(type(tree))
    if node is None:
        raise _Mismatch(_differ(treedef, tree, None))
    children, data = node.split(tree)
    children = list(children)
    kind = treedef.kind
    if node.kind == kind == "dict" and len(data) == len(treedef.data) and data != treedef.data:
        # Keys that cannot be sorted are in each dict's own order.
        children = [tree[key] for key in treedef.data if key in tree]
        data = treedef.data if len(children) == len(data) else data
    if (
        node.kind != kind
        or type(tree) is not treedef.type
        or len(children) != len(treedef.children)
        or not same(data, treedef.data)
    ):
        tops = tuple([LEAF] * len(children))
        found = TreeDef(node.kind, type(tree), data, tops, len(tops))
        raise _Mismatch(_differ(treedef, tree, found))
    for number, (below, child) in enumerate(zip(treedef.children, children, strict=True)):
        try:
            _match(below, child, out)
        except _Mismatch as mismatch:
            mismatch.path = (child_keys(treedef)[number], *mismatch.path)
            raise


def flatten_up_to(treedef: TreeDef, tree: Any) -> list[Any]:
    """The subtrees of `tree` at the leaves of a structure, which must be a prefix of its own.

    Raises TreeError, with the path and both structures, where it is not.
    """
    out: list[Any] = []
    try:
        _match(treedef, tree, out)
    except _Mismatch as mismatch:
        place = f" at {keystr(mismatch.path)}" if mismatch.path else ""
        raise TreeError(
            f"two trees differ{place}: {mismatch}",
            hint=f"the first is {show(treedef)}\nthe other is {show(structure(tree))}",
        ) from None
    return out


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None) -> Any:
    """The tree of `f(leaf, *leaves of the rest at the same place)`.

    The structure of `tree` must be a prefix of the others'. Raises TreeError where it is not.
    """
    found, treedef = flatten(tree, is_leaf)
    columns = [found, *[flatten_up_to(treedef, other) for other in rest]]
    return put_together(treedef, iter([f(*row) for row in zip(*columns, strict=True)]))


def map_with_path(
    f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None
) -> Any:
    """As `map`, with the path of the leaf as the first argument of `f`."""
    found, treedef = flatten(tree, is_leaf)
    columns = [found, *[flatten_up_to(treedef, other) for other in rest]]
    rows = zip(_key_paths(treedef), *columns, strict=True)
    return put_together(treedef, iter([f(*row) for row in rows]))


def broadcast(prefix: Any, tree: Any, is_leaf: IsLeaf | None = None) -> Any:
    """The structure of `tree`, with the leaves of `prefix` repeated below their place.

    >>> broadcast({"a": 0, "b": 1}, {"a": [5, 6], "b": 7})
    {'a': [0, 0], 'b': 1}
    """
    return map(lambda leaf, below: map(lambda _: leaf, below), prefix, tree, is_leaf=is_leaf)


def transpose(outer: TreeDef, inner: TreeDef | None, tree: Any) -> Any:
    """Turn an outer structure of inner ones into an inner structure of outer ones.

    `inner` None takes it from the first. Raises TreeError where a part has another structure.
    """
    parts = flatten_up_to(outer, tree)
    if inner is None:
        if not parts:
            raise TreeError("the inner structure of a tree without leaves is not known")
        inner = structure(parts[0])
    rows = [flatten_up_to(inner, part) for part in parts]
    columns = [[row[i] for row in rows] for i in range(inner.num_leaves)]
    return inner.unflatten([outer.unflatten(column) for column in columns])


_NOTHING = object()


def reduce(
    f: Callable[[Any, Any], Any],
    tree: Any,
    initializer: Any = _NOTHING,
    is_leaf: IsLeaf | None = None,
) -> Any:
    """Fold the leaves from the left."""
    if initializer is _NOTHING:
        return functools.reduce(f, leaves(tree, is_leaf))
    return functools.reduce(f, leaves(tree, is_leaf), initializer)


def all(tree: Any, *, is_leaf: IsLeaf | None = None) -> bool:
    """Whether every leaf is true."""
    return builtins.all(leaves(tree, is_leaf))


class Partial(functools.partial):  # type: ignore[type-arg]
    """A `functools.partial` that is a container of its arguments; the function is structure."""


register_pytree_node(
    Partial,
    lambda tree: ((tree.args, tree.keywords), tree.func),
    lambda func, children: Partial(func, *children[0], **children[1]),
)
