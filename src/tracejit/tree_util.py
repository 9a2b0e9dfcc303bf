"""Pytrees under the names of `jax.tree_util`; `tracejit.tree` has the meaning."""

from __future__ import annotations

from tracejit.tree import (
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    KeyPath,
    Partial,
    SequenceKey,
    keystr,
    register_dataclass,
    register_pytree_node,
    register_pytree_node_class,
    register_pytree_with_keys,
    register_pytree_with_keys_class,
    register_static,
)
from tracejit.tree import TreeDef as PyTreeDef
from tracejit.tree import all as tree_all
from tracejit.tree import flatten as tree_flatten
from tracejit.tree import flatten_with_path as tree_flatten_with_path
from tracejit.tree import leaves as tree_leaves
from tracejit.tree import leaves_with_path as tree_leaves_with_path
from tracejit.tree import map as tree_map
from tracejit.tree import map_with_path as tree_map_with_path
from tracejit.tree import reduce as tree_reduce
from tracejit.tree import structure as tree_structure
from tracejit.tree import transpose as tree_transpose
from tracejit.tree import unflatten as tree_unflatten

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyPath",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "tree_all",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
]
