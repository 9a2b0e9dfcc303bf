"""Recurrent layers and their cells: Elman's, LSTM (Hochreiter and Schmidhuber 1997), GRU.

All steps of a layer in one direction are one operation, a loop over time of a compiled program.
"""

from __future__ import annotations

import math
from typing import Any

from tracejit import lax, nn
from tracejit.compat.torch.creation import empty
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.nn import functional, init
from tracejit.compat.torch.nn.modules import Module, Parameter
from tracejit.compat.torch.tensor import Tensor, fault, run
from tracejit.numpy import contraction, shaping, ufuncs
from tracejit.numpy.arrays import Array

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


def _affine(x: Array, weight: Array, bias: Any) -> Array:
    y = contraction.matmul(x, shaping.transpose(weight))
    return y if bias is None else ufuncs.add(y, bias)


def _plain(x: Array, state: Any, weights: Any, squash: Any) -> tuple[Array, ...]:
    """h' = squash(W x + b + U h + c)."""
    w, u, b, c = weights
    return (squash(ufuncs.add(_affine(x, w, b), _affine(state[0], u, c))),)


def _tanh(x: Array, state: Any, weights: Any) -> tuple[Array, ...]:
    return _plain(x, state, weights, ufuncs.tanh)


def _relu(x: Array, state: Any, weights: Any) -> tuple[Array, ...]:
    return _plain(x, state, weights, nn.relu)


def _lstm(x: Array, state: Any, weights: Any) -> tuple[Array, ...]:
    """c' = f c + i g, h' = o tanh(c'); i, f, g, o are parts of W x + b + U h + c."""
    w, u, b, c = weights
    gates = shaping.split(ufuncs.add(_affine(x, w, b), _affine(state[0], u, c)), 4, axis=-1)
    i, f, o = (nn.sigmoid(gates[k]) for k in (0, 1, 3))
    cell = f * state[1] + i * ufuncs.tanh(gates[2])
    return o * ufuncs.tanh(cell), cell


def _gru(x: Array, state: Any, weights: Any) -> tuple[Array, ...]:
    """h' = (1 - z) n + z h, n = tanh(W x + b + r (U h + c)); r, z gates of x and h."""
    w, u, b, c = weights
    ours = shaping.split(_affine(x, w, b), 3, axis=-1)
    theirs = shaping.split(_affine(state[0], u, c), 3, axis=-1)
    r, z = (nn.sigmoid(ufuncs.add(ours[k], theirs[k])) for k in (0, 1))
    n = ufuncs.tanh(ours[2] + r * theirs[2])
    return ((1 - z) * n + z * state[0],)


_STEPS = {"tanh": _tanh, "relu": _relu, "lstm": _lstm, "gru": _gru}
_GATES = {"tanh": 1, "relu": 1, "lstm": 4, "gru": 3}


def _cell(kind: str, x: Array, state: Any, weights: Any) -> Any:
    return _STEPS[kind](x, state, weights)


def _layer(kind: str, x: Array, state: Any, weights: Any, backwards: bool) -> Any:
    """(the outputs of all times, the last state); time is axis 0."""

    def step(before: Any, now: Array) -> Any:
        after = _STEPS[kind](now, before, weights)
        return after, after[0]

    last, outputs = lax.scan(step, tuple(state), x, reverse=backwards)
    return outputs, tuple(last)


