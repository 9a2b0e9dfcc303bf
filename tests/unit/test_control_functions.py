"""cond, switch, scan, fori_loop, while_loop, map, associative_scan: pytrees, types, bad input."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pytest

import tracejit as tj
import tracejit.ir.primitive
import tracejit.numpy  # lends tracers their operators
import tracejit.tree
from tracejit.config import config
from tracejit.control.associative import associative_scan
from tracejit.control.branching import cond, switch
from tracejit.control.looping import fori_loop, map, scan, while_loop
from tracejit.errors import (
    ArgumentError,
    AxisError,
    DTypeError,
    MissingRuleError,
    ShapeError,
    TracedBranchError,
    TreeError,
)
from tracejit.ir.types import BOOL, FLOAT32, FLOAT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.trace.stage import stage

State = namedtuple("State", "position velocity")
SCALAR = array_type(FLOAT64)


def run(fun, *arrays):
    """Stage a function that returns a tree, and evaluate it."""
    found = []

    def flat(*xs):
        leaves, structure = tracejit.tree.flatten(fun(*xs))
        found.append(structure)
        return leaves

    arrays = [np.asarray(x) for x in arrays]
    staged = stage(flat, [array_type(x.dtype, x.shape) for x in arrays])
    return found[0].unflatten(evaluate(staged.jaxpr, *staged.captured, *arrays))


# Trees and types.


@pytest.mark.parametrize("how", [run, lambda f, *xs: f(*xs)], ids=["traced", "at once"])
def test_trees_go_in_and_come_out(how) -> None:
    def f(x):
        def step(state, row):
            moved = State(state.position + state.velocity, state.velocity * row["a"])
            return moved, [moved.position, None, {"v": moved.velocity}]

        return scan(step, State(x, 1.0), {"a": np.array([1.0, 2.0]), "b": None})

    final, (position, nothing, rest) = how(f, 0.5)
    assert isinstance(final, State) and nothing is None
    assert final == (2.5, 2.0)
    assert position.tolist() == [1.5, 2.5] and rest["v"].tolist() == [1.0, 2.0]


def test_python_numbers_give_way() -> None:
    rows = np.ones(3, np.float32)

    def types(init, body):
        return np.asarray(scan(body, init, rows)[0]).dtype

    assert types(0, lambda c, x: (c + 0.5, None)) == np.float64
    assert types(0, lambda c, x: (c + x, None)) == np.float32
    assert types(0.0, lambda c, x: (c + x, None)) == np.float32
    assert types(np.float32(0), lambda c, x: (1.0, None)) == np.float32
    assert types(np.int8(0), lambda c, x: (1, None)) == np.int8
    assert types(np.float32(0), lambda c, x: (c + 1.0, None)) == np.float32
    with config(default_float="float32"):
        assert types(0.0, lambda c, x: (c * 2.0, None)) == np.float32


def test_the_index_of_a_fori_loop_is_a_python_number() -> None:
    x = np.float32(2.0)
    assert run(lambda x: fori_loop(0, 3, lambda i, c: c + i * x, x), x) == np.float32(8.0)
    assert run(lambda x: fori_loop(0, 3, lambda i, c: c + i * x, x), x).dtype == np.float32
    assert fori_loop(np.int32(1), np.int32(4), lambda i, c: c + i, np.int32(0)) == 6
    assert fori_loop(5, 2, lambda i, c: c + 1, 7) == 7
    assert fori_loop(-2, 2, lambda i, c: c * 10 + i, 0) == -2 * 1000 - 1 * 100 + 1


def test_branches_take_python_numbers() -> None:
    def f(x, flag):
        return cond(flag, lambda: {"y": x, "n": 0}, lambda: {"y": 0, "n": 1.5})

    out = run(f, np.float32(2.0), np.True_)
    assert (out["y"].dtype, out["n"].dtype) == (np.float32, np.float64)
    assert (out["y"], out["n"]) == (2.0, 0.0)


@pytest.mark.parametrize("index, chosen", [(-3, 0), (0, 0), (1, 1), (2, 2), (9, 2)])
@pytest.mark.parametrize("how", [run, lambda f, *xs: f(*xs)], ids=["traced", "at once"])
@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8])
def test_switch_clamps(how, index, chosen, dtype) -> None:
    branches = [lambda x: x, lambda x: x * 10, lambda x: x * 100]
    assert how(lambda i, x: switch(i, branches, x), dtype(index), 3.0) == 3 * 10**chosen


def test_a_known_predicate_decides_at_once() -> None:
    def fail(*_):
        raise AssertionError("this branch is not taken")

    assert cond(True, lambda x: x + 1, fail, 1) == 2
    assert cond(np.float64(0.0), fail, lambda x: x + 1, operand=1) == 2
    assert switch(1, [fail, lambda: 5]) == 5
    assert run(lambda x: cond(False, fail, lambda x: x * 2, x), 2.0) == 4.0


def test_a_number_is_a_predicate() -> None:
    def f(p):
        return cond(p, lambda: 1, lambda: 2)

    assert [run(f, p) for p in (0.0, -0.5, 3, 0, True, False)] == [2, 1, 1, 2, 1, 2]


def test_captured_values_are_operands() -> None:
    table = np.array([1.0, 5.0])

    def f(x, p):
        return cond(p, lambda: table * x, lambda: table + x), map(lambda r: r * x + table[0], table)

    chosen, rows = run(f, 2.0, True)
    assert chosen.tolist() == [2.0, 10.0] and rows.tolist() == [3.0, 11.0]


def test_a_loop_does_not_share_memory_with_its_start() -> None:
    start = np.zeros(2)
    final, _ = scan(lambda c, _: (c, None), start, None, length=0)
    final[0] = 1.0
    assert start[0] == 0.0


def test_while_loop_at_once() -> None:
    n, x = while_loop(lambda s: s[1] < 100, lambda s: (s[0] + 1, s[1] * 2), (0, 1.0))
    assert (n, x) == (7, 128.0)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8, 11])
def test_associative_scan(n, reverse, rng) -> None:
    matrices = rng.uniform(-1.0, 1.0, (n, 2, 2))
    weights = rng.uniform(-1.0, 1.0, (n, 3))

    def combine(a, b):
        product = b["M"] @ a["M"] if reverse else a["M"] @ b["M"]
        return {"M": product, "w": a["w"] + b["w"]}

    expected, running = [], np.eye(2)
    for M in matrices[::-1] if reverse else matrices:
        running = M @ running if reverse else running @ M
        expected.append(running)
    expected = np.reshape(expected[::-1] if reverse else expected, (n, 2, 2))
    sums = weights[::-1].cumsum(0)[::-1] if reverse else weights.cumsum(0)
    out = run(
        lambda M, w: associative_scan(combine, {"M": M, "w": w}, reverse=reverse),
        matrices, weights,
    )  # fmt: skip
    np.testing.assert_allclose(out["M"], expected, atol=1e-15)
    np.testing.assert_allclose(out["w"], sums, atol=1e-15)


def test_associative_scan_along_the_last_axis(rng) -> None:
    x = rng.uniform(size=(3, 7))
    np.testing.assert_array_equal(
        associative_scan(np.maximum, x, axis=-1), np.maximum.accumulate(x, 1)
    )


# Bad input: what is wrong, where, and what to do.


def grow(c, x):
    return {"h": (c["h"][0], np.stack([c["h"][1], x]))}, None


@pytest.mark.parametrize(
    "error, words, call",
    [
        (ShapeError, ["carry['h'][1] is f64[]", "f64[2]", "test_control_functions.py", "in grow",
                      "start with shape (2,)"],
         lambda: scan(grow, {"h": (0.0, 0.0)}, np.ones(3))),
        (DTypeError, ["carry is i64[] before the body and f64[] behind", "astype(np.int64)"],
         lambda: fori_loop(0, 3, lambda i, c: c + 0.5, np.int64(1))),
        (DTypeError, ["carry[1] is f32[]", "f64[]"],
         lambda: while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * np.float64(2)),
                            (0, np.float32(1)))),
        (TreeError, ["another structure", "in:  (*, *)", "out: [*, *]"],
         lambda: scan(lambda c, x: ([*c], None), (1.0, 2.0), np.ones(3))),
        (ArgumentError, ["must return a pair", "return carry, None"],
         lambda: scan(lambda c, x: c, 1.0, np.ones(3))),
        (ArgumentError, ["needs a length"], lambda: scan(lambda c, x: (c, x), 1.0)),
        (ArgumentError, ["length must be an integer, got 2.5"],
         lambda: scan(lambda c, x: (c, x), 1.0, None, 2.5)),
        (ArgumentError, ["must not be negative"],
         lambda: scan(lambda c, x: (c, x), 1.0, None, -1)),
        (ShapeError, ["xs['b'] has 2 rows, it should have 3"],
         lambda: scan(lambda c, x: (c, x), 1.0, {"a": np.ones(3), "b": np.ones(2)})),
        (ShapeError, ["xs has 3 rows, it should have 4"],
         lambda: scan(lambda c, x: (c, x), 1.0, np.ones(3), length=4)),
        (ShapeError, ["xs[1] is a scalar"],
         lambda: scan(lambda c, x: (c, x), 1.0, (np.ones(3), 2.0))),
        (DTypeError, ["init[0] is 'text'"],
         lambda: scan(lambda c, x: (c, x), ["text"], np.ones(3))),
        (DTypeError, ["condition of while_loop must return one bool[], got i64[]"],
         lambda: while_loop(lambda n: n, lambda n: n - 1, 3)),
        (DTypeError, ["got bool[2]", "np.any"],
         lambda: while_loop(lambda x: x > 0, lambda x: x - 1, np.ones(2))),
        (DTypeError, ["upper bound of fori_loop must be an integer"],
         lambda: fori_loop(0, 2.5, lambda i, c: c, 0)),
        (ShapeError, ["the lower bound of fori_loop must be a scalar, got i64[2]"],
         lambda: fori_loop(np.arange(2), 3, lambda i, c: c, 0)),
        (ShapeError, ["predicate of cond must be a scalar, got bool[2]"],
         lambda: cond(np.ones(2, bool), lambda: 1, lambda: 2)),
        (ArgumentError, ["predicate of cond must be a scalar, got None"],
         lambda: cond(None, lambda: 1, lambda: 2)),
        (DTypeError, ["index of switch must be an integer"],
         lambda: switch(1.0, [lambda: 1, lambda: 2])),
        (ArgumentError, ["at least one branch"], lambda: switch(0, [])),
        (AxisError, ["axis 2 is out of range for shape (3,)"],
         lambda: associative_scan(np.add, np.ones(3), axis=2)),
        (ShapeError, ["differ in length along axis 0: [2, 3]"],
         lambda: associative_scan(np.add, (np.ones(3), np.ones(2)))),
        (TreeError, ["another structure than it takes"],
         lambda: associative_scan(lambda a, b: [a, b], np.ones(3))),
    ],
)  # fmt: skip
def test_errors_at_once(error, words, call) -> None:
    with pytest.raises(error) as caught:
        call()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "error, words, fun",
    [
        (ShapeError, ["cond: result is f64[2] in one branch and f64[] in another"],
         lambda x: cond(x > 0, lambda: x, lambda: np.stack([x, x]))),
        (DTypeError, ["switch: result[0] is i32[] in one branch and f64[] in another"],
         lambda x: switch(x.astype(np.int64), [lambda: (np.int32(1),), lambda: (x,)])),
        (TreeError, ["two branches return different structures", "(*, *)", "{'a': *}"],
         lambda x: cond(x > 0, lambda: {"a": x}, lambda: (x, x))),
        (TracedBranchError, ["needs a number"],
         lambda x: scan(lambda c, _: (c if c > 0 else -c, None), x, None, 3)),
    ],
)  # fmt: skip
def test_errors_while_tracing(error, words, fun) -> None:
    with pytest.raises(error) as caught:
        stage(lambda x: tracejit.tree.leaves(fun(x)), [SCALAR])
    for word in words:
        assert word in str(caught.value)
    assert "test_control_functions.py" in str(caught.value)


def test_disable_jit_runs_python() -> None:
    seen = []

    def step(c, x):
        seen.append(x)
        return c + x, c

    with config(disable_jit=True):
        total, before = scan(step, 0.0, np.arange(3.0), reverse=True)
        assert cond(True, lambda: 1, lambda: 2) == 1
        assert fori_loop(0, 3, lambda i, c: c + i, 0) == 3
        assert while_loop(lambda n: n < 5, lambda n: n + 2, 0) == 6
        assert map(lambda x: x * 2, np.arange(3)).tolist() == [0, 2, 4]
    assert total == 3.0 and before.tolist() == [3.0, 2.0, 0.0]
    assert seen == [2.0, 1.0, 0.0]


def test_disable_jit_stages_what_has_no_number() -> None:
    """As in JAX: under vmap, and within what is traced all the same."""

    def f(x, n):
        y = while_loop(lambda c: c < n, lambda c: c * 2 + cond(c > 1, lambda: 1.0, lambda: 2.0), x)
        k = fori_loop(0, n, lambda i, c: c + 1, 0)
        return switch(k - 1, [lambda: y, lambda: 2 * y])

    n = np.array([0, 1, 2, 5])
    expected = tj.vmap(f, (None, 0))(1.0, n)
    with config(disable_jit=True):
        np.testing.assert_array_equal(tj.vmap(f, (None, 0))(1.0, n), expected)
        np.testing.assert_array_equal([f(1.0, m) for m in n], expected)
        assert tj.grad(tj.checkpoint(lambda x: f(x, 3)))(1.0) == 4.0


def test_cotangents_of_tapes_have_no_sum() -> None:
    """The tape of the inner loop is that of all rounds of the outer one."""

    def f(x):
        def inner():
            body = while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, np.sin(c[1] * x)), (0, x))
            return body[1]

        return np.sum(map(lambda s: inner() * s, np.arange(3.0)))

    slope, h = tj.grad(f), 1e-6
    curvature = tj.jvp(slope, (0.3,), (1.0,))[1]
    np.testing.assert_allclose(curvature, (slope(0.3 + h) - slope(0.3 - h)) / (2 * h), rtol=1e-6)
    with pytest.raises(MissingRuleError, match="in forward mode"):
        tj.grad(slope)(0.3)
    for backend in ("native", "eager"):  # which takes slots
        twice = tj.jit(tj.grad(slope), backend=backend)(0.3)
        np.testing.assert_allclose(twice, curvature, rtol=1e-12)


def test_types_of_the_primitives() -> None:
    """What comes from text or a transform is checked too."""
    primitives = tracejit.ir.primitive.Primitive.registry
    jaxpr = stage(lambda c, x: [c + x, c > x], [SCALAR, SCALAR]).jaxpr
    params = {"jaxpr": jaxpr, "length": 3, "reverse": False, "num_consts": 0, "num_carry": 1}
    rows = array_type(FLOAT64, (3,))
    assert primitives["scan"].typing(SCALAR, rows, **params) == (SCALAR, array_type(BOOL, (3,)))
    with pytest.raises(ShapeError, match="no first axis of length 3"):
        primitives["scan"].typing(SCALAR, array_type(FLOAT64, (4,)), **params)
    with pytest.raises(DTypeError, match="an operand of the body"):
        primitives["scan"].typing(array_type(FLOAT32), rows, **params)
    with pytest.raises(DTypeError, match="index must be"):
        primitives["cond"].typing(SCALAR, branches=(jaxpr, jaxpr))
    with pytest.raises(DTypeError, match="the condition must be a bool"):
        body = stage(lambda x: [x], [SCALAR]).jaxpr
        counts = {"num_cond_consts": 0, "num_body_consts": 0}
        primitives["while"].typing(SCALAR, cond=body, body=body, **counts)
    with pytest.raises(ShapeError, match="an operand of the body"):
        primitives["call"].typing(rows, rows, jaxpr=jaxpr, name="")


@pytest.mark.parametrize("backend", ["native", "eager"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 100])
def test_map_in_batches(size: int, backend: str) -> None:
    rows = np.arange(18.0).reshape(6, 3)
    scale = np.array([1.0, -2.0, 0.5])

    def f(x, s, **batches):
        def row(r):
            return {"sum": np.sin(r["a"] * s).sum(), "n": 1, "row": (r["a"] * r["b"], None)}

        return map(row, {"a": x, "b": x[:, 0]}, **batches)

    expected = f(rows, scale)
    batched = tj.jit(lambda x, s: f(x, s, batch_size=size), backend=backend)
    for got, want in zip(
        tj.tree.leaves(batched(rows, scale)), tj.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-14)
        assert got.dtype == want.dtype
    loss = tj.grad(lambda x, s: np.sum(f(x, s, batch_size=size)["sum"]), argnums=(0, 1))
    whole = tj.grad(lambda x, s: np.sum(f(x, s)["sum"]), argnums=(0, 1))
    for got, want in zip(
        tj.jit(loss, backend=backend)(rows, scale), whole(rows, scale), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-13)


def test_map_runs_so_many_rows_at_once() -> None:
    x = np.ones((7, 3))
    text = str(tj.make_jaxpr(lambda x: map(np.sin, x, batch_size=3))(x))
    assert "length=2" in text and "f64[3,3]" in text and "length=1," in text
    assert map(np.sin, x[:0], batch_size=3).shape == (0, 3)
    for size in (0, -1, 1.5):
        with pytest.raises(ArgumentError, match="positive integer"):
            map(np.sin, x, batch_size=size)


def test_what_is_no_function_is_named() -> None:
    x = np.ones((3, 2))
    for name, call in {
        "scan": lambda: scan(3, 0.0, x),
        "map": lambda: map(None, x),
        "cond": lambda: tj.jit(lambda p: cond(p, 1.0, lambda: 2.0))(True),
        "switch": lambda: switch(0, [lambda: 1.0, 2.0]),
        "while_loop": lambda: while_loop(lambda c: c < 3, 1, 0),
        "fori_loop": lambda: fori_loop(0, 3, 1, 0),
        "associative_scan": lambda: tj.lax.associative_scan("add", x),
    }.items():
        with pytest.raises(ArgumentError, match=f"{name} takes a function, not"):
            call()
    for unroll in (-1, "all", 1.5):
        with pytest.raises(ArgumentError, match="unroll is a bool, or a number"):
            scan(lambda c, r: (c, r), 0.0, x, unroll=unroll)
        with pytest.raises(ArgumentError, match="unroll is a bool, or a number"):
            fori_loop(0, 3, lambda i, c: c, 0.0, unroll=unroll)
    with pytest.raises(ShapeError, match=r"makes f64\[\] of f64\[1,2\]"):
        tj.lax.associative_scan(lambda a, b: a.sum(), x)
