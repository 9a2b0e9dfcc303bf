"""PyTorch's small kinds: dtypes, sizes, devices, and whether derivatives are recorded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.trace.provenance import user_frame


class dtype:
    """The type of the elements of a tensor; equal to NumPy's of the same meaning."""

    def __init__(self, name: str):
        self.name = name
        self.numpy = np.dtype(name)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __eq__(self, other: object) -> bool:
        return self.numpy == getattr(other, "numpy", other)

    def __hash__(self) -> int:
        return hash(self.numpy)

    @property
    def is_floating_point(self) -> bool:
        """Whether it is a float."""
        return self.numpy.kind == "f"

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.numpy.itemsize


NAMES = "float16 float32 float64 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool".split()


class _Dtypes(dict[Any, dtype]):
    """Those that there are, by NumPy's; an UnsupportedError for another one."""

    def __missing__(self, key: Any) -> dtype:
        hint = f"there are {', '.join(NAMES)}"
        if np.dtype(key).kind == "c":
            hint = "take the real and the imaginary part as two tensors, or tracejit.numpy, which "
            hint += "has complex numbers"
        raise UnsupportedError(
            f"there are no tensors of dtype {key} here", where=user_frame(), hint=hint
        )


DTYPES = _Dtypes({np.dtype(name): dtype(name) for name in NAMES})
#: PyTorch's other names.
ALIASES = {
    "half": "float16", "float": "float32", "double": "float64", "int": "int32",
    "long": "int64", "short": "int16",
}  # fmt: skip
#: What its texts call them; tensors have some others besides.
TYPE_NAMES = {
    "float16": "Half", "float32": "Float", "float64": "Double", "int64": "Long",
    "int32": "Int", "int16": "Short",
    "int8": "Char", "uint8": "Byte", "bool": "Bool",
}  # fmt: skip
TENSOR_NAMES = {**{name: name.capitalize() for name in NAMES}, **TYPE_NAMES}


class _Default:
    """The dtype of Python floats, and of what is created without one."""

    float = np.dtype(np.float32)


default = _Default()


def numpy_dtype(given: Any) -> Any:
    """NumPy's dtype for a dtype of PyTorch, of NumPy, or a Python type; None stays None."""
    if given is None:
        return None
    return getattr(given, "numpy", None) or np.dtype(given)


class Size(tuple):
    """The sizes of the axes."""

    def __repr__(self) -> str:
        return f"torch.Size({list(self)})"

    def numel(self) -> int:
        """The product."""
        return int(np.prod(self, dtype=np.int64))


def on_cpu(place: Any) -> None:
    """An error unless a device, its name, or None, is the CPU."""
    if place is not None and not isinstance(place, device):
        device(place)


class device:
    """Where tensors are: the CPU."""

    def __init__(self, type: Any = "cpu", index: int | None = None):
        name = str(type)
        if name.partition(":")[0] != "cpu":
            raise ArgumentError(
                f"there is no device {name!r} here", where=user_frame(),
                hint="everything is on the CPU: torch.cuda.is_available() says False, so that "
                "torch.device('cuda' if torch.cuda.is_available() else 'cpu') works",
            )  # fmt: skip
        self.type, self.index = "cpu", index

    def __repr__(self) -> str:
        return "device(type='cpu')"

    def __str__(self) -> str:
        return "cpu"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash("cpu")


class _Mode(threading.local):
    """enabled: whether derivatives are recorded. together: whether what is not recorded waits for
    the end of a call of a module, to be run as one program."""

    enabled = True
    together = False


mode = _Mode()


class set_grad_enabled:
    """Whether derivatives are recorded: from now on, or in a block."""

    def __init__(self, enabled: bool):
        self.before, mode.enabled = mode.enabled, bool(enabled)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        mode.enabled = self.before


class _Block:
    """A block, or a decorated function, in which derivatives are recorded, or not."""

    enabled = True

    def __init__(self) -> None:
        self.before: list[bool] = []

    def __enter__(self) -> None:
        self.before.append(mode.enabled)
        mode.enabled = self.enabled

    def __exit__(self, *_: object) -> None:
        mode.enabled = self.before.pop()

    def __new__(cls, function: Any = None, **_: Any) -> Any:
        """Also a decorator without parentheses."""
        block = super().__new__(cls)
        if not callable(function):
            return block
        block.__init__()  # type: ignore[misc]
        return block(function)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return inside


class no_grad(_Block):
    """In this block nothing is recorded."""

    enabled = False


class inference_mode(no_grad):
    """In this block nothing is recorded."""


class enable_grad(_Block):
    """In this block everything is recorded that derivatives may be asked of."""


def is_grad_enabled() -> bool:
    """Whether derivatives are recorded."""
    return mode.enabled