class _Recurrent(Module):
    """Layers of a recurrent network; weights are uniform within 1 / sqrt(hidden_size) at first."""

    kind = "tanh"
    states = 1

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
        batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional = bidirectional
        rows = _GATES[self.kind] * hidden_size
        for layer in range(num_layers):
            below = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            for suffix in self._suffixes(layer):
                shapes: dict[str, tuple[int, ...]]
                shapes = {"weight_ih": (rows, below), "weight_hh": (rows, hidden_size)}
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                for name, shape in shapes.items():
                    setattr(self, f"{name}_{suffix}", Parameter(empty(*shape)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for x in self.parameters():
            init.uniform_(x, -bound, bound)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"l{layer}", f"l{layer}_reverse"][: 1 + self.bidirectional]

    def flatten_parameters(self) -> None:
        """Nothing: weights lie as they should."""

    def _weights(self, suffix: str) -> tuple[Any, ...]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return tuple([getattr(self, f"{n}_{suffix}", None) for n in names])

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(outputs of the last layer at all times, the last states of all layers)."""
        if input.ndim not in (2, 3):
            raise ValueError(
                f"{type(self).__name__}: Expected input to be 2D or 3D, got {input.ndim}D instead"
            )
        if input.shape[-1] != self.input_size:
            raise fault(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got "
                f"{input.shape[-1]}"
            )
        batched = input.ndim == 3
        x = input if batched else input.unsqueeze(1)
        x = x.transpose(0, 1) if self.batch_first and batched else x
        given = None if hx is None else (hx if isinstance(hx, tuple) else (hx,))
        if given is not None and not batched:
            given = tuple([h.unsqueeze(1) for h in given])
        x, last = self._run(x, self._first(x, given))
        x = x if batched else x.squeeze(1)
        last = last if batched else [h.squeeze(1) for h in last]
        x = x.transpose(0, 1) if self.batch_first and batched else x
        return x, tuple(last) if self.states > 1 else last[0]

    def _first(self, x: Any, given: Any) -> tuple[Any, ...]:
        shape = (self.num_layers * (1 + self.bidirectional), x.shape[1], self.hidden_size)
        if given is None:
            zero = Tensor.functions.zeros_like(x.detach()[0, 0, :1])
            return (zero.expand(shape),) * self.states
        for h in given:
            if tuple(h.shape) != shape:
                raise fault(f"Expected hidden size {shape}, got {list(h.shape)}")
        return tuple(given)

    def _run(self, x: Any, states: tuple[Any, ...]) -> tuple[Any, list[Any]]:
        last: list[list[Any]] = [[] for _ in states]
        row = 0
        for layer in range(self.num_layers):
            outputs = []
            for suffix in self._suffixes(layer):
                state = tuple([h[row] for h in states])
                backwards = suffix.endswith("reverse")
                y, state = run(_layer, (self.kind, x, state, self._weights(suffix), backwards))
                outputs.append(y)
                for several, h in zip(last, state, strict=True):
                    several.append(h)
                row += 1
            x = outputs[0] if len(outputs) == 1 else FUNCTIONS["cat"](outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                x = functional.dropout(x, self.dropout, self.training)  # type: ignore[attr-defined]
        return x, [FUNCTIONS["stack"](several) for several in last]

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = f"{self.input_size}, {self.hidden_size}"
        usual = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False,
        }  # fmt: skip
        for name, value in usual.items():
            text += f", {name}={getattr(self, name)}" if getattr(self, name) != value else ""
        return text


class RNN(_Recurrent):
    """Elman's network, with tanh or relu."""

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1,
                 nonlinearity: str = "tanh", *args: Any, **kwargs: Any):  # fmt: skip
        object.__setattr__(self, "kind", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, *args, **kwargs)


class LSTM(_Recurrent):
    """Long short-term memory."""

    kind, states = "lstm", 2


class GRU(_Recurrent):
    """Gated recurrent units."""

    kind = "gru"


class _Cell(Module):
    """One step of a recurrent layer."""

    kind = "tanh"
    states = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = _GATES[self.kind] * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size))
        self.weight_hh = Parameter(empty(rows, hidden_size))
        self.register_parameter("bias_ih", Parameter(empty(rows)) if bias else None)
        self.register_parameter("bias_hh", Parameter(empty(rows)) if bias else None)
        bound = 1 / math.sqrt(hidden_size)
        for x in self.parameters():
            init.uniform_(x, -bound, bound)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """The next state."""
        if hx is None:
            zero = Tensor.functions.zeros_like(input.detach()[..., :1])
            hx = (zero.expand(*input.shape[:-1], self.hidden_size),) * self.states
        state = hx if isinstance(hx, tuple) else (hx,)
        weights = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        after = run(_cell, (self.kind, input, state, weights))
        return after if self.states > 1 else after[0]

    def extra_repr(self) -> str:
        """The sizes."""
        return f"{self.input_size}, {self.hidden_size}"


class RNNCell(_Cell):
    """A step of Elman's network."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True,
                 nonlinearity: str = "tanh"):  # fmt: skip
        object.__setattr__(self, "kind", nonlinearity)
        super().__init__(input_size, hidden_size, bias)


class LSTMCell(_Cell):
    """A step of long short-term memory."""

    kind, states = "lstm", 2


class GRUCell(_Cell):
    """A step of gated recurrent units."""

    kind = "gru"


