"""micrograd's names: `Value`, and networks of them. See docs/coming_from_micrograd.md."""

from __future__ import annotations

from tracejit.compat.micrograd import engine, nn
from tracejit.compat.micrograd.engine import Value
from tracejit.compat.micrograd.nn import MLP, Layer, Module, Neuron

__all__ = ["MLP", "Layer", "Module", "Neuron", "Value", "engine", "nn"]
