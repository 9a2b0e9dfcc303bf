"""Layers of the PyTorch style. The numbers were printed by PyTorch 2.13 for the same seeds."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit.compat import torch

nn, F = torch.nn, torch.nn.functional

#: What is computed from x (2, 4, 9, 7) -> its shape, its sum, the sum of squares of x's gradient
#: where the result is weighted by numbers from -1 to 1.
WINDOWS = {
    "F.max_pool2d(x, 3, stride=2, padding=1)": [2, 4, 5, 4, 210.529, 110.708],
    "F.max_pool2d(x, 2, ceil_mode=True)": [2, 4, 5, 4, 135.053, 54.0042],
    "F.avg_pool2d(x, 3, 2, 1, ceil_mode=True)": [2, 4, 5, 4, -4.02207, 11.1506],
    "F.avg_pool2d(x, 3, 2, 1, count_include_pad=False)": [2, 4, 5, 4, -5.62285, 21.4555],
    "F.adaptive_avg_pool2d(x, (2, 3))": [2, 4, 2, 3, -1.24625, 1.91797],
    "F.adaptive_max_pool2d(x, (3, 2))": [2, 4, 3, 2, 84.9435, 21.4803],
    "F.interpolate(x, scale_factor=2)": [2, 4, 18, 14, -28.3528, 2690.28],
    "F.interpolate(x, size=(5, 11), mode='bilinear', align_corners=False)":
        [2, 4, 5, 11, 1.1547, 157.547],
    "F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True)":
        [2, 4, 18, 14, -52.3768, 2759.54],
    "F.unfold(x, 3, padding=1, stride=2)": [2, 36, 20, -36.1986, 883.349],
    "F.pad(x, (1, 2, 0, 1), mode='reflect')": [2, 4, 10, 10, -37.7051, 513.777],
    "F.pad(x, (1, -1))": [2, 4, 9, 7, -10.4858, 144.567],
    "F.pixel_shuffle(x, 2)": [2, 1, 18, 14, -7.0882, 168.668],
    "F.group_norm(x, 2)": [2, 4, 9, 7, -2.6226e-06, 9.92126],
    "F.instance_norm(x)": [2, 4, 9, 7, -9.53674e-07, 2.50301],
    "F.normalize(x, dim=1)": [2, 4, 9, 7, -6.43148, 63.0518],
    "F.dropout2d(x, 0.5)": [2, 4, 9, 7, -15.65, 332.065],
    "nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2)(x)":
        [2, 6, 4, 3, 14.9644, 7.90194],
    "nn.Conv2d(4, 4, 3, padding=1, padding_mode='circular')(x)": [2, 4, 9, 7, 17.7144, 73.7533],
    "nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1)(x)":
        [2, 6, 18, 14, 119.921, 27.1931],
    "nn.ConvTranspose2d(4, 6, 4, 2, 1, groups=2, bias=False)(x)": [2, 6, 18, 14, -6.46684, 44.4092],
    "nn.Conv1d(4, 3, 3, padding='same')(x[:, :, 0])": [2, 3, 7, 4.19737, 3.26426],
    "nn.Conv3d(4, 2, (2, 3, 3))(x.unsqueeze(2).expand(2, 4, 3, 9, 7))":
        [2, 2, 2, 7, 5, 17.255, 37.0724],
    "nn.BatchNorm2d(4)(x)": [2, 4, 9, 7, 4.76837e-07, 123.319],
    "nn.MultiheadAttention(7, 1, batch_first=True)(x[0], x[0], x[0])[0]":
        [4, 9, 7, -2.64179, 20.4156],
    "nn.GRU(7, 3, bidirectional=True)(x[0])[0]": [4, 9, 6, 22.3346, 10.8899],
    "nn.LSTM(7, 3, num_layers=2, batch_first=True)(x[1])[1][1]": [2, 4, 3, 1.89981, 1.59744],
    "nn.RNN(7, 3, nonlinearity='relu')(x[0])[1]": [1, 9, 3, 12.3006, 4.83455],
    "nn.TransformerEncoderLayer(7, 1, 5, dropout=0.0)(x[0])": [4, 9, 7, -7.59959e-07, 0.0601563],
}


def of_window(torch: object, program: str) -> list[float]:
    torch.manual_seed(14)
    x = torch.randn(2, 4, 9, 7, requires_grad=True)
    names = {"torch": torch, "nn": torch.nn, "F": torch.nn.functional, "x": x}
    y = eval(program, names)
    (y * torch.linspace(-1, 1, y.numel()).reshape(y.shape)).sum().backward()
    return [*y.shape, y.sum().item(), x.grad.pow(2).sum().item()]


#: A loss of a (6, 4), classes t, b (6, 4), p probabilities -> its value, sum of squares of the
#: gradient.
LOSSES = {
    "F.cross_entropy(a, t)": [2.32429, 0.235308],
    "F.cross_entropy(a, t, weight=w, label_smoothing=0.1)": [2.32505, 0.26448],
    "F.cross_entropy(a, p, weight=w, label_smoothing=0.1)": [2.62452, 0.141031],
    "F.cross_entropy(a, t, label_smoothing=0.1, reduction='sum')": [11.2787, 5.0268],
    "nn.CrossEntropyLoss(ignore_index=1)(a, t.clamp(min=0))": [2.15632, 0.268615],
    "F.nll_loss(F.log_softmax(a, 1), t.clamp(min=0), weight=w)": [2.41431, 0.25798],
    "F.binary_cross_entropy_with_logits(a, (b > 0).float(), pos_weight=w)": [0.842613, 0.0185222],
    "F.binary_cross_entropy(torch.sigmoid(a), p)": [0.810429, 0.0059601],
    "F.smooth_l1_loss(a, b, beta=0.5)": [0.773117, 0.0332965],
    "F.huber_loss(a, b, delta=0.7)": [0.48812, 0.0145493],
    "nn.KLDivLoss(reduction='batchmean')(F.log_softmax(a, 1), p)": [0.545128, 0.0430096],
    "nn.CosineEmbeddingLoss()(a, b, torch.tensor([1, -1, 1, 1, -1, 1]))": [0.578494, 0.0460946],
    "nn.TripletMarginLoss()(a, b, p)": [1.58224, 0.0970215],
    "nn.MarginRankingLoss(0.1)(a[:, 0], b[:, 0], torch.ones(6))": [0.682504, 0.0833333],
    "nn.HingeEmbeddingLoss()(a, torch.sign(b))": [0.641037, 0.0399306],
    "F.gaussian_nll_loss(a, b, p)": [2.83468, 2.73895],
    "nn.PoissonNLLLoss()(a, p)": [1.60113, 0.209297],
}


def of_loss(torch: object, program: str) -> list[float]:
    torch.manual_seed(15)
    a = torch.randn(6, 4, requires_grad=True)
    b = torch.randn(6, 4)
    names = {
        "torch": torch, "nn": torch.nn, "F": torch.nn.functional, "a": a, "b": b,
        "t": torch.tensor([0, 1, 3, 2, -100, 1]), "p": torch.softmax(b, 1),
        "w": torch.tensor([1.0, 2.0, 0.5, 3.0]),
    }  # fmt: skip
    y = eval(program, names)
    y.backward()
    return [y.item(), a.grad.pow(2).sum().item()]


@pytest.mark.parametrize("program", WINDOWS)
def test_layers_give_pytorchs_numbers(program: str) -> None:
    np.testing.assert_allclose(of_window(torch, program), WINDOWS[program], rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("program", LOSSES)
def test_losses_give_pytorchs_numbers(program: str) -> None:
    np.testing.assert_allclose(of_loss(torch, program), LOSSES[program], rtol=2e-5)


def test_batch_norm_learns_what_it_saw() -> None:
    norm = nn.BatchNorm1d(2)
    x = torch.tensor([[0.0, 1.0], [2.0, 5.0]])
    for _ in range(3):  # each time in one program with the loss
        norm(x).pow(3).sum().backward()
    np.testing.assert_allclose(norm.running_mean.tolist(), [0.271, 0.813], rtol=1e-5)
    np.testing.assert_allclose(norm.running_var.tolist(), [1.271, 2.897], rtol=1e-5)
    assert norm.num_batches_tracked.item() == 3
    assert norm.running_mean.requires_grad is False
    norm.eval()
    before = norm.running_mean.tolist()
    assert norm(x).shape == (2, 2) and norm.running_mean.tolist() == before
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        norm.train()(x[:1])
    with pytest.raises(ValueError, match="expected 2D or 3D input"):
        norm(torch.ones(2))


def test_statistics_that_wait_are_not_forgotten() -> None:
    """Forward passes without a backward one, also many of them, move the running mean."""
    norm = nn.BatchNorm1d(1, momentum=0.5)
    x = torch.tensor([[0.0], [2.0]])
    for _ in range(100):
        norm(x)
    assert norm.running_mean.item() == pytest.approx(1.0)
    with torch.no_grad():
        norm(x + 2)
    assert norm.running_mean.item() == pytest.approx(2.0)


def test_modules_print_as_there() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.LeakyReLU(0.2),
        nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.ModuleList([nn.Tanh(), nn.Tanh()]),
    )  # fmt: skip
    assert repr(model) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), bias=False)\n"
        "  (1): BatchNorm2d(2, eps=1e-05, momentum=0.1, affine=True, bias=True, "
        "track_running_stats=True)\n"
        "  (2): LeakyReLU(negative_slope=0.2)\n"
        "  (3): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)\n"
        "  (4): Flatten(start_dim=1, end_dim=-1)\n"
        "  (5): Dropout(p=0.2, inplace=False)\n"
        "  (6): ModuleList(\n"
        "    (0-1): 2 x Tanh()\n"
        "  )\n"
        ")"
    )


def test_initialisations() -> None:
    torch.manual_seed(0)
    w = nn.init.orthogonal_(torch.empty(3, 5))
    np.testing.assert_allclose((w @ w.T).numpy(), np.eye(3), atol=1e-6)
    t = nn.init.trunc_normal_(torch.empty(4, 100))
    assert t.abs().max() <= 2
    x = torch.randn(1, 2, 5)
    kernel = nn.init.dirac_(torch.empty(2, 2, 3))
    assert torch.equal(F.conv1d(x, kernel, padding=1), x)


def test_wrong_layers_are_told() -> None:
    for program, text in {
        "nn.Conv2d(1, 2, 3)(torch.ones(1, 3, 5, 5))":
            r"weight of size \[2, 1, 3, 3\], expected input\[1, 3, 5, 5\] to have 1 channels",
        "nn.Conv2d(1, 2, 3)(torch.ones(5))": r"Expected 3D \(unbatched\) or 4D \(batched\) input",
        "nn.LSTM(3, 4)(torch.ones(2, 1, 5))": "Expected 3, got 5",
        "F.max_pool2d(torch.ones(1, 1, 2, 2), 3)": "Calculated output size is too small",
        "F.cross_entropy(torch.ones(2, 2), torch.tensor([0, 5]))": "Target 5 is out of bounds",
        "F.cross_entropy(torch.ones(3, 2), torch.tensor([0, 1]))": "to match target batch_size",
        "nn.Embedding(3, 2)(torch.tensor([3]))": "index out of range in self",
        "F.one_hot(torch.tensor([3]), 2)": "must be smaller than num_classes",
        "nn.Dropout(2)": "has to be between 0 and 1, but got 2",
        "nn.Linera": "did you mean 'Linear'",
        "F.reul": "did you mean 'relu'",
        "nn.Linear(2, 2).wieght": "did you mean 'weight'",
        "nn.MSELoss(reducton='sum')": "did you mean 'reduction'",
    }.items():  # fmt: skip
        with pytest.raises(Exception, match=text):
            eval(program, {"torch": torch, "nn": nn, "F": F})
