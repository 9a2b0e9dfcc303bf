"""Doors for those who come from another library: thin modules on the same IR, rules and backends.

    from tracejit.compat import torch                   PyTorch
    from tracejit.compat import tensorflow as tf        TensorFlow
    from tracejit.compat import autograd                HIPS autograd
    from tracejit.compat.micrograd import Value         micrograd

What a door computes is recorded operation by operation (`graph.py`), differentiated by the
transforms that everybody uses, and can be handed to `jit`. Each door loads on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

from tracejit.errors import did_you_mean

__all__ = ["autograd", "micrograd", "tensorflow", "torch"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"tracejit.compat has no {name!r}; {did_you_mean(name, __all__)}")
    return importlib.import_module(f"tracejit.compat.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
