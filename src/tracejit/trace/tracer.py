"""The one Tracer, and the trace that it belongs to.

A `Trace` is a builder for user code. A `Tracer` is an atom of a trace with a user's manners: it has
NumPy's operators, methods and protocols, which the NumPy face lends (`Tracer.operators`).

Traces nest: each transform traces its function into a jaxpr of its own. A tracer of an outer trace,
or an array, that an inner function uses becomes an input of the inner jaxpr (`Trace.capture`).

Tracers are mutable, as arrays are: `Tracer.assign` gives one another value, which is another atom.
An atom never changes, so what was recorded before a write means what it did.

A trace made with values (eager `grad`, `jvp`, `vjp`) is a tape: a tracer's number is computed when
somebody asks, so that plain Python control flow works there. Under vmap it has none. Under jit the
numbers, those of one call of many, are for the trace's decider alone, which answers `if` and
`range` and sees to it that the program is used where the answer is right.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Sequence
from opcode import opname
from types import FrameType
from typing import Any, ClassVar, Protocol

import numpy as np

from tracejit.errors import (
    DTypeError,
    LeakedTracerError,
    TracedBranchError,
    TracedConversionError,
    TracejitError,
    UnsupportedError,
)
from tracejit.ir.atoms import Atom, Literal, Var, splat_of
from tracejit.ir.builder import Builder
from tracejit.ir.current import stack
from tracejit.ir.graph import Equation
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType, array_type, has_dtype, type_of
from tracejit.ir.walk import literal_value
from tracejit.trace.effects import is_recorded, number_of, settle
from tracejit.trace.provenance import user_frame
from tracejit.trace.retrace import WRITES, Retrace


class Decider(Protocol):
    """Who answers when Python asks a traced value for its truth or its number."""

    def truth(self, x: Tracer) -> bool:
        """What `bool(x)` is."""
        ...

    def number(self, x: Tracer) -> int:
        """What `int(x)` is, and `operator.index(x)`."""
        ...


class Trace(Builder):
    """A builder whose equations come from running user code.

    writes: the tracers of enclosing traces that were assigned to in this one, by id: each with its
    atom and its owner before. Who stages the function calls `unwind`, and sees to them.
    private: tracers of enclosing traces, by id, that are nobody else's.
    by_object: whether a captured tracer is the array, whatever is written to it, rather than its
    value of that moment. Then views are read in this trace, too.
    bounds_of: the least and the greatest value of integers of which they are known. unrolled: the
    loops of user code that are not to be rolled, and why.
    named: the globals of all functions that may run, and the names that they look up there. beyond:
    which index leaves its axis in some round of the loop. arguments: those whose final values the
    caller sees.
    """

    by_object = False
    #: Answers what a `while` statement asks, or None; lent by `control.rolling`.
    while_truth: ClassVar[Any] = None

    def __init__(
        self,
        name: str = "",
        values: Sequence[Any] | None = None,
        decider: Decider | None = None,
    ):
        super().__init__()
        self.name = name
        self.decider = decider
        self.alive = True
        self.captured: dict[Any, tuple[Var, Any]] = {}
        self.values: dict[Var, Any] | None = None if values is None else {}
        self.knows = True  # the numbers of its arguments, if it has values
        self.asked = False  # whether anybody asked for a number
        self.makers: dict[Var, Equation] = {}
        self.made = 0  # so many equations are in `makers`
        self.writes: dict[int, tuple[Tracer, Atom, Trace]] = {}
        self.bounds_of: dict[Any, tuple[float, float]] = {}
        self.unrolled: dict[Any, str] = {}
        self.unclear: dict[int, tuple[Tracer, Any]] = {}
        self.numbering: Any = None
        self.private: dict[int, Tracer] = {}
        self._root: Trace | None = None  # not itself: what is traced is let go with the trace
        self.named: Any = ()
        self.beyond = ""
        self.arguments: Sequence[Tracer] = ()

    @property
    def root(self) -> Trace:
        """The trace of the whole function: this one, unless it is a part of another."""
        return self if self._root is None else self._root

    @root.setter
    def root(self, whole: Trace) -> None:
        self._root = whole

    @property
    def is_tape(self) -> bool:
        """Whether its tracers tell their numbers to everybody."""
        return self.values is not None and self.decider is None and self.knows

    def new_input(self, type: ArrayType, value: Any = None, *, weak: bool = False) -> Tracer:
        """A tracer for an argument."""
        var = Var(type)
        if self.values is not None:
            self.values[var] = value
            outer = value.owner if isinstance(value, Outer) else None
            self.knows = self.knows and value is not None and (outer is None or outer.is_tape)
        return Tracer(self, var, weak=weak)

    def lift(self, x: Any) -> Atom:
        """The atom of this trace for a tracer, a literal, an array or a NumPy scalar."""
        if isinstance(x, Literal):
            return x
        if isinstance(x, Tracer):
            if x.owner is self:
                return x.atom
            if not x.owner.alive:
                raise leaked(x)
            return x.atom if isinstance(x.atom, Literal) else self.capture(self.capture_key(x), x)
        array = np.asarray(x)
        if not has_dtype(array.dtype):
            raise DTypeError(
                f"an array of dtype {array.dtype} cannot be traced", where=user_frame(),
                hint="tracejit knows bool, int8 to int64, uint8 to uint64, float32 and float64",
            )
        return splat_of(array) or self.capture(id(x), x)

    def capture_key(self, x: Tracer) -> Any:
        """What tells captured tracers apart: their values, unless a subclass means the arrays."""
        return x.atom

    def capture(self, key: Any, x: Any) -> Var:
        """The input that stands for a value from outside the traced function."""
        if key not in self.captured:
            outer = isinstance(x, Tracer)
            var = Var(x.atom.type if outer else type_of(np.asarray(x)))
            self.captured[key] = (var, x if outer else Constant(x))
            if self.values is not None:
                self.values[var] = Outer(x) if outer else x
        return self.captured[key][0]

    def goes_through(self, atom: Atom) -> bool:
        """Whether an atom is sure to have each value, from the least to the greatest, in turn."""
        return False

    def truth(self, x: Tracer) -> bool | None:
        """Which way Python goes where it asks for a truth that is traced; None if it cannot."""
        return None

    def unwind(self) -> list[tuple[Tracer, Atom]]:
        """Give the tracers in `writes` their old values back: them, and the atoms that they had."""
        written = [(x, x.atom) for x, _, _ in self.writes.values()]
        for x, atom, owner in self.writes.values():
            x.atom, x.owner = atom, owner
        self.writes = {}
        return written

    def value_of(self, atom: Atom) -> Any:
        """The number behind an atom of a tape, computed on demand; None where there is none, or
        where it is the decider's."""
        if isinstance(atom, Literal):
            return literal_value(atom)
        return None if self.decider is not None else self.number_of(atom)

    def number_of(self, atom: Atom) -> Any:
        """The number behind an atom, in this call; None without values."""
        if isinstance(atom, Literal):
            return literal_value(atom)
        if self.values is None:
            return None
        self.asked = True
        if atom not in self.values:
            self._evaluate(atom)
        value = self.values[atom]  # type: ignore[index]
        if type(value) is Outer:
            ask = Trace.value_of if self.decider is None else Trace.number_of
            value = self.values[atom] = ask(value.owner, value.atom)  # type: ignore[index]
        return value

    def _evaluate(self, wanted: Atom) -> None:
        """Evaluate the equations that `wanted` depends on and that have no value yet."""
        assert self.values is not None
        for eqn in self.equations[self.made :]:
            self.makers.update((v, eqn) for v in eqn.outvars)
        self.made = len(self.equations)
        pending = [wanted]
        while pending:
            var = pending[-1]
            if var in self.values:
                pending.pop()
                continue
            eqn = self.makers[var]  # type: ignore[index]
            missing = [x for x in eqn.inputs if isinstance(x, Var) and x not in self.values]
            if missing:
                pending.extend(missing)
                continue
            inputs = [self.number_of(x) for x in eqn.inputs]
            known = None if any(x is None for x in inputs) else number_of(eqn, inputs)
            self.values.update(zip(eqn.outvars, known or [None] * len(eqn.outvars), strict=True))
            pending.pop()


