"""Effects: in the order of the program, as often as it comes by, on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ArgumentError, DTypeError, MissingRuleError, ShapeError, TreeError

BACKENDS = ["native", "eager"]


@pytest.fixture(params=[None, *BACKENDS], ids=["plain", *BACKENDS])
def compiled(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """jit for a backend, or nothing at all: the function as it is."""
    if request.param is None:
        return lambda f, **options: f
    return lambda f, **options: tj.jit(f, backend=request.param, **options)


class Log:
    """A callback that remembers what it got."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, *args: Any) -> None:
        self.calls.append(tuple(np.asarray(x).tolist() for x in args))

    def taken(self) -> list[Any]:
        calls, self.calls = self.calls, []
        return calls


# ---- order, and how often


def test_in_the_order_of_the_program(compiled: Any, capsys: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        tj.debug.print("begin")
        z = np.exp(y)
        tj.debug.print("{} then {y:.2f}", z.sum(), y=y[0])
        w = x + 1
        tj.debug.print("w {w}", w=w)
        return w

    run = compiled(f)
    for _ in range(2):
        assert run(2.0, np.zeros(2)) == 3.0
        assert capsys.readouterr().out == "begin\n2.0 then 0.00\nw 3.0\n"


def test_what_is_no_array_is_handed_on_as_it_is(compiled: Any, capsys: Any) -> None:
    def f(x: Any) -> Any:
        tj.debug.print("{name}: {} {x} {n}", None, x=x, name="text", n=3)
        return x

    assert compiled(f)(1.5) == 1.5
    assert capsys.readouterr().out == "text: None 1.5 3\n"
    assert compiled(tj.vmap(f))(np.ones(1)) == 1.0
    assert capsys.readouterr().out == "text: None 1.0 3\n"


def test_what_nobody_reads_is_called_and_equal_calls_are_two(compiled: Any) -> None:
    log = Log()

    def f(x: Any) -> Any:
        tj.debug.callback(log, x)
        tj.debug.callback(log, x)
        return 1.0

    compiled(f)(3.0)
    assert log.taken() == [(3.0,), (3.0,)]


def test_in_each_round_of_a_loop(compiled: Any) -> None:
    log = Log()

    def f(x: Any, n: Any) -> Any:
        def body(i: Any, s: Any) -> Any:
            tj.debug.callback(log, i, s)
            return s + x

        def step(s: Any) -> Any:
            tj.debug.callback(log, s)
            return s * 2

        total = tj.lax.fori_loop(0, n, body, x)
        return tj.lax.while_loop(lambda s: s < 20, step, total)

    assert compiled(f, static_argnums=1)(1.0, 3) == 32.0
    assert log.taken() == [(0, 1.0), (1, 2.0), (2, 3.0), (4.0,), (8.0,), (16.0,)]


def test_an_effect_on_constants_stays_in_its_loop(compiled: Any) -> None:
    log = Log()

    def f(x: Any) -> Any:
        def body(i: Any, s: Any) -> Any:
            tj.debug.callback(log, np.sin(x))
            return s + 1

        return tj.lax.fori_loop(0, 3, body, 0)

    assert compiled(f)(0.0) == 3
    assert log.taken() == [(0.0,)] * 3


def test_only_the_branch_that_is_taken(compiled: Any) -> None:
    log = Log()

    def f(x: Any) -> Any:
        def positive(x: Any) -> Any:
            tj.debug.callback(log, x)
            return x

        return tj.lax.cond(x > 0, positive, lambda x: -x, x)

    run = compiled(f)
    assert run(2.0) == 2.0 and run(-3.0) == 3.0
    assert log.taken() == [(2.0,)]


def test_a_batch_calls_for_each_member_in_order(compiled: Any) -> None:
    log = Log()

    def f(x: Any) -> Any:
        tj.debug.callback(log, x, 7)
        tj.debug.callback(log, 1)
        return x * 2

    out = compiled(tj.vmap(f))(np.array([1.0, 2.0, 3.0]))
    assert out.tolist() == [2.0, 4.0, 6.0]
    assert log.taken() == [(1.0, 7), (2.0, 7), (3.0, 7), (1,)]


def test_branches_and_loops_of_members_run_one_by_one(compiled: Any) -> None:
    log = Log()

    def branch(x: Any) -> Any:
        def large(x: Any) -> Any:
            tj.debug.callback(log, x)
            return x

        return tj.lax.cond(x > 1, large, lambda x: -x, x)

    def loop(x: Any) -> Any:
        def body(s: Any) -> Any:
            tj.debug.callback(log, s)
            return s * 2

        return tj.lax.while_loop(lambda s: s < 4, body, x)

    x = np.array([1.0, 2.0, 5.0])
    assert compiled(tj.vmap(branch))(x).tolist() == [-1.0, 2.0, 5.0]
    assert log.taken() == [(2.0,), (5.0,)]
    assert compiled(tj.vmap(loop))(x).tolist() == [4.0, 4.0, 5.0]
    assert log.taken() == [(1.0,), (2.0,), (2.0,)]


@pytest.mark.parametrize("derivative", [tj.grad, tj.value_and_grad, tj.hessian, tj.jacfwd])
def test_once_in_a_derivative(compiled: Any, derivative: Any) -> None:
    log = Log()

    def f(x: Any) -> Any:
        tj.debug.callback(log, x)
        y = np.sin(x)

        def body(s: Any, row: Any) -> Any:
            tj.debug.callback(log, s)
            return s * y, row

        s, _ = tj.lax.scan(body, y, np.arange(2.0))
        tj.debug.callback(log, s)
        return s

    compiled(derivative(f))(np.pi / 2)
    assert log.taken() == [(np.pi / 2,), (1.0,), (1.0,), (1.0,)]


def test_jvp_and_vjp_call_once(compiled: Any) -> None:
    log = Log()

    def f(x: Any) -> Any:
        def body(s: Any) -> Any:
            tj.debug.callback(log, s)
            return s * x

        return tj.lax.while_loop(lambda s: s < 4, body, x)

    compiled(lambda x: tj.jvp(f, (x,), (1.0,)))(2.0)
    assert log.taken() == [(2.0,)]
    compiled(lambda x: tj.linearize(f, x)[0])(2.0)
    assert log.taken() == [(2.0,)]


def test_effects_keep_their_order_when_scalars_are_packed() -> None:
    """The first effect waits for a pack that is complete behind the second."""
    log = Log()

    def f(x: Any) -> Any:
        first = np.tanh(x[0] * 2)
        tj.debug.callback(log, 0, first)
        tj.debug.callback(log, 1, x.sum())
        return first + sum([np.tanh(x[i] * 2) for i in (1, 2, 3, 4, 5, 6, 7)])

    tj.jit(f)(np.zeros(8))
    assert log.taken() == [(0, 0.0), (1, 0.0)]


def test_effects_keep_their_order_around_a_region() -> None:
    """The first effect waits for what several kernels make together, the second does not."""
    log = Log()

    def second(x: Any) -> Any:
        log(1, x)
        return x

    def f(X: Any, w: Any) -> Any:
        z = X @ w
        tj.debug.callback(log, 0, z.sum())
        scale = tj.experimental.io_callback(second, tj.ShapeDtypeStruct((), float), w[0])
        return X.T @ (np.tanh(z) * scale)

    run, X = tj.jit(f), np.zeros((20_000, 16))
    run(X, np.ones(16))
    assert log.taken() == [(0, 0.0), (1, 1.0)]
    assert "rows at a time" in str(tj.explain(f)(X, np.ones(16)))


def test_equal_effects_are_two(compiled: Any) -> None:
    log = Log()

    def following(x: Any) -> Any:
        log(x)
        return x + 1

    @tj.jit
    def inner(x: Any) -> Any:
        return tj.experimental.io_callback(following, tj.ShapeDtypeStruct((), float), x)

    assert compiled(lambda x: inner(x) * inner(x))(1.0) == 4.0
    assert log.taken() == [(1.0,), (1.0,)]


def test_a_jitted_function_inside_has_its_effects(compiled: Any) -> None:
    log = Log()

    @tj.jit
    def inner(x: Any) -> Any:
        tj.debug.callback(log, x)
        return x + 1

    assert compiled(lambda x: inner(inner(x)) * 0)(1.0) == 0
    assert log.taken() == [(1.0,), (2.0,)]


# ---- results


def test_io_callback_gives_what_the_function_returns(compiled: Any) -> None:
    count = [0]

    def following(step: Any) -> Any:
        count[0] += int(step)
        return np.int64(count[0])

    def f(x: Any) -> Any:
        number = tj.ShapeDtypeStruct((), np.int64)
        first = tj.experimental.io_callback(following, number, 1)
        return x, first, tj.experimental.io_callback(following, number, first)

    assert compiled(f)(0.5) == (0.5, 1, 2)
    assert compiled(f)(0.5) == (0.5, 3, 6)


def test_pure_callback_of_trees(compiled: Any) -> None:
    def host(args: Any, *, scale: Any) -> Any:
        assert isinstance(args["x"], np.ndarray) and isinstance(scale, np.float64)
        return {"s": args["x"].sum() * scale, "n": args["n"].T}

    def f(x: Any, n: Any) -> Any:
        shapes = {"s": tj.ShapeDtypeStruct((), np.float64), "n": tj.ShapeDtypeStruct((3, 2), int)}
        out = tj.pure_callback(host, shapes, {"x": x, "n": n}, scale=2.0)
        return out["s"] + 1, out["n"]

    s, n = compiled(f)(np.ones(4), np.arange(6).reshape(2, 3))
    assert s == 9.0 and n.tolist() == [[0, 3], [1, 4], [2, 5]]


@pytest.mark.parametrize("method, shapes", [
    ("sequential", [((), (2,))] * 3), ("sequential_unrolled", [((), (2,))] * 3),
    ("expand_dims", [((3,), (1, 2))]), ("broadcast_all", [((3,), (3, 2))]),
])  # fmt: skip
def test_vmap_methods(compiled: Any, method: str, shapes: Any) -> None:
    seen = []

    def host(x: Any, y: Any) -> Any:
        seen.append((np.shape(x), np.shape(y)))
        return x[..., None] * y

    def f(x: Any) -> Any:
        out = tj.ShapeDtypeStruct((2,), np.float64)
        return tj.pure_callback(host, out, x, np.array([1.0, 2.0]), vmap_method=method)

    assert compiled(tj.vmap(f))(np.arange(3.0)).tolist() == [[0, 0], [1, 2], [2, 4]]
    assert seen == shapes


def test_what_a_callback_gets_is_its_own(compiled: Any) -> None:
    kept = []

    def scribble(x: Any) -> None:
        x[:] = -1
        kept.append(x)

    def f(x: Any) -> Any:
        y = x * 2
        tj.debug.callback(scribble, y)
        tj.debug.callback(scribble, x)
        return y

    x = np.ones(3)
    assert compiled(f)(x).tolist() == [2.0] * 3 and x.tolist() == [1.0] * 3
    compiled(f)(x)
    assert all(y.tolist() == [-1.0] * 3 for y in kept)


def _promise(fun: Any, *shape: int, dtype: Any = np.float64) -> Any:
    return lambda x: tj.pure_callback(fun, tj.ShapeDtypeStruct(shape, dtype), x)


def test_results_are_what_was_promised(compiled: Any) -> None:
    with pytest.raises(ShapeError, match=r"ones.* shape \(2,\), and f64\[3\](.|\n)*test_eff"):
        compiled(_promise(_ones, 3))(1.0)
    with pytest.raises(DTypeError, match=r"dtype float64, and f32\[2\]"):
        compiled(_promise(_ones, 2, dtype=np.float32))(1.0)
    with pytest.raises(TreeError, match="was promised"):
        compiled(lambda x: tj.pure_callback(_ones, [tj.ShapeDtypeStruct((2,), float)], x)[0])(1.0)
    assert compiled(_promise(lambda x: 2))(1.0) == 2.0  # a Python number gives way


def _ones(x: Any) -> Any:
    return np.ones(2)


def test_callbacks_have_no_derivative() -> None:
    f = _promise(lambda x: x * 2)
    for run in (tj.grad(f), tj.jit(tj.grad(f))):
        with pytest.raises(MissingRuleError, match=r"called back(.|\n)*stop_gradient"):
            run(1.0)
    assert tj.grad(lambda x: x * f(tj.stop_gradient(x)))(3.0) == 6.0
    with pytest.raises(MissingRuleError, match="vmap_method"):
        tj.vmap(f)(np.ones(3))


def test_wrong_arguments_are_told_at_once() -> None:
    for run, words in (
        (lambda: tj.debug.print("{x}"), "no argument for x"),
        (lambda: tj.debug.print("{} {}", 1), "no argument for 1"),
        (lambda: tj.debug.print("a", 1), "does not show 0"),
        (lambda: tj.debug.print("{x}", x=1, y=2), "does not show y"),
        (lambda: tj.debug.print("{"), "no format"),
        (lambda: tj.check(True, 3), "needs a format"),
        (lambda: tj.debug.callback(3), "needs a function"),
        (lambda: tj.pure_callback(_ones, None, 1, vmap_method="both"), "no vmap_method 'both'"),
        (lambda: tj.pure_callback(_ones, "x", 1), "does not say a shape"),
    ):
        with pytest.raises(ArgumentError, match=words):
            run()
    tj.debug.print("{x:{w}} {0[1]} {x.dtype}", np.arange(2), x=np.float64(1.0), w=4)
    tj.debug.print("{1} {0}", 1, 2)


# ---- exceptions


class Stop(Exception):
    """Of the tests alone."""


def test_an_exception_reaches_the_caller_as_it_is(compiled: Any) -> None:
    log, error = Log(), Stop("here")

    def stop(x: Any) -> None:
        if x > 2:
            raise error

    def f(x: Any) -> Any:
        def body(i: Any, s: Any) -> Any:
            tj.debug.callback(log, s)
            tj.debug.callback(stop, s)
            return s + 1

        return tj.lax.fori_loop(0, 10, body, x)

    run = compiled(f)
    for _ in range(4):
        with pytest.raises(Stop) as caught:
            run(1.0)
        assert caught.value is error
        frames = [entry.name for entry in caught.traceback]
        assert frames[-1] == "stop" and error.__cause__ is None and error.__context__ is None
        error.__traceback__ = None
        assert log.taken() == [(1.0,), (2.0,), (3.0,)]
    assert run(-20.0) == -10.0


def test_a_callback_may_call_what_it_is_called_by(compiled: Any) -> None:
    def again(x: Any) -> Any:
        return np.float64(0.0) if x < 1 else run(x - 1)

    def f(x: Any) -> Any:
        y = np.arange(50.0) * x
        out = tj.ShapeDtypeStruct((), np.float64)
        return tj.experimental.io_callback(again, out, x) + y.sum() / 1225

    run = compiled(f)
    for _ in range(3):
        assert run(4.0) == 10.0
