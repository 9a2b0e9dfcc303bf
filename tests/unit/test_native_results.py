"""Results that nobody holds are filled again; what somebody holds, or has changed, never is."""

from __future__ import annotations

import gc
import random
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from native_call_harness import (
    DECLINE,
    F8,
    SCALAR,
    VECTOR,
    compiled,
    echo,
    function_of,
    needs_native,
    scripted,
)

from tracejit.backends.native.call_signature import CallSignature, Leaf, Tuple, describe
from tracejit.backends.native.callable import uninstall
from tracejit.backends.native.entry import SPARE_BYTES

pytestmark = needs_native

Tree = Any


def tree(number: float) -> Tree:
    """A tree of each kind of container and leaf, full of one number."""
    return {
        "a": (np.full(5, number), np.float64(number)),
        "b": [np.full((2, 3), int(number)), {"c": np.full((), number), "d": np.bool_(number % 2)}],
        "e": (np.float32(number), None, (np.full((0, 2), number),)),
    }


def parts(x: Tree) -> list[Any]:
    """A tree and all that is below it."""
    items = x.values() if isinstance(x, dict) else x if isinstance(x, tuple | list) else ()
    return [x, *(part for item in items for part in parts(item))]


def same(x: Tree, y: Tree) -> bool:
    """Whether two trees are equal, types, dtypes, shapes and order of keys included."""
    if type(x) is not type(y):
        return False
    if isinstance(x, dict):
        return list(x) == list(y) and same(list(x.values()), list(y.values()))
    if isinstance(x, tuple | list):
        return len(x) == len(y) and all(map(same, x, y))
    if isinstance(x, np.ndarray):
        plain = x.flags.num == y.flags.num and x.strides == y.strides
        return plain and x.dtype == y.dtype and x.shape == y.shape and bool((x == y).all())
    return bool(x == y)


def test_results_that_nobody_holds_are_filled_again() -> None:
    f = echo(tree(1.0))
    addresses = [id(f(tree(float(i)))) for i in range(6)]
    assert addresses == addresses[:2] * 3
    inner = [list(map(id, parts(f(tree(float(i))))) ) for i in range(4)]
    assert inner[:2] == inner[2:]


def test_results_in_variables_take_turns() -> None:
    f = echo((np.zeros(5), np.float64(0.0)))
    seen = set()
    for i in range(10):
        array, number = f((np.full(5, float(i)), np.float64(i)))
        seen |= {id(array), id(number)}
        assert array[0] == number == i
    assert len(seen) == 4


def test_what_is_held_keeps_its_value() -> None:
    f, pick = echo(tree(0.0)), random.Random(3)
    held: list[tuple[Any, Any]] = []
    views: list[Callable[[np.ndarray], Any]] = [lambda x: x, lambda x: x[...], memoryview]
    for i in range(3000):
        number = float(i)
        result = f(tree(number))
        assert same(result, tree(number))
        for part, wanted in zip(parts(result), parts(tree(number)), strict=True):
            assert part is None or isinstance(part, np.bool_) or all(part is not x for x, _ in held)
            if pick.random() < 0.05:
                view = pick.choice(views) if isinstance(part, np.ndarray) else lambda x: x
                held.append((view(part), wanted))
        result = part = view = None
        for part, wanted in held:
            array = isinstance(wanted, np.ndarray)
            assert np.array_equal(part, wanted) if array else same(part, wanted)
        part = None
        pick.shuffle(held)
        del held[pick.randrange(12) :]


def set_dtype(x: np.ndarray) -> None:
    x.view(np.int64)[...] = 7
    x.__setstate__((1, (5,), np.dtype("i8"), False, bytes(40)))