class Outer:
    """The number of a tracer of an enclosing trace, which is computed there when it is needed."""

    __slots__ = ("atom", "owner")

    def __init__(self, x: Tracer):
        self.owner, self.atom = x.owner, x.atom


class Constant:
    """An array that a traced function closes over, as it was while tracing."""

    __slots__ = ("source", "value")

    def __init__(self, x: Any):
        self.source = x  # kept, so that its id stays taken
        self.value = np.array(x)


def leaked(x: Tracer) -> LeakedTracerError:
    """The error of a tracer that is used after its trace; of a loop in a function that is being
    traced, which has kept it where nobody saw it, the request to unroll that loop."""
    loop = getattr(x.owner, "loop", None)
    if loop is not None and x.owner.root in stack.sinks:
        raise loop.unrolled("a value is kept where it is not seen at the end of a round")
    return LeakedTracerError(
        f"a traced value {x.aval} is used after its trace"
        f"{f' of {x.owner.name}' if x.owner.name else ''} has ended",
        where=user_frame(),
    )


def twin(x: Tracer, *, weak: bool = False) -> Tracer:
    """Another tracer of the value that x has now."""
    trace = current_trace()
    if trace is None:
        raise leaked(x)
    return Tracer(trace, trace.lift(x), weak=weak)


