"""PyTorch's names and manners on this engine: `from tracejit.compat import torch`.

Tensors record what computes them, `backward` differentiates it; from its second round on, a
training loop's loss and gradients are one call of machine code. docs/coming_from_pytorch.md says
what is the same and what differs.
"""

# ruff: noqa: F401 - a namespace
from __future__ import annotations

from typing import Any

from tracejit.compat.torch import (
    autograd,
    backends,
    creation,
    cuda,
    data,
    func,
    linalg,
    methods,
    nn,
    optim,
    random,
    utils,
)
from tracejit.compat.torch import compiled as jit
from tracejit.compat.torch.compiled import compile
from tracejit.compat.torch.creation import *  # noqa: F403
from tracejit.compat.torch.data import *  # noqa: F403
from tracejit.compat.torch.func import vmap
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.kinds import (
    ALIASES,
    DTYPES,
    Size,
    device,
    dtype,
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from tracejit.compat.torch.legacy import CLASSES, finfo, iinfo, set_printoptions
from tracejit.compat.torch.random import *  # noqa: F403
from tracejit.compat.torch.saving import load, save
from tracejit.compat.torch.tensor import Tensor, tensor
from tracejit.errors import did_you_mean

#: The version whose manners these are.
__version__ = "2.13.0+tracejit"
inf, nan, pi, e = float("inf"), float("nan"), 3.141592653589793, 2.718281828459045

_DTYPES = {d.name: d for d in DTYPES.values()}
globals().update(FUNCTIONS | CLASSES)
globals().update(_DTYPES | {alias: _DTYPES[name] for alias, name in ALIASES.items()})

__all__ = sorted(
    {*creation.__all__, *random.__all__, *data.__all__, *FUNCTIONS, *CLASSES, *_DTYPES, *ALIASES}
    | {"Size", "Tensor", "autograd", "backends", "compile", "cuda", "device", "dtype", "e"}
    | {"enable_grad", "finfo", "func", "iinfo", "inf", "inference_mode", "is_grad_enabled", "jit"}
    | {"linalg", "load", "nan", "nn", "no_grad", "optim", "pi", "random", "save"}
    | {"set_grad_enabled", "set_printoptions", "utils", "vmap", "__version__"}
)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.compat.torch has no {name!r}; {did_you_mean(name, __all__)}")
