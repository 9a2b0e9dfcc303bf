"""The PyTorch style. Numbers and texts that are stated here were printed by PyTorch 2."""

from __future__ import annotations

import gc
import pickle
import re
import weakref

import numpy as np
import pytest

import tracejit as tj
from tracejit.compat import torch
from tracejit.errors import ArgumentError, GraphError

F = torch.nn.functional


def leaf(*numbers: float) -> torch.Tensor:
    return torch.tensor(list(numbers), requires_grad=True)


# ---- tensors

PRINTED = [
    ("torch.tensor([7.])", "tensor([7.])"),
    ("torch.tensor(7)", "tensor(7)"),
    ("torch.tensor([1.5, 2.])", "tensor([1.5000, 2.0000])"),
    ("torch.tensor([1e-8, 1.])", "tensor([1.0000e-08, 1.0000e+00])"),
    ("torch.tensor([1., 1000.])", "tensor([   1., 1000.])"),
    ("torch.tensor([float('nan'), 1., float('inf')])", "tensor([nan, 1., inf])"),
    ("torch.tensor([])", "tensor([])"),
    ("torch.tensor([1.], dtype=torch.float64)", "tensor([1.], dtype=torch.float64)"),
    ("torch.tensor([True, False])", "tensor([ True, False])"),
    ("torch.eye(2)", "tensor([[1., 0.],\n        [0., 1.]])"),
    ("torch.arange(2000)", "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    ("torch.tensor([1.], requires_grad=True)", "tensor([1.], requires_grad=True)"),
    ("torch.tensor([1.], requires_grad=True) * 2", "tensor([2.], grad_fn=<MulBackward0>)"),
    ("torch.tensor([[1, 2]]) / 2", "tensor([[0.5000, 1.0000]])"),
    ("torch.ones(2, 3).shape", "torch.Size([2, 3])"),
    ("torch.ones(2).dtype", "torch.float32"),
    ("torch.tensor([1, 2]) * torch.tensor(0.5)", "tensor([0.5000, 1.0000])"),
    ("torch.ones(2) * torch.tensor(2.0, dtype=torch.float64)", "tensor([2., 2.])"),
    ("torch.max(torch.tensor([[1., 3.], [5., 2.]]), dim=1).indices", "tensor([1, 0])"),
    ("torch.tensor([1., 2., 4.]).std()", "tensor(1.5275)"),
    ("f'{torch.tensor(3.14159):.2f}'", "'3.14'"),
]  # fmt: skip


@pytest.mark.parametrize("program, text", PRINTED)
def test_it_prints_as_pytorch_does(program: str, text: str) -> None:
    assert repr(eval(program, {"torch": torch})) == text


def test_the_table_has_a_few_hundred_names() -> None:
    assert len(torch.FUNCTIONS) + len(F.__all__) + len(torch.linalg.__all__) > 250
    with pytest.raises(AttributeError, match="did you mean 'softmax'"):
        torch.sofmax  # noqa: B018


def test_views_follow_their_base_and_write_to_it() -> None:
    x = torch.zeros(3, 3)
    row, flat = x[1], x.view(-1)
    row[2] = 5.0
    flat[0] = 1.0
    x[:, 1] += 2
    assert np.array_equal(x.numpy(), [[1, 2, 0], [0, 2, 5], [0, 2, 0]])
    assert np.array_equal(row.numpy(), [0, 2, 5]) and flat[4] == 2


def test_data_and_detach_share_memory() -> None:
    x = leaf(1.0, 2.0)
    x.data[0] = 7.0
    x.detach().mul_(2)
    assert x.tolist() == [14.0, 4.0] and x.requires_grad and not x.data.requires_grad


# ---- derivatives


def test_gradients_add_up_in_grad() -> None:
    x = leaf(1.0, 2.0)
    for factor in (1, 2):
        (x**2).sum().backward()
        assert x.grad.tolist() == [2.0 * factor, 4.0 * factor]
    kept = x.grad
    kept.zero_()
    assert x.grad.tolist() == [0.0, 0.0]


def test_a_second_derivative_and_an_inner_one() -> None:
    x = leaf(1.0, 2.0)
    (slope,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.sum(), x)
    assert curve.tolist() == [6.0, 12.0]
    a = torch.tensor(2.0, requires_grad=True)
    b = a * a
    assert [g.item() for g in torch.autograd.grad(b * a, [a, b])] == [12.0, 2.0]


def test_functional_derivatives() -> None:
    x = torch.tensor([1.0, 2.0])
    matrix = torch.autograd.functional.jacobian(lambda t: t**2, x)
    assert matrix.tolist() == [[2.0, 0.0], [0.0, 4.0]]
    matrix = torch.autograd.functional.hessian(lambda t: (t**3).sum(), x)
    assert matrix.tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_writing_is_differentiated() -> None:
    x = leaf(1.0, 2.0, 3.0)
    y = torch.zeros(3) * 1
    y[1] = x[2] ** 2
    y.add_(x)
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 7.0]


