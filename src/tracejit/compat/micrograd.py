"""micrograd: numbers that remember what computed them.

    from tracejit.compat.micrograd import Value
    a, b = Value(2.0), Value(-3.0)
    y = (a * b + 10.0).tanh()
    y.backward()                       a.grad, b.grad: of y
    f = y.compile(a, b)                the same computation as a native function of two numbers

A value is a float64 of the recording in `graph.py`. From the second time on that a computation of
the same form is differentiated, all gradients of its leaves are one call of machine code.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracejit.api.jit import jit
from tracejit.compat import graph
from tracejit.compat.graph import Cell, Handle, Recorder, cut, known
from tracejit.errors import ArgumentError
from tracejit.nn import relu
from tracejit.numpy import ufuncs
from tracejit.trace.provenance import user_frame

_RECORDER = Recorder("float64")


class Value(Handle):
    """A number. data: its value, which may be set; grad: what `backward` has added up.

    _prev: the values that it was computed from, _op: by which operation, for eyes and drawings.
    """

    __slots__ = ("__weakref__", "_data", "_grad", "_op", "_owed", "_prev", "cell", "label")

    def __init__(
        self, data: Any, _children: Iterable[Value] = (), _op: str = "", label: str = ""
    ):
        if isinstance(data, Cell):
            self.cell, self._data = data, None
        else:
            self.data = data
        self._grad: Any = 0.0
        self._owed: tuple[Cell, ...] = ()  # whose gradients are still to be added
        self._prev = set(_children)
        self._op, self.label = _op, label

    @property
    def data(self) -> Any:
        """The number."""
        if self._data is None:
            self._data = self.cell.value.item()
        return self._data

    @data.setter
    def data(self, number: Any) -> None:
        try:
            self.cell = known(float(number), needs=True)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"a Value is one number, not {number!r}", where=user_frame(),
                hint="arrays are at home in tracejit itself, and in tracejit.compat.torch",
            ) from None  # fmt: skip
        self._data = number

    @property
    def grad(self) -> Any:
        """The gradients that `backward` has added up."""
        if self._owed:
            owed, self._owed = self._owed, ()
            for target in owed:
                (slope,) = cut([target], [self.cell]).gradients()
                self._grad += slope.value.item()  # type: ignore[union-attr]
        return self._grad

    @grad.setter
    def grad(self, number: Any) -> None:
        self._grad, self._owed = number, ()

    def backward(self) -> None:
        """Add the derivatives of this value to `grad` of the values it was computed from; its own
        is 1. Those of values in between are computed when somebody asks."""
        seen: dict[Value, None] = {self: None}
        pending = [self]
        while pending:
            for child in pending.pop()._prev:
                if child not in seen:
                    seen[child] = None
                    pending.append(child)
        leaves = [x for x in seen if x.cell.step is None and x is not self]
        sources = _in_order(self, leaves)
        slopes = cut([self.cell], sources).gradients()
        by_cell = dict(zip(sources, slopes, strict=True))
        for x in seen:
            slope = by_cell.get(x.cell)
            if slope is not None:
                x.grad += slope.value.item()
            elif x.cell.step is not None and x is not self:
                x._owed += (self.cell,)
        self.grad = 1.0

    def compile(self, *inputs: Value) -> Any:
        """The computation as a jitted function of `inputs` (of all leaves, in the order in which
        they were used, unless said); what else it reads is a constant."""
        sources = [x.cell for x in inputs] or _in_order(self, ())
        return jit(cut([self.cell], sources).function())

    def relu(self) -> Value:
        """max(x, 0)."""
        return _made(relu, (self,), "ReLU")

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return _made(ufuncs.tanh, (self,), "tanh")

    def exp(self) -> Value:
        """The exponential."""
        return _made(ufuncs.exp, (self,), "exp")

    def log(self) -> Value:
        """The natural logarithm."""
        return _made(ufuncs.log, (self,), "log")

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x))."""
        return 1.0 / (1.0 + (-self).exp())

    def __add__(self, other: Any) -> Value:
        return _made(ufuncs.add, (self, other), "+")

    def __radd__(self, other: Any) -> Value:
        return _made(ufuncs.add, (other, self), "+")

    def __sub__(self, other: Any) -> Value:
        return _made(ufuncs.subtract, (self, other), "-")

    def __rsub__(self, other: Any) -> Value:
        return _made(ufuncs.subtract, (other, self), "-")

    def __mul__(self, other: Any) -> Value:
        return _made(ufuncs.multiply, (self, other), "*")

    def __rmul__(self, other: Any) -> Value:
        return _made(ufuncs.multiply, (other, self), "*")

    def __truediv__(self, other: Any) -> Value:
        return _made(ufuncs.divide, (self, other), "/")

    def __rtruediv__(self, other: Any) -> Value:
        return _made(ufuncs.divide, (other, self), "/")

    def __pow__(self, other: Any) -> Value:
        return _made(ufuncs.power, (self, other), f"**{other}")

    def __rpow__(self, other: Any) -> Value:
        return _made(ufuncs.power, (other, self), "**")

    def __neg__(self) -> Value:
        return _made(ufuncs.negative, (self,), "neg")

    def __lt__(self, other: Any) -> bool:
        return bool(self.data < _number(other))

    def __le__(self, other: Any) -> bool:
        return bool(self.data <= _number(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self.data > _number(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self.data >= _number(other))

    def __float__(self) -> float:
        return float(self.data)

    def __repr__(self) -> str:
        return f"Value(data={self.data}, grad={self.grad})"


def _number(x: Any) -> Any:
    return x.data if isinstance(x, Value) else x


def _made(fun: Callable[..., Any], operands: Sequence[Any], op: str) -> Value:
    """The value of an operation."""
    for x in operands:
        if not isinstance(x, (Value, int, float)):
            raise ArgumentError(
                f"{op!r} of a Value takes Values and numbers, not {type(x).__name__}",
                where=user_frame(),
            )
    return Value(
        _RECORDER.perform(fun, operands), [x for x in operands if isinstance(x, Value)], op
    )


def _in_order(y: Value, leaves: Sequence[Value]) -> list[Cell]:
    """The cells of the leaves behind a value, in the order in which they are first used; and those
    of `leaves` that it does not read."""
    steps = [] if y.cell.step is None else graph.reachable([y.cell.step], lambda cell: False)
    found = dict.fromkeys(c for step in steps for c in step.inputs if c.needs and c.step is None)
    found.update(dict.fromkeys(x.cell for x in leaves))
    return list(found)


class Module:
    """Something with parameters."""

    def parameters(self) -> list[Value]:
        """The values that are learnt."""
        return []

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for p in self.parameters():
            p.grad = 0.0


class Neuron(Module):
    """relu(w . x + b), or without relu; weights uniform in [-1, 1] at first."""

    def __init__(self, nin: int, nonlin: bool = True):
        self.w = [Value(random.uniform(-1, 1)) for _ in range(nin)]
        self.b, self.nonlin = Value(0.0), nonlin

    def __call__(self, x: Sequence[Any]) -> Value:
        """The output for nin numbers."""
        total = sum((w * xi for w, xi in zip(self.w, x, strict=True)), self.b)
        return total.relu() if self.nonlin else total

    def parameters(self) -> list[Value]:
        """Weights, then the bias."""
        return [*self.w, self.b]

    def __repr__(self) -> str:
        return f"{'ReLU' if self.nonlin else 'Linear'}Neuron({len(self.w)})"


class Layer(Module):
    """Neurons that read the same numbers; of one neuron its output alone."""

    def __init__(self, nin: int, nout: int, **options: Any):
        self.neurons = [Neuron(nin, **options) for _ in range(nout)]

    def __call__(self, x: Sequence[Any]) -> Any:
        """The outputs."""
        outs = [neuron(x) for neuron in self.neurons]
        return outs[0] if len(outs) == 1 else outs

    def parameters(self) -> list[Value]:
        """Those of the neurons."""
        return [p for neuron in self.neurons for p in neuron.parameters()]

    def __repr__(self) -> str:
        return f"Layer of [{', '.join(map(str, self.neurons))}]"


class MLP(Module):
    """Layers one after the other, the last one linear."""

    def __init__(self, nin: int, nouts: Sequence[int]):
        sizes = [nin, *nouts]
        last = len(nouts) - 1
        self.layers = [
            Layer(n, m, nonlin=i != last)
            for i, (n, m) in enumerate(zip(sizes, sizes[1:], strict=False))
        ]

    def __call__(self, x: Any) -> Any:
        """The output of the last layer."""
        for layer in self.layers:
            x = layer(x)
        return x

    def parameters(self) -> list[Value]:
        """Those of the layers."""
        return [p for layer in self.layers for p in layer.parameters()]

    def __repr__(self) -> str:
        return f"MLP of [{', '.join(map(str, self.layers))}]"
