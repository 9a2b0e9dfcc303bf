"""Which function of NumPy, operator or method is answered by what, for windows."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import SimpleNamespace
from typing import Any

import numpy as np

from tracejit.errors import DTypeError
from tracejit.numpy import choosing, shaping, ufuncs
from tracejit.numpy.arrays import fault, one_axis, write
from tracejit.numpy.promotion import dtype_of
from tracejit.numpy.ufunc import Ufunc
from tracejit.numpy.windows import access, elementwise, products, reducing, writing
from tracejit.numpy.windows.alignment import settled
from tracejit.numpy.windows.elementwise import of_arrays, ufunc_of
from tracejit.numpy.windows.windowed import Windowed, windowed
from tracejit.trace.tracer import Tracer

# Shapes


def transpose(a: Windowed, axes: Any = None) -> Any:
    """The axes in another order, from the last to the first unless said."""
    order = range(a.ndim)[::-1] if axes is None else [one_axis(i, a.ndim) for i in axes]
    return windowed(shaping.transpose(a.full, tuple(order)), [a.extents[i] for i in order])


def swapaxes(a: Windowed, axis1: int, axis2: int) -> Any:
    """Two axes exchanged."""
    order = [*range(a.ndim)]
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(a, order)


def flip(m: Windowed, axis: Any = None) -> Any:
    """The elements along axes (None: all) from the last to the first."""
    axes = range(m.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    turned = [one_axis(a, m.ndim) for a in axes]
    steps = [-1 if a in turned else 1 for a in range(m.ndim)]
    return access.getitem(m, tuple(slice(None, None, step) for step in steps))


def expand_dims(a: Windowed, axis: Any) -> Any:
    """New axes of length 1."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    rank = a.ndim + len(axes)
    new = [one_axis(i, rank) for i in axes]
    return access.getitem(a, tuple(None if i in new else slice(None) for i in range(rank)))


def squeeze(a: Windowed, axis: Any = None) -> Any:
    """Axes of length 1 taken out; those of traced length stay."""
    if axis is None:
        axes = [i for i, n in enumerate(a.full.shape) if n == 1 and a.extents[i] is None]
    else:
        axes = [one_axis(i, a.ndim) for i in (axis if isinstance(axis, tuple) else (axis,))]
    return access.getitem(a, tuple(0 if i in axes else slice(None) for i in range(a.ndim)))


def reshape(a: Windowed, *shape: Any, order: str = "C", **options: Any) -> Any:
    """Axes of length 1 put in or taken out; any other shape needs a known length."""
    target = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
    kept = [i for i, n in enumerate(a.full.shape) if n != 1 or a.extents[i] is not None]
    index: list[Any] = [slice(None) if i in kept else 0 for i in range(a.ndim)]
    line = access.getitem(a, tuple(index))
    sizes = [n for n in target if isinstance(n, Tracer) or n != 1]
    whole = zip(sizes, line.full.shape, line.extents, strict=False)
    if len(sizes) != line.ndim or not all(_is_size(*s) for s in whole):
        raise a.refusal(f"reshape to {target}")
    return access.getitem(
        line, tuple(slice(None) if isinstance(n, Tracer) or n != 1 else None for n in target)
    )


def _is_size(wanted: Any, n: int, extent: Any) -> bool:
    return wanted in (-1, n) if extent is None else isinstance(wanted, Tracer) or wanted == -1


def ravel(a: Windowed, order: str = "C") -> Any:
    """x itself, of one axis."""
    if a.ndim != 1:
        raise a.refusal("ravel of several axes")
    return a


def shape(a: Windowed) -> Any:
    """The length of each axis."""
    return a.shape


def size(a: Windowed, axis: int | None = None) -> Any:
    """The number of elements, or the length of an axis."""
    return a.size if axis is None else a.shape[axis]


# Tables

_ELEMENTWISE = "nan_to_num isclose fix sinc iscomplex isreal isposinf isneginf real".split()

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(room, name)
    for room, names in (
        (reducing, "sum prod max min all any count_nonzero ptp mean var std argmax argmin cumsum"
                   " cumprod"),
        (products, "dot inner vdot outer tensordot"),
        (elementwise, "clip where zeros_like ones_like full_like"),
    )
    for name in names.split()
} | {name: of_arrays(getattr(choosing, name)) for name in _ELEMENTWISE} | {
    "amax": reducing.max, "amin": reducing.min, "round": elementwise.rounded,
    "around": elementwise.rounded, "copy": elementwise.copied, "transpose": transpose,
    "swapaxes": swapaxes, "flip": flip, "expand_dims": expand_dims, "squeeze": squeeze,
    "reshape": reshape, "ravel": ravel, "shape": shape, "size": size,
    "ndim": lambda a: a.ndim, "empty_like": elementwise.zeros_like, "matmul": products.matmul,
    "flipud": lambda m: flip(m, 0), "fliplr": lambda m: flip(m, 1),
    "abs": ufunc_of(ufuncs.absolute),
}  # fmt: skip

#: Reductions by ufuncs: np.add.reduce(x).
_REDUCERS = {
    "add": reducing.sum, "multiply": reducing.prod, "maximum": reducing.max,
    "minimum": reducing.min, "logical_and": reducing.all, "logical_or": reducing.any,
}  # fmt: skip


