"""Programs as they are found in tutorials; the numbers were printed by PyTorch 2.13."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tracejit.compat import graph, torch
from tracejit.errors import GraphError


def classifier(torch: Any) -> list[float]:
    """Batches of a shuffled loader, the last one smaller; dropout; accuracy after backward."""
    nn, data = torch.nn, torch.utils.data
    torch.manual_seed(0)
    x = torch.randn(50, 10)
    y = (x[:, 0] * 2 - x[:, 1] + 0.1 * torch.randn(50) > 0).long()
    net = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    loader = data.DataLoader(data.TensorDataset(x, y), batch_size=16, shuffle=True)
    told = []
    for _ in range(3):
        loss_sum, right = 0.0, 0
        for xb, yb in loader:
            optimizer.zero_grad()
            logits = net(xb)
            loss = nn.functional.cross_entropy(logits, yb)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * xb.size(0)
            right += (logits.argmax(1) == yb).sum().item()
        told += [loss_sum / 50, right]
    net.eval()
    with torch.no_grad():
        told.append((net(x).argmax(dim=1) == y).float().mean().item())
    return told


def images(torch: Any) -> list[float]:
    """Convolutions, batch norm, pooling; momentum, weight decay, a schedule."""
    nn, f = torch.nn, torch.nn.functional
    torch.manual_seed(1)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3, padding=1)
            self.norm = nn.BatchNorm2d(4)
            self.fc = nn.Linear(4 * 4 * 4, 10)

        def forward(self, x: Any) -> Any:
            x = f.max_pool2d(f.relu(self.norm(self.conv(x))), 2)
            return f.log_softmax(self.fc(x.view(x.size(0), -1)), dim=1)

    net = Net()
    optimizer = torch.optim.SGD(
        net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    x, y = torch.randn(12, 1, 8, 8), torch.randint(0, 10, (12,))
    told = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = f.nll_loss(net(x), y)
        loss.backward()
        optimizer.step()
        schedule.step()
        told += [loss.item(), optimizer.param_groups[0]["lr"]]
    return told + net.norm.running_mean.tolist() + net.eval()(x)[0, :3].tolist()


def words(torch: Any) -> list[float]:
    """An embedding, an LSTM, clipping."""
    nn = torch.nn
    torch.manual_seed(3)
    table, lstm, fc = nn.Embedding(20, 8, padding_idx=0), nn.LSTM(8, 12, 2), nn.Linear(12, 4)
    parameters = [p for m in (table, lstm, fc) for p in m.parameters()]
    optimizer = torch.optim.RMSprop(parameters, lr=1e-2)
    x, y = torch.randint(0, 20, (7, 6)), torch.randint(0, 4, (6,))
    told = []
    for _ in range(3):
        optimizer.zero_grad()
        outputs, (h, _) = lstm(table(x))
        loss = nn.functional.cross_entropy(fc(outputs[-1]), y) + 0.01 * h.pow(2).mean()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        told.append(loss.item())
    return told


def adversaries(torch: Any) -> list[float]:
    """A generator and a discriminator: detach, two optimisers, batch norm in one of them."""
    nn = torch.nn
    torch.manual_seed(6)
    g = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.LeakyReLU(0.2, inplace=True),
                      nn.Linear(8, 2), nn.Tanh())  # fmt: skip
    d = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1), nn.Sigmoid())
    steps = [torch.optim.SGD(m.parameters(), lr=0.1) for m in (g, d)]
    bce, yes, no = nn.BCELoss(), torch.ones(8, 1), torch.zeros(8, 1)
    told = []
    for _ in range(3):
        d.zero_grad()
        real = bce(d(torch.randn(8, 2)), yes)
        real.backward()
        made = g(torch.randn(8, 4))
        fake = bce(d(made.detach()), no)
        fake.backward()
        steps[1].step()
        g.zero_grad()
        fooled = bce(d(made), yes)
        fooled.backward()
        steps[0].step()
        told += [real.item(), fake.item(), fooled.item()]
    return told + g[1].running_var.tolist()


def physics(torch: Any) -> list[float]:
    """Derivatives of a network with respect to places, in its loss."""
    nn = torch.nn
    torch.manual_seed(7)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    told = []
    for _ in range(3):
        xt = torch.rand(20, 2, requires_grad=True)
        u = net(xt)
        du = torch.autograd.grad(u, xt, torch.ones_like(u), create_graph=True)[0]
        ux, ut = du[:, 0:1], du[:, 1:2]
        uxx = torch.autograd.grad(ux, xt, torch.ones_like(ux), create_graph=True)[0][:, 0:1]
        loss = ((ut + u * ux - 0.01 * uxx) ** 2).mean() + (net(torch.zeros(3, 2)) - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        told.append(loss.item())
    return told


def learning_to_learn(torch: Any) -> list[float]:
    """MAML: gradients through steps along gradients."""
    f = torch.nn.functional
    torch.manual_seed(8)
    given = [torch.randn(8, 1) * 0.5, torch.zeros(8), torch.randn(1, 8) * 0.5, torch.zeros(1)]
    weights = [p.requires_grad_() for p in given]

    def net(x: Any, p: Any) -> Any:
        return f.linear(f.relu(f.linear(x, p[0], p[1])), p[2], p[3])

    optimizer = torch.optim.SGD(weights, lr=0.01)
    told = []
    for _ in range(3):
        meta = 0.0
        for _ in range(2):
            a, x = torch.rand(1) * 4 + 1, torch.rand(10, 1) * 10 - 5
            fast = weights
            for _ in range(2):
                loss = f.mse_loss(net(x, fast), a * torch.sin(x))
                slopes = torch.autograd.grad(loss, fast, create_graph=True)
                fast = [p - 0.01 * g for p, g in zip(fast, slopes)]  # noqa: B905
            meta = meta + f.mse_loss(net(x + 1, fast), a * torch.sin(x + 1))
        optimizer.zero_grad()
        meta.backward()
        optimizer.step()
        told.append(meta.item())
    return told


def rosenbrock(torch: Any) -> list[float]:
    """L-BFGS with a closure, without and with a line search."""
    told = []
    for options in ({"lr": 0.1}, {"line_search_fn": "strong_wolfe"}):
        x = torch.tensor([-1.5, 2.0], requires_grad=True, dtype=torch.float64)
        optimizer = torch.optim.LBFGS([x], max_iter=10, **options)

        def closure(x: Any = x, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
            loss.backward()
            return loss

        told += [float(optimizer.step(closure)) for _ in range(4)]
    return told


def optimisers(torch: Any) -> list[float]:
    """One step after the other of each, with groups of parameters."""
    nn = torch.nn
    torch.manual_seed(9)
    start = [torch.randn(3, 2), torch.randn(3)]
    x = torch.linspace(-1, 1, 8).reshape(4, 2)
    told = []
    for name, options in (
        ("AdamW", {}), ("Adam", {"amsgrad": True}), ("SGD", {"momentum": 0.9}), ("RAdam", {}),
        ("RMSprop", {"centered": True, "momentum": 0.5}), ("ASGD", {}), ("NAdam", {}),
        ("Adagrad", {}), ("Adadelta", {}), ("Adamax", {}),
    ):  # fmt: skip
        w, b = (nn.Parameter(p.clone()) for p in start)
        groups = [{"params": [w], "weight_decay": 0.1}, {"params": [b], "lr": 0.05}]
        optimizer = getattr(torch.optim, name)(groups, lr=0.01, **options)
        for _ in range(7):
            optimizer.zero_grad()
            (x @ w.T + b).pow(2).mean().backward()
            optimizer.step()
        told += [w.sum().item(), b.sum().item()]
    return told


def schedules(torch: Any) -> list[float]:
    """The rates of the sixth epoch."""
    s = torch.optim.lr_scheduler
    told = []
    for make in (
        lambda o: s.MultiStepLR(o, [2, 5], gamma=0.1), lambda o: s.ExponentialLR(o, 0.9),
        lambda o: s.CosineAnnealingLR(o, T_max=4, eta_min=0.01),
        lambda o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
        lambda o: s.LinearLR(o, start_factor=0.5, total_iters=9),
        lambda o: s.PolynomialLR(o, total_iters=8, power=2.0),
        lambda o: s.CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
        lambda o: s.OneCycleLR(o, max_lr=0.5, total_steps=10),
        lambda o: s.CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=2),
        lambda o: s.SequentialLR(
            o, [s.ConstantLR(o, 0.1, total_iters=2), s.ExponentialLR(o, 0.9)], milestones=[3]
        ),
    ):  # fmt: skip
        p = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9)
        schedule = make(optimizer)
        for _ in range(6):
            optimizer.step()
            schedule.step()
        told += [*schedule.get_last_lr(), optimizer.param_groups[0]["momentum"]]
    return told


NUMBERS: dict[Callable[[Any], list[float]], list[float]] = {
    classifier: [
        0.746144, 21, 0.639218, 30, 0.565255, 40, 0.88,
    ],
    images: [
        2.41506, 0.1, 2.13953, 0.05, 2.2439, 0.05, 1.54033, 0.025, 0.102979, -0.0230539,
        0.0535455, -0.0515208, -2.2678, -2.08092, -1.7713,
    ],
    words: [
        1.36176, 1.25932, 0.987861,
    ],
    adversaries: [
        0.567444, 0.899806, 0.535733, 0.583439, 0.881939, 0.547211, 0.543291, 0.865045,
        0.557004, 0.76675, 0.792051, 0.760035, 0.812153, 0.829483, 0.843691, 0.802418,
        0.804591,
    ],
    physics: [
        1.15569, 0.998669, 0.853353,
    ],
    learning_to_learn: [
        1.49586, 4.59296, 4.51758,
    ],
    rosenbrock: [
        12.5, 5.85847, 5.81604, 38.7812, 12.5, 4.54677, 1.43633, 0.148451,
    ],
    optimisers: [
        3.3769, 0.411917, 3.46941, 0.415896, 3.21641, 0.346852, 3.63597, 1.15602, 1.18867,
        -0.112521, 3.59225, 1.08194, 3.52512, 0.67626, 3.59279, 0.877127, 3.7576, 1.42495,
        3.46731, 0.538224,
    ],
    schedules: [
        0.001, 0.9, 0.0531441, 0.9, 0.055, 0.9, 0.0735092, 0.9, 0.0833333, 0.9, 0.00625, 0.9,
        0.05, 0.9, 0.194371, 0.911126, 0.1, 0.8, 0.0729, 0.9,
    ],
}  # fmt: skip


@pytest.mark.parametrize("program", NUMBERS, ids=lambda program: program.__name__)
def test_programs_give_pytorchs_numbers(program: Callable[[Any], list[float]]) -> None:
    np.testing.assert_allclose(program(torch), NUMBERS[program], rtol=2e-4, atol=1e-5)


# ---- functions and hooks


class Exp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = torch.from_numpy(np.exp(x.detach().numpy()))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (y,) = ctx.saved_tensors
        return g * y


def test_functions_with_rules_of_their_own() -> None:
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    y = Exp.apply(x * 2)
    (y * x).sum().backward()
    e = np.exp([0.0, 2.0])
    np.testing.assert_allclose(x.grad.numpy(), e + 2 * np.array([0.0, 1.0]) * e, rtol=1e-6)
    assert y.grad_fn.name() == "ExpBackward" and not Exp.apply(x.detach()).requires_grad
    (slope,) = torch.autograd.grad(Exp.apply(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), x)
    np.testing.assert_allclose(second.numpy(), np.exp([0.0, 1.0]), rtol=1e-6)


def test_functions_that_are_wrong_are_told() -> None:
    class Two(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any, y: Any) -> Any:
            return x * y

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g

    class Wide(Exp):
        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return torch.ones(5)

    x = torch.ones(2, requires_grad=True)
    with pytest.raises(GraphError, match=r"incorrect number of gradients \(expected 2, got 1\)"):
        Two.apply(x, x).sum().backward()
    with pytest.raises(GraphError, match=r"got \[5\] but expected shape compatible with \[2\]"):
        Wide.apply(x).sum().backward()
    y = Exp.apply(x).sum()
    y.backward()
    with pytest.raises(GraphError, match="backward through the graph a second time"):
        y.backward()
    with pytest.raises(GraphError, match="cannot be compiled"):
        Exp.apply(x).sum().compile(x)


def test_hooks_of_tensors() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    handle = x.register_hook(lambda g: g + 1)
    y = x * x
    y.register_hook(lambda g: g * 10)
    y.retain_grad()
    ((y * 3).sum() + y[0]).backward(retain_graph=True)
    assert x.grad.tolist() == [81.0, 121.0] and y.grad.tolist() == [40.0, 30.0]
    handle.remove()
    x.grad = None
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.tolist()))
    y.sum().backward()
    assert seen == [[20.0, 40.0]]
    with pytest.raises(GraphError, match="doesn't require gradient"):
        torch.ones(1).register_hook(print)


def test_hooks_of_modules() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh())
    told: list[Any] = []
    net[0].register_forward_hook(lambda m, args, out: told.append(tuple(out.shape)))
    net[1].register_full_backward_hook(
        lambda m, given, found: told.append((given[0] / found[0] <= 1).all().item())
    )
    net(torch.ones(4, 2)).sum().backward()
    assert told == [(4, 3), True]
    with net.register_forward_pre_hook(lambda m, args: (args[0] * 0,)):
        zero = net(torch.ones(1, 2))
    assert torch.equal(zero, net(torch.zeros(1, 2)))


# ---- what is compiled, and when


def test_values_looked_at_come_from_the_program_of_the_derivatives() -> None:
    w = torch.ones(3, requires_grad=True)
    x = torch.arange(3.0)
    for k in range(4):
        y = ((w * x).exp() + 1).log() * 2
        z = y.sum()
        z.backward()
        known = y.cell.known is not None
        assert known == (k > 0), k
        y.tolist()
        w.grad = None


def test_numbers_of_many_values_are_operands() -> None:
    w = torch.ones(3, requires_grad=True)
    sizes = []
    for k in range(40):
        (w * (1.0 / (k + 1)) + k * 0.5).sum().backward()
        sizes.append(len(graph._programs))
    assert sizes[-1] == sizes[20]
    np.testing.assert_allclose(w.grad.numpy(), sum(1 / (k + 1) for k in range(40)), rtol=1e-5)
    x = torch.tensor([1, 2])
    assert [(x * (0.1 * k)).dtype for k in range(20)] == [torch.float32] * 20
    assert [(x - k).dtype for k in range(20)] == [torch.int64] * 20


def test_a_module_without_derivatives_is_one_program() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    x = torch.randn(3, 4)
    wanted = net(x)
    with torch.no_grad():
        for _ in range(30):
            y = net(x)
            assert not y.requires_grad and y.grad_fn is None
            np.testing.assert_allclose(y.numpy(), wanted.detach().numpy(), rtol=1e-5)


# ---- files, functional transforms


def test_training_goes_on_from_a_file() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    x = torch.randn(8, 3)

    def step() -> float:
        optimizer.zero_grad()
        loss = net(x).pow(3).mean()
        loss.backward()
        optimizer.step()
        return loss.item()  # type: ignore[no-any-return]

    step()
    file = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict()}, file)
    first = [step(), step()]
    file.seek(0)
    saved = torch.load(file)
    assert repr(net.load_state_dict(saved["net"])) == "<All keys matched successfully>"
    optimizer.load_state_dict(saved["optimizer"])
    assert [step(), step()] == first
    with pytest.raises(RuntimeError, match=r"size mismatch for 0\.weight"):
        torch.nn.Sequential(torch.nn.Linear(2, 4)).load_state_dict(net.state_dict(), strict=False)


def test_transforms_of_functions() -> None:
    func = torch.func
    net = torch.nn.Linear(3, 1)
    weights = {name: p.detach() for name, p in net.named_parameters()}
    x = torch.randn(5, 3)

    def loss(p: Any, x: Any) -> Any:
        return func.functional_call(net, p, (x,)).pow(2).sum()

    each = func.vmap(func.grad(loss), in_dims=(None, 0))(weights, x)
    for i in range(5):
        one = func.grad(loss)(weights, x[i])
        np.testing.assert_allclose(each["weight"][i].numpy(), one["weight"].numpy(), rtol=1e-5)
    z = torch.tensor([1.0, 2.0])
    assert func.hessian(lambda v: (v**3).sum())(z).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    assert func.grad(func.grad(lambda v: v**4))(torch.tensor(2.0)).item() == 48.0
    value, slope = func.jvp(torch.exp, (z,), (torch.ones(2),))
    np.testing.assert_allclose(slope.numpy(), value.numpy())


def test_loaders() -> None:
    data = torch.utils.data
    torch.manual_seed(0)

    class Squares(data.Dataset):
        def __len__(self) -> int:
            return 6

        def __getitem__(self, i: int) -> Any:
            return np.float32(i) ** 2, {"n": i, "name": str(i)}

    loader = data.DataLoader(Squares(), batch_size=4, shuffle=True)
    batches = list(loader)
    assert len(loader) == len(batches) == 2
    order = [0, 4, 3, 5, 2, 1]  # PyTorch's for this seed
    assert [n for _, b in batches for n in b["n"].tolist()] == order
    assert batches[1][1]["name"] == ["2", "1"] and batches[0][0].dtype == torch.float32
    first, second = data.random_split(range(10), [0.8, 0.2])
    assert (len(first), len(second)) == (8, 2)
    assert sorted([*first, *second]) == list(range(10))
    with pytest.raises(ValueError, match="mutually exclusive with shuffle"):
        data.DataLoader(range(3), shuffle=True, sampler=data.SequentialSampler(range(3)))
