"""tf.keras.utils and tf.keras.backend, as far as training loops use them."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np

from tracejit.compat.tensorflow import random

__all__ = ["set_random_seed", "to_categorical"]


def set_random_seed(seed: int) -> None:
    """The seed of Python's, NumPy's and this module's random numbers."""
    python_random.seed(seed)
    np.random.seed(seed)
    random.set_seed(seed)


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Rows with a 1 at the number of each class."""
    classes = np.asarray(x, int)
    count = int(classes.max()) + 1 if num_classes is None else num_classes
    return np.eye(count)[classes]
