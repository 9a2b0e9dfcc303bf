"""Metrics: running means, asked by `result()`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.tensor import Tensor, convert
from tracejit.compat.tensorflow.variable import Variable

__all__ = ["Accuracy", "Mean", "SparseCategoricalAccuracy"]


class Mean(Module):
    """The mean of all values that it was given since it was reset."""

    def __init__(self, name: str = "mean"):
        super().__init__(name)
        self._total = Variable(0.0, trainable=False, name="total")
        self._count = Variable(0.0, trainable=False, name="count")

    def update_state(self, values: Any) -> None:
        """Count values in."""
        given = np.asarray(convert(values), np.float32)
        self._total.assign_add(float(given.sum()))
        self._count.assign_add(float(given.size))

    def result(self) -> Tensor:
        """The mean so far; 0 of nothing."""
        count = float(self._count)
        return convert(float(self._total) / count if count else 0.0)  # type: ignore[no-any-return]

    def reset_state(self) -> None:
        """Forget all values."""
        self._total.assign(0.0)
        self._count.assign(0.0)

    def __call__(self, *args: Any) -> Tensor:
        self.update_state(*args)
        return self.result()


class Accuracy(Mean):
    """How many predictions are equal to the truth, as a part of 1."""

    def update_state(self, y_true: Any, y_pred: Any) -> None:  # type: ignore[override]
        """Count predictions in."""
        super().update_state(np.equal(np.asarray(y_true), np.asarray(y_pred)))


class SparseCategoricalAccuracy(Mean):
    """How many rows of probabilities, or logits, are greatest at the true class."""

    def update_state(self, y_true: Any, y_pred: Any) -> None:  # type: ignore[override]
        """Count rows in."""
        guessed = np.argmax(np.asarray(y_pred), axis=-1)
        super().update_state(np.equal(np.asarray(y_true).reshape(guessed.shape), guessed))
