"""Pytrees: every kind of container, structures as keys, paths in messages, the laws of map."""

from __future__ import annotations

import gc
import pickle
import weakref
from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracejit import tree
from tracejit.errors import TreeError


class Point(NamedTuple):
    x: Any
    y: Any = 0


Empty = namedtuple("Empty", [])


@dataclass
class Plain:
    W: Any
    b: Any
    name: str = field(default="net", metadata={"static": True})


@dataclass(frozen=True, slots=True)
class Frozen:
    loc: Any
    scale: Any

    def __post_init__(self) -> None:
        if not isinstance(self.scale, float):
            raise TypeError("scale")


@tree.register_pytree_node_class
class Pair:
    def __init__(self, a: Any, b: Any, tag: Any = None) -> None:
        self.a, self.b, self.tag = a, b, tag

    def tree_flatten(self) -> tuple[Any, Any]:
        return (self.a, self.b), self.tag

    @classmethod
    def tree_unflatten(cls, tag: Any, children: Any) -> Pair:
        assert isinstance(children, tuple)
        return cls(*children, tag)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pair) and vars(self) == vars(other)


@tree.register_pytree_with_keys_class
class Named(Pair):
    def tree_flatten_with_keys(self) -> tuple[Any, Any]:
        pairs = ((tree.GetAttrKey("a"), self.a), (tree.GetAttrKey("b"), self.b))
        return pairs, self.tag


@tree.register_static
@dataclass(frozen=True)
class Options:
    order: int


@tree.register_leaf
@dataclass(frozen=True)
class Interval:
    low: float
    high: float


TREES = [
    (1.5, "*", [1.5]),
    (None, "None", []),
    ((), "()", []),
    ((1,), "(*,)", [1]),
    ([1, (2, None)], "[*, (*, None)]", [1, 2]),
    ({"b": 1, "a": [2, 3]}, "{'a': [*, *], 'b': *}", [2, 3, 1]),
    ({1: "one", "a": "two"}, "{1: *, 'a': *}", ["one", "two"]),
    (OrderedDict(b=1, a=2), "OrderedDict({'b': *, 'a': *})", [1, 2]),
    (defaultdict(list, b=1, a=2), "defaultdict({'a': *, 'b': *})", [2, 1]),
    (Point(1, [2]), "Point(x=*, y=[*])", [1, 2]),
    (Empty(), "Empty()", []),
    (Plain(1, [2, 3], "n"), "Plain(W=*, b=[*, *], name='n')", [1, 2, 3]),
    (Frozen(1.0, 2.0), "Frozen(loc=*, scale=*)", [1.0, 2.0]),
    (Pair(1, {"z": 2}, "t"), "Pair['t'](*, {'z': *})", [1, 2]),
    (Named(1, 2), "Named[None](*, *)", [1, 2]),
    ([Options(2), 1], "[Options[Options(order=2)], *]", [1]),
    ((Interval(0.0, 1.0), 2), "(*, *)", [Interval(0.0, 1.0), 2]),
]
IDS = [text for _, text, _ in TREES]


@pytest.mark.parametrize(("value", "text", "expected"), TREES, ids=IDS)
def test_flatten_and_unflatten(value: Any, text: str, expected: list[Any]) -> None:
    found, treedef = tree.flatten(value)
    assert found == expected == tree.leaves(value)
    assert repr(treedef) == f"TreeDef({text})"
    assert treedef.num_leaves == len(expected)
    rebuilt = tree.unflatten(treedef, iter(found))
    assert type(rebuilt) is type(value)
    assert rebuilt == value
    assert tree.structure(rebuilt) == treedef
    assert hash(tree.structure(rebuilt)) == hash(treedef)
    assert pickle.loads(pickle.dumps(treedef)) == treedef


@pytest.mark.parametrize(("value", "text", "expected"), TREES, ids=IDS)
def test_structures_hold_any_object(value: Any, text: str, expected: list[Any]) -> None:
    marks = [object() for _ in expected]
    assert tree.leaves(tree.unflatten(tree.structure(value), marks)) == marks


def test_structures_differ() -> None:
    structures = [tree.structure(value) for value, _, _ in TREES[:-1]]
    for i, one in enumerate(structures):
        assert [one == other for other in structures].count(True) == 1, i
    assert tree.structure({"a": 1}) != tree.structure({"b": 1})
    assert tree.structure(Plain(1, 2, "m")) != tree.structure(Plain(1, 2, "n"))
    assert tree.structure((1,)) != "(*,)"


def test_kinds_data_and_children_are_open() -> None:
    treedef = tree.structure({"b": (1,), "a": None})
    assert (treedef.kind, treedef.type, treedef.data) == ("dict", dict, ("a", "b"))
    assert [child.kind for child in treedef.children] == ["none", "tuple"]
    leaf = treedef.children[1].children[0]
    assert (leaf.kind, leaf.type, leaf.num_leaves) == ("leaf", None, 1)
    data = tree.structure(Plain(1, 2, "m")).data
    assert data == (("W", "b"), (("name", "m"),))
    assert tree.structure(defaultdict(int, a=1)).data == (int, ("a",))


