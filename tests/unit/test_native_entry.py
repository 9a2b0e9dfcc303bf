"""What an entry takes, what it passes on, what it returns; and references, exact on every path."""

from __future__ import annotations

import gc
import pickle
import sys
import threading
import tracemalloc
from collections import OrderedDict, namedtuple
from collections.abc import Callable

import numpy as np
import pytest
from native_call_harness import (
    DECLINE,
    F8,
    RETURN,
    SCALAR,
    VECTOR,
    accepts,
    compiled,
    copy_kernel,
    echo,
    function_of,
    needs_native,
    read,
    scripted,
)

from tracejit.backends.native import abi
from tracejit.backends.native.call_signature import (
    NODE_LIMIT,
    CallSignature,
    Dict,
    Leaf,
    List,
    NoneNode,
    Static,
    Tuple,
    describe,
)
from tracejit.backends.native.callable import Gate
from tracejit.backends.native.entry import Runtime, runtime_object, runtime_text

pytestmark = needs_native

X = np.arange(5.0)
BIG = 1 << 63
Pair = namedtuple("Pair", "a b")


class Subclass(np.ndarray):
    """An ndarray in all but its type."""


def misaligned() -> np.ndarray:
    """Five float64 that begin one byte off."""
    return np.zeros(41, np.uint8)[1:].view(F8)


def pickled(x: np.ndarray) -> np.ndarray:
    """A copy whose dtype is another object."""
    y = pickle.loads(pickle.dumps(x))
    assert y.dtype is not x.dtype
    return y


def read_only(x: np.ndarray) -> np.ndarray:
    y = x.copy()
    y.flags.writeable = False
    return y


# ---- arguments: (node, values that it takes, values that it does not)

