"""scipy's functions on arrays and traced values, as far as primitives reach: special, linalg; and
optimize, SciPy's solvers with derivatives, which loads SciPy when it is first used.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from tracejit.scipy import linalg, special

__all__ = ["linalg", "optimize", "special"]


def __getattr__(name: str) -> ModuleType:
    if name == "optimize":
        return importlib.import_module("tracejit.scipy.optimize")
    raise AttributeError(f"tracejit.scipy has no {name!r}: it has {', '.join(__all__)}")
