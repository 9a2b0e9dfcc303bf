"""The machines: each turns jaxprs into executables, in a folder of its own.

    eager     NumPy, equation by equation: the reference
    native    LLVM, kernels over index spaces: the default
    xla       jax.lax inside jax.jit: GPU, TPU

The module `run` in a backend's folder defines `BACKEND`. It is imported on first use, and so is the
package that it stands on: `import tracejit` loads none of them. Backends never import each other.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache

from tracejit.backends.protocol import Backend
from tracejit.errors import BackendError, did_you_mean

#: By name of backend (and folder): the packages it needs beyond those tracejit always brings.
NEEDS: dict[str, tuple[str, ...]] = {"native": ("llvmlite",), "eager": (), "xla": ("jax", "jaxlib")}

_INSTALL = {"native": "pip install llvmlite", "xla": "pip install 'tracejit[xla]'"}


def available(name: str) -> bool:
    """Whether a backend exists and its packages are installed; imports nothing."""
    return name in NEEDS and not _absent(name)


@cache
def load(name: str) -> Backend:
    """The backend of this name, imported on first use.

    Raises BackendError for an unknown name, or where a package it needs is not installed.
    """
    if name not in NEEDS:
        raise BackendError(f"there is no backend {name!r}", hint=did_you_mean(name, NEEDS))
    absent = _absent(name)
    if absent:
        raise BackendError(
            f"the {name} backend needs {' and '.join(absent)}, which cannot be imported",
            hint=f"{_INSTALL[name]}, or choose another backend",
        )
    backend: Backend = importlib.import_module(f"tracejit.backends.{name}.run").BACKEND
    return backend


def _absent(name: str) -> list[str]:
    return [package for package in NEEDS[name] if importlib.util.find_spec(package) is None]
