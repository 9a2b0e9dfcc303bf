"""make_jaxpr, eval_shape and stages."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ArgumentError, UnsupportedError

X = np.arange(3.0)


def loss(x):
    return np.sum(np.exp(-x * x) * np.sin(x))


def test_make_jaxpr_prints() -> None:
    jaxpr = tj.make_jaxpr(lambda x, s: np.sin(x) * s)(X, 2.0)
    assert str(jaxpr).splitlines()[0] == "fn(%0: f64[3], %1: f64[]) -> f64[3] {"
    assert [eqn.primitive.name for eqn in jaxpr.equations] == ["sin", "broadcast", "mul"]


def test_make_jaxpr_knows_static_arguments_and_shapes() -> None:
    jaxpr, shapes = tj.make_jaxpr(lambda x, n: {"y": x**n}, static_argnums=1, return_shape=True)(
        X, 3
    )
    assert len(jaxpr.invars) == 1
    assert shapes == {"y": tj.ShapeDtypeStruct((3,), np.float64)}


def test_types_are_enough() -> None:
    x = tj.ShapeDtypeStruct((2, 3), "float32")
    assert tj.eval_shape(lambda x: (x @ x.T, 1), x) == (
        tj.ShapeDtypeStruct((2, 2), "float32"),
        tj.ShapeDtypeStruct((), "int64"),
    )
    assert tj.make_jaxpr(tj.grad(lambda x: np.sum(x**2)))(x).out_types[0].shape == (2, 3)
    assert (x.ndim, x.size, {x: 1}[tj.ShapeDtypeStruct([2, 3], np.float32)]) == (2, 6, 1)


def test_eval_shape_computes_nothing() -> None:
    assert tj.eval_shape(lambda x: x @ x, tj.ShapeDtypeStruct((10**6, 10**6), "f8")).size == 10**12


def test_stages_of_a_gradient(backend: str) -> None:
    found = tj.stages(tj.value_and_grad(loss), backend=backend)(X)
    names = list(found)
    assert names[:5] == [
        "traced", "linearized: known", "linearized: linear", "transposed", "whole",
    ]  # fmt: skip
    assert "reduce_sum" in found["traced"] and "cos" in found["linearized: known"]
    assert found["linearized: linear"].count("mul") and "broadcast" in found["transposed"]
    machine = {"eager": [], "native": ["dce", "kernels", "llvm"], "xla": ["stablehlo", "hlo"]}
    assert set(machine[backend]) <= set(names)


def test_stages_of_a_jitted_function_take_over_its_options() -> None:
    f = tj.jit(lambda x, n: x**n, static_argnames="n", backend="eager")
    found = tj.stages(f)(X, n=3)
    assert list(found) == ["traced"] and "integer_pow" in found["traced"]
    assert f.cache_size == 0


def test_stages_have_differences_and_costs() -> None:
    found = tj.stages(tj.grad(loss))(tj.ShapeDtypeStruct((3,), "float64"))
    assert "-" in found.diff("whole", "dce")
    assert found.cost[0].equations == 6
    with pytest.raises(ArgumentError, match="no stage 'transpose'"):
        found["transpose"]


def test_stages_of_other_transforms() -> None:
    def names(fun, *args):
        return list(tj.stages(fun, backend="eager")(*args))

    assert names(tj.vmap(np.sin), X) == ["traced", "batched", "whole"]
    assert names(lambda x: tj.jvp(np.sin, (x,), (x,)), X) == ["traced", "jvp", "whole"]
    assert names(tj.jacfwd(np.sin), X) == ["traced", "jacfwd", "whole"]
    assert "transposed" in names(lambda x: tj.vjp(np.sin, x)[1](x), X)


def test_stages_inside_of_a_trace() -> None:
    def f(y):
        tj.stages(lambda x: x * y)(X)

    with pytest.raises(UnsupportedError, match="ask outside of jit"):
        tj.jit(f)(1.0)


def test_dump_prints_the_stages_it_names(capsys: pytest.CaptureFixture[str]) -> None:
    with tj.config(dump="transposed,llvm"):
        tj.jit(tj.grad(loss), backend="native")(X)
    text = capsys.readouterr().err
    assert text.count("// transposed") == 1 and "// llvm" in text and "define i64 @kernel" in text
