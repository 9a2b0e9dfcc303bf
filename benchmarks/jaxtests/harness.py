"""Stand-ins for JAX's test tools: how cases are drawn, how inputs are drawn, how values compare.

Cases and inputs are those of JAX: the same draws (seed 42) out of the same products, and for each
case a generator seeded by the name of its method.
"""

from __future__ import annotations

import contextlib
import functools
import math
import unittest
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np

Case = Mapping[str, Any]
Draw = Callable[..., np.ndarray]

#: How many cases JAX draws out of each product.
DRAWN = 10

HALF: tuple[type, ...] = (ml_dtypes.bfloat16, np.float16)
COMPLEX: tuple[type, ...] = (np.complex64, np.complex128)
REAL: tuple[type, ...] = (np.float32, np.float64)

# Cases


def cases_of(*lists: Iterable[Case], drawn: int = DRAWN, **values: Iterable[Any]) -> list[Case]:
    """Some cases out of the product of lists of settings and of values by name."""
    factors = [list(xs) for xs in lists]
    factors += [[{name: x} for x in xs] for name, xs in values.items()]
    size = math.prod(map(len, factors))
    chosen = np.random.RandomState(42).choice(size, size=min(size, drawn), replace=False)
    return [_case(factors, int(number)) for number in chosen]


def _case(factors: Sequence[Sequence[Case]], number: int) -> Case:
    """The case of a number, of which the first factor is the fastest digit."""
    found: dict[str, Any] = {}
    for factor in factors:
        number, digit = divmod(number, len(factor))
        found |= factor[digit]
    return found


def parameters(*cases: Any) -> Callable[[Any], Any]:
    """Marks a test method with its cases, given one by one or as an iterable."""
    known = list(cases[0]) if len(cases) == 1 and not isinstance(cases[0], Mapping) else list(cases)

    def mark(method: Any) -> Any:
        method.cases = known
        return method

    return mark


def sample_product(*lists: Iterable[Case], **values: Iterable[Any]) -> Callable[[Any], Any]:
    """Marks a test method with some cases out of a product."""
    return parameters(*cases_of(*lists, **values))


class TestCase(unittest.TestCase):
    """A class of tests whose methods with cases become a method for each, numbered."""

    def __init_subclass__(cls) -> None:
        for name, method in list(vars(cls).items()):
            if hasattr(method, "cases"):
                delattr(cls, name)
                for number, case in enumerate(method.cases):
                    setattr(cls, f"{name}{number}", _method(method, case))

    def setUp(self) -> None:
        self._rng = np.random.RandomState(zlib.adler32(self._testMethodName.encode()))

    def rng(self) -> np.random.RandomState:
        return self._rng

    def assertArraysEqual(self, x: Any, y: Any, check_dtypes: bool = True) -> None:
        self._same_dtype(x, y, check_dtypes)
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))

    def assertAllClose(
        self, x: Any, y: Any, check_dtypes: bool = True, atol: Any = None, rtol: Any = None
    ) -> None:
        """Arrays, or nested sequences of them, are close to the precision of their dtype."""
        if isinstance(x, (tuple, list)):
            for a, b in zip(x, y, strict=True):
                self.assertAllClose(a, b, check_dtypes, atol, rtol)
            return
        self._same_dtype(x, y, check_dtypes)
        x, y = np.asarray(x), np.asarray(y)
        self.assertEqual(x.shape, y.shape)
        bound = max(_PRECISION.get(z.dtype.name, 0) for z in (x, y))
        np.testing.assert_allclose(x, y, atol=atol or bound, rtol=rtol or bound)

    def _same_dtype(self, x: Any, y: Any, wanted: bool) -> None:
        if wanted:
            self.assertEqual(np.asarray(x).dtype, np.asarray(y).dtype)


_PRECISION = {"float32": 1e-6, "float64": 1e-15, "complex64": 1e-6, "complex128": 1e-15}