def literal_of(x: Any) -> Literal | None:
    """The literal that a tracer is known to be, whatever is written to arrays from outside."""
    if not isinstance(x, Tracer) or not isinstance(x.atom, Literal):
        return None
    trace = current_trace()
    changes = trace is not None and trace.by_object and x.owner is not trace and x.atom.shape
    return None if changes else x.atom


def current_trace() -> Trace | None:
    """The innermost trace, if user code is being traced."""
    sinks = stack.sinks
    return sinks[-1] if sinks and isinstance(sinks[-1], Trace) else None


def bind(primitive: Primitive, *args: Any, **params: Any) -> Any:
    """Apply a primitive to tracers, arrays and literals: the one result, or the tuple of them.

    Without a tracer among them it is evaluated at once, by NumPy.
    """
    for x in args:
        if isinstance(x, Tracer):
            break
    else:
        if not is_recorded(primitive, params):
            return _evaluate_now(primitive, args, params)
    trace = current_trace()
    if trace is None:
        raise leaked(next(x for x in args if isinstance(x, Tracer)))
    atoms = [trace.lift(x) for x in args]
    trace.provenance = user_frame()
    try:
        outs = trace.emit(primitive, atoms, params)
    except TracejitError as error:
        raise error.at(trace.provenance) from None
    if trace.values is not None:
        settle(trace, len(trace.equations) - 1)
    tracers = tuple([Tracer(trace, out) for out in outs])
    return tracers[0] if primitive.single else tracers


