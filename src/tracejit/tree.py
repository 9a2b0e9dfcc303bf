"""Pytrees: nested containers taken apart into a list of leaves and a TreeDef, and put together again.

    leaves, treedef = flatten({"W": w, "b": [b1, b2]})           # [w, b1, b2]
    treedef                                                      # TreeDef({'W': *, 'b': [*, *]})
    unflatten(treedef, leaves)                                   # {"W": w, "b": [b1, b2]}

Containers are tuple, list, dict (in the order of its sorted keys; in its own order where they cannot be
sorted), OrderedDict, defaultdict, namedtuples, dataclasses, None (a container of nothing) and the
classes that are registered here. Everything else is a leaf: arrays, numbers, and also subclasses of
tuple, list and dict that nobody registered.

Dataclasses need no registration. Their fields are children, except those marked as static by
`field(metadata={"static": True})`, which belong to the structure. They are put together field by field,
without `__init__` or `__post_init__`, so that any object can stand in a field for a while (a traced
value, a type, None). A dataclass that is a value in itself says so with `register_leaf`.

The names and meanings are those of `jax.tree` and `jax.tree_util`.
"""

from __future__ import annotations

import builtins
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple, TypeVar

from tracejit.errors import TreeError

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

Cls = TypeVar("Cls", bound=type)
IsLeaf = Callable[[Any], bool]


# ---- the path to a leaf