def test_subclasses_and_arrays_are_leaves() -> None:
    class Mine(list):  # type: ignore[type-arg]
        pass

    values: list[Any] = [Mine([1]), np.ones(3), np.float64(1), "text", Plain, range(3), {1}]
    assert len(tree.leaves(values)) == len(values)


def test_is_leaf() -> None:
    assert tree.leaves([None, (1, 2)], is_leaf=lambda x: x is None) == [None, 1, 2]
    assert tree.leaves((1, 2), is_leaf=lambda x: isinstance(x, tuple)) == [(1, 2)]
    assert tree.map(len, [(1, 2), (3,)], is_leaf=lambda x: isinstance(x, tuple)) == [2, 1]


def test_paths() -> None:
    value = {"W": [1, Point(2, None)], 3: Plain(4, Pair(5, 6)), "n": Named(7, 8)}
    pairs, treedef = tree.flatten_with_path(value)
    assert [tree.keystr(path) for path, _ in pairs] == [
        "['W'][0]",
        "['W'][1].x",
        "[3].W",
        "[3].b[<flat index 0>]",
        "[3].b[<flat index 1>]",
        "['n'].a",
        "['n'].b",
    ]
    assert [leaf for _, leaf in pairs] == [1, 2, 4, 5, 6, 7, 8]
    assert tree.paths(treedef, "p")[1] == "p['W'][1].x"
    assert tree.keystr(pairs[1][0], simple=True, separator="/") == "W/1/x"
    assert tree.keystr(pairs[3][0], simple=True, separator="/") == "3/b/0"
    assert tree.leaves_with_path(5) == [((), 5)]
    assert tree.paths(tree.structure(5), "x") == ["x"]
    assert tree.paths(tree.structure(OrderedDict(a=1))) == ["['a']"]
    assert tree.paths(tree.structure(defaultdict(int, a=1))) == ["['a']"]


def test_map() -> None:
    assert tree.map(lambda x: 2 * x, {"a": 1, "b": (2, None)}) == {"a": 2, "b": (4, None)}
    assert tree.map(lambda x, y: x + y, [1, 2], [10, 20]) == [11, 22]
    assert tree.map(lambda x, y: (x, y), [1], [{"deep": 2}]) == [(1, {"deep": 2})]
    assert tree.map(lambda x, y: x - y, {1: 1, "a": 2}, {"a": 2, 1: 1}) == {1: 0, "a": 0}
    shown = tree.map_with_path(lambda p, x, y: f"{tree.keystr(p)}{x}{y}", {"a": [1]}, {"a": [2]})
    assert shown == {"a": ["['a'][0]12"]}


@pytest.mark.parametrize(
    ("first", "other", "message"),
    [
        ({"W": [1, 2]}, {"W": [1]}, "differ at ['W']: only the first has [1], only the other has"),
        ({"W": [1]}, {"W": [1, 2]}, "only the first has nothing more, only the other has [1]"),
        ({"W": (1,)}, {"W": [1]}, "differ at ['W']: (*,) in the first, [*] in the other"),
        ({"a": 1, "b": 2}, {"a": 1, "c": 2}, "differ: only the first has ['b'], only the other"),
        ({1: 1, "a": 2}, {"b": 1, 1: 2}, "only the first has ['a'], only the other has ['b']"),
        ([[1]], [2.5], "differ at [0]: [*] in the first, a leaf (float) in the other"),
        ([None], [1], "differ at [0]: None in the first, a leaf (int) in the other"),
        (Point(1, [2]), Point(1, 2), "differ at .y: [*] in the first"),
        (Plain(1, 2, "m"), Plain(1, 2, "n"), "Plain(W=*, b=*, name='m') in the first"),
        (Pair(1, 2, "s"), Pair(1, 2, "t"), "Pair['s'](*, *) in the first, Pair['t'](*, *)"),
        (Options(1), Options(2), "Options[Options(order=1)] in the first"),
    ],
)
def test_mismatches_say_the_path_and_both_structures(first: Any, other: Any, message: str) -> None:
    with pytest.raises(TreeError) as caught:
        tree.map(lambda x, y: x, first, other)
    text = str(caught.value)
    assert message in text
    for value in (first, other):
        assert repr(tree.structure(value))[len("TreeDef(") : -1] in text


def test_wrong_number_of_leaves() -> None:
    with pytest.raises(TreeError, match=r"3 leaves for a tree of 2\n  hint: .*\[\*, \*\]"):
        tree.unflatten(tree.structure([1, 2]), [1, 2, 3])


def test_a_tree_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(TreeError, match="contains itself"):
        tree.flatten(loop)