def _evaluate_now(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    arrays = [literal_value(x) if isinstance(x, Literal) else np.asarray(x) for x in args]
    try:
        types = primitive.typing(*[type_of(x) for x in arrays], **params)
        with np.errstate(all="ignore"):
            outs = primitive.evaluate(*arrays, **params)
    except TracejitError as error:
        raise error.at(user_frame()) from None
    results = tuple([plain(y, t) for y, t in zip(outs, types, strict=True)])
    return results[0] if primitive.single else results


def plain(y: Any, type: ArrayType) -> Any:
    """A result as NumPy gives it: an array, or a NumPy scalar for rank 0; always of the type."""
    array = np.asarray(y, type.dtype)
    return array[()] if array.ndim == 0 else array


class Tracer:
    """Stands for an array while a function is traced.

    shape, dtype, ndim and size are known; the number is not (but see Trace.value_of). `weak` marks
    what comes from a Python number: its dtype gives way, as in NumPy (NEP 50).
    """

    __slots__ = ("atom", "owner", "weak")
    operators: ClassVar[Any] = None
    __array_priority__ = 1000

    def __init__(self, trace: Trace, atom: Atom, *, weak: bool = False):
        self.owner = trace
        self.atom = atom
        self.weak = weak

    @property
    def ended(self) -> bool:
        """Whether its trace has ended."""
        return not self.owner.alive

    @property
    def aval(self) -> ArrayType:
        return self.atom.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.atom.type.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        self.operators.set_shape(self, shape)

    @property
    def dtype(self) -> np.dtype:
        return self.atom.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.atom.type.shape)

    @property
    def size(self) -> int:
        return self.atom.type.size

    @property
    def nbytes(self) -> int:
        return self.atom.type.nbytes

    @property
    def itemsize(self) -> int:
        return self.atom.type.dtype.itemsize

    def __repr__(self) -> str:
        return f"Tracer({self.aval})"

    def __str__(self) -> str:
        if self.weak and self.dtype.kind in "iub":
            self.differs_each_round("its text")
        return repr(self)

    def differs_each_round(self, what: str) -> None:
        """Have the loop unrolled, if it is being traced once, that makes this number anew in each
        round: something is asked of it that is not traced."""
        loop = getattr(self.owner, "loop", None)
        if loop is not None and self.owner.alive and not self.atom.type.shape:
            raise loop.unrolled(f"{what} is asked of a number that changes from round to round")

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a traced value of rank 0")
        return self.shape[0]

    def __hash__(self) -> int:
        self.differs_each_round("its hash, for a set or a dict,")
        return id(self)

    def assign(self, new: Any) -> None:
        """Take the value of `new`, a tracer, array or literal of this very type.

        All writes come here. Those to a tracer of an enclosing trace are noted in the current one.
        """
        trace = current_trace()
        if trace is None or not self.owner.alive:
            raise leaked(self)
        if id(self) in trace.root.unclear:
            site = trace.root.unclear[id(self)][1]
            raise Retrace(site, "an array that is written to may have another name", trace.root)
        atom = trace.lift(new)
        assert atom.type == self.atom.type, (atom.type, self.atom.type)
        if self.owner is not trace:
            trace.writes.setdefault(id(self), (self, self.atom, self.owner))
            self.owner = trace
        self.atom = atom

    def __copy__(self) -> Tracer:
        return twin(self, weak=self.weak)

    def __deepcopy__(self, memo: Any) -> Tracer:
        return twin(self, weak=self.weak)

    def __format__(self, spec: str) -> str:
        return format(self._number("a format", TracedConversionError), spec) if spec else str(self)

    # The number behind it, where there is one.

    def _number(self, use: str, error: type[TracejitError]) -> Any:
        if not self.owner.alive:
            raise leaked(self)
        value = self.owner.value_of(self.atom)
        if value is None:
            raise error(
                f"{use} needs a number, but {self.atom.type} is traced"
                f"{f' (by {self.owner.name})' if self.owner.name else ''}", where=user_frame()
            )
        return value

    def _constant(self, use: str) -> Any:
        """The number, to make a Python number of it, which for a float loses the derivative."""
        value = self._number(use, TracedConversionError)
        if self.atom.type.is_inexact and not isinstance(self.atom, Literal):
            raise TracedConversionError(
                f"{use} of a traced {self.atom.type} would lose its derivative", where=user_frame(),
                hint="NumPy's functions keep it (np.exp, not math.exp); for a number without a "
                "derivative compute it outside of the function that is differentiated",
            )  # fmt: skip
        return value

    def __bool__(self) -> bool:
        trace = current_trace()
        if trace is not None and self.owner.alive and self.owner.value_of(self.atom) is None:
            decided = Trace.while_truth(self)
            if decided is None:
                decided = trace.truth(self)
            if decided is not None:
                return bool(decided)
        if self.owner.decider is not None and self.owner.alive:
            return self.owner.decider.truth(self)
        use = "the truth of a value (if, while, and, or, not)"
        return bool(self._number(use, TracedBranchError))

    def __float__(self) -> float:
        _refuse_assignment(sys._getframe(1))
        return float(self._constant("float()"))

    def __int__(self) -> int:
        _refuse_assignment(sys._getframe(1))
        if self.owner.decider is not None and self.owner.alive:
            return self.owner.decider.number(self)
        return int(self._number("int()", TracedConversionError))

    def __complex__(self) -> complex:
        _refuse_assignment(sys._getframe(1))
        return complex(self._constant("complex()"))

    def __index__(self) -> int:
        use = "an index, a size or range()"
        if self.owner.decider is not None and self.owner.alive:
            _refuse_element(sys._getframe(1), self)
            if self.atom.type.dtype.kind not in "iub":
                raise TracedConversionError(
                    f"{use} needs an integer, and {self.atom.type} is none", where=user_frame(),
                    hint="int(x) is the integer part of a traced value",
                )  # fmt: skip
            return self.owner.decider.number(self)
        return operator.index(self._number(use, TracedConversionError))

    def item(self, *args: Any) -> Any:
        return np.asarray(self._constant("item()")).item(*args)

    def tolist(self) -> Any:
        return np.asarray(self._constant("tolist()")).tolist()

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        caller = sys._getframe(1)
        if _is_sparse_product(caller):
            return np.array(None, dtype=object)
        _refuse_assignment(caller)
        _refuse_element(caller, self)
        raise TracedConversionError(
            f"NumPy asked for the array behind {self.atom.type}, which is traced",
            where=user_frame(),
            hint="np.stack([x, y]) joins traced values, as tracejit.numpy.array([x, y]) does; else "
            "use the function of tracejit.numpy or tracejit.scipy instead of one that converts its "
            "argument (np.asarray, math.*, most of SciPy), or drop the conversion: a traced value "
            "is an array already, and x.astype(np.int64) is np.int64(x)",
        )

    # NumPy's protocols and the operators, lent by tracejit.numpy.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.operators.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.operators.function(func, args, kwargs)

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return self.operators.namespace()

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TypeError("iteration over a traced value of rank 0")
        return self.operators.rows(self, sys._getframe(1))  # type: ignore[no-any-return]