def test_retained_gradients_of_what_is_no_leaf() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    (y**2).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0] and x.grad.tolist() == [18.0, 36.0]


def test_no_grad_in_blocks_and_functions() -> None:
    x = leaf(1.0)

    @torch.no_grad()
    def double(t):
        return t * 2

    with torch.no_grad():
        assert not (x * 2).requires_grad
        with torch.enable_grad():
            assert (x * 2).requires_grad
    assert not double(x).requires_grad and (x * 2).requires_grad


FAULTS = {
    "(torch.ones(2, requires_grad=True) * 2).backward()":
        "grad can be implicitly created only for scalar outputs",
    "torch.ones(2).sum().backward()":
        "element 0 of tensors does not require grad and does not have a grad_fn",
    "y = (x * x).sum(); y.backward(); y.backward()":
        "Trying to backward through the graph a second time",
    "x.add_(1)":
        "a leaf Variable that requires grad is being used in an in-place operation.",
    "x[0] = 1":
        "a view of a leaf Variable that requires grad is being used in an in-place operation.",
    "x[0].add_(1)":
        "a view of a leaf Variable that requires grad is being used in an in-place operation.",
    "y = x.exp(); y.add_(1); y.sum().backward()":
        r"modified by an inplace operation: [torch.FloatTensor [2]], which is output 0 of "
        "Exp, is at version 1; expected version 0 instead.",
    "x.numpy()":
        "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
    "torch.autograd.grad(x.sum(), [x, torch.ones(1, requires_grad=True)])":
        "The differentiated Tensor at index 1 appears to not have been used in the graph.",
    "torch.ones(3).item()": "a Tensor with 3 elements cannot be converted to Scalar",
    "bool(torch.ones(3))": "Boolean value of Tensor with more than one value is ambiguous",
    "torch.tensor([1], requires_grad=True)":
        "Only Tensors of floating point and complex dtype can require gradients",
    "(x * 2).requires_grad = False": "you can only change requires_grad flags of leaf variables.",
    "x.sum().backward(torch.ones(2))": "Mismatch in shape: grad_output[0] has a shape of "
        "torch.Size([2]) and output[0] has a shape of torch.Size([]).",
}  # fmt: skip


@pytest.mark.parametrize("program", FAULTS)
def test_errors_are_worded_as_there(program: str) -> None:
    names = {"torch": torch, "x": torch.ones(2, requires_grad=True)}
    with pytest.raises(RuntimeError, match=re.escape(FAULTS[program])) as caught:
        exec(program, names)
    assert isinstance(caught.value, GraphError)


def test_what_no_derivative_reads_may_be_written_over() -> None:
    x = leaf(1.0, 2.0)
    y = x.sin()
    y.add_(1)  # the derivative of sin reads x, not y
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.cos([1.0, 2.0]), rtol=1e-6)


# ---- modules and optimisers


def model() -> torch.nn.Module:
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def test_modules_know_their_parameters() -> None:
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.body = model()
            self.scale = torch.nn.Parameter(torch.ones(3))
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            return self.body(x) * self.scale

    net = Net()
    names = ["scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]
    assert [name for name, _ in net.named_parameters()] == names
    assert list(net.state_dict()) == ["scale", "seen", *names[1:]]
    other = Net()
    other.load_state_dict(pickle.loads(pickle.dumps(net.state_dict())))
    x = torch.ones(2, 4)
    assert torch.equal(net(x), other(x))
    assert not net.eval().training and not net.body.training and net.train().training
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "scale"'):
        net.load_state_dict({name: x for name, x in net.state_dict().items() if name != "scale"})


OPTIMISERS = [
    ("SGD", {"lr": 0.5}), ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.05}), ("Adam", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.01}),
    ("AdamW", {"lr": 0.05}), ("RMSprop", {"lr": 0.01, "momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr": 0.1}), ("Adadelta", {"lr": 10.0}), ("Adamax", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05}), ("LBFGS", {"lr": 0.5}), ("LBFGS", {"line_search_fn": "strong_wolfe"}),
]  # fmt: skip


