"""lax's convolutions, pooling, gathers and scatters against JAX: values, and derivatives by each
operand along random directions; on the eager and the native backend."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit import lax

jax = pytest.importorskip("jax")

_RNG = np.random.default_rng(8)


def _array(*shape: int) -> np.ndarray:
    return _RNG.normal(size=shape)


def _convolutions() -> Iterator[Any]:
    x, w = _array(2, 3, 6, 7), _array(4, 3, 2, 3)
    for padding in ("SAME", "SAME_LOWER", [(1, 2), (0, -2)]):
        for strides, apart, steps in (((1, 1), (1, 1), (1, 1)), ((2, 3), (2, 1), (1, 2))):
            spread = (1, 1) if isinstance(padding, str) else apart  # JAX has no others
            yield x, w, {"window_strides": strides, "padding": padding, "lhs_dilation": spread,
                         "rhs_dilation": steps}  # fmt: skip
    plain = {"window_strides": (1, 1), "padding": "SAME"}
    nhwc = {"dimension_numbers": ("NHWC", "HWIO", "NHWC")}
    yield _array(2, 6, 7, 3), _array(2, 3, 3, 4), plain | nhwc
    yield _array(2, 6, 7, 3), _array(2, 3, 1, 6), plain | nhwc | {"feature_group_count": 3}
    yield _array(2, 6, 7, 6), _array(2, 3, 2, 9), plain | nhwc | {"feature_group_count": 3}
    yield _array(6, 5, 4, 2), _array(2, 2, 2, 6), plain | nhwc | {"batch_group_count": 3}
    yield _array(2, 3, 0, 4), _array(4, 3, 1, 2), plain
    yield _array(2, 3, 9), _array(4, 3, 2), {"window_strides": (2,), "padding": "VALID"}


def _poolings() -> Iterator[Any]:
    for shape, size, strides, padding, spread, steps in (
        ((4, 6), (2, 3), (1, 2), "VALID", None, None),
        ((4, 6), (2, 3), (2, 1), "SAME", (2, 3), None),
        ((5, 9), (3, 4), None, [(1, 2), (0, 3)], None, (1, 2)),
        ((40,), (13,), (1,), "SAME", None, None),
        ((2, 6, 6, 3), (1, 2, 2, 1), (1, 2, 2, 1), "VALID", None, None),
    ):
        for init, op in ((0.0, "add"), (-np.inf, "max")):
            yield _array(*shape), init, op, (size, strides, padding, spread, steps)


def _pulled(j: Any, function: Callable[..., Any], args: tuple[Any, ...], ct: Any) -> list[Any]:
    """The value, and what comes back to each argument from a cotangent."""
    y, back = j.vjp(function, *args)
    return [y, *back(ct)]


def agree(function: Callable[..., Any], *args: np.ndarray, differentiates: bool = True) -> None:
    """tracejit does as JAX, with derivatives by all arguments unless JAX has none."""

    def found(j: Any, at: tuple[Any, ...], compiled: Callable[[Any], Any]) -> list[Any]:
        call = compiled(lambda *xs: function(j.lax, *xs))
        y = call(*at)
        ct = np.cos(np.arange(y.size)).reshape(y.shape)
        return _pulled(j, call, at, ct) if differentiates else [y]

    with jax.enable_x64(True):
        theirs = [np.asarray(y) for y in found(jax, args, jax.jit)]
    for compiled in (lambda f: f, lambda f: tj.jit(f, backend="native")):
        for y, z in zip(found(tj, args, compiled), theirs, strict=True):
            np.testing.assert_allclose(y, z, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("case", list(_convolutions()))
def test_convolutions(case: Any) -> None:
    x, w, options = case
    agree(lambda j, x, w: j.conv_general_dilated(x, w, **options), x, w)


@pytest.mark.parametrize("case", list(_poolings()))
def test_pooling(case: Any) -> None:
    x, init, op, rest = case
    known = op == "add" or not any(rest[3:])  # JAX has no derivative of dilated maxima
    agree(
        lambda j, x: j.reduce_window(x, init, getattr(j, op), *rest), x, differentiates=known
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID", [(1, 2), (0, 1)]])
@pytest.mark.parametrize("transpose_kernel", [False, True])
def test_transposed_convolution(padding: Any, transpose_kernel: bool) -> None:
    x = _array(2, 4, 5, 3)
    w = _array(3, 2, 4, 3) if transpose_kernel else _array(3, 2, 3, 4)
    agree(
        lambda j, x, w: j.conv_transpose(
            x, w, (2, 3), padding, transpose_kernel=transpose_kernel
        ),
        x, w,
    )  # fmt: skip


def test_patches() -> None:
    x = _array(2, 3, 5, 6)
    agree(lambda j, x: j.conv_general_dilated_patches(x, (2, 3), (1, 2), "SAME"), x)


INDICES = np.array([[0, 1], [3, 2], [-1, 0], [1, 9], [2, 2]])
GATHERS = {
    "rows": (((4, 5), INDICES[:, :1], (1, 5)), ((1,), (0,), (0,))),
    "windows": (((4, 5), INDICES, (2, 3)), ((1, 2), (), (0, 1))),
    "turned": (((4, 5), INDICES, (2, 3)), ((0, 2), (), (1, 0))),
    "elements": (((4, 5), INDICES, (1, 1)), ((), (0, 1), (0, 1))),
    "one start": (((4, 5), INDICES[0], (2, 1)), ((0,), (1,), (0, 1))),
    "shared": (((3, 4, 5), INDICES[:3, None, :], (1, 2, 2)), ((2, 3), (), (1, 2), (0,), (0,))),
    "whole": (((4, 5), INDICES[:, :1], (4, 5)), ((1, 2), (), (0,))),
    "nowhere": (((4, 5), INDICES[:, :0], (2, 5)), ((0, 2), (), ())),
}


@pytest.mark.parametrize("mode", ["clip", "fill"])
@pytest.mark.parametrize("name", GATHERS)
def test_gather(name: str, mode: str) -> None:
    (shape, indices, sizes), numbers = GATHERS[name]

    def gathered(j: Any, x: Any) -> Any:
        return j.gather(
            x, indices, j.GatherDimensionNumbers(*numbers), sizes, mode=mode, fill_value=7.0
        )

    agree(gathered, _array(*shape))


@pytest.mark.parametrize("mode", ["clip", "drop"])
@pytest.mark.parametrize("op", ["scatter_add", "scatter_max"])
@pytest.mark.parametrize("name", GATHERS)
def test_scatters(name: str, op: str, mode: str) -> None:
    """JAX has derivatives where no windows meet; those of scatter_add are known anyway."""
    (shape, indices, sizes), numbers = GATHERS[name]
    like = lax.gather(np.zeros(shape), indices, lax.GatherDimensionNumbers(*numbers), sizes)

    def scattered(j: Any, x: Any, u: Any) -> Any:
        return getattr(j, op)(x, indices, u, j.ScatterDimensionNumbers(*numbers), mode=mode)

    known = op == "scatter_add"
    agree(scattered, _array(*shape), _array(*like.shape), differentiates=known)


@pytest.mark.parametrize("mode", ["clip", "drop"])
def test_scatter(mode: str) -> None:
    """Of windows that do not meet: of others JAX leaves the order open."""
    indices = np.array([[0, 1], [2, 9]])

    def scattered(j: Any, x: Any, u: Any) -> Any:
        numbers = j.ScatterDimensionNumbers((0, 2), (), (1, 0))
        return j.scatter(x, indices[:, ::-1], u, numbers, mode=mode)

    agree(scattered, _array(4, 5), _array(2, 2, 2))


def test_reduce_of_several_by_any_computation() -> None:
    def pairs(j: Any, x: Any, y: Any) -> Any:
        def combine(a: Any, b: Any) -> Any:
            return a[0] + b[0], a[1] * b[1]

        sums, products = j.reduce((x, y), (0.0, 1.0), combine, (0, 2))
        return sums + products

    agree(pairs, _array(3, 2, 5), _array(3, 2, 5))


def test_the_first_of_equal_ones_in_a_window_passes_on_the_derivative() -> None:
    x = np.array([[1.0, 3.0, 3.0], [3.0, 0.0, 0.0]])
    agree(lambda j, x: j.reduce_window(x, -np.inf, j.max, (2, 2)), x)


def test_a_window_begins_with_any_number() -> None:
    x = np.arange(5.0)
    assert lax.reduce_window(x, 2.0, lax.add, (3,)).tolist() == [5.0, 8.0, 11.0]
    padded = lax.reduce_window(x, 2.0, lax.add, (3,), None, [(1, 0)])
    assert padded.tolist() == [5.0, 5.0, 8.0, 11.0]
    assert lax.reduce_window(x, 0.0, lambda a, b: a + b + a * b, (2,)).tolist() == [1, 5, 11, 19]


def test_short_names_of_convolutions() -> None:
    x, w = _array(2, 3, 6, 7), _array(4, 3, 2, 3)
    agree(lambda j, x, w: j.conv(x, w, (1, 2), "SAME", j.Precision.HIGHEST), x, w)
    agree(
        lambda j, x, w: j.conv_with_general_padding(x, w, (1, 1), [(1, 0), (0, 1)], (2, 1), (1, 2)),
        x, w,
    )  # fmt: skip
    mixed = ("NHWC", "OIHW", "NCHW")
    ours, theirs = (j.conv_dimension_numbers(x.shape, w.shape, mixed) for j in (lax, jax.lax))
    assert [tuple(spec) for spec in ours] == [tuple(spec) for spec in theirs]
    assert lax.conv_dimension_numbers(x.shape, w.shape, ours) is ours
    assert isinstance(ours, lax.ConvDimensionNumbers)


def test_the_other_scatters() -> None:
    indices = np.array([[0], [2]])

    def scattered(j: Any, x: Any, u: Any) -> Any:
        numbers = j.ScatterDimensionNumbers((1,), (0,), (0,))
        mode = j.GatherScatterMode.CLIP
        y = j.scatter_sub(x, indices, u, numbers, mode=mode)
        y = j.scatter_mul(y, indices, u, numbers, unique_indices=True)
        return j.scatter_min(y, indices, u, numbers)

    agree(scattered, _array(4, 5), _array(2, 5))


def test_paddings_and_tiles() -> None:
    for kind in ("VALID", "SAME", "same_lower"):
        ours, theirs = (
            j.padtype_to_pads((7, 8), (3, 4), (2, 3), kind) for j in (lax, jax.lax)
        )
        assert [tuple(p) for p in ours] == [tuple(p) for p in theirs]
    agree(lambda j, x: j.tile(x, (2, 1, 3)), _array(1, 2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: lax.conv(x, _array(4, 2, 2, 2), (1, 1), "SAME"), "3 features and a batch of 2"),
        (lambda x: lax.conv(x, x, (1, 1), "SOME"), "padding 'SOME': it is 'VALID'"),
        (lambda x: lax.conv(x, x, (1,), "SAME"), "strides"),
        (lambda x: lax.conv(x, x, (1, 0), "SAME"), "at least 1"),
        (
            lambda x: lax.conv_dimension_numbers(x.shape, x.shape, ("NCHW",) * 3),
            "such as",
        ),
        (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2)), "array of rank 4"),
        (lambda x: lax.reduce_window(x, 0.0, lax.add, (2, 2, 0, 1)), "at least 1"),
        (lambda x: lax.tile(x, (2,)), "1 counts for an array of rank 4"),
        (
            lambda x: lax.gather(
                x, INDICES, lax.GatherDimensionNumbers((1,), (), (0, 1)), (9, 1, 1, 1)
            ),
            "does not fit",
        ),
        (
            lambda x: lax.gather(
                x, INDICES, lax.GatherDimensionNumbers((1,), (), (0,)), (1, 1, 1, 1)
            ),
            "do not hold vectors of 1",
        ),
        (
            lambda x: lax.scatter_add(
                x, INDICES, x[0], lax.ScatterDimensionNumbers((1,), (), (0, 1))
            ),
            "of their axes are the window's",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises((tj.errors.ShapeError, tj.errors.ArgumentError), match=message):
        call(_array(2, 3, 6, 7))