@dataclass(frozen=True, slots=True)
class SequenceKey:
    """The place in a tuple or a list."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx}]"


@dataclass(frozen=True, slots=True)
class DictKey:
    """The key in a dict."""

    key: Hashable

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True, slots=True)
class GetAttrKey:
    """The name of a field of a namedtuple, a dataclass or a registered class."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class FlattenedIndexKey:
    """The number of a child of a registered class that names none."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KeyPath = tuple[Any, ...]


def keystr(path: Iterable[Any], *, simple: bool = False, separator: str = "") -> str:
    """The text of a path as one would index by it: `['W'][0].scale`; `simple` leaves out the brackets."""
    keys = tuple(path)
    if simple:
        return separator.join(str(getattr(key, key.__slots__[0])) for key in keys)
    return separator.join([str(key) for key in keys])


# ---- the structure


class TreeDef:
    """The structure of a pytree, without its leaves: immutable, hashable, comparable.

    kind:       "leaf", "none", "tuple", "list", "dict", "ordereddict", "defaultdict", "namedtuple",
                "dataclass", "static" or "custom".
    type:       the class of the container; None of a leaf.
    data:       what is known beside the children: the keys of a dict and an ordereddict; (default
                factory, keys) of a defaultdict; (names of the children, ((name, value) of each static
                field, ...)) of a dataclass; (auxiliary data, names of the children or None) of a
                custom class; the object itself of a static one; None else.
    children:   the TreeDefs of the children.
    num_leaves: how many leaves lie below.
    """

    __slots__ = ("_hash", "children", "data", "kind", "num_leaves", "type")

    kind: str
    type: builtins.type | None
    data: Any
    children: tuple[TreeDef, ...]
    num_leaves: int

    def __init__(
        self,
        kind: str,
        type: builtins.type | None = None,
        data: Any = None,
        children: tuple[TreeDef, ...] = (),
        num_leaves: int = 0,
    ) -> None:
        self.kind = kind
        self.type = type
        self.data = data
        self.children = children
        self.num_leaves = num_leaves
        self._hash: int | None = None

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure with the given leaves; TreeError if their number differs."""
        found = leaves if isinstance(leaves, list | tuple) else list(leaves)
        if len(found) != self.num_leaves:
            raise TreeError(
                f"{len(found)} leaves for a tree of {self.num_leaves}", hint=f"the tree is {self}"
            )
        return _build(self, iter(found))

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of `tree` at the leaves of this structure, which must be a prefix of its own."""
        return flatten_up_to(self, tree)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TreeDef):
            return NotImplemented
        return (
            self.kind == other.kind
            and self.type is other.type
            and self.num_leaves == other.num_leaves
            and _same(self.data, other.data)
            and self.children == other.children
        )

    def __hash__(self) -> int:
        if self._hash is None:
            try:
                self._hash = hash((self.kind, self.type, self.data, self.children))
            except TypeError as error:
                raise TreeError(
                    f"the static part of {self} has no hash: {error}",
                    hint="static fields and auxiliary data are compared and hashed: make them "
                    "immutable, or make arrays children",
                ) from None
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return TreeDef, (self.kind, self.type, self.data, self.children, self.num_leaves)

    def __repr__(self) -> str:
        return f"TreeDef({_show(self)})"


_LEAF = TreeDef("leaf", num_leaves=1)


def _same(mine: Any, other: Any) -> bool:
    """Whether two static parts are equal; TreeError where that has no answer (an array)."""
    try:
        return mine is other or bool(mine == other)
    except ValueError as error:
        raise TreeError(
            f"static parts of two trees cannot be compared: {error}",
            hint="make arrays children, not static fields or auxiliary data",
        ) from None


def _show(treedef: TreeDef) -> str:
    """The structure as one would write the tree, with `*` for a leaf."""
    kind, data = treedef.kind, treedef.data
    parts = [_show(child) for child in treedef.children]
    name = treedef.type.__name__ if treedef.type is not None else ""
    match kind:
        case "leaf":
            return "*"
        case "none":
            return "None"
        case "tuple":
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        case "list":
            return f"[{', '.join(parts)}]"
        case "static":
            return f"{name}[{data!r}]"
        case "namedtuple" | "dataclass":
            texts = [f"{key.name}={part}" for key, part in zip(_keys(treedef), parts, strict=True)]
            texts += [f"{field}={value!r}" for field, value in (data[1] if data else ())]
            return f"{name}({', '.join(texts)})"
        case "custom":
            return f"{name}[{data[0]!r}]({', '.join(parts)})"
    keys = data[1] if kind == "defaultdict" else data
    pairs = ", ".join(f"{key!r}: {part}" for key, part in zip(keys, parts, strict=True))
    return f"{{{pairs}}}" if kind == "dict" else f"{name}({{{pairs}}})"


def _keys(treedef: TreeDef) -> tuple[Any, ...]:
    """A key for each child."""
    data = treedef.data
    match treedef.kind:
        case "tuple" | "list":
            return tuple(SequenceKey(i) for i in range(len(treedef.children)))
        case "dict" | "ordereddict":
            return tuple(DictKey(key) for key in data)
        case "defaultdict":
            return tuple(DictKey(key) for key in data[1])
        case "namedtuple":
            assert treedef.type is not None
            return tuple(GetAttrKey(name) for name in treedef.type._fields)  # type: ignore[attr-defined]
        case "dataclass":
            return tuple(GetAttrKey(name) for name in data[0])
        case "custom" if data[1] is not None:
            return tuple(data[1])
    return tuple(FlattenedIndexKey(i) for i in range(len(treedef.children)))


# ---- the kinds of containers


class _Node(NamedTuple):
    """How a class of containers is taken apart and put together."""

    kind: str
    split: Callable[[Any], tuple[Iterable[Any], Any]]  # tree -> children, data
    join: Callable[[Any, Any, list[Any]], Any]  # type, data, children -> tree


def _sorted_keys(tree: dict[Any, Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(tree))
    except TypeError:
        return tuple(tree)


def _split_dict(tree: dict[Any, Any]) -> tuple[Iterable[Any], Any]:
    keys = _sorted_keys(tree)
    return [tree[key] for key in keys], keys


def _split_defaultdict(tree: defaultdict[Any, Any]) -> tuple[Iterable[Any], Any]:
    children, keys = _split_dict(tree)
    return children, (tree.default_factory, keys)


def _join_defaultdict(cls: Any, data: Any, children: list[Any]) -> Any:
    factory, keys = data
    return cls(factory, zip(keys, children, strict=True))


def _join_dict(cls: Any, keys: Any, children: list[Any]) -> Any:
    return cls(zip(keys, children, strict=True))


def _join_fields(cls: Any, data: Any, children: list[Any]) -> Any:
    names, statics = data
    tree = object.__new__(cls)
    for name, child in zip(names, children, strict=True):
        object.__setattr__(tree, name, child)
    for name, value in statics:
        object.__setattr__(tree, name, value)
    return tree


def _join_call(cls: Any, data: Any, children: list[Any]) -> Any:
    names, statics = data
    return cls(**dict(zip(names, children, strict=True)), **dict(statics))


def _dataclass_node(
    names: Sequence[str], statics: Sequence[str], join: Callable[..., Any] = _join_fields
) -> _Node:
    """A class whose attributes `names` are children, `statics` part of the structure."""
    names = tuple(names)

    def split(tree: Any) -> tuple[Iterable[Any], Any]:
        try:
            fixed = tuple([(name, getattr(tree, name)) for name in statics])
            return [getattr(tree, name) for name in names], (names, fixed)
        except AttributeError as error:
            raise TreeError(f"a {type(tree).__name__} has no value in a field: {error}") from None

    return _Node("dataclass", split, join)


_NAMEDTUPLE = _Node(
    "namedtuple", lambda tree: (tree, None), lambda cls, data, children: cls._make(children)
)

# The classes that are containers, and those known to be leaves (None), by exact type.
_NODES: dict[type, _Node | None] = {
    float: None,
    int: None,
    bool: None,
    complex: None,
    str: None,
    type(None): _Node("none", lambda tree: ((), None), lambda cls, data, children: None),
    tuple: _Node("tuple", lambda tree: (tree, None), lambda cls, data, children: tuple(children)),
    list: _Node("list", lambda tree: (tree, None), lambda cls, data, children: children),
    dict: _Node("dict", _split_dict, _join_dict),
    OrderedDict: _Node("ordereddict", lambda tree: (tree.values(), tuple(tree)), _join_dict),
    defaultdict: _Node("defaultdict", _split_defaultdict, _join_defaultdict),
}


# Classes that somebody registered, which may be done once.
_REGISTERED: set[type] = set(_NODES)
_HEAP_TYPE = 1 << 9  # the bit of `type.__flags__` of classes that are made as a program runs


def _node_of(cls: type) -> _Node | None:
    """How a class is taken apart; None for a leaf. Namedtuples and dataclasses need no registration.

    What it found is remembered, but not for a leaf class that was made by a class statement: a
    program that makes classes as it runs could otherwise not get rid of them.
    """
    if cls in _NODES:
        return _NODES[cls]
    node: _Node | None = None
    if is_dataclass(cls):
        own = fields(cls)
        node = _dataclass_node(
            [field.name for field in own if not field.metadata.get("static", False)],
            [field.name for field in own if field.metadata.get("static", False)],
        )
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        node = _NAMEDTUPLE
    if node is not None or not cls.__flags__ & _HEAP_TYPE:
        _NODES[cls] = node
    return node


# ---- taking apart and putting together


def _split(
    tree: Any, node: _Node, out: list[Any], is_leaf: IsLeaf | None, nodes: dict[type, Any] = _NODES
) -> TreeDef:
    """Append the leaves of a container to `out`; its structure."""
    before = len(out)
    children, data = node.split(tree)
    structures = []
    for child in children:
        cls = type(child)
        below = nodes[cls] if cls in nodes else _node_of(cls)
        if below is None or (is_leaf is not None and is_leaf(child)):
            out.append(child)
            structures.append(_LEAF)
        else:
            structures.append(_split(child, below, out, is_leaf))
    return TreeDef(node.kind, type(tree), data, tuple(structures), len(out) - before)


def _build(treedef: TreeDef, leaves: Iterator[Any]) -> Any:
    """The tree of a structure, its leaves taken from the iterator."""
    if treedef.type is None:
        return next(leaves)
    children = [
        next(leaves) if child.type is None else _build(child, leaves) for child in treedef.children
    ]
    node = _node_of(treedef.type)
    assert node is not None, treedef
    return node.join(treedef.type, treedef.data, children)


def flatten(tree: Any, is_leaf: IsLeaf | None = None) -> tuple[list[Any], TreeDef]:
    """The leaves, in order, and the structure. Where `is_leaf` says so, a container is a leaf.

    Raises TreeError if the tree contains itself.
    """
    node = _node_of(type(tree))
    if node is None or (is_leaf is not None and is_leaf(tree)):
        return [tree], _LEAF
    out: list[Any] = []
    try:
        return out, _split(tree, node, out, is_leaf)
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
    for key, child in zip(_keys(treedef), treedef.children, strict=True):
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
        return f"{_show(treedef)} in the first, a leaf ({type(tree).__name__}) in the other"
    if treedef.kind == found.kind and treedef.type is found.type:
        mine, other = _keys(treedef), _keys(found)
        only = [[str(key) for key in a if key not in b] for a, b in ((mine, other), (other, mine))]
        if only[0] or only[1]:
            first, second = (" ".join(keys) or "nothing more" for keys in only)
            return f"only the first has {first}, only the other has {second}"
    return f"{_show(treedef)} in the first, {_show(found)} in the other"


def _match(treedef: TreeDef, tree: Any, out: list[Any]) -> None:
    """Append the subtrees of `tree` at the leaves of a structure; _Mismatch where there are none."""
    if treedef.type is None:
        out.append(tree)
        return
    node = _node_of(type(tree))
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
        or not _same(data, treedef.data)
    ):
        tops = tuple([_LEAF] * len(children))
        found = TreeDef(node.kind, type(tree), data, tops, len(tops))
        raise _Mismatch(_differ(treedef, tree, found))
    for number, (below, child) in enumerate(zip(treedef.children, children, strict=True)):
        try:
            _match(below, child, out)
        except _Mismatch as mismatch:
            mismatch.path = (_keys(treedef)[number], *mismatch.path)
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
            hint=f"the first is {_show(treedef)}\nthe other is {_show(structure(tree))}",
        ) from None
    return out


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None) -> Any:
    """The tree of `f(leaf, *leaves of the rest at the same place)`.

    The structure of `tree` must be a prefix of the others'. Raises TreeError where it is not.
    """
    found, treedef = flatten(tree, is_leaf)
    columns = [found, *[flatten_up_to(treedef, other) for other in rest]]
    return _build(treedef, iter([f(*row) for row in zip(*columns, strict=True)]))


def map_with_path(
    f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf | None = None
) -> Any:
    """As `map`, with the path of the leaf as the first argument of `f`."""
    found, treedef = flatten(tree, is_leaf)
    columns = [found, *[flatten_up_to(treedef, other) for other in rest]]
    rows = zip(_key_paths(treedef), *columns, strict=True)
    return _build(treedef, iter([f(*row) for row in rows]))


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


# ---- registering classes


def _register(cls: type, node: _Node | None) -> None:
    if not isinstance(cls, type):
        raise TreeError(f"{cls!r} is not a class")
    if cls in _REGISTERED:
        raise TreeError(f"{cls.__name__} is registered as a pytree already")
    _REGISTERED.add(cls)
    _NODES[cls] = node


def register_pytree_node(
    cls: type,
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, Any], Any],
) -> None:
    """Make a class a container: `flatten_func(tree) -> (children, aux)`, `unflatten_func(aux, children)`.

    `aux` belongs to the structure: it is compared and hashed.
    """

    def split(tree: Any) -> tuple[Iterable[Any], Any]:
        children, aux = flatten_func(tree)
        return children, (aux, None)

    _register(
        cls, _Node("custom", split, lambda _, data, kids: unflatten_func(data[0], tuple(kids)))
    )


def register_pytree_with_keys(
    cls: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, Any], Any],
) -> None:
    """As `register_pytree_node`, with (key, child) pairs for children: the keys appear in paths."""

    def split(tree: Any) -> tuple[Iterable[Any], Any]:
        pairs, aux = flatten_with_keys(tree)
        pairs = tuple(pairs)
        return [child for _, child in pairs], (aux, tuple([key for key, _ in pairs]))

    _register(
        cls, _Node("custom", split, lambda _, data, kids: unflatten_func(data[0], tuple(kids)))
    )


def register_pytree_node_class(cls: Cls) -> Cls:
    """Class decorator: the methods `tree_flatten(self)` and `tree_unflatten(cls, aux, children)`."""
    register_pytree_node(cls, cls.tree_flatten, cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


def register_pytree_with_keys_class(cls: Cls) -> Cls:
    """Class decorator: `tree_flatten_with_keys(self)` and `tree_unflatten(cls, aux, children)`."""
    register_pytree_with_keys(cls, cls.tree_flatten_with_keys, cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


def register_dataclass(
    cls: Cls,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> Cls:
    """Say which attributes of a class are children and which belong to the structure.

    Of a dataclass, the fields that are not marked as static are the children where nothing is said.
    Where fields are dropped, the class is put together by calling it with the others.
    """
    if is_dataclass(cls) and data_fields is None:
        own = [field for field in fields(cls) if field.name not in drop_fields]
        static = [field.name for field in own if field.metadata.get("static", False)]
        meta_fields = static if meta_fields is None else meta_fields
        data_fields = [field.name for field in own if field.name not in meta_fields]
    if data_fields is None:
        raise TreeError(
            f"{cls.__name__} is not a dataclass", hint="name its data_fields and meta_fields"
        )
    meta_fields = () if meta_fields is None else meta_fields
    if is_dataclass(cls):
        named = {*data_fields, *meta_fields, *drop_fields}
        if named != {field.name for field in fields(cls)}:
            odd = sorted(named ^ {field.name for field in fields(cls)})
            raise TreeError(
                f"the fields {odd} of {cls.__name__} are either not there or not named",
                hint="name each field once, in data_fields, meta_fields or drop_fields",
            )
    join = _join_call if drop_fields else _join_fields
    _register(cls, _dataclass_node(data_fields, meta_fields, join))
    return cls


def register_static(cls: Cls) -> Cls:
    """Class decorator: objects without leaves, that belong to the structure: they need == and hash."""
    _register(cls, _Node("static", lambda tree: ((), tree), lambda _, data, children: data))
    return cls


def register_leaf(cls: Cls) -> Cls:
    """Class decorator: a leaf, although the class is a dataclass or a namedtuple."""
    _register(cls, None)
    return cls


class Partial(functools.partial):  # type: ignore[type-arg]
    """A `functools.partial` that is a container: of its arguments. The function is the structure."""


register_pytree_node(
    Partial,
    lambda tree: ((tree.args, tree.keywords), tree.func),
    lambda func, children: Partial(func, *children[0], **children[1]),
)
