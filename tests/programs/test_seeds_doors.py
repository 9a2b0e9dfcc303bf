"""Programs from tutorials for PyTorch, and a tutorial's `Value` class, as they were written: only
the import differs, and each prints what its text says."""

from __future__ import annotations

import pytest

TORCH = "from tracejit.compat import torch\n"
VALUE = "from tracejit.compat.micrograd import Value\n"

MODEL = """

torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
inputs, targets = torch.randn(16, 3), torch.randn(16, 1)
"""

#: name -> (program, what it prints).
PROGRAMS = {
    "a vector of one": (TORCH + """
x = torch.tensor([2.0], requires_grad=True)
y = x**2 + 3*x
y.backward()  # compute dy/dx
print(x.grad)  # prints tensor([7.])
""", "tensor([7.])\n"),
    "a number": (TORCH + """
x = torch.tensor(2.0, requires_grad=True)

# Perform operations
y = x**2 + 3*x

# Compute gradients via backpropagation
y.backward()

# Print the gradient of y with respect to x
print(x.grad)  # Outputs: tensor(7.0) (dy/dx = 2x + 3, at x=2.0)
""", "tensor(7.)\n"),
    "backward twice": (TORCH + """
x = torch.tensor(2.0, requires_grad=True)
y = x**2 + 3*x
y.backward(retain_graph=True)  # First derivative
y.backward()  # Second derivative
print(x.grad)
""", "tensor(14.)\n"),
    "an optimiser": (TORCH + MODEL + """
before = torch.nn.functional.mse_loss(model(inputs), targets)
optimizer = torch.optim.Adam(model.parameters())
for _ in range(20):
    # Forward pass
    loss = torch.nn.functional.mse_loss(model(inputs), targets)

    # Compute gradients
    loss.backward()

    # Apply gradients
    optimizer.step()
    optimizer.zero_grad()  # Clear gradients for the next iteration
print(loss.item() < before.item())
""", "True\n"),
    "values": (VALUE + """
# Example: y = (x1 + x2) * x3
x1 = Value(2.0)
x2 = Value(3.0)
x3 = Value(4.0)
y = (x1 + x2) * x3  # y = (2+3)*4 = 20
y.backward()

print(f"dy/dx1 = {x1.grad}")  # 4.0
print(f"dy/dx2 = {x2.grad}")  # 4.0
print(f"dy/dx3 = {x3.grad}")  # 5.0
""", "dy/dx1 = 4.0\ndy/dx2 = 4.0\ndy/dx3 = 5.0\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_what_its_text_says(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    program, expected = PROGRAMS[name]
    exec(compile(program, f"<{name}>", "exec"), {})
    assert capsys.readouterr().out == expected


def test_the_value_of_the_tutorial_is_extended_as_there() -> None:
    """Its own operations are added from outside: closures over values, as its text has them."""
    program = VALUE + """
class Verbose(Value):
    pass

x = Verbose(2.0, (), '')
y = x * Value(3.0)
y.backward()
"""
    names: dict = {}
    exec(compile(program, "<extended>", "exec"), names)
    assert names["x"].grad == 3.0 and names["y"].data == 6.0
