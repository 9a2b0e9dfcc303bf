"""Every backend gives what NumPy gives, equation by equation, for any program and its gradient."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from program_strategy import Case, programs

from tracejit.backends import available, load
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import evaluate
from tracejit.testing.compare import assert_close
from tracejit.transforms.gradient import value_and_gradient

#: Programs for each backend: about 20 ms on native, 120 ms on xla.
EXAMPLES = {"eager": 30, "native": 60, "xla": 12}
BACKENDS = [name for name in EXAMPLES if available(name)]


def check_backend(name: str, case: Case, jaxpr: Jaxpr) -> None:
    """The backend's results are NumPy's, in value and type."""
    results = load(name).compile(jaxpr, name="random")(*case.arrays)
    expected = evaluate(jaxpr, *case.arrays)
    for y, type in zip(results, jaxpr.out_types, strict=True):
        assert (y.dtype, y.shape) == (type.dtype, type.shape)
    assert_close(name, case, results, expected, rtol=case.rtol)


@pytest.mark.parametrize("name", BACKENDS)
def test_values(name: str) -> None:
    @settings(max_examples=EXAMPLES[name], suppress_health_check=list(HealthCheck))
    @given(case=programs())
    def check(case: Case) -> None:
        check_backend(name, case, case.jaxpr)

    check()


@pytest.mark.parametrize("name", BACKENDS)
def test_gradients(name: str) -> None:
    @settings(max_examples=EXAMPLES[name] // 2, suppress_health_check=list(HealthCheck))
    @given(case=programs(scalar=True))
    def check(case: Case) -> None:
        mask = tuple(t.is_inexact for t in case.jaxpr.in_types)
        check_backend(name, case, value_and_gradient(case.jaxpr, mask))

    check()
