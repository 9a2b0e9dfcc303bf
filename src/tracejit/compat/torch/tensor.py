"""The tensor: an array with a history, that can be written to.

What a tensor stands for lies in a `Box`: the cell of its value. Writing puts another cell into the
box and counts; arrays themselves never change, so what was recorded before means what it did.
Tensors that share memory in PyTorch share a box here (`detach`, `data`), or are views: these follow
their base, and writing to one writes to the base.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tracejit import tree
from tracejit.compat.graph import Cell, cut, known
from tracejit.compat.recorder import Recorder
from tracejit.compat.torch import indexing
from tracejit.compat.torch.conversions import Conversions
from tracejit.compat.torch.kinds import (
    DTYPES,
    TYPE_NAMES,
    Size,
    default,
    device,
    dtype,
    mode,
    numpy_dtype,
    on_cpu,
)
from tracejit.compat.torch.memory import Box, Origin, RemovableHandle
from tracejit.compat.torch.naming import GradFn
from tracejit.compat.torch.words import fault, translated
from tracejit.errors import DTypeError, OperandError, TracejitError
from tracejit.numpy import creation, shaping
from tracejit.trace.provenance import user_frame

RECORDER = Recorder("float32")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


def run(fun: Callable[..., Any], args: Any, kwargs: Mapping[str, Any] = _NOTHING) -> Any:
    """A function of arrays on tensors: a tensor, or a tree of them."""
    try:
        record = None if mode.enabled else mode.together
        out = RECORDER.perform(fun, args, kwargs, record=record)
    except TracejitError as error:
        raise translated(error, args, kwargs) from None
    if record:
        for cell in tree.leaves(out):
            cell.needs = False
    return Tensor(out) if out.__class__ is Cell else tree.map(wrapped, out)


#: What `later` left undone, for the next backward pass to compute on the way.
waiting: list[Cell] = []
#: So much may wait.
_MANY = 64


def later(x: Tensor, fun: Callable[..., Any], args: Any) -> None:
    """x takes the value of fun(*args), of which no derivative is asked, when somebody needs it: at
    the next backward pass through the arguments, or when it is read."""
    for given in args:
        cell = given._box.cell if isinstance(given, Tensor) else None
        if cell is not None and not cell.needs and cell.step is not None and cell.known is not None:
            settle(cell)
    cell = RECORDER.perform(fun, args, record=None if mode.enabled else mode.together)
    cell.needs = False
    x._box.cell = cell
    x._box.version += 1
    if cell.step is not None:
        waiting.append(cell)
        if len(waiting) > _MANY:
            for old in waiting:
                settle(old)
            waiting.clear()


def run_together(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """function(*args) where derivatives are not recorded: its operations as one program, which is
    compiled when it comes again."""
    before = len(waiting)
    mode.together = True
    try:
        out = function(*args, **kwargs)
    finally:
        mode.together = False
    found = [x._box.cell for x in tree.leaves(out) if isinstance(x, Tensor)]
    cells = [*found, *waiting[before:]]
    del waiting[before:]
    cells = [cell for cell in dict.fromkeys(cells) if cell.known is None]
    if cells:
        part = cut(cells, ())
        values = part.program().forward([x.value for x in part.inputs])
        for cell, value in zip(cells, values, strict=True):
            cell._value, cell.step = value, None
    return out


def settle(cell: Cell) -> None:
    """Have a cell be its value, and forget where it came from."""
    cell.value  # noqa: B018 - computed now
    cell.step = None


def wrapped(x: Any) -> Any:
    """A cell as a tensor; anything else as it is."""
    return Tensor(x) if isinstance(x, Cell) else x


class Tensor(Conversions):
    """`torch.Tensor`. Its functions are those of the table in `functions.py`."""

    __array_priority__ = 2000
    functions: ClassVar[Any] = None

    if TYPE_CHECKING:  # what `methods.py` lends

        def __getattr__(self, name: str) -> Any: ...

        __add__: Any
        __mul__: Any

    grad: Tensor | None = None
    _tracked = True  # False: the history of the box is not this tensor's
    _leaf: Cell | None = None
    _leaf_version = 0
    _silent = False  # True: `x.data`
    _wants_grad = False
    _retains = False
    _hooks: dict[int, Callable[..., Any]] | None = None
    _after: dict[int, Callable[..., Any]] | None = None
    _view: tuple[Tensor, Callable[..., Any], Any, Any] | None = None
    _seen = 0

    def __init__(self, *data: Any, box: Box | None = None):
        if box is None:
            box = Box(data[0] if data and data[0].__class__ is Cell else known(_older(data)))
        self._box = box

    # ---- what it stands for

    @property
    def cell(self) -> Cell:  # type: ignore[override]
        """The cell of the value of now."""
        if self._view is not None:
            self._follow()
        box = self._box
        if self._wants_grad:
            leaf = self._leaf
            if leaf is None or self._leaf_version != box.version:
                leaf = self._leaf = Cell(box.cell.type, box.cell.value, needs=True)
                leaf.origin, self._leaf_version = Origin(box, weakref.ref(self)), box.version
            return leaf
        cell = box.cell
        return Cell(cell.type, cell.value) if cell.needs and not self._tracked else cell

    def _follow(self) -> None:
        """Take the value that the base of a view has got."""
        assert self._view is not None
        base, fun, args, kwargs = self._view
        base.cell  # noqa: B018 - which may be a view itself
        if base._box.version != self._seen:
            self._seen = base._box.version
            self._box.cell = RECORDER.perform(fun, (base, *args), kwargs)
            self._box.version += 1

    def write(self, new: Any, what: str, tracked: bool = True) -> Tensor:
        """Take another value, of this shape; itself. What is written without derivatives, by
        `no_grad`, `detach` or tracked=False, leaves the history as it is."""
        tracked = tracked and self._tracked and mode.enabled
        cell = new.cell if isinstance(new, Tensor) else new
        old = self.cell
        self._refuse_leaf("a leaf", what)
        if cell.type.shape != old.type.shape:
            raise OperandError(
                f"output with shape {list(old.type.shape)} doesn't match the broadcast shape "
                f"{list(cell.type.shape)}", where=user_frame(),
            )  # fmt: skip
        if cell.type.dtype != old.type.dtype:
            if not np.can_cast(cell.type.dtype, old.type.dtype, "same_kind"):
                raise DTypeError(
                    f"result type {_type_name(cell)} can't be cast to the desired output type "
                    f"{_type_name(old)}", where=user_frame(),
                )  # fmt: skip
            cell = RECORDER.perform(creation.astype, (Tensor(cell), old.type.dtype))
        if self._view is not None:
            base, fun, args, kwargs = self._view
            base._refuse_leaf("a view of a leaf", what)
            places = np.arange(base.cell.type.size).reshape(base.cell.type.shape)
            places = np.asarray(fun(places, *args, **kwargs))
            if fun.__name__ == "expand" and np.unique(places).size < places.size:
                raise fault(
                    "unsupported operation: more than one element of the written-to tensor refers "
                    "to a single memory location. Please clone() the tensor before performing the "
                    "operation."
                )
            before = base._box.silent
            base.write(run(indexing.put, (base, places, Tensor(cell))), what, tracked)
            base._box.silent = before + self._silent
            return self
        box = self._box
        if not tracked and box.cell.needs:
            pair = Tensor(box.cell), Tensor(Cell(cell.type, cell.value))
            cell = RECORDER.perform(indexing.over, pair, record=True)
        if old.needs:
            if old.origin is None:
                old.origin = Origin(box)
            if old.origin.writer is None:
                old.origin.writer = cell.step
        box.cell = Cell(cell.type, cell.value) if self._wants_grad else cell
        box.version += 1
        box.silent += self._silent
        return self

    def _refuse_leaf(self, which: str, what: str) -> None:
        """An error where a leaf would be written to whose gradient is asked for."""
        if self._wants_grad and mode.enabled:
            raise fault(
                f"{which} Variable that requires grad is being used in an in-place operation.",
                f"{what}: write to it in a block of torch.no_grad(), or to x.data",
            )

    def view_by(self, fun: Callable[..., Any], args: Any, kwargs: Any = _NOTHING) -> Tensor:
        """A part or another arrangement of this memory: fun(self, *args, **kwargs)."""
        view: Tensor = run(fun, (self, *args), kwargs)
        if isinstance(view, Tensor):
            view._view, view._seen = (self, fun, args, kwargs), self._box.version
        return view

    # ---- what it is

    @property
    def shape(self) -> Size:
        """The sizes of the axes."""
        return Size(self._box.cell.type.shape)

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return DTYPES[self._box.cell.type.dtype]

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self._box.cell.type.shape)

    @property
    def device(self) -> device:
        """The CPU."""
        return device()

    @property
    def requires_grad(self) -> bool:
        """Whether derivatives may be asked for."""
        return self._wants_grad or (self._tracked and self._box.cell.needs)

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        self.requires_grad_(wanted)

    @property
    def is_leaf(self) -> bool:
        """Whether it was not computed from tensors that require gradients."""
        return self._wants_grad or not self.requires_grad

    @property
    def grad_fn(self) -> GradFn | None:
        """What computed it; None for a leaf."""
        step = None if self._wants_grad or not self.requires_grad else self._box.cell.step
        return None if step is None else GradFn(step)

    @property
    def data(self) -> Tensor:
        """The same memory, without history."""
        alike = self.detach()
        alike._silent = True
        return alike

    @data.setter
    def data(self, new: Any) -> None:
        self._box.cell = known(new.cell.value if isinstance(new, Tensor) else new)
        self._box.version += 1
        self._box.silent += 1

    @property
    def _version(self) -> int:
        return self._box.counted

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Ask for gradients of what will be computed from it; itself."""
        if self.grad_fn is not None:
            if not requires_grad:
                raise fault(
                    "you can only change requires_grad flags of leaf variables. If you want to use "
                    "a computed variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
            return self
        if requires_grad and self._box.cell.type.dtype.kind != "f":
            raise fault(
                "Only Tensors of floating point and complex dtype can require gradients",
                f"this one is of {self.dtype}: torch.tensor(data, dtype=torch.float32)",
            )
        self._wants_grad = bool(requires_grad)
        return self

    def detach(self) -> Tensor:
        """The same memory, without history."""
        self.cell  # noqa: B018 - a view follows its base
        alike = Tensor(box=self._box) if self._view is None else Tensor(self._box.cell)
        alike._tracked, alike._view, alike._seen = False, self._view, self._seen
        return alike

    def detach_(self) -> Tensor:
        """Forget the history; itself."""
        self._box.cell = Cell(self._box.cell.type, self._box.cell.value)
        self._wants_grad = False
        return self

    def retain_grad(self) -> None:
        """Have `backward` give this one a gradient, too, though it is no leaf."""
        self._retains = True
        if self.grad_fn is not None:
            self._own_origin().leaf = weakref.ref(self)

    def register_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """hook(gradient) in each backward pass through this tensor; what it returns, if anything,
        is the gradient that goes on."""
        if not self.requires_grad:
            raise fault("cannot register a hook on a tensor that doesn't require gradient")
        if self._wants_grad:
            self._hooks = {} if self._hooks is None else self._hooks
            return RemovableHandle(self._hooks, hook)
        origin = self._own_origin()
        origin.hooks = {} if origin.hooks is None else origin.hooks
        return RemovableHandle(origin.hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], Any]) -> RemovableHandle:
        """hook(tensor) whenever a backward pass has added to the gradient of this leaf."""
        if not self._wants_grad:
            raise fault("post accumulate grad hooks cannot be registered on non-leaf tensors")
        self._after = {} if self._after is None else self._after
        return RemovableHandle(self._after, hook)

    def _own_origin(self) -> Origin:
        cell = self.cell
        if cell.origin is None:
            cell.origin = Origin(self._box)
        return cell.origin  # type: ignore[no-any-return]

    __hash__ = object.__hash__

    def __deepcopy__(self, memo: Any) -> Tensor:
        if not self.is_leaf:
            raise fault(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol at the moment."
            )
        twin = self.__class__.__new__(self.__class__)
        twin.__dict__.update(self.__dict__)
        twin._box, twin._leaf, twin._view = Box(known(self._array())), None, None
        memo[id(self)] = twin
        return twin

    def __reduce__(self) -> Any:
        return restored, (self.__class__, self._array(), self._wants_grad)

    def __getitem__(self, index: Any) -> Tensor:
        return self.view_by(indexing.item, (indexing.plain(index, self._box.cell.type.shape),))

    def __setitem__(self, index: Any, new: Any) -> None:
        self._refuse_leaf("a view of a leaf", "x[...] = v")
        places = indexing.plain(index, self._box.cell.type.shape)
        self.write(run(indexing.set_item, (self, places, new)), "x[...] = v")

    @property
    def T(self) -> Tensor:
        """The axes in reverse."""
        return self.view_by(shaping.transpose, ())

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return self.view_by(shaping.matrix_transpose, ())


