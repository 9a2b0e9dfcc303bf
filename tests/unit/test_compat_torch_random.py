"""Random numbers of the PyTorch style. What is stated here was drawn by PyTorch 2.13 on a CPU."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit.compat import torch
from tracejit.errors import GraphError

#: After manual_seed(0): the draw, and its first numbers.
DRAWN = [
    ("torch.rand(3)", [0.4963, 0.7682, 0.0885]),
    ("torch.randn(3)", [1.5410, -0.2934, -2.1788]),
    ("torch.randn(20)", [-1.1258, -1.1524, -0.2506]),
    ("torch.randn(20, dtype=torch.float64)", [-2.3104, -0.3733, -1.0608]),
    ("torch.normal(torch.zeros(3), torch.ones(3))", [1.5410, -0.2934, -2.1788]),
    ("torch.randint(5, (3,))", [4, 4, 3]),
    ("torch.randint(0, 10, (5,))", [4, 9, 3, 0, 3]),
    ("torch.randint(0, 2**40, (2,))", [741280623151, 506137267392]),
    ("torch.empty(3).exponential_()", [3.5083, 1.2304, 0.6150]),
    ("torch.multinomial(torch.tensor([.1, .2, .3, .4]), 6, True)", [3, 3, 2, 3, 3, 3]),
    ("torch.bernoulli(torch.full((3,), .5))", [1, 0, 1]),
    ("torch.nn.functional.dropout(torch.ones(7))", [0, 0, 2, 0, 0, 0, 2]),
]


@pytest.mark.parametrize("program, numbers", DRAWN)
def test_a_seed_gives_pytorchs_numbers(program: str, numbers: list[float]) -> None:
    torch.manual_seed(0)
    drawn = eval(program, {"torch": torch}).tolist()
    np.testing.assert_allclose(drawn[: len(numbers)], numbers, atol=6e-5)


def test_draws_go_on_where_they_were() -> None:
    torch.manual_seed(0)
    whole = torch.randn(6).tolist()
    torch.manual_seed(0)
    assert torch.randn(3).tolist() + torch.randn(3).tolist() == whole  # one of a pair is kept
    state = torch.get_rng_state()
    first = torch.rand(2).tolist()
    torch.set_rng_state(state)
    with torch.random.fork_rng():
        assert torch.rand(2).tolist() == first
    assert torch.rand(2).tolist() == first


def test_generators_are_apart() -> None:
    torch.manual_seed(1)
    g = torch.Generator().manual_seed(0)
    assert torch.randperm(7, generator=g).tolist() != torch.randperm(7).tolist()
    assert g.initial_seed() == 0 and torch.initial_seed() == 1


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(GraphError, match="without replacement"):
        torch.multinomial(torch.ones(2), 3)
    with pytest.raises(GraphError, match="'from' to be less than 'to'"):
        torch.randint(3, 3, (1,))
    with pytest.raises(GraphError, match="is for floats"):
        torch.rand(2, dtype=torch.int64)
    with pytest.raises(GraphError, match="negative dimension -1"):
        torch.rand(-1)


def test_the_default_dtype() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.get_default_dtype() == torch.float64
        assert (torch.tensor(1.5) / torch.tensor(2)).dtype == torch.rand(1).dtype == torch.float64
        assert (torch.tensor([1]) * 0.5).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert (torch.tensor([1]) * 0.5).dtype == torch.ones(1).dtype == torch.float32