def test_statics_must_hash_and_compare() -> None:
    one, other = (tree.structure(Pair(1, 2, np.arange(3))) for _ in range(2))
    with pytest.raises(TreeError, match="has no hash"):
        hash(one)
    with pytest.raises(TreeError, match="cannot be compared"):
        _ = one == other


def test_dataclass_without_a_value() -> None:
    broken = Plain.__new__(Plain)
    with pytest.raises(TreeError, match="a Plain has no value"):
        tree.flatten(broken)


def test_broadcast_reduce_all_transpose() -> None:
    full = {"a": [5, 6], "b": (7, None)}
    assert tree.broadcast({"a": 0, "b": 1}, full) == {"a": [0, 0], "b": (1, None)}
    prefix = {"a": None, "b": 1}
    spread = tree.broadcast(prefix, full, is_leaf=lambda x: x is None)
    assert spread == {"a": [None, None], "b": (1, None)}
    assert tree.reduce(lambda x, y: x + y, full) == 18
    assert tree.reduce(lambda x, y: x + y, [], 4) == 4
    assert tree.all([True, (1, {})])
    assert not tree.all([True, 0])
    turned = tree.transpose(tree.structure([0, 0]), tree.structure((0, 0)), [(1, 2), (3, 4)])
    assert turned == ([1, 3], [2, 4])
    assert tree.transpose(tree.structure([0, 0]), None, [(1, 2), (3, 4)]) == turned
    assert tree.transpose(tree.structure([]), tree.structure((0, 0)), []) == ([], [])
    with pytest.raises(TreeError):
        tree.transpose(tree.structure([0, 0]), tree.structure((0, 0)), [(1, 2), (3,)])
    with pytest.raises(TreeError):
        tree.transpose(tree.structure([]), None, [])


def test_partial() -> None:
    part = tree.Partial(pow, 2, mod=5)
    assert tree.leaves(part) == [2, 5]
    doubled = tree.map(lambda x: x + 1, part)
    assert isinstance(doubled, tree.Partial)
    assert doubled(2) == pow(3, 2, 6)
    assert tree.structure(part) == tree.structure(tree.Partial(pow, 7, mod=1))
    assert tree.structure(part) != tree.structure(tree.Partial(max, 2, mod=5))


def test_register_dataclass_chooses_fields() -> None:
    @tree.register_dataclass
    @dataclass
    class Auto:
        x: Any
        n: int = field(metadata={"static": True})

    assert tree.leaves(Auto(1, 2)) == [1]

    @dataclass
    class Chosen:
        x: Any
        n: int
        cached: Any = field(init=False, default="fresh")

    tree.register_dataclass(Chosen, ["x"], ["n"], drop_fields=["cached"])
    value = Chosen(1, 2)
    value.cached = "stale"
    assert tree.map(lambda x: x + 1, value) == Chosen(2, 2)

    class Ordinary:
        x = 1
        n = 2

    tree.register_dataclass(Ordinary, data_fields=["x"], meta_fields=["n"])
    rebuilt = tree.map(lambda x: x + 1, Ordinary())
    assert (type(rebuilt), rebuilt.x, rebuilt.n) == (Ordinary, 2, 2)


def test_registering_wrongly() -> None:
    @dataclass
    class Two:
        x: Any
        y: Any

    with pytest.raises(TreeError, match=r"fields \['y', 'z'\] of Two"):
        tree.register_dataclass(Two, ["x", "z"], [])
    with pytest.raises(TreeError, match="not a dataclass"):
        tree.register_dataclass(int)
    with pytest.raises(TreeError, match="registered as a pytree already"):
        tree.register_static(Pair)
    with pytest.raises(TreeError, match="registered as a pytree already"):
        tree.register_pytree_node(list, lambda x: (x, None), lambda _, x: list(x))
    with pytest.raises(TreeError, match="is not a class"):
        tree.register_static(3)  # type: ignore[type-var]


def test_unknown_leaf_classes_are_not_kept_alive() -> None:
    passing = type("Passing", (), {})
    tree.flatten([passing()])
    seen = weakref.ref(passing)
    del passing
    gc.collect()
    assert seen() is None


NESTED = st.recursive(
    st.integers() | st.none(),
    lambda below: (
        st.lists(below, max_size=3)
        | st.lists(below, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=2) | st.integers(), below, max_size=3)
        | st.builds(Point, below, below)
        | st.builds(Plain, below, below, st.text(max_size=1))
    ),
    max_leaves=20,
)


@given(NESTED)
def test_any_tree_survives(value: Any) -> None:
    found, treedef = tree.flatten(value)
    assert tree.unflatten(treedef, found) == value
    assert len(found) == treedef.num_leaves == len(tree.paths(treedef))
    assert tree.map(lambda x, y: x - y, value, value) == tree.map(lambda x: 0, value)
    assert tree.flatten_up_to(treedef, value) == found
