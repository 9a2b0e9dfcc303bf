"""New tensors: of numbers, and of NumPy's arrays. By chance: `random.py`."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.kinds import DTYPES, default, numpy_dtype
from tracejit.compat.torch.tensor import RECORDER, Tensor, fault, tensor

__all__ = [
    "arange", "as_tensor", "asarray", "empty", "eye", "from_numpy", "full", "full_like",
    "get_default_dtype", "linspace", "logspace", "ones", "range", "scalar_tensor",
    "set_default_dtype", "tensor", "tril_indices", "triu_indices", "zeros",
]  # fmt: skip


def set_default_dtype(d: Any) -> None:
    """What Python floats are, and what is created without a dtype: float32 or float64."""
    wanted = numpy_dtype(d)
    if wanted.kind != "f":
        raise fault("only floating-point types are supported as the default type")
    default.float = wanted
    RECORDER.default(wanted.name)


def get_default_dtype() -> Any:
    """What Python floats are."""
    return DTYPES[default.float]


def made(array: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of an array, in this dtype."""
    return Tensor(known(np.asarray(array, numpy_dtype(dtype)))).requires_grad_(requires_grad)


def sizes_of(shape: Any, options: dict[str, Any]) -> tuple[int, ...]:
    """The sizes of (2, 3), ((2, 3),) or size=(2, 3). Takes what says nothing here from `options`;
    TypeError for what is left."""
    shape = (options.pop("size"),) if "size" in options else shape
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = shape[0]
    elif len(shape) == 1 and isinstance(shape[0], Tensor) and shape[0].ndim:
        shape = shape[0].tolist()
    for name in options.keys() - {"layout", "pin_memory", "out", "memory_format"}:
        raise TypeError(f"{name!r} is an invalid keyword argument for a tensor of zeros or draws")
    sizes = tuple(operator.index(n) for n in shape)
    if any(n < 0 for n in sizes):
        raise fault(f"Trying to create tensor with negative dimension {min(sizes)}: {list(sizes)}")
    return sizes


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """The data itself if it is a tensor of this dtype, else a tensor of a copy."""
    if isinstance(data, Tensor):
        return data.to(dtype)  # type: ignore[no-any-return]
    return tensor(data, dtype)


asarray = as_tensor


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor of a copy of an array, in its dtype."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    return Tensor(known(array))


def scalar_tensor(s: Any, dtype: Any = None, **_: Any) -> Tensor:
    """A number as a tensor, a float unless said."""
    return made(s, dtype or default.float)


def zeros(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Zeros."""
    kind = numpy_dtype(dtype) or default.float
    return made(np.zeros(sizes_of(size, options), kind), None, requires_grad)


def ones(
    *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **options: Any
) -> Tensor:
    """Ones."""
    kind = numpy_dtype(dtype) or default.float
    return made(np.ones(sizes_of(size, options), kind), None, requires_grad)


empty = zeros


def full(
    size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One number in every element; its kind gives the dtype."""
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    kind = numpy_dtype(dtype) or (default.float if isinstance(value, float) else None)
    return made(np.full(sizes_of((size,), {}), value), kind, requires_grad)


def full_like(input: Tensor, fill_value: Any, dtype: Any = None, requires_grad: bool = False,
              **_: Any) -> Tensor:  # fmt: skip
    """One number, in the shape and dtype of another tensor."""
    return full(input.shape, fill_value, dtype or input.dtype, None, requires_grad)


def eye(
    n: int, m: int | None = None, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Ones on the diagonal."""
    return made(np.eye(n, m), dtype or default.float, requires_grad)


def arange(
    *ends: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **named: Any
) -> Tensor:
    """Numbers in steps; ints unless one of the ends is a float."""
    if "end" in named:
        ends = (*(ends or (named.get("start", 0),)), named["end"])
    if "step" in named:
        ends = (*(ends if len(ends) > 1 else (0, *ends)), named["step"])
    ends = tuple(x.item() if isinstance(x, Tensor) else x for x in ends)
    floats = any(isinstance(x, (float, np.floating)) for x in ends)
    kind = numpy_dtype(dtype) or (default.float if floats else np.dtype(np.int64))
    return made(np.arange(*ends), kind, requires_grad)


def range(start: Any, end: Any, step: Any = 1, dtype: Any = None) -> Tensor:
    """Numbers in steps, the end included; floats. `arange` is the usual one."""
    count = int((end - start) / step) + 1
    return made(start + step * np.arange(count), dtype or default.float)


def linspace(
    start: Any, end: Any, steps: int, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, **_: Any,
) -> Tensor:  # fmt: skip
    """Numbers in equal steps, both ends included; counted from the nearer end."""
    kind = numpy_dtype(dtype) or default.float
    low, high = kind.type(float(start)), kind.type(float(end))
    if steps == 1:
        return made(np.array([low]), kind, requires_grad)
    places = np.arange(steps).astype(kind)
    step = (high - low) / kind.type(max(steps - 1, 1))
    ahead, back = low + step * places, high - step * (kind.type(steps - 1) - places)
    return made(np.where(places < steps // 2, ahead, back), kind, requires_grad)


def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, dtype: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Powers of a base, their exponents in equal steps."""
    powers = np.logspace(float(start), float(end), steps, base=base)
    return made(powers, dtype or default.float, requires_grad)


def tril_indices(row: int, col: int, offset: int = 0, **_: Any) -> Tensor:
    """The places on and below a diagonal: a row of rows, a row of columns."""
    return made(np.stack(np.tril_indices(row, offset, col)))


def triu_indices(row: int, col: int, offset: int = 0, **_: Any) -> Tensor:
    """The places on and above a diagonal: a row of rows, a row of columns."""
    return made(np.stack(np.triu_indices(row, offset, col)))