CHANGES: dict[str, Callable[[Tree], object]] = {
    "read only": lambda y: y["a"][0].setflags(write=False),
    "number of axes": lambda y: y["a"][0].__setstate__((1, (5, 1), F8, False, bytes(40))),
    "extents": lambda y: y["b"][0].__setstate__((1, (3, 2), np.dtype("i8"), False, bytes(48))),
    "order": lambda y: y["b"][0].__setstate__((1, (2, 3), np.dtype("i8"), True, bytes(48))),
    "dtype": lambda y: set_dtype(y["a"][0]),
    "memory": lambda y: y["a"][0].resize(50, refcheck=False),
    "memory and back": lambda y: [y["a"][0].resize(n, refcheck=False) for n in (5000, 5)],
    "fewer items": lambda y: y["b"].pop(),
    "more items": lambda y: y["b"].append(y["b"][0]),
    "no items": lambda y: y["b"].clear(),
    "another item": lambda y: y["b"].__setitem__(0, None),
    "an item of one's own": lambda y: y["b"].__setitem__(0, np.full((2, 3), 9)),
    "a view": lambda y: y["b"].__setitem__(0, np.full((3, 2, 3), 9)[1]),
    "a subclass": lambda y: y["b"].__setitem__(0, np.ma.zeros((2, 3), int)),
    "items exchanged": lambda y: y["b"].reverse(),
    "another order of keys": lambda y: y.update(a=y.pop("a")),
    "another key": lambda y: y.update(z=y.pop("a")),
    "another number": lambda y: y["b"][1].update(c=1.5),
    "an array for a truth": lambda y: y["b"][1].update(d=np.zeros(3)),
    "a cycle": lambda y: y["b"].append(y),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_changed_is_made_anew(change: Callable[[Tree], object]) -> None:
    f = echo(tree(0.0))
    for i in range(8):
        result = f(tree(float(i)))
        assert same(result, tree(float(i)))
        change(result)
        del result
    assert same(f(tree(9.0)), tree(9.0))
    gc.collect()


def test_weak_references_see_the_end_of_a_result() -> None:
    f = echo([np.zeros(5)])
    ends: list[int] = []
    for i in range(10):
        (array,) = f([np.full(5, float(i))])
        weakref.finalize(array, ends.append, i)
        assert array[0] == i
        del array
    assert ends == list(range(8))  # two of them are spares that nobody has looked at yet


def test_python_code_runs_while_a_spare_is_dropped() -> None:
    seen: list[float] = []

    def use() -> None:
        f = echo([np.zeros(5)])

        class Nosy:
            def __del__(self) -> None:
                seen.append(f([np.full(5, 5.0)])[0][0])

        for i in range(20):
            result = f([np.full(5, float(i))])
            assert result[0][0] == i
            result.append(Nosy())
            del result

    use()
    assert len(seen) >= 17
    gc.collect()  # the function, its code, and the last who calls it
    assert seen == [5.0] * 20


def test_large_results_are_not_kept() -> None:
    for extra, references in ((0, 3), (1, 2)):
        x = np.zeros(SPARE_BYTES // 8 + extra)
        f = echo(x)
        y = f(x)
        assert sys.getrefcount(y) == references


def test_constants_and_truths_are_results() -> None:
    for value in (None, np.True_, np.False_, (), (np.True_,), [None], {}):
        f = echo(value)
        for _ in range(5):
            assert same(f(value), value)
    f = echo((np.True_, np.float64(1.0)))
    for i in range(9):
        assert f((np.bool_(i % 3), np.float64(i))) == (bool(i % 3), i)


def test_a_call_in_flight_has_its_result_for_itself() -> None:
    """The kernel calls the function again, deeper than there are spares."""

    def kernel(inputs: Any, outputs: Any) -> None:
        depth = f64(inputs[0])[0]
        mine = f64(outputs[0])
        mine[0] = depth
        if depth < 5:
            inner.append(f(depth + 1))
        assert mine[0] == depth

    f = function_of(scripted(CallSignature((Leaf("float"),), (), Tuple((SCALAR,))), kernel))
    for _ in range(3):
        inner: list[tuple[float]] = []
        assert f(0.0) == (0.0,) and sorted(inner) == [(float(i),) for i in range(1, 6)]
        inner.clear()


def f64(pointer: int) -> Any:
    """The float64 at an address."""
    import ctypes

    return (ctypes.c_double * 1).from_address(pointer)


def test_a_kernel_that_declines_leaves_the_spares_usable() -> None:
    f = echo((np.zeros(5),))
    f((np.ones(5),)), f((np.ones(5),))
    entry = compiled(CallSignature((describe((np.zeros(5),)),), (), Tuple((VECTOR,))), DECLINE)
    g = function_of(entry)
    for i in range(6):
        assert g((np.ones(5),))[0] == "miss" and g.misses == i + 1


def test_threads_do_not_share_results() -> None:
    signature = CallSignature((Leaf("float"),), (), Tuple((VECTOR, SCALAR)), release_gil=True)

    def kernel(inputs: Any, outputs: Any) -> None:
        number = f64(inputs[0])[0]
        for place in range(5):
            f64(outputs[0] + 8 * place)[0] = number
        f64(outputs[1])[0] = number

    f = function_of(scripted(signature, kernel))
    wrong = []

    def work(start: float) -> None:
        for i in range(500):
            array, number = f(start + i)
            if not (array == start + i).all() or number != start + i:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(1000.0 * k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_spares_go_with_the_entry() -> None:
    f = echo([np.zeros(5)])
    array = f([np.zeros(5)])[0]
    end = weakref.ref(array)
    del array
    assert end() is not None
    uninstall(f)
    assert end() is None


class Pair(NamedTuple):
    left: Any
    right: Any


class Loose(Pair):
    """A namedtuple to which attributes and weak references can be attached."""


@pytest.mark.parametrize("kind", [Pair, Loose])
def test_namedtuples(kind: type) -> None:
    node = Tuple((VECTOR, SCALAR), kind)
    f = function_of(compiled(CallSignature((node,), (), node), copy_both()))
    for i in range(6):
        result = f(kind(np.full(5, float(i)), np.float64(i)))
        assert type(result) is kind and result.right == i and (result.left == i).all()
        if kind is Loose:
            assert not vars(result)
            result.mark = i
    assert f((np.zeros(5), np.float64(0)))[0] == "miss"
    other = Loose if kind is Pair else Pair
    assert f(other(np.zeros(5), np.float64(0)))[0] == "miss"
    gc.collect()


def copy_both() -> str:
    from native_call_harness import copy_kernel

    return copy_kernel((0, 0, 40), (1, 1, 8))


def test_no_call_leaks() -> None:
    value = tree(1.0)
    f = echo(value)
    f(value), f(value)
    gc.collect()
    before = sys.getallocatedblocks()
    held = None
    for i in range(20_000):
        result = f(value)
        held = parts(result)[i % 14]
    del result, held
    f(value), f(value)
    gc.collect()
    assert abs(sys.getallocatedblocks() - before) < 50
