"""The systems, a file each: how a case becomes a function that numbers go into and come out of.

An adapter is `prepare(case, size, args) -> Ready`; it raises NotOffered where the case has no
form in the system. Modules import their system, so a missing one is an ImportError when loaded.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.case import Case, Model


class NotOffered(Exception):
    """This system has no version of this case; a text where the reader should hear why."""


@dataclass(frozen=True)
class Ready:
    """A function with its arguments: call(*args) is what is timed, and returns NumPy values, or
    () where there is nothing to check.

    bare: what is timed instead, where results are only looked at for the check.
    many: where Python is no part of the work, (n) to the seconds that n calls took.
    keep: what has to live as long.
    """

    call: Callable[..., Any]
    args: Sequence[Any]
    bare: Callable[[], Any] | None = None
    many: Callable[[int], float] | None = None
    keep: Any = None


Prepare = Callable[[Case, str, tuple[Any, ...]], Ready]

#: name -> (module, attribute, the distribution whose version is reported, what it is)
SYSTEMS = {
    "native": ("tracejit_", "native", "tracejit", "tracejit, native backend"),
    "bound": ("tracejit_", "bound", "tracejit", "tracejit native, f.bind: into fixed arrays"),
    "cached": ("tracejit_", "cached", "tracejit", "tracejit native, its code found on disk"),
    "value": ("tracejit_", "value", "tracejit", "tracejit native, the value without its gradient"),
    "eager": ("tracejit_", "eager", "tracejit", "tracejit, NumPy equation by equation"),
    "xla": ("tracejit_", "xla", "tracejit", "tracejit through XLA"),
    "jax": ("jax_", "literal", "jax", "jax.jit, the model as it stands; NumPy in and out"),
    "jax-arrays": ("jax_", "arrays", "jax", "the same; JAX arrays in and out"),
    "jax-idiomatic": ("jax_", "idiomatic", "jax", "jax.jit, as JAX's users would write it"),
    "torch": ("torch_", "eager", "torch", "torch, eager"),
    "torch-compile": ("torch_", "compiled", "torch", "torch.compile"),
    "autograd": ("autograd_", "prepare", "autograd", "HIPS autograd"),
    "numba": ("numba_", "prepare", "numba", "numba, gradient by hand"),
    "casadi": ("casadi_", "prepare", "casadi", "CasADi, SX graph in its virtual machine"),
    "ddx": ("ddx_", "allocating", "ddx-ad", "ddx-ad, results allocated"),
    "ddx-buffer": ("ddx_", "buffer", "ddx-ad", "ddx-ad, into the caller's buffer"),
    "empty": ("numpy_", "empty", "numpy", "numpy.empty for the gradient: what a result costs"),
    "blas": ("numpy_", "products", "numpy", "the matrix products alone, by NumPy's BLAS"),
    "c": ("c", "prepare", "", "C by hand, timed inside C: the near-limit"),
}


def load(name: str) -> Prepare:
    """The adapter of a system; ImportError where it is not installed."""
    module, attribute, _, _ = SYSTEMS[name]
    prepare: Prepare = getattr(importlib.import_module(f"benchmarks.systems.{module}"), attribute)
    return prepare


def model_of(case: Case, *systems: str) -> Model:
    """The case's model for the first of these names that it has a version for, else the common."""
    for system in systems:
        if system in case.versions:
            model = case.versions[system]
            if model is None:
                raise NotOffered
            return model
    return case.model
