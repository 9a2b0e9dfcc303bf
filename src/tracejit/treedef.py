"""What pytrees are made of: keys, structures, and the classes that are containers.

The functions on whole trees are in `tracejit.tree`, which is the public face of both modules.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple, TypeVar

from tracejit.errors import TreeError

__all__ = [
    "LEAF",
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyPath",
    "Node",
    "SequenceKey",
    "TreeDef",
    "child_keys",
    "keystr",
    "node_of",
    "put_together",
    "register_dataclass",
    "register_leaf",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "same",
    "show",
    "take_apart",
]

Cls = TypeVar("Cls", bound=type)
IsLeaf = Callable[[Any], bool]
_Class = type


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
    """The text of a path as one would index by it: `['W'][0].scale`; `simple`: without brackets."""
    return separator.join([_bare(key) if simple else str(key) for key in path])


def _bare(key: Any) -> str:
    """A key without its brackets or its dot."""
    if isinstance(key, SequenceKey):
        return str(key.idx)
    if isinstance(key, DictKey | FlattenedIndexKey):
        return str(key.key)
    return key.name if isinstance(key, GetAttrKey) else str(key)


# ---- the structure


class TreeDef:
    """The structure of a pytree, without its leaves: immutable, hashable, comparable.

    kind:       "leaf", "none", "tuple", "list", "dict", "ordereddict", "defaultdict", "namedtuple",
                "dataclass", "static" or "custom".
    type:       the class of the container; None of a leaf.
    data:       what is known beside the children, by kind:
                    dict, ordereddict    the keys
                    defaultdict          (default factory, keys)
                    dataclass            (names of the children, ((static name, value), ...))
                    static               the object itself
                    custom               (auxiliary data, keys of the children or None)
                and None for the others.
    children:   the TreeDefs of the children.
    num_leaves: how many leaves lie below.
    """

    __slots__ = ("_hash", "children", "data", "kind", "num_leaves", "type")

    kind: str
    type: _Class | None
    data: Any
    children: tuple[TreeDef, ...]
    num_leaves: int

    def __init__(
        self,
        kind: str,
        type: _Class | None = None,
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
        return put_together(self, iter(found))

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TreeDef):
            return NotImplemented
        return (
            self.kind == other.kind
            and self.type is other.type
            and self.num_leaves == other.num_leaves
            and same(self.data, other.data)
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
        return f"TreeDef({show(self)})"


LEAF = TreeDef("leaf", num_leaves=1)


def same(mine: Any, other: Any) -> bool:
    """Whether two static parts are equal; TreeError where that has no answer (an array)."""
    try:
        return mine is other or bool(mine == other)
    except ValueError as error:
        raise TreeError(
            f"static parts of two trees cannot be compared: {error}",
            hint="make arrays children, not static fields or auxiliary data",
        ) from None


def show(treedef: TreeDef) -> str:
    """The structure as one would write the tree, with `*` for a leaf."""
    kind, data = treedef.kind, treedef.data
    parts = [show(child) for child in treedef.children]
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
            texts = [
                f"{key.name}={part}" for key, part in zip(child_keys(treedef), parts, strict=True)
            ]
            texts += [f"{field}={value!r}" for field, value in (data[1] if data else ())]
            return f"{name}({', '.join(texts)})"
        case "custom":
            return f"{name}[{data[0]!r}]({', '.join(parts)})"
    keys = data[1] if kind == "defaultdict" else data
    pairs = ", ".join(f"{key!r}: {part}" for key, part in zip(keys, parts, strict=True))
    return f"{{{pairs}}}" if kind == "dict" else f"{name}({{{pairs}}})"


def child_keys(treedef: TreeDef) -> tuple[Any, ...]:
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


class Node(NamedTuple):
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


def join_fields(cls: Any, data: Any, children: list[Any]) -> Any:
    """An instance whose attributes are set, without `__init__`."""
    names, statics = data
    tree = cls.__new__(cls)
    for name, child in zip(names, children, strict=True):
        object.__setattr__(tree, name, child)
    for name, value in statics:
        object.__setattr__(tree, name, value)
    return tree


def _join_call(cls: Any, data: Any, children: list[Any]) -> Any:
    names, statics = data
    return cls(**dict(zip(names, children, strict=True)), **dict(statics))


def _dataclass_node(
    names: Sequence[str], statics: Sequence[str], join: Callable[..., Any] = join_fields
) -> Node:
    """A class whose attributes `names` are children, `statics` part of the structure."""
    names = tuple(names)

    def split(tree: Any) -> tuple[Iterable[Any], Any]:
        try:
            fixed = tuple([(name, getattr(tree, name)) for name in statics])
            return [getattr(tree, name) for name in names], (names, fixed)
        except AttributeError as error:
            raise TreeError(f"a {type(tree).__name__} has no value in a field: {error}") from None

    return Node("dataclass", split, join)


_NAMEDTUPLE = Node(
    "namedtuple", lambda tree: (tree, None), lambda cls, data, children: cls._make(children)
)

# The classes that are containers, and those known to be leaves (None), by exact type.
_NODES: dict[type, Node | None] = {
    float: None,
    int: None,
    bool: None,
    complex: None,
    str: None,
    type(None): Node("none", lambda tree: ((), None), lambda cls, data, children: None),
    tuple: Node("tuple", lambda tree: (tree, None), lambda cls, data, children: tuple(children)),
    list: Node("list", lambda tree: (tree, None), lambda cls, data, children: children),
    dict: Node("dict", _split_dict, _join_dict),
    OrderedDict: Node("ordereddict", lambda tree: (tree.values(), tuple(tree)), _join_dict),
    defaultdict: Node("defaultdict", _split_defaultdict, _join_defaultdict),
}


# Classes that somebody registered, which may be done once.
_REGISTERED: set[type] = set(_NODES)
_HEAP_TYPE = 1 << 9  # the bit of `type.__flags__` of classes that are made as a program runs


def node_of(cls: type) -> Node | None:
    """How a class is taken apart; None for a leaf. Some classes need no registration.

    What it found is remembered, but not for a leaf class that was made by a class statement: a
    program that makes classes as it runs could otherwise not get rid of them.
    """
    if cls in _NODES:
        return _NODES[cls]
    node: Node | None = None
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


def take_apart(
    tree: Any, node: Node, out: list[Any], is_leaf: IsLeaf | None, nodes: dict[type, Any] = _NODES
) -> TreeDef:
    """Append the leaves of a container to `out`; its structure."""
    before = len(out)
    children, data = node.split(tree)
    structures = []
    for child in children:
        cls = type(child)
        below = nodes[cls] if cls in nodes else node_of(cls)
        if below is None or (is_leaf is not None and is_leaf(child)):
            out.append(child)
            structures.append(LEAF)
        else:
            structures.append(take_apart(child, below, out, is_leaf))
    return TreeDef(node.kind, type(tree), data, tuple(structures), len(out) - before)


def put_together(treedef: TreeDef, leaves: Iterator[Any]) -> Any:
    """The tree of a structure, its leaves taken from the iterator."""
    if treedef.type is None:
        return next(leaves)
    children = [
        next(leaves) if child.type is None else put_together(child, leaves)
        for child in treedef.children
    ]
    node = node_of(treedef.type)
    assert node is not None, treedef
    return node.join(treedef.type, treedef.data, children)


# ---- registering classes


def _register(cls: type, node: Node | None) -> None:
    if not isinstance(cls, type):
        raise TreeError(f"{cls!r} is not a class")
    if cls in _REGISTERED:
        raise TreeError(f"{cls.__name__} is registered as a pytree already")
    _REGISTERED.add(cls)
    _NODES[cls] = node


def _register_custom(
    cls: type,
    split: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, Any], Any],
) -> None:
    def join(_: Any, data: Any, children: list[Any]) -> Any:
        return unflatten_func(data[0], tuple(children))

    _register(cls, Node("custom", split, join))


def register_pytree_node(
    cls: type,
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, Any], Any],
) -> None:
    """Make a class a container.

    `flatten_func(tree)` gives (children, aux), and `unflatten_func(aux, children)` the tree.
    `aux` belongs to the structure: it is compared and hashed.
    """

    def split(tree: Any) -> tuple[Iterable[Any], Any]:
        children, aux = flatten_func(tree)
        return children, (aux, None)

    _register_custom(cls, split, unflatten_func)


def register_pytree_with_keys(
    cls: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, Any], Any],
) -> None:
    """As `register_pytree_node`, with (key, child) pairs for children: the keys appear in paths."""

    def split(tree: Any) -> tuple[Iterable[Any], Any]:
        found, aux = flatten_with_keys(tree)
        pairs = tuple(found)
        return [child for _, child in pairs], (aux, tuple([key for key, _ in pairs]))

    _register_custom(cls, split, unflatten_func)


def register_pytree_node_class(cls: Cls) -> Cls:
    """Class decorator: methods `tree_flatten(self)` and `tree_unflatten(cls, aux, children)`."""
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
    if is_dataclass(cls):
        own = [field for field in fields(cls) if field.name not in drop_fields]
        if meta_fields is None:
            taken = data_fields or ()
            static = [field.name for field in own if field.metadata.get("static", False)]
            meta_fields = [name for name in static if name not in taken]
        if data_fields is None:
            data_fields = [field.name for field in own if field.name not in meta_fields]
        odd = {field.name for field in own} ^ {*data_fields, *meta_fields}
        if odd:
            raise TreeError(
                f"the fields {sorted(odd)} of {cls.__name__} are not there, or not named",
                hint="name each field once, in data_fields, meta_fields or drop_fields",
            )
    elif data_fields is None or meta_fields is None:
        raise TreeError(
            f"{cls.__name__} is not a dataclass", hint="name its data_fields and meta_fields"
        )
    join = _join_call if drop_fields else join_fields
    _register(cls, _dataclass_node(data_fields, meta_fields, join))
    return cls


def register_static(cls: Cls) -> Cls:
    """Class decorator: objects without leaves, part of the structure; they need == and hash."""
    _register(cls, Node("static", lambda tree: ((), tree), lambda _, data, children: data))
    return cls


def register_leaf(cls: Cls) -> Cls:
    """Class decorator: a leaf, although the class is a dataclass or a namedtuple."""
    _register(cls, None)
    return cls