ARGUMENTS = {
    "array": (
        VECTOR,
        [
            *(X, np.full(5, np.nan), read_only(X), pickled(X), np.ones((5, 5))[2]),
            *(X[:, None][:, 0], np.arange(10.0)[::2], X[::-1], misaligned()),
            *(np.broadcast_to(1.0, 5), np.ones((5, 5))[:, 2], read_only(np.ones(9))[::2]),
        ],
        [
            *(
                np.zeros(4),
                np.zeros((5, 1)),
                np.zeros((1, 5)),
                np.float64(1.0),
                1.0,
                None,
                [0.0] * 5,
            ),
            *(X.astype("f4"), X.astype("i8"), X.astype(">f8"), X.astype("c16"), X.astype(object)),
            *(X.view(Subclass), np.ma.array(X), X.astype(">f8")[::-1], np.arange(8.0)[::2]),
            *(np.zeros(5, [("a", "f8")]), np.broadcast_to(1.0, 4), np.array(5.0)),
        ],
    ),
    "matrix": (
        Leaf("array", F8, (2, 3)),
        [
            *(np.ones((2, 3)), np.ones((3, 2)).reshape(2, 3), np.asfortranarray(np.ones((3, 2))).T),
            *(np.ones((3, 2)).T, np.asfortranarray(np.ones((2, 3))), np.ones((4, 3))[::-2]),
        ],
        [np.ones((3, 2)), np.ones((2, 2, 3)), np.asfortranarray(np.ones((3, 2)))],
    ),
    "0-d array": (Leaf("array", F8, ()), [np.array(1.0)], [1.0, np.float64(1.0), np.zeros(1)]),
    "empty array": (Leaf("array", F8, (0, 3)), [np.zeros((0, 3))], [np.zeros((3, 0)), np.zeros(0)]),
    "float": (
        Leaf("float"),
        [1.0, -0.0, float("nan"), float("inf")],
        [1, True, np.float64(1.0), np.float32(1.0), np.array(1.0), None, "1.0", 1j],
    ),
    "complex": (
        Leaf("complex"),
        [1j, complex(-0.0, 2.0), complex("nan"), complex("inf")],
        [1, True, 1.0, np.complex128(1j), np.complex64(1j), np.array(1j), None, "1j"],
    ),
    "int": (
        Leaf("int"),
        [0, -1, 10**12, BIG - 1, -BIG],
        [BIG, -BIG - 1, 10**40, -(10**40), True, False, 1.0, np.int64(1), "1", None],
    ),
    "bool": (Leaf("bool"), [True, False], [1, 0, np.True_, None, 1.0]),
    "float64": (
        SCALAR,
        [np.float64(2.0), np.float64("nan")],
        [2.0, np.float32(2.0), np.array(2.0)],
    ),
    "bool_": (Leaf("scalar", np.dtype(bool)), [np.True_, np.False_], [True, 1, np.int8(1)]),
    "None": (NoneNode(), [None], [0, False, (), "None"]),
    "static": (Static(ARGUMENT := [1]), [ARGUMENT], [[1], None, 1]),
    "static int": (Static(10**6), [int("1000000")], [10**6 + 1, 1e6, np.int64(10**6), None]),
    "static True": (Static(True), [True], [1, False]),
    "static str": (Static("relu"), ["re" + "".join("lu")], ["tanh", b"relu", None, 1]),
    "tuple": (
        Tuple((VECTOR, Leaf("float"))),
        [(X, 1.0)],
        [(X,), (X, 1.0, 1.0), (1.0, X), [X, 1.0], Pair(X, 1.0), None, (), {0: X, 1: 1.0}],
    ),
    "list": (List((Leaf("int"), Leaf("int"))), [[1, 2]], [[1], [1, 2, 3], (1, 2), [1, 2.0], []]),
    "empty": (
        Tuple((Tuple(()), List(()), Dict((), ()))),
        [((), [], {})],
        [([], (), {}), ((), [], {1: 1})],
    ),
    "dict": (
        Dict(("a", "b"), (Leaf("int"), Leaf("float"))),
        [{"a": 1, "b": 2.0}, {"b": 2.0, "a": 1}, {"".join("a"): 1, "".join(["b"]): 2.0}],
        [
            *(
                {"a": 1},
                {"a": 1, "b": 2.0, "c": 3},
                {"a": 1, "c": 2.0},
                {"a": 2.0, "b": 1},
                {},
                None,
            ),
            *(OrderedDict(a=1, b=2.0), {"a": 1, 2: 2.0}, {1: 1, 2: 2.0}, [("a", 1), ("b", 2.0)]),
        ],
    ),
    "dict of ints": (Dict((10**6, -1), (Leaf("int"),) * 2), [{-1: 1, 10**6: 2}], [{-1: 1, 1e6: 2}]),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_what_a_node_takes(name: str) -> None:
    node, taken, left = ARGUMENTS[name]
    f = accepts(node)
    for value in taken:
        assert f(value) is None, value
    for value in left:
        assert f(value)[1][0] is value


@pytest.mark.parametrize("kind", abi.SCALARS, ids=lambda kind: kind.__name__)
def test_every_dtype_as_array_and_scalar(kind: type[np.generic]) -> None:
    array, scalar = np.ones((2, 3), kind), kind(1)
    for value in (array, scalar):
        result = echo(value)(value)
        assert type(result) is type(value)
        assert result.dtype is value.dtype
        np.testing.assert_array_equal(result, value)
    for other in abi.SCALARS:
        if other is not kind:
            assert accepts(describe(array))(np.ones((2, 3), other))[0] == "miss"
            assert accepts(describe(scalar))(other(1))[0] == "miss"


def test_a_boolean_result_is_one_of_the_singletons() -> None:
    f = echo(np.True_)
    assert f(np.True_) is np.True_
    assert f(np.False_) is np.False_


def test_dictionaries_with_strange_keys_run_no_python() -> None:
    class Key:
        def __hash__(self) -> int:
            return hash("a")

        def __eq__(self, other: object) -> bool:
            raise AssertionError("asked")

    f = accepts(Dict(("a", "b"), (Leaf("int"), Leaf("int"))))
    assert f({Key(): 1, "b": 2})[0] == "miss"


def test_what_a_kernel_reads() -> None:
    seen = []

    def kernel(inputs: object, outputs: object) -> None:
        seen.append([read(inputs[k], kind) for k, kind in enumerate(("f8", "i8", "?", "f4", "f8"))])

    node = Tuple((Leaf("float"), Leaf("int"), Leaf("bool"), describe(np.float32(0)), VECTOR))
    f = function_of(scripted(CallSignature((node,), (), NoneNode()), kernel))
    f((1.5, -(2**40), True, np.float32(2.5), X + 3))
    f((-0.0, BIG - 1, False, np.float32(-1), X))
    assert seen == [[1.5, -(2**40), True, 2.5, 3.0], [-0.0, BIG - 1, False, -1.0, 0.0]]


def test_leaves_are_counted_depth_first() -> None:
    value = ({"x": 1, "y": [2, (3, None, 4)]}, 5, [[6], 7])
    seen = []

    def kernel(inputs: object, outputs: object) -> None:
        seen.extend(read(inputs[k], "i8") for k in range(9))

    keywords = (("k", describe([8])), ("j", describe(9)))
    signature = CallSignature((describe(value),), keywords, NoneNode())
    function_of(scripted(signature, kernel))(value, j=9, k=[8])
    assert seen == list(range(1, 10))


def test_the_usual_order_of_a_dict_changes_no_number() -> None:
    seen = []

    def kernel(inputs: object, outputs: object) -> None:
        seen.append([read(inputs[k], "i8") for k in range(4)])

    inner = Dict(("x", "y"), (Leaf("int"), Leaf("int")), usual=("y", "x"))
    outer = Dict(("a", "b", "c"), (Leaf("int"), inner, Leaf("int")), usual=("c", "a", "b"))
    f = function_of(scripted(CallSignature((outer,), (), NoneNode()), kernel))
    f({"c": 4, "a": 1, "b": {"y": 3, "x": 2}})
    f({"a": 1, "b": {"x": 2, "y": 3}, "c": 4})
    assert seen == [[1, 2, 3, 4]] * 2


def test_keywords_in_any_order() -> None:
    keywords = (("alpha", Leaf("int")), ("beta", Leaf("float")), ("gamma", Leaf("bool")))
    seen = []

    def kernel(inputs: object, outputs: object) -> None:
        seen.append([read(inputs[k], kind) for k, kind in enumerate(("f8", "i8", "f8", "?"))])

    f = function_of(scripted(CallSignature((Leaf("float"),), keywords, NoneNode()), kernel))
    f(0.5, alpha=1, beta=2.0, gamma=True)
    f(0.5, gamma=True, alpha=1, beta=2.0)
    f(0.5, **{"".join(["be", "ta"]): 2.0, "".join(["gam", "ma"]): True, "".join(["al", "pha"]): 1})
    assert seen == [[0.5, 1, 2.0, True]] * 3
    assert f.misses == 0
    right = {"alpha": 1, "beta": 2.0, "gamma": True}
    others = [{"gamma": 1}, {"alpha": 1.0}, {"delta": 0}, {"gamma": None, "delta": True}]
    wrong = [{}, {"alpha": 1, "beta": 2.0}, *({**right, **other} for other in others)]
    for kwargs in wrong:
        assert f(0.5, **kwargs) == ("miss", (0.5,), kwargs)
    assert f(0.5, 1, 2.0, True)[0] == f(alpha=1, beta=2.0, gamma=True)[0] == "miss"


@pytest.mark.parametrize(
    "value",
    [
        X,
        np.array(3.0),
        np.float64(3.0),
        np.ones((2, 0)),
        (X, [np.float32(1.0), {"b": X, "a": (np.True_,)}], ()),
        [None, {}, [], (None, np.int8(3)), {1: X, 2: {b"k": X}}],
        {f"k{i}": {"W": np.full((3, 4), i), "b": np.full(3, 0.5)} for i in range(30)},
    ],
    ids=str,
)
def test_results_of_every_shape(value: object) -> None:
    result = echo(value)(value)
    assert repr(result) == repr(value)
    assert describe(result) == describe(value)
    for array in (x for x in gc.get_referents(result) if isinstance(x, np.ndarray)):
        assert array.flags.c_contiguous and array.flags.owndata and array.flags.writeable


def test_containers_are_fresh_and_tracked() -> None:
    value = ([X], {"a": [X]}, (X, [X]))
    f = echo(value)
    first, second = f(value), f(value)
    assert first[0] is not second[0]
    assert all(map(gc.is_tracked, (first, first[0], first[1], first[2])))
    first[0].append(first)
    first[1]["new"] = first


def test_static_results() -> None:
    constant = object()
    result = Tuple((Static(constant), NoneNode(), Static("text")))
    f = function_of(compiled(CallSignature((), (), result), RETURN))
    before = sys.getrefcount(constant)
    results = [f() for _ in range(100)]
    assert results[0][0] is constant and results[0][1:] == (None, "text")
    assert sys.getrefcount(constant) == before + 100


def test_what_stays_in_python() -> None:
    def build(node: object, result: object = NoneNode()) -> object:
        return compiled(CallSignature((node,), (), result), RETURN)

    assert (
        describe(Pair(1, 2)) is describe({"a": OrderedDict()}) is describe(X.view(Subclass)) is None
    )
    assert describe("text") is None
    for code in (">f8", "O", "U3", "M8[s]", "longdouble", [("a", "f8")]):
        assert build(Leaf("array", np.dtype(code), (1,))) is None
        assert build(NoneNode(), Leaf("array", np.dtype(code), (1,))) is None
    assert build(Dict((1, "a"), (NoneNode(), NoneNode()))) is None
    assert build(Dict(((1,),), (NoneNode(),))) is None
    assert build(Tuple((NoneNode(),) * NODE_LIMIT)) is None
    assert build(Tuple((NoneNode(),) * (NODE_LIMIT - 2))) is not None


def test_many_leaves() -> None:
    value = [float(i) for i in range(2000)]
    f = function_of(
        compiled(CallSignature((describe(value),), (), SCALAR), copy_kernel((1999, 0, 8)))
    )
    assert f(value) == 1999.0


# ---- references


def count_stays(call: Callable[[], object], *watched: object, calls: int = 100_000) -> None:
    """The call leaves reference counts as they were, however often it is made."""
    call(), call()  # for the two results that the entry keeps
    before = [sys.getrefcount(x) for x in watched]
    for _ in range(calls):
        call()
    assert [sys.getrefcount(x) for x in watched] == before


def test_references_of_arguments_outputs_and_keys() -> None:
    key = "".join(["k", "ey"])
    item, number, box = X + 1, float("1.5"), [X]
    value = {key: (item, number, [np.float64(2.0), np.True_]), "other": box}
    f = function_of(
        compiled(
            CallSignature(
                (describe(value),),
                (("flag", Leaf("bool")),),
                Dict(
                    (key,), (Tuple((VECTOR, SCALAR, Leaf("scalar", np.dtype(bool)), NoneNode())),)
                ),
            ),
            copy_kernel((0, 0, 40), (1, 1, 8), (3, 2, 1)),
        )
    )
    result = f(value, flag=True)
    assert list(result) == [key] and f.misses == 0
    array, result = result[key][0], None
    count = sys.getrefcount(array)
    assert count == 3  # the variable, the argument of getrefcount, the spare
    watched = [value, key, item, number, box, f, X.dtype, np.float64, np.True_, np.ndarray]
    count_stays(lambda: f(value, flag=True), *watched)


@pytest.mark.parametrize("kernel", [RETURN, DECLINE], ids=["mismatch", "declined"])
def test_references_of_a_call_that_is_passed_on(kernel: str) -> None:
    node = Tuple((VECTOR, Leaf("int"), Dict(("a",), (VECTOR,))))
    result = Tuple((VECTOR, SCALAR, List((VECTOR,)), NoneNode()))
    f = function_of(compiled(CallSignature((node,), (), result), kernel))
    a = X + 1
    value = (X, 1 if kernel is DECLINE else 1.0, {"a": a})
    assert f(value)[0] == "miss"
    count_stays(lambda: f(value), value, a, X, f, X.dtype, np.float64, calls=10_000)


def test_references_when_memory_runs_out() -> None:
    marker = object()
    result = Tuple((VECTOR, SCALAR, Static(marker), Leaf("array", F8, (1 << 50,))))
    f = function_of(compiled(CallSignature((VECTOR,), (), result), RETURN))

    def call() -> None:
        with pytest.raises(MemoryError):
            f(X)

    count_stays(call, marker, X, X.dtype, f, np.float64, calls=1000)


def test_every_failing_allocation_is_a_memory_error() -> None:
    testcapi = pytest.importorskip("_testcapi", reason="this Python comes without its test modules")
    marker, outcomes = object(), set()
    many = Dict(tuple(f"k{i}" for i in range(12)), (Static(marker),) * 12)  # grows on the way
    tree = Dict(("a", "b", "c"), (Tuple((SCALAR, Static(marker))), List((VECTOR, VECTOR)), many))
    f = function_of(compiled(CallSignature((), (), tree), RETURN))
    f(), f()
    before = sys.getrefcount(marker)
    for part in ("nothing", "leaf", "dict", "all"):  # what is held, and so made anew
        held: list[object] = []
        for start in range(1, 40):
            testcapi.set_nomemory(start, start + 1)
            try:
                result = f()
                outcome = "result"
            except MemoryError:
                outcome = "error"
            finally:
                testcapi.remove_mem_hooks()
            outcomes.add(outcome)
            if outcome == "result":
                held.append({"leaf": result["b"][0], "dict": result["c"], "all": result}.get(part))
        result = None
    del held
    f(), f()
    assert outcomes == {"result", "error"}
    assert sys.getrefcount(marker) == before


def test_memory_is_flat() -> None:
    value = ({"a": X, "b": [X, 1.0]}, 3)
    result = Dict(
        ("g", "v"), (List((VECTOR, SCALAR)), Tuple((VECTOR, Leaf("scalar", np.dtype(bool)))))
    )
    f = function_of(compiled(CallSignature((describe(value),), (), result), RETURN))
    f(value)
    before = sys.getallocatedblocks()
    for _ in range(1_000_000):
        f(value)
    assert sys.getallocatedblocks() - before < 100
    tracemalloc.start()  # counts the data of arrays, too
    try:
        f(value)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(10_000):
            f(value)
        assert tracemalloc.get_traced_memory()[0] - before < 10_000
    finally:
        tracemalloc.stop()


# ---- the GIL


def test_other_threads_run_while_the_kernel_does() -> None:
    entered, leave = threading.Event(), threading.Event()
    value = [X + 1, (X + 2, 2.5)]

    def kernel(inputs: object, outputs: object) -> None:
        entered.set()
        assert leave.wait(10)
        seen.extend(read(inputs[k], "f8") for k in range(3))

    seen: list[object] = []
    signature = CallSignature((describe(value),), (), SCALAR, release_gil=True)
    f = function_of(scripted(signature, kernel))
    thread = threading.Thread(target=f, args=(value,))
    thread.start()
    assert entered.wait(10)
    value.clear()  # the entry holds what it found in the list
    gc.collect()
    leave.set()
    thread.join()
    assert seen == [1.0, 2.0, 2.5]


def test_references_when_the_gil_is_released() -> None:
    item = X + 1
    value = [item, (X, 2.5)]
    signature = CallSignature((describe(value),), (), SCALAR, release_gil=True)
    f = function_of(compiled(signature, copy_kernel((0, 0, 8))))
    assert f(value) == 1.0
    count_stays(lambda: f(value), value, value[1], item, X, calls=10_000)


# ---- the machine code


def test_the_runtime_holds_no_address() -> None:
    text = runtime_text()
    assert "$" not in text
    assert not any(str(address) in text for address in abi.LAYOUT.functions.values())


def test_the_object_code_can_be_loaded_again() -> None:
    kept = runtime_object()
    first, second = Runtime(kept), Runtime(kept)
    assert first.call and second.call and first.call != second.call


# ---- gates


def test_a_closed_gate_passes_every_call_on() -> None:
    gate = Gate()
    entry = scripted(CallSignature((VECTOR,), (), Tuple(())), lambda inputs, outputs: None, gate)
    f = function_of(entry)
    assert f(X) == ()
    gate.is_open = False
    assert f(X)[0] == "miss"
    gate.is_open = True
    assert f(X) == ()
    assert f.misses == 1