#: What Python does at a[i], and at a[i] = v.
_READS = ("BINARY_SUBSCR", "BINARY_SLICE")
_WRITES = ("STORE_SUBSCR", "STORE_SLICE")


def _opcode(frame: FrameType) -> str:
    """The instruction at which a frame of Python code called into C."""
    return opname[frame.f_code.co_code[frame.f_lasti]]


def _refuse_assignment(caller: FrameType) -> None:
    """Raise if NumPy asks on behalf of a[i] = v: the derivative would be lost, without a word."""
    if _opcode(caller) in _WRITES:
        trace_what_is_written()
        raise UnsupportedError(
            "a traced value is assigned to elements of an ndarray", where=user_frame(),
            hint="make the changed array: a = tracejit.numpy.zeros(n), then a = a.at[i].set(v); "
            "or np.stack and np.concatenate the parts",
        )  # fmt: skip


def trace_what_is_written() -> None:
    """Ask for a trace in which arrays of known numbers that the function makes are traced ones, as
    they have to be where it writes to them; it returns in such a trace, where an array is none."""
    trace = current_trace()
    if trace is not None and WRITES not in trace.root.unrolled:
        raise Retrace(WRITES, "an array of known numbers is written to", trace.root)


def _refuse_element(caller: FrameType, x: Tracer) -> None:
    """Raise if Python asks on behalf of a[i]: there would be a program for each i."""
    if _opcode(caller) in _READS:
        trace_what_is_written()
        raise TracedConversionError(
            f"an ndarray or a list is indexed by a traced {x.atom.type}", where=user_frame(),
            hint="tracejit.numpy.take(a, i, axis=0) is a[i] for a traced i; under jit, a[int(i)] "
            "makes a program for each i",
        )  # fmt: skip


def _is_sparse_product(caller: FrameType) -> bool:
    """Whether a sparse matrix of SciPy's asks what it is multiplied with: an object of rank 0 it
    leaves alone, and then the operator @ of the object is asked."""
    place = caller.f_globals.get("__name__", "")
    return caller.f_code.co_name == "_matmul_dispatch" and place.startswith("scipy.sparse")


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.operators, name)(self, *args, **kwargs)

    method.__name__ = name
    return method


def _forward_property(name: str) -> property:
    return property(lambda self: getattr(self.operators, name)(self))


#: What the NumPy face implements, by these names, as functions that take the tracer first.
FORWARDED = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod divmod rdivmod "
    "pow rpow matmul rmatmul neg pos abs invert and rand or ror xor rxor lshift rlshift rshift "
    "rrshift iadd isub imul itruediv ifloordiv imod ipow imatmul iand ior ixor ilshift irshift "
    "eq ne lt le gt ge round floor ceil trunc getitem setitem"
).split()
METHODS = (
    "all any argmax argmin argsort astype clip compress conj conjugate copy cumprod cumsum "
    "diagonal dot fill flatten itemset max mean min nonzero partition prod ptp put ravel repeat "
    "reshape resize round searchsorted sort squeeze std sum swapaxes take trace transpose var"
).split()
PROPERTIES = "T mT at".split()
WRITTEN_PROPERTIES = "flat real imag".split()

for _name in FORWARDED:
    setattr(Tracer, f"__{_name}__", _forward(f"__{_name}__"))
for _name in METHODS:
    setattr(Tracer, _name, _forward(_name))
for _name in PROPERTIES:
    setattr(Tracer, _name, _forward_property(_name))
def _written_property(name: str) -> property:
    """A part of an array: what is assigned to it is written into its elements."""
    read = _forward_property(name).fget
    assert read is not None
    return property(read, lambda self, values: read(self).__setitem__(..., values))


for _name in WRITTEN_PROPERTIES:
    setattr(Tracer, _name, _written_property(_name))


def is_traced(*values: Any) -> bool:
    """Whether any of the values is a tracer."""
    return any(isinstance(x, Tracer) for x in values)


def abstract(x: Any) -> ArrayType:
    """The type of a tracer, array or scalar."""
    return x.atom.type if isinstance(x, Tracer) else array_type(np.asarray(x).dtype, np.shape(x))
