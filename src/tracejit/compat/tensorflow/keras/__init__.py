"""tf.keras, as far as programs need it that differentiate by tapes: layers, losses, optimizers."""

from __future__ import annotations

from types import SimpleNamespace

from tracejit.compat.tensorflow.keras import (
    activations,
    image_layers,
    layers,
    losses,
    metrics,
    optimizers,
    regular_layers,
    utils,
)
from tracejit.compat.tensorflow.keras.layers import Model, Sequential

__all__ = [
    "Model", "Sequential", "activations", "layers", "losses", "metrics", "optimizers", "utils",
]  # fmt: skip

for _room in (image_layers, regular_layers):
    for _name in _room.__all__:
        setattr(layers, _name, getattr(_room, _name))
layers.MaxPool2D = image_layers.MaxPooling2D  # type: ignore[attr-defined]
layers.AvgPool2D = image_layers.AveragePooling2D  # type: ignore[attr-defined]
backend = SimpleNamespace(
    clear_session=lambda: None, epsilon=lambda: 1e-7, floatx=lambda: "float32"
)