def ufunc(
    ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """np.<ufunc>(...) with a window among the operands."""
    name = ufunc.__name__
    outs = kwargs.pop("out", None) or ()
    if method == "__call__" and name == "matmul":
        result = products.matmul(*inputs)
    elif method == "__call__" and name in Ufunc.registry:
        result = ufunc_of(Ufunc.registry[name])(*inputs, **kwargs)
    elif method == "reduce" and name in _REDUCERS:
        result = _REDUCERS[name](*inputs, **{"axis": 0, **kwargs})
    elif method == "outer":
        result = products.outer(*inputs, of=Ufunc.registry[name])
    else:
        result = getattr(ufunc, method)(*_numbered(inputs, name), **kwargs)
    return written(outs[0], result, name) if outs else result


def written(out: Any, result: Any, name: str) -> Any:
    """Write a result into the array or window that the user gave for it; that one."""
    if not isinstance(out, Windowed):
        return write(out, settled(result, out), name)
    dtype = result.dtype if isinstance(result, Windowed) else dtype_of(result)
    if not np.can_cast(dtype, out.dtype, "same_kind"):
        raise fault(
            DTypeError, f"{name} gives {dtype}, which cannot be written into {out.dtype}"
        )
    writing.write(out, result)
    return out


def function(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<function>(...) with a window among the arguments."""
    return answer(func, args, kwargs)


def answer(theirs: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a function of NumPy's name gives for windows."""
    name = theirs.__name__
    ours = FUNCTIONS.get(name)
    if ours is None:
        return theirs(*_numbered(args, name), **kwargs)
    out = kwargs.pop("out", None)
    result = ours(*args, **kwargs)
    return result if out is None else written(out, result, name)


def _numbered(xs: Any, name: str) -> list[Any]:
    """Arguments with arrays for windows, where their bounds may be asked for as numbers."""
    return [
        x.numbered(f"np.{name}") if isinstance(x, Windowed)
        else type(x)(_numbered(x, name)) if isinstance(x, (tuple, list)) else x
        for x in xs
    ]  # fmt: skip


def aware_of_windows(namespace: dict[str, Any]) -> dict[str, Any]:
    """Those functions of `tracejit.numpy` of which there are others for windows, aware of them."""
    return {
        name: _aware(theirs) for name, theirs in namespace.items()
        if name in FUNCTIONS and not isinstance(theirs, Ufunc)
    }  # fmt: skip


def _aware(theirs: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(theirs)
    def call(*args: Any, **kwargs: Any) -> Any:
        if any(type(x) is Windowed for x in args):
            return answer(theirs, args, kwargs)
        return theirs(*args, **kwargs)

    return call


# Operators

_BINARY = {
    "add": ufuncs.add, "sub": ufuncs.subtract, "mul": ufuncs.multiply,
    "truediv": ufuncs.divide, "floordiv": ufuncs.floor_divide, "mod": ufuncs.remainder,
    "divmod": ufuncs.divmod, "pow": ufuncs.power, "and": ufuncs.bitwise_and,
    "or": ufuncs.bitwise_or, "xor": ufuncs.bitwise_xor, "lshift": ufuncs.left_shift,
    "rshift": ufuncs.right_shift,
}  # fmt: skip
_OTHERS = {
    "eq": ufuncs.equal, "ne": ufuncs.not_equal, "lt": ufuncs.less, "le": ufuncs.less_equal,
    "gt": ufuncs.greater, "ge": ufuncs.greater_equal, "neg": ufuncs.negative,
    "pos": ufuncs.positive, "abs": ufuncs.absolute, "invert": ufuncs.invert,
    "floor": ufuncs.floor, "ceil": ufuncs.ceil, "trunc": ufuncs.trunc,
}  # fmt: skip
_METHODS = (
    "all any argmax argmin clip copy cumprod cumsum dot max mean min prod ptp ravel reshape round "
    "squeeze std sum swapaxes var"
).split()


def _swapped(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x, y: function(y, x)


def _in_place(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """x op= y: the elements of the window, and of what it is a view of, change."""
    return lambda x, y: written(x, function(x, y), name)


def _transpose(x: Windowed, *axes: Any) -> Any:
    one = len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list)))
    return transpose(x, axes[0] if one else axes or None)


def lend() -> None:
    """Give windows their operators, methods and protocols."""
    binary: dict[str, Any] = {k: ufunc_of(v) for k, v in _BINARY.items()}
    binary["matmul"] = products.matmul
    table: dict[str, Any] = {f"__{k}__": f for k, f in binary.items()}
    table |= {f"__r{k}__": _swapped(f) for k, f in binary.items()}
    table |= {f"__i{k}__": _in_place(f, f"{k} in place") for k, f in binary.items()}
    table |= {f"__{k}__": ufunc_of(v) for k, v in _OTHERS.items()}
    table |= {
        "__getitem__": access.getitem, "__setitem__": writing.setitem, "ufunc": ufunc,
        "function": function, "astype": elementwise.astype, "transpose": _transpose,
        "flatten": lambda x: elementwise.copied(ravel(x)), "take": access.getitem,
        "fill": writing.write, "__round__": elementwise.rounded,
    }  # fmt: skip
    Ufunc.of_windows = staticmethod(ufunc)
    Windowed.operators = SimpleNamespace(**{m: FUNCTIONS[m] for m in _METHODS}, **table)

