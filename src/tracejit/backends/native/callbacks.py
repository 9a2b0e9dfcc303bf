"""Python code called from machine code: callbacks, and checks that fail.

    callback:   operands' addresses -> i64 trampoline(ptr operands, ptr results)    each time
    check:      br ok, on, out        out: the same, and leave

A trampoline is a C function made by ctypes, which takes the GIL, if this thread has not got it. It
returns a code with which the program is left at once, unless it is 0 (leaving.py). A check that
holds costs a test and a jump: what its message shows is computed where it fails.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import memory_type
from tracejit.backends.native.emit import I64, POINTER, PTR, Function, Value, constant
from tracejit.backends.native.leaving import keep, leave_if
from tracejit.backends.native.lowering import LOWERINGS, Choice, Statement
from tracejit.backends.native.nest import Nest
from tracejit.backends.native.parallel import apart
from tracejit.control.callback import callback_, check, pure_callback
from tracejit.control.custom_closure import constant as constant_
from tracejit.errors import TracejitError
from tracejit.ir.atoms import Atom
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import held_jaxprs, user_line

#: What the variables are called that hold the addresses of trampolines.
CALLBACK = "callback."
#: The primitives that run Python in the middle of a program, and that before its end. An array that
#: a rule in a branch closes over is read there; elsewhere it is an input (see compile.py).
CALLING, LEAVING = (callback_, pure_callback, constant_), (check,)
#: Those that may be evaluated by Python: see `in_python`.
REFERRED: set[Primitive] = set()

_FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.POINTER(ctypes.c_void_p)] * 2)


def in_python(eqn: Equation) -> bool:
    """Whether an equation is evaluated by Python, as the reference does it: operations on complex
    numbers that neither the pass for these nor a library has taken."""
    return eqn.primitive in REFERRED and any(
        x.dtype.kind == "c" for x in (*eqn.inputs, *eqn.outvars)
    )


def callbacks(jaxpr: Jaxpr) -> dict[Equation, str]:
    """The equations of a program that need a trampoline, and what holds its address."""
    return {eqn: f"{CALLBACK}{i}" for i, eqn in enumerate(dict.fromkeys(_calling(jaxpr)))}


def runs_python(jaxpr: Jaxpr) -> bool:
    """Whether a program goes on after Python has run: others may run it meanwhile."""
    return any(eqn.primitive not in LEAVING for eqn in _calling(jaxpr))


def _calling(jaxpr: Jaxpr) -> Iterator[Equation]:
    for eqn in jaxpr.equations:
        if eqn.primitive in CALLING or eqn.primitive in LEAVING or in_python(eqn):
            yield eqn
        for _, body in held_jaxprs(eqn) if eqn.params else ():
            yield from _calling(body)


def trampoline(eqn: Equation) -> Any:
    """The C function that evaluates an equation: to be kept as long as the program."""
    in_types = [x.type for x in eqn.inputs]
    nbytes = [v.type.nbytes for v in eqn.outvars]

    def enter(operands: Any, results: Any) -> int:
        try:
            arrays = [_copy(operands[i], t) for i, t in enumerate(in_types)]
            for i, y in enumerate(eqn.primitive.evaluate(*arrays, **eqn.params)):
                dense = np.ascontiguousarray(y)
                ctypes.memmove(results[i], dense.ctypes.data, nbytes[i])
        except TracejitError as error:
            return keep(error.at(user_line(eqn)))
        except BaseException as error:
            return keep(error)
        return 0

    return _FUNCTION(enter)


def _copy(address: int, type: ArrayType) -> Any:
    """What lies there, in an array of its own; a NumPy scalar for rank 0."""
    data = ctypes.string_at(address, type.nbytes)
    if not type.shape:
        return np.frombuffer(data, type.dtype)[0]
    return np.frombuffer(bytearray(data), type.dtype).reshape(type.shape)


# Lowering.


def _call(program: Any, eqn: Equation) -> None:
    fn: Function = program.fn
    results = [program.allocate(v) for v in eqn.outvars]
    status = _jump(program, eqn, [y.pointer for y in results])
    leave_if(program, fn.not_equal(status, constant(I64, 0)), lambda: status)
    for v, y in zip(eqn.outvars, results, strict=True):
        program.settle(v, y)


def _check(program: Any, eqn: Equation) -> None:
    ok = program.scalar(eqn.inputs[0])
    codes: list[Value] = []

    def fail() -> Value:
        apart(program, lambda: codes.append(_jump(program, eqn, [])))
        return codes[0]

    leave_if(program, program.fn.not_(ok), fail)


def _jump(program: Any, eqn: Equation, results: Sequence[Value]) -> Value:
    """Call the trampoline of an equation: its code."""
    fn: Function = program.fn
    operands = [_address(program, x) for x in eqn.inputs]
    name = program.callbacks[eqn]
    fn.module.globals[name] = POINTER
    function = fn.load(PTR, Value(PTR, f"@{name}"))
    return fn.call_pointer(function, I64, [_row(fn, operands), _row(fn, results)])


def _address(program: Any, x: Atom) -> Value:
    """Where an operand lies in memory."""
    if x.ndim:
        return program.buffer(x).pointer
    fn: Function = program.fn
    place = fn.alloca(memory_type(x.dtype), align=8)
    fn.store(Nest(program, []).to_memory(program.scalar(x), x.dtype), place)
    return place


def _row(fn: Function, pointers: Sequence[Value]) -> Value:
    """The pointers, one behind the other, on the stack."""
    row = fn.alloca(PTR, max(1, len(pointers)), align=8)
    for i, pointer in enumerate(pointers):
        fn.store(pointer, fn.offset(row, i, PTR))
    return row


#: A call of Python for the results.
BY_PYTHON = Statement(_call)


def referred(primitive: Primitive, otherwise: Any = BY_PYTHON) -> Choice:
    """The lowering of an operation of which Python does the complex ones."""
    REFERRED.add(primitive)

    def choose(eqn: Equation) -> Any:
        if in_python(eqn):
            return BY_PYTHON
        return otherwise.choose(eqn) if isinstance(otherwise, Choice) else otherwise

    def reason(eqn: Equation) -> str:
        if in_python(eqn):
            return "complex: by NumPy and SciPy"
        return otherwise.reason(eqn) if isinstance(otherwise, Choice) else ""

    return Choice(choose, reason)


LOWERINGS.rows(
    __name__,
    {
        callback_: BY_PYTHON,
        pure_callback: BY_PYTHON,
        constant_: BY_PYTHON,
        check: Statement(_check, stored=lambda eqn: ()),
    },
)