def _type_name(cell: Cell) -> str:
    return TYPE_NAMES.get(cell.type.dtype.name, cell.type.dtype.name)


def restored(cls: type[Tensor], array: np.ndarray, wants_grad: bool) -> Tensor:
    """A tensor from its pickle."""
    x = cls.__new__(cls)
    x._box = Box(known(array))
    x._wants_grad = wants_grad
    return x


def tensor(data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of a copy of the data: float32 for Python floats, int64 for ints."""
    on_cpu(device)
    array = data.cell.value if isinstance(data, Tensor) else np.array(_numbers(data))
    wanted = numpy_dtype(dtype)
    if wanted is None and array.dtype == np.float64 and not hasattr(data, "dtype"):
        wanted = default.float
    return Tensor(known(array.astype(wanted or array.dtype))).requires_grad_(requires_grad)


def _older(data: tuple[Any, ...]) -> np.ndarray:
    """What `torch.Tensor(...)` makes of data, or of sizes: floats."""
    if all(isinstance(n, int) for n in data):
        return np.zeros(data if data else (0,), default.float)
    return np.asarray(_numbers(data[0]), default.float)


def _numbers(data: Any) -> Any:
    """Nested lists in which tensors are numbers."""
    if isinstance(data, Tensor):
        return data.cell.value
    return [_numbers(x) for x in data] if isinstance(data, (list, tuple)) else data
