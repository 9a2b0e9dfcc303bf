"""Native entries: from a call signature and a kernel to what `install` takes.

    entry = native_entry(CallSignature(positional, keywords, result), kernel_address, owner=engine)
    if entry is not None:                              # None: calls like this one stay in Python
        install(obj, entry)

A call of an object with entries runs `entry.ll`, one piece of machine code for all signatures,
compiled once in a process (`runtime`). It reads the entry's record, which `native_entry`
writes: so a new signature costs no compilation besides the kernel's. It checks every argument;
where one differs it goes on, with the call untouched, to the next record, and at last to
`_miss` (callable.py). Then it makes the outputs, calls the kernel

    i64 kernel(ptr inputs, ptr outputs)            two arrays of data pointers, one per leaf

and builds the result. A kernel that returns more than 0 declines: its outputs are dropped and the
call goes on as if the signature had not matched. So it is with a failed guard, unless the kernel of
the path behind it is known (see paths.py), which then takes the same inputs and outputs. One that
returns less has kept an exception (see leaving.py), which the call raises.

A call whose arguments and results are fixed has an entry of its own (`bound_entry`): the two
arrays of pointers stand in its record, and nothing is checked or made.

Leaves are counted depth first, positional arguments before keywords in the signature's order,
dictionaries in the order of their nodes; `Static` and `NoneNode` are no leaves. What a kernel
finds behind a leaf's pointer:

    array     the first element of a C-contiguous, aligned array (perhaps read only, or a copy)
    scalar    the value inside of the NumPy scalar             float     a float64
    int       an int64                                         bool      a byte, 0 or 1
    complex   two float64

Outputs are the data of fresh arrays, and the values of fresh scalar objects (for booleans: a byte).

Nothing between the first check and the kernel runs Python code or the garbage collector, so the
borrowed references that the checks collect stay good: dictionaries are searched only after all
their keys have proved to be exact strings, integers or bytes, and the outputs made before the
kernel are not of collectable types. References to attributes, and to copies of arrays that are
not contiguous, are our own until the call is over. With `release_gil` other threads do run
meanwhile, so every argument, and everything found in one, gets a reference of our own.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate

import llvmlite.binding as llvm
import numpy as np

from tracejit.backends.native import abi
from tracejit.backends.native.call_signature import (
    COMPARED,
    CallSignature,
    Dict,
    Leaf,
    List,
    Node,
    NoneNode,
    Object,
    Static,
    Tuple,
    can_be_spare,
    children,
    is_native,
)
from tracejit.backends.native.callable import ALWAYS_OPEN, CHAIN_OFFSET, GUESTS, Gate, NativeEntry
from tracejit.backends.native.leaving import FIRST_GUARD, raise_kept
from tracejit.backends.native.library import library_object, library_target, library_text
from tracejit.backends.native.paths import PATH_WORDS

_FILES = ("entry", "entry_check", "entry_make")

# Steps of a record. Their operands are noted in these files, at the labels of the same names.
_STEPS = (
    *("END", "ARRAY", "BOXED", "INT", "BOOL", "SAME", "EQUAL"),
    *("TUPLE", "LIST", "DICT", "OBJECT"),
)
_END, _ARRAY, _BOXED, _INT, _BOOL, _SAME, _EQUAL, *_CONTAINERS = range(len(_STEPS))
_TUPLE, _LIST, _DICT, _OBJECT = _CONTAINERS

# The words of a record's header; areas of the frame are given by the word where they begin.
_HEADER = (
    *("NEXT", "GATE", "KERNEL", "PATH", "POSITIONAL", "KEYWORDS", "RELEASE", "FRAME"),
    *("INPUTS", "ROOM", "OUTPUTS", "OBJECTS", "OURS", "SPARES", "TURN"),
    *("TELLING", "TELLING_CHECK"),
)

SPARE_BYTES = 1 << 18
"""Two results are kept for each signature, and filled again when nobody holds them any more, if
their arrays are at most this large: more costs more to fill than to allocate, and a temporary array
of 256 KiB is one that NumPy would use for the result of an operator, if nobody kept it.
"""

# The words of a bound call's record before its pointers.
_BOUND_HEADER = ("NEXT", "BOUND_KERNEL", "BOUND_PATH", "BOUND_RESULT", "BOUND_OUTPUTS")

_CONSTANTS: Mapping[str, int] = {
    **{name: number for number, name in enumerate(_STEPS)},
    **{name: number for number, name in enumerate(_HEADER)},
    **{name: number for number, name in enumerate(_BOUND_HEADER)},
    **{name: number for number, name in enumerate(PATH_WORDS)},
    **{"FIRST_GUARD": FIRST_GUARD},
    **{"HEADER": len(_HEADER), "BOUND_HEADER": len(_BOUND_HEADER)},
    **{"GUESTS": GUESTS, "chain": CHAIN_OFFSET, "contiguous_aligned": abi.CONTIGUOUS_ALIGNED},
}

_OBJECTS: Mapping[str, object] = {
    **{"ndarray": np.ndarray, "int": int, "list": list, "dict": dict, "empty": ()},
    **{"True": True, "False": False, "bool_True": np.True_, "bool_False": np.False_},
    **{"_miss": sys.intern("_miss"), "raise_kept": raise_kept},
}


def native_entry(
    signature: CallSignature,
    kernel: int,
    *,
    owner: object,
    gate: Gate = ALWAYS_OPEN,
    path: int = 0,
) -> NativeEntry | None:
    """The entry that calls the kernel at this address; `owner` keeps the kernel's code in memory.
    path: the address of the words from which others are found where it leaves (see paths.py).

    It takes calls while its gate is open.
    None where the call stays in Python: `abi.SUPPORTED` is false, a dtype has no native scalar
    or is not in native byte order, dictionary keys are of other or of different types, or there
    are too many nodes.
    """
    if abi.LAYOUT is None or not is_native(signature):
        return None
    record = _Record(signature, abi.LAYOUT)
    words = record.words(kernel, gate, path)
    code = runtime()
    row = (ctypes.c_int64 * len(words))(*words)
    owners = (owner, gate, code, record.kept)
    return NativeEntry(code.call, row, owners, record.spares, signature)


def bound_entry(
    kernel: int,
    inputs: Sequence[np.ndarray],
    outputs: Sequence[np.ndarray],
    result: object,
    *,
    owner: object,
    path: int = 0,
) -> NativeEntry | None:
    """The only entry of an object whose call, without arguments, runs the kernel on these arrays
    and returns this object. Arrays are C-contiguous and aligned; no output overlaps another array.

    None where `abi.SUPPORTED` is false.
    """
    if abi.LAYOUT is None:
        return None
    words = [0, kernel, path, id(result), len(_BOUND_HEADER) + len(inputs)]
    assert len(words) == len(_BOUND_HEADER)
    words += [x.ctypes.data for x in (*inputs, *outputs)]
    code = runtime()
    kept = (owner, code, tuple(inputs), tuple(outputs), result)
    return NativeEntry(code.bound, (ctypes.c_int64 * len(words))(*words), kept)


class _Record:
    """Writes the steps of one signature."""

    def __init__(self, signature: CallSignature, layout: abi.Layout) -> None:
        self.signature = signature
        self.layout = layout
        self.kept: list[object] = []
        self.spares: list[object] = []
        self.inputs = self.nodes = self.outputs = self.room = 0  # room: beyond a word per input
        self.objects = 1
        self.largest_spare = sys.maxsize if signature.keeps_large else SPARE_BYTES
        self.telling_check = 0  # the number of its word among the checks, from 1
        self.ours = 0  # references that the call may have to take
        self.nbytes = 0  # of the arrays in the result
        self.makes: list[int] = []
        self.packs: list[int] = []

    def words(self, kernel: int, gate: Gate, path: int) -> list[int]:
        """The whole record; `kept` are then the objects whose addresses are in it."""
        names = self.names([name for name, _ in self.signature.keywords])
        checks = self.checks()
        self.produce(self.signature.result, 0)
        sizes = (self.nodes, self.inputs, self.inputs + self.room, self.outputs, self.objects)
        *starts, ours = accumulate(sizes)  # the queue begins at 0
        frame = ours + 1 + self.ours
        header = [0, ctypes.addressof(gate.words), kernel, path]
        header += [len(self.signature.positional), len(names), int(self.signature.release_gil)]
        header += [frame, *starts, ours, self.spare_row(), 0, self.signature.telling or 0]
        header += [self.telling_check and len(header) + len(names) + self.telling_check]
        assert len(header) == len(_HEADER)
        steps = (*checks, _END, *self.makes, _END, *self.packs, _END)
        return [*header, *names, *steps]

    def spare_row(self) -> int:
        """The address of two spares, None at first, or 0 where none are kept."""
        too_large = self.nbytes > self.largest_spare
        if too_large or not can_be_spare(self.signature.result):
            return 0
        self.spares += (None, None)
        return ctypes.c_int64.from_address(id(self.spares) + self.layout.list_items).value

    def names(self, names: Sequence[str]) -> list[int]:
        """The addresses of names as the interpreter keeps them."""
        return [self.address(sys.intern(name)) for name in names]

    def address(self, x: object) -> int:
        self.kept.append(x)
        return id(x)

    def checks(self) -> list[int]:
        """The checks, breadth first as the queue runs, the items of a dict in their usual order."""
        arguments = (*self.signature.positional, *(node for _, node in self.signature.keywords))
        queue = [self.numbered(node) for node in arguments]
        steps: list[int] = []
        for i, (node, place, below) in enumerate(queue):
            if i == self.signature.telling:
                self.telling_check = 1 + len(steps)
            steps += self.check(node, place)
            queue += below
        self.nodes = len(queue)
        return steps

    def numbered(self, node: Node) -> _Numbered:
        """The tree with the places of its leaves among the inputs, depth first."""
        place = self.inputs
        self.inputs += isinstance(node, Leaf)
        below = [self.numbered(child) for child in children(node)]
        if isinstance(node, Dict) and node.usual:
            by_key = dict(zip(node.keys, below, strict=True))
            below = [by_key[key] for key in node.usual]
        return node, place, below

    def check(self, node: Node, place: int) -> list[int]:
        match node:
            case Leaf("array", dtype, shape, needs):
                self.ours += 1
                return [_ARRAY, place, self.address(dtype), len(shape) | needs << 32, *shape]
            case Leaf("int"):
                return [_INT, place]
            case Leaf("bool"):
                return [_BOOL, place]
            case Leaf("float"):
                return [_BOXED, place, self.address(float), self.layout.float_value]
            case Leaf("complex"):
                return [_BOXED, place, self.address(complex), self.layout.complex_value]
            case Leaf(_, dtype):
                kind = dtype.type
                return [_BOXED, place, self.address(kind), abi.value_offset(kind)]
            case NoneNode():
                return [_SAME, self.address(None)]
            case Static(value):
                return [_EQUAL if type(value) in COMPARED else _SAME, self.address(value)]
            case Tuple(below, kind):
                return [_TUPLE, len(below), self.address(kind)]
            case List(below):
                return [_LIST, len(below)]
            case Dict(keys, below, usual):
                return [_DICT, len(below), *map(self.address, usual or keys)]
            case Object(below, kind, names):
                self.ours += len(below)
                return [_OBJECT, len(below), self.address(kind), *self.names(names)]
        raise AssertionError(f"unknown node {node}")

    def produce(self, node: Node, place: int) -> None:
        """The steps that make a result in this place; siblings have neighbouring places."""
        match node:
            case Leaf("array", dtype, shape):
                nbytes = dtype.itemsize * math.prod(shape)
                self.nbytes += nbytes
                kept = nbytes <= self.largest_spare
                example = np.empty(shape if kept else (0,) * len(shape), dtype)
                self.makes += [_ARRAY, place, self.outputs, self.address(dtype)]
                self.makes += [example.flags.num, len(shape), *shape, *example.strides]
            case Leaf(_, dtype) if dtype.type is np.bool_:
                byte = self.inputs + self.room
                self.makes += [_BOOL, place, self.outputs, byte]
                self.packs += [_BOOL, place, byte]
                self.room += 1
            case Leaf(_, dtype):
                kind = dtype.type
                self.makes += [_BOXED, place, self.outputs, self.address(kind)]
                self.makes += [abi.allocator(kind), abi.value_offset(kind)]
            case NoneNode() | Static():
                self.makes += [_SAME, place, self.address(getattr(node, "value", None))]
            case _:
                self.container(node, place)
        self.outputs += isinstance(node, Leaf)

    def container(self, node: Node, place: int) -> None:
        """The steps for a container and what is in it: the same one chooses it, before its items,
        and fills it, behind them.
        """
        first = self.objects
        self.objects += len(children(node))
        match node:
            case Tuple(_, kind):
                alloc = 0 if kind is tuple else abi.allocator(kind)
                step = [_TUPLE, self.address(kind), alloc]
            case List():
                step = [_LIST, self.address(list), 0]
            case Object(_, kind, names):
                step = [_OBJECT, self.address(kind), abi.constructor(kind), *self.names(names)]
            case Dict(keys):
                step = [_DICT, *map(self.address, keys)]
            case _:
                raise AssertionError(f"unknown node {node}")
        step[1:1] = [place, first, len(children(node))]
        self.makes += step
        for i, child in enumerate(children(node)):
            self.produce(child, first + i)
        self.packs += step


_Numbered = tuple[Node, int, list["_Numbered"]]


class Runtime:
    """Loaded machine code of `entry.ll`: the addresses of its vectorcall functions, and the code's
    owner.

    call: for objects with signatures. bound: for calls whose arguments are fixed.
    """

    __slots__ = ("bound", "call", "owner")

    def __init__(self, object_code: bytes) -> None:
        """Load object code of `runtime_object`, of this process or kept from one with the same
        text.
        """
        machine = library_target().create_target_machine(opt=0)
        self.owner = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
        self.owner.add_object_file(llvm.ObjectFileRef.from_data(object_code))
        self.owner.finalize_object()
        addresses = tuple(_table().values())
        table = self.owner.get_global_value_address("table")
        (ctypes.c_void_p * len(addresses)).from_address(table)[:] = list(addresses)
        self.call: int = self.owner.get_function_address("call")
        self.bound: int = self.owner.get_function_address("bound")


_runtime_lock = threading.Lock()


def runtime() -> Runtime:
    """The runtime of this process, compiled and loaded at the first call."""
    with _runtime_lock:
        return _runtime()


@lru_cache(maxsize=1)
def _runtime() -> Runtime:
    return Runtime(runtime_object())


def runtime_object() -> bytes:
    """The object code of `runtime_text`, kept on disk where there is a cache; it holds no address
    of this process.
    """
    return library_object("runtime", runtime_text())


def runtime_text() -> str:
    """The code of the entry for this process: offsets and constants in place, but no address."""
    return "\n".join(library_text(name, _value) for name in _FILES)


def _value(name: str) -> str:
    """What stands for `$name` in entry.ll."""
    if name == "table_size":
        return str(len(_table()))
    if name in _CONSTANTS:
        return str(_CONSTANTS[name])
    if isinstance(offset := getattr(abi.LAYOUT, name, None), int):
        return str(offset)
    return f"getelementptr (i8, ptr @table, i64 {abi.WORD * list(_table()).index(name)})"


@lru_cache(maxsize=1)
def _table() -> dict[str, int]:
    """The pointers in the table of entry.ll: functions of the C API, types and singletons."""
    assert abi.LAYOUT is not None
    return {**abi.LAYOUT.functions, **{name: id(x) for name, x in _OBJECTS.items()}}
