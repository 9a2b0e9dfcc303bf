"""torch: a tape per call, and torch.compile; NumPy in and out, which costs no copy."""

from __future__ import annotations

import functools
import os
from typing import Any

import torch

from benchmarks.case import Case, Namespace, PythonLoops
from benchmarks.systems import Ready, model_of

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
torch.set_default_dtype(torch.float64)


def _maximum(x: Any, y: Any) -> Any:
    return torch.clamp(x, min=y) if isinstance(y, int | float) else torch.maximum(x, y)


def _concatenate(parts: Any, axis: int = 0) -> Any:
    return torch.cat(list(parts), dim=axis)


#: NumPy's names where torch has others.
XP = Namespace(torch, max=torch.amax, maximum=_maximum, concatenate=_concatenate, lax=PythonLoops)


def _tensors(tree: Any, wanted: bool = False) -> Any:
    """The tree with tensors that share the arrays' memory, as variables if wanted."""
    if isinstance(tree, dict):
        return {key: _tensors(value, wanted) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_tensors(value, wanted) for value in tree)
    return torch.as_tensor(tree).requires_grad_(wanted)


def _gradients(tree: Any) -> Any:
    """The tree of variables as the NumPy arrays of their gradients."""
    if isinstance(tree, dict):
        return {key: _gradients(value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_gradients(value) for value in tree)
    return tree.grad.numpy()


def _through_numpy(model: Any, args: tuple[Any, ...]) -> Ready:
    def call(x: Any, *rest: Any) -> Any:
        variables = _tensors(x, wanted=True)
        value = model(variables, *[_tensors(item) for item in rest])
        value.backward()
        return value.item(), _gradients(variables)

    return Ready(call, args)


def eager(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    return _through_numpy(functools.partial(model_of(case, "torch"), XP), args)


def compiled(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    torch.compiler.reset()  # it gives up on functions that it has compiled for several cases
    model = functools.partial(model_of(case, "torch-compile", "torch"), XP)
    return _through_numpy(torch.compile(model, fullgraph=True, dynamic=False), args)