@pytest.mark.parametrize("name, options", OPTIMISERS)
def test_an_optimiser_descends(name: str, options: dict) -> None:
    net = model()
    x, y = torch.randn(30, 4), torch.randint(0, 3, (30,))
    optimizer = getattr(torch.optim, name)(net.parameters(), **options)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(15)]
    assert losses[-1] < 0.92 * losses[0]


def test_a_step_of_adam_by_hand() -> None:
    p = torch.nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = torch.optim.Adam([p], lr=0.1)
    m = v = np.zeros(2)
    by_hand = np.array([1.0, -2.0])
    for t in (1, 2, 3):
        optimizer.zero_grad()
        (p**2).sum().backward()
        optimizer.step()
        g = 2 * by_hand
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        unbiased = m / (1 - 0.9**t), v / (1 - 0.999**t)
        by_hand = by_hand - 0.1 * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
    np.testing.assert_allclose(p.detach().numpy(), by_hand, rtol=1e-6)
    other = torch.optim.Adam([p])
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["lr"] == 0.1 and other.state[p]["step"] == 3


def test_schedules_and_groups() -> None:
    p, q = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    optimizer = torch.optim.SGD([{"params": [p]}, {"params": [q], "lr": 0.5}], lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2)
    rates = []
    for _ in range(4):
        rates.append(optimizer.param_groups[1]["lr"])
        schedule.step()
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.05, 0.05])
    with pytest.raises(ArgumentError, match="optimizer got an empty parameter list"):
        torch.optim.SGD([], lr=1)
    with pytest.raises(ArgumentError, match="SGD has no option 'betas'"):
        torch.optim.SGD([p], betas=(0.9, 0.9))


def test_a_training_loop_keeps_nothing() -> None:
    net, x, y = model(), torch.randn(8, 4), torch.randn(8, 3)
    gc.collect()
    gc.disable()
    try:
        seen = []
        for _ in range(5):
            loss = F.mse_loss(net(x), y)
            loss.backward()
            seen.append(weakref.ref(loss.cell))
        del loss
        assert [ref() for ref in seen] == [None] * 5
    finally:
        gc.enable()


# ---- handing over


def loss_of(xp, w, x, y):
    return xp.mean(xp.square(xp.tanh(xp.matmul(x, w)) - y))


def test_the_recording_is_the_program_of_plain_tracejit() -> None:
    rng = np.random.default_rng(0)
    w, x, y = (rng.standard_normal(shape).astype(np.float32) for shape in ((3,), (5, 3), (5,)))
    tensors = [torch.from_numpy(a).requires_grad_() for a in (w, x, y)]
    loss = loss_of(torch, *tensors)
    recorded = loss.compile(*tensors)

    def plain(w, x, y):
        return loss_of(np, w, x, y)

    mine = tj.jit(tj.value_and_grad(recorded.__wrapped__))
    theirs = tj.jit(tj.value_and_grad(plain))
    assert str(mine.trace(w, x, y)) == str(theirs.trace(w, x, y))
    value, slope = mine(w, x, y)
    assert (value, slope.tobytes()) == (theirs(w, x, y)[0], theirs(w, x, y)[1].tobytes())
    for _ in range(3):  # equation by equation, then native
        tensors[0].grad = None
        loss.backward(retain_graph=True)
    np.testing.assert_array_equal(tensors[0].grad.numpy(), slope)


def test_compile_and_trace() -> None:
    net = model()
    x, y = torch.randn(6, 4), torch.randn(6, 3)
    compiled = torch.compile(net)
    np.testing.assert_allclose(compiled(x).detach().numpy(), net(x).detach().numpy(), rtol=2e-6)
    F.mse_loss(compiled(x), y).backward()
    slope = net[0].weight.grad.clone()
    net.zero_grad()
    F.mse_loss(net(x), y).backward()
    np.testing.assert_allclose(net[0].weight.grad.numpy(), slope.numpy(), rtol=1e-4, atol=1e-7)
    traced = torch.jit.trace(lambda t: (t.sin(), t * 2), (torch.ones(2),))
    first, second = traced(torch.tensor([1.0, 2.0]))
    assert second.tolist() == [2.0, 4.0] and first.shape == (2,)


def test_saving(tmp_path) -> None:
    state = model().state_dict()
    torch.save(state, tmp_path / "model.pt")
    loaded = torch.load(tmp_path / "model.pt")
    assert all(torch.equal(loaded[name], x) for name, x in state.items())