def _method(method: Any, case: Case) -> Callable[[Any], None]:
    def test(self: Any) -> None:
        method(self, **case)

    test.case = case  # type: ignore[attr-defined]
    return test


# Inputs


def _drawn(draw: Any, scale: float, post: Callable[[Any], Any] = lambda x: x) -> Draw:
    """Of shape and dtype: scaled numbers that `draw` makes, and what `post` makes of them."""

    def values(shape: Sequence[int], dtype: Any) -> np.ndarray:
        def part() -> np.ndarray:
            return np.asarray(scale * draw(*shape)).astype(dtype)

        xs = part() + 1j * part() if np.dtype(dtype).kind == "c" else part()
        return np.asarray(post(xs), dtype)

    return values


def rand_default(rng: Any, scale: float = 3) -> Draw:
    return _drawn(rng.randn, scale)


def rand_small(rng: Any) -> Draw:
    return _drawn(rng.randn, 1e-3)


def rand_not_small(rng: Any, offset: float = 10.0) -> Draw:
    return _drawn(rng.randn, 3.0, lambda x: x + np.where(x > 0, offset, -offset))


def rand_positive(rng: Any) -> Draw:
    return _drawn(rng.rand, 2, lambda x: x + 1)


def rand_uniform(rng: Any, low: float = 0.0, high: float = 1.0) -> Draw:
    return _drawn(rng.rand, 1, lambda x: x * (high - low) + low)


def rand_int(rng: Any, low: int = 0, high: int | None = None) -> Draw:
    def values(shape: Sequence[int], dtype: Any) -> np.ndarray:
        bits = dtype if np.dtype(dtype).kind in "iu" else np.int64
        return rng.randint(low, high=high, size=shape, dtype=bits).astype(dtype)

    return values


def rand_unique_int(rng: Any, high: int | None = None) -> Draw:
    def values(shape: Sequence[int], dtype: Any) -> np.ndarray:
        several = np.arange(high or math.prod(shape), dtype=dtype)
        return rng.choice(several, size=shape, replace=False)

    return values


# Tolerances, dtypes, devices


def join_tolerance(x: Any, y: Any) -> dict[np.dtype, float]:
    """The larger of two tolerances, each a number or a table by dtype."""
    tables = [_table(x), _table(y)]
    return {d: max(t.get(d, 0) for t in tables) for d in set().union(*tables)}


def _table(x: Any) -> dict[np.dtype, float]:
    if isinstance(x, dict):
        return {np.dtype(d): v for d, v in x.items()}
    return {np.dtype(d): x or 0 for d in (*HALF, *REAL, *COMPLEX)}


def num_float_bits(dtype: Any) -> int:
    return ml_dtypes.finfo(dtype).bits


class Dtypes:
    """The lists of dtypes from which cases are made."""

    def __init__(self) -> None:
        self.floating, self.all_floating = list(REAL), [*HALF, *REAL]
        self.complex = list(COMPLEX)
        self.inexact = self.floating + self.complex
        self.all_inexact = self.all_floating + self.complex


def test_device_matches(devices: Sequence[str]) -> bool:
    return "cpu" in devices


@contextlib.contextmanager
def ignore_warning(**filters: Any) -> Iterator[None]:
    """No warnings of a kind, in a block or a decorated function."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", **filters)
        yield


@functools.cache
def test_names() -> dict[str, Any]:
    """What the test file finds in its test tools."""
    names = (
        rand_default, rand_small, rand_not_small, rand_positive, rand_uniform, rand_int,
        rand_unique_int, sample_product, join_tolerance, num_float_bits,
        test_device_matches, ignore_warning,
    )  # fmt: skip
    return {f.__name__: f for f in names} | {
        "sample_product_testcases": cases_of, "JaxTestCase": TestCase, "JaxTestLoader": object,
        "dtypes": Dtypes(),
    }  # fmt: skip
