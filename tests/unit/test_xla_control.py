"""The rows of operations that hold jaxprs, on the xla backend, against the eager one."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

from tracejit import backends
from tracejit.ir.parsing import parse
from tracejit.transforms.gradient import value_and_gradient

CALL = """
fn(%0: f64[3], %1: f64[]) -> (f64[3], f64[]) {
  %2: f64[3], %3: f64[] = call(%0, %1, name="inner",
      jaxpr=fn(%0: f64[3], %1: f64[]) -> (f64[3], f64[]) {
    %2: f64[3] = sin(%0)
    %3: f64[] = mul(%1, 2.0)
    return %2, %3
  })
  return %2, %3
}
"""

SWITCH = """
fn(%0: i64[], %1: f64[]) -> f64[] {
  %2: f64[] = cond(%0, %1, branches=(fn(%0: f64[]) -> f64[] {
    %1: f64[] = sin(%0)
    return %1
  }, fn(%0: f64[]) -> f64[] {
    return 7.0
  }, fn(%0: f64[]) -> f64[] {
    %1: f64[] = exp(%0)
    return %1
  }))
  return %2
}
"""

COLLATZ = """
fn(%0: i64[], %1: i64[]) -> (i64[], i64[]) {
  %2: i64[], %3: i64[] = while(1, 3, %0, %1, num_body_consts=1, num_cond_consts=1,
      body=fn(%0: i64[], %1: i64[], %2: i64[]) -> (i64[], i64[]) {
    %3: i64[] = rem(%1, 2)
    %4: bool[] = eq(%3, 0)
    %5: i64[] = div(%1, 2)
    %6: i64[] = mul(%1, %0)
    %7: i64[] = add(%6, 1)
    %8: i64[] = select(%4, %5, %7)
    %9: i64[] = add(%2, 1)
    return %8, %9
  }, cond=fn(%0: i64[], %1: i64[], %2: i64[]) -> bool[] {
    %3: bool[] = gt(%1, %0)
    return %3
  })
  return %2, %3
}
"""

SCAN = """
fn(%0: f64[2], %1: f64[2], %2: f64[5,2]) -> (f64[2], f64[5]) {
  %3: f64[2], %4: f64[5] = scan(%0, %1, %2,
      length=5, num_carry=1, num_consts=1, reverse=REVERSE,
      jaxpr=fn(%0: f64[2], %1: f64[2], %2: f64[2]) -> (f64[2], f64[]) {
    %3: f64[2] = mul(%0, %1)
    %4: f64[2] = sin(%2)
    %5: f64[2] = add(%3, %4)
    %6: f64[] = reduce_sum(%5, axes=(0,))
    return %5, %6
  })
  return %3, %4
}
"""

LOSS = """
fn(%0: f64[2], %1: f64[2], %2: f64[5,2]) -> f64[] {
  %3: f64[2], %4: f64[5] = call(%0, %1, %2, name="", jaxpr=SCAN)
  %5: f64[5] = mul(%4, %4)
  %6: f64[] = reduce_sum(%5, axes=(0,))
  return %6
}
"""


def both(jaxpr, *arrays):
    """What the two backends make of a program."""
    if isinstance(jaxpr, str):
        jaxpr = parse(jaxpr)
    return [backends.load(name).compile(jaxpr)(*arrays) for name in ("xla", "eager")]


def same(jaxpr, *arrays):
    for y, z in zip(*both(jaxpr, *arrays), strict=True):
        assert (y.dtype, y.shape) == (z.dtype, z.shape)
        np.testing.assert_allclose(y, z, rtol=1e-12, atol=1e-13)


def test_call():
    same(CALL, np.arange(3.0), np.float64(2))


@pytest.mark.parametrize("index", [-(2**40), -1, 0, 1, 2, 3, 2**32 + 1])
def test_the_index_of_a_cond_is_clamped(index):
    same(SWITCH, np.int64(index), np.float64(0.5))


def test_while():
    (y, steps), _ = both(COLLATZ, np.int64(27), np.int64(0))
    assert (int(y), int(steps)) == (1, 111)
    same(COLLATZ, np.int64(1), np.int64(5))


@pytest.mark.parametrize("reverse", ["false", "true"])
def test_scan(reverse, rng):
    same(SCAN.replace("REVERSE", reverse), *[rng.normal(size=s) for s in (2, 2, (5, 2))])


def test_the_gradient_of_a_scan(rng):
    loss = parse(LOSS.replace("SCAN", SCAN.replace("REVERSE", "false").strip()))
    both_ways = value_and_gradient(loss, (True, True, True))
    same(both_ways, *[rng.normal(size=s) for s in (2, 2, (5, 2))])
