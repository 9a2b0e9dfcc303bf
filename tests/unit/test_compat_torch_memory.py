"""Tensors that share memory, and what is written to it. Checked against PyTorch 2.13."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit.compat import torch
from tracejit.errors import GraphError


def leaf() -> torch.Tensor:
    return torch.tensor([[1.0, -2.0], [3.0, 0.5]], requires_grad=True)


def test_what_is_written_without_derivatives_leaves_the_history() -> None:
    for write in ("y.data.mul_(2)", "y.detach().mul_(2)", "y[0].data.mul_(2)"):
        x = leaf()
        y = x * 3
        eval(write, {"y": y})
        assert y.requires_grad and y[0, 0].item() == 6.0
        (y * y).sum().backward()  # by the values that are there now
        rows = [4.0, 2.0 if "[0]" in write else 4.0]
        wanted = 18.0 * x.detach().numpy() * np.array(rows)[:, None] / 2
        np.testing.assert_allclose(x.grad.numpy(), wanted, rtol=1e-6)
    x = leaf()
    y = x * 3
    with torch.no_grad():
        y.zero_()
    y.sum().backward()
    assert x.grad.tolist() == [[3.0, 3.0], [3.0, 3.0]] and y.sum().item() == 0.0


def test_a_number_written_over_a_tensor_keeps_it_in_the_graph() -> None:
    x = leaf()
    y = x * 3
    y.fill_(2.0)
    assert y.requires_grad
    y.sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    y = x.clone()
    y.copy_(torch.tensor([1, 2]))
    assert y.tolist() == [[1.0, 2.0], [1.0, 2.0]] and y.dtype == torch.float32


PARTS = [
    "x.split(1)[1]", "x.chunk(2)[1]", "x.unbind(0)[1]", "x[1]", "x.narrow(0, 1, 1)",
    "x.view(-1)[2:]", "x.t()[:, 1]",
]  # fmt: skip


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_views(part: str) -> None:
    x = torch.zeros(2, 2)
    eval(part, {"x": x}).add_(1)
    assert x.tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_writing_in_place_reads_what_was_there() -> None:
    x = leaf()
    y = x * 3
    y.relu_()
    y.mul_(y)
    y[0].exp_()
    y.sum().backward()
    value = np.maximum(3 * x.detach().numpy(), 0)
    slope = 2 * value * 3
    slope[0] *= np.exp(value[0] ** 2)
    np.testing.assert_allclose(x.grad.numpy(), slope, rtol=1e-5)


def test_memory_that_cannot_be_written_to() -> None:
    x = torch.zeros(3)
    with pytest.raises(GraphError, match="more than one element of the written-to tensor"):
        x.expand(2, 3).add_(1)
    for write in ("x[[3]] = 1", "x[torch.tensor([-4])]", "x.gather(0, torch.tensor([3]))"):
        with pytest.raises((IndexError, RuntimeError), match="is out of bounds for dimension 0"):
            exec(write, {"x": x, "torch": torch})
    with pytest.raises(IndexError, match=r"shape of the mask \[2\]"):
        x[torch.tensor([True, False])]
    with pytest.raises(IndexError, match="must be long, int, byte or bool"):
        x[torch.tensor([0.0])]


ERRORS = {
    "torch.ones(3) + torch.ones(4)":
        r"The size of tensor a \(3\) must match the size of tensor b \(4\) at non-singleton "
        "dimension 0",
    "torch.ones(2, 3) @ torch.ones(4, 5)":
        r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)",
    "torch.nn.Linear(3, 2)(torch.ones(2, 4))":
        r"mat1 and mat2 shapes cannot be multiplied \(2x4 and 3x2\)",
    "torch.ones(6).view(4, -1)": r"shape '\[4, -1\]' is invalid for input of size 6",
    "torch.cat([torch.ones(2, 3), torch.ones(2, 4)])":
        "Expected size 3 but got size 4 for tensor number 1 in the list",
    "torch.stack([torch.ones(2), torch.ones(3)])": r"got \[2\] at entry 0 and \[3\] at entry 1",
    "torch.ones(3)[5]": "index 5 is out of bounds for dimension 0 with size 3",
    "torch.ones(3)[0, 0]": "too many indices for tensor of dimension 1",
    "torch.ones(3).sum(dim=1)":
        r"Dimension out of range \(expected to be in range of \[-1, 0\], but got 1\)",
    "torch.ones(2, 3).expand(3, 3)": r"expanded size of the tensor \(3\) must match the existing",
    "torch.ones(3).topk(5)": "selected index k out of range",
    "torch.ones(1).to('cuda')": "there is no device 'cuda' here",
    "torch.optim.Adam([torch.ones(1)], lr=-1)": "Invalid learning rate: -1",
}  # fmt: skip


@pytest.mark.parametrize("program, text", ERRORS.items())
def test_shapes_that_do_not_fit_are_told_in_pytorchs_words(program: str, text: str) -> None:
    with pytest.raises((RuntimeError, IndexError, ValueError), match=text):
        eval(program, {"torch": torch})
