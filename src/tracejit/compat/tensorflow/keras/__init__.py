"""tf.keras, as far as programs need it that differentiate by tapes: layers, losses, optimizers."""

from __future__ import annotations

from tracejit.compat.tensorflow.keras import activations, layers, losses, metrics, optimizers
from tracejit.compat.tensorflow.keras.layers import Model, Sequential

__all__ = ["Model", "Sequential", "activations", "layers", "losses", "metrics", "optimizers"]
