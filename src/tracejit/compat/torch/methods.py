"""What tensors can do: operators, the functions of the table as methods, and writing in place."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch import autograd, data, more, random, shapes  # noqa: F401 - rows of the table
from tracejit.compat.torch import creation as new
from tracejit.compat.torch.functions import FUNCTIONS, METHODS
from tracejit.compat.torch.kinds import TENSOR_NAMES, Size, device, numpy_dtype, on_cpu
from tracejit.compat.torch.tensor import Tensor, fault, run, tensor
from tracejit.numpy import contraction, creation, shaping, ufuncs

_OPERATORS: dict[str, Callable[..., Any]] = {
    "add": ufuncs.add, "sub": ufuncs.subtract, "mul": ufuncs.multiply, "truediv": ufuncs.divide,
    "floordiv": ufuncs.floor_divide, "mod": ufuncs.remainder, "pow": ufuncs.power,
    "matmul": contraction.matmul, "and": ufuncs.bitwise_and, "or": ufuncs.bitwise_or,
    "xor": ufuncs.bitwise_xor, "lshift": ufuncs.left_shift, "rshift": ufuncs.right_shift,
}  # fmt: skip
_COMPARISONS = {
    "eq": ufuncs.equal, "ne": ufuncs.not_equal, "lt": ufuncs.less, "le": ufuncs.less_equal,
    "gt": ufuncs.greater, "ge": ufuncs.greater_equal,
}  # fmt: skip
_UNARY = {"neg": ufuncs.negative, "abs": ufuncs.absolute, "invert": ufuncs.invert}
#: Functions that have a twin that writes in place, such as `add_`.
_IN_PLACE = (
    "add sub mul div pow neg abs exp log sqrt sin cos tan tanh sigmoid relu clamp floor ceil round "
    "reciprocal sign square addcmul addcdiv lerp masked_fill remainder maximum minimum subtract "
    "multiply divide rsqrt erf logit trunc clip scatter scatter_add index_add index_fill "
    "index_copy tril triu cumsum cumprod floor_divide fmod logical_not logical_and "
    "logical_or clamp_min clamp_max hardtanh nan_to_num bitwise_and bitwise_or bitwise_xor "
    "leaky_relu elu expm1 log1p log2 log10 exp2 asin acos atan "
    "sinh cosh fix frac eq ne lt le gt ge xlogy"
).split()


def _meet(x: Any, y: Any) -> tuple[Any, Any]:
    """A tensor of rank 0 gives way to one of more axes of the same kind, as in PyTorch."""
    if isinstance(x, Tensor) and isinstance(y, Tensor) and x.dtype.numpy != y.dtype.numpy:
        same = x.dtype.numpy.kind == y.dtype.numpy.kind
        if same and bool(x.ndim) != bool(y.ndim):
            return (x, y.to(x.dtype)) if x.ndim else (x.to(y.dtype), y)
    return x, y


def _operator(fun: Callable[..., Any], swap: bool = False) -> Callable[..., Any]:
    def operator(self: Tensor, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        pair = _meet(self, other)
        return run(fun, pair[::-1] if swap else pair)

    return operator


def _unary(fun: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: run(fun, (self,))


def _in_place(name: str) -> Callable[..., Any]:
    function = FUNCTIONS[name]

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self.write(function(self, *args, **kwargs), f"{name}_")

    method.__name__ = method.__qualname__ = f"{name}_"
    method.__doc__ = f"`{name}`, written into the tensor; itself."
    return method


def _in_place_operator(fun: Callable[..., Any]) -> Callable[..., Any]:
    def operator(self: Tensor, other: Any) -> Tensor:
        return self.write(run(fun, _meet(self, other)), "an operator in place")

    return operator


def _plain_number(x: Any) -> Any:
    return x.item() if isinstance(x, Tensor) else x


def _copied(x: Any, source: Any) -> Any:
    """The source in the shape and dtype of x."""
    return shaping.broadcast_to(creation.astype(creation.asarray(source), x.dtype), x.shape)


def _number(x: Any) -> int:
    return int(x.item())


def _astype(x: Any, dtype: Any) -> Any:
    return creation.astype(x, dtype)


class _Methods:
    """Methods that are no functions of the table; lent to `Tensor`."""

    def backward(self: Any, gradient: Any = None, retain_graph: bool | None = None,
                 create_graph: bool = False, inputs: Any = None) -> None:  # fmt: skip
        """Add the gradient of this tensor to `.grad` of the leaves behind it."""
        autograd.backward(self, gradient, retain_graph, create_graph, inputs)

    def size(self: Any, dim: int | None = None) -> Any:
        """The sizes of the axes, or of one."""
        return self.shape if dim is None else self.shape[dim]

    def dim(self: Any) -> int:
        """The number of axes."""
        return int(self.ndim)

    def numel(self: Any) -> int:
        """The number of elements."""
        return Size(self.shape).numel()

    nelement = numel

    def element_size(self: Any) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    def is_floating_point(self: Any) -> bool:
        """Whether it has floats."""
        return bool(self.dtype.is_floating_point)

    def to(self: Any, *args: Any, dtype: Any = None, **_: Any) -> Tensor:
        """In another dtype; devices are all the CPU."""
        for x in args:
            if isinstance(x, Tensor):
                dtype = x.dtype
            elif isinstance(x, (str, device)):
                on_cpu(x)
            elif not isinstance(x, bool) and x is not None:
                dtype = x
        on_cpu(_.get("device"))
        wanted = numpy_dtype(dtype)
        same = wanted is None or wanted == self.dtype.numpy
        return self if same else run(_astype, (self, wanted))

    def type(self: Any, dtype: Any = None) -> Any:
        """In another dtype; without one the name of the type."""
        if dtype is None:
            return f"torch.{TENSOR_NAMES[self.dtype.name]}Tensor"
        return self.to(dtype)

    def type_as(self: Any, other: Tensor) -> Tensor:
        """In the dtype of another one."""
        return self.to(other.dtype)  # type: ignore[no-any-return]

    def float(self: Any) -> Tensor:
        """In float32."""
        return self.to(np.float32)  # type: ignore[no-any-return]

    def double(self: Any) -> Tensor:
        """In float64."""
        return self.to(np.float64)  # type: ignore[no-any-return]

    def long(self: Any) -> Tensor:
        """In int64."""
        return self.to(np.int64)  # type: ignore[no-any-return]

    def int(self: Any) -> Tensor:
        """In int32."""
        return self.to(np.int32)  # type: ignore[no-any-return]

    def bool(self: Any) -> Tensor:
        """In bools."""
        return self.to(np.bool_)  # type: ignore[no-any-return]

    def _same(self: Any, *_: Any, **__: Any) -> Any:
        """Itself: memory is contiguous, and on the CPU."""
        return self

    cpu = contiguous = _same

    def cuda(self: Any, *_: Any, **__: Any) -> Any:
        """An error: everything is on the CPU."""
        on_cpu("cuda")

    def is_contiguous(self: Any) -> bool:  # type: ignore[valid-type]
        """True."""
        return True

    def short(self: Any) -> Tensor:
        """In int16."""
        return self.to(np.int16)  # type: ignore[no-any-return]

    def byte(self: Any) -> Tensor:
        """In uint8."""
        return self.to(np.uint8)  # type: ignore[no-any-return]

    def ndimension(self: Any) -> Any:
        """The number of axes."""
        return self.ndim

    def storage_offset(self: Any) -> Any:
        """An error: there are no strides here."""
        raise fault("tensors have no strides here", "x.shape tells what there is")

    stride = storage = untyped_storage = data_ptr = storage_offset

    def view_as(self: Any, other: Tensor) -> Tensor:
        """In the shape of another one."""
        return self.view(*other.shape)  # type: ignore[no-any-return]

    reshape_as = view_as

    def expand_as(self: Any, other: Tensor) -> Tensor:
        """Repeated to the shape of another one."""
        return self.expand(*other.shape)  # type: ignore[no-any-return]

    def zero_(self: Any) -> Tensor:
        """Zeros, written into it; itself."""
        return self.fill_(0)  # type: ignore[no-any-return]

    def fill_(self: Any, value: Any) -> Tensor:
        """A number, written into it; itself."""
        number = Tensor(known(np.asarray(_plain_number(value), self.dtype.numpy)))
        return self.write(run(_copied, (self, number)), "fill_")  # type: ignore[no-any-return]

    def copy_(self: Any, source: Any) -> Tensor:
        """The values of another one, written into it; itself."""
        return self.write(run(_copied, (self, source)), "copy_")  # type: ignore[no-any-return]

    def fill_diagonal_(self: Any, fill_value: Any, wrap: Any = False) -> Tensor:
        """A number on the diagonal, written into it; itself."""
        places = np.zeros(self.shape, np.bool_)
        np.fill_diagonal(places, True, wrap)
        filled = FUNCTIONS["masked_fill"](self, Tensor(known(places)), fill_value)
        return self.write(filled, "fill_diagonal_")  # type: ignore[no-any-return]

    def new_zeros(self: Any, *shape: Any, dtype: Any = None, **options: Any) -> Tensor:
        """Zeros of this dtype."""
        return new.zeros(*shape, dtype=dtype or self.dtype, **options)

    new_empty = new_zeros

    def new_ones(self: Any, *shape: Any, dtype: Any = None, **options: Any) -> Tensor:
        """Ones of this dtype."""
        return new.ones(*shape, dtype=dtype or self.dtype, **options)

    def new_full(self: Any, size: Any, fill_value: Any, dtype: Any = None) -> Tensor:
        """One number, of this dtype."""
        return new.full(size, fill_value, dtype or self.dtype)

    def new_tensor(self: Any, data: Any, dtype: Any = None) -> Tensor:
        """A tensor of a copy of the data, of this dtype."""
        return tensor(data, dtype or self.dtype)

    def masked_scatter_(self: Any, mask: Any, source: Any) -> Tensor:
        """Elements of another one where the mask holds, in order; itself."""
        self[mask] = source.reshape(-1)[: _number(mask.sum())]
        return self  # type: ignore[return-value]

    def share_memory_(self: Any) -> Any:
        """Itself: there is one process."""
        return self

    def pin_memory(self: Any) -> Any:
        """Itself."""
        return self

    def compile(self: Any, *inputs: Tensor) -> Any:
        """The recording from some tensors (the leaves behind this one, unless said) to this one,
        as a jitted function of arrays."""
        return autograd.compile_recording(self, inputs)


def _lend() -> None:
    for name, method in vars(_Methods).items():
        if not name.startswith("__"):
            setattr(Tensor, name, method)
    for name, method in METHODS.items():
        if not hasattr(Tensor, name):
            setattr(Tensor, name, method)
    for name, fun in _OPERATORS.items():
        setattr(Tensor, f"__{name}__", _operator(fun))
        setattr(Tensor, f"__r{name}__", _operator(fun, swap=True))
        setattr(Tensor, f"__i{name}__", _in_place_operator(fun))
    for name, fun in _COMPARISONS.items():
        setattr(Tensor, f"__{name}__", _operator(fun))
    for name, fun in _UNARY.items():
        setattr(Tensor, f"__{name}__", _unary(fun))
    for name in _IN_PLACE:
        setattr(Tensor, f"{name}_", _in_place(name))
    for name in ("nonzero", "masked_select", "unique", "bincount", "allclose", "equal"):
        setattr(Tensor, name, getattr(data, name))
    for method in random.IN_PLACE:
        setattr(Tensor, method.__name__, method)
    for name in ("bernoulli", "multinomial"):
        setattr(Tensor, name, getattr(random, name))
    Tensor.functions = SimpleNamespace(**FUNCTIONS, autograd_grad=autograd.grad)


_lend()
