"""The native entry: machine code between a Python call and a compiled kernel.

    code = build(CallSignature(positional, keywords, result), kernel="kernel", name="entry")    # None: not native
    ...append code.text to the module that defines the kernel, compile...
    entry = code.link(address_of(code.symbol), address_of(code.table), owner=engine)
    install(obj, entry)

The entry is a vectorcall function. It checks every argument against the signature; where one differs it passes the call on,
untouched, to the next entry or to `_miss` (callable.py). Then it makes the outputs, calls

    i64 kernel(ptr inputs, ptr outputs)            two arrays of data pointers, one per leaf

and builds the result. A kernel that returns non-zero declines: its outputs are dropped and the call is passed on, as if the
signature had not matched. So a failed guard tries the entry of another path, and an error is raised by `_miss`.

Leaves are counted depth first, positional arguments before keywords in the signature's order, in the order that dictionaries
have in their nodes; `Static` and `NoneNode` are no leaves. What a kernel finds behind a leaf's pointer:

    array     the first element of a C-contiguous, aligned array (read only, maybe)
    scalar    the value inside of the NumPy scalar             float     a float64
    int       an int64                                          bool      a byte, 0 or 1

The text holds no address: everything it needs of the process, and the successor in the chain, it reads from the global
`code.table`, which `link` fills in. So the same object code serves another process of the same interpreter and NumPy
(offsets of fields are constants, see `abi.LAYOUT`).

Nothing between the first check and the call of the kernel runs Python code or the garbage collector, so the borrowed
references that the checks collect stay good. (Dictionaries are searched only after all their keys have proved to be
exact strings, integers or bytes, whose comparison is C; the outputs made before the kernel are not collectable types.) With
`release_gil` other threads do run meanwhile, so leaves found inside of lists and dictionaries get a reference of our own.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
    Static,
    Tuple,
    is_native,
)
from tracejit.backends.native.callable import NativeEntry
from tracejit.backends.native.entry_helpers import HELPERS


@dataclass(frozen=True, slots=True)
class EntryCode:
    """LLVM text of an entry, the names of its two symbols, and the pointers that belong in its table."""

    text: str
    symbol: str
    table: str
    addresses: tuple[int, ...]
    kept: tuple[object, ...]

    def link(self, code: int, table: int, owner: object) -> NativeEntry:
        """Fill in the table of loaded code; `owner` keeps that code in memory. The result is ready for `install`."""
        words = (ctypes.c_void_p * len(self.addresses)).from_address(table)
        words[:] = self.addresses
        return NativeEntry(code, table, (owner, self.kept))


def build(signature: CallSignature, *, kernel: str, name: str) -> EntryCode | None:
    """The entry `@name` that calls `@kernel`, which the same module declares or defines.

    None where the call stays in Python: `abi.SUPPORTED` is false, a dtype has no native scalar or is not in native byte
    order, dictionary keys are of other or of different types, or there are more than `NODE_LIMIT` nodes.
    """
    keywords = (node for _, node in signature.keywords)
    if abi.LAYOUT is None or not is_native((*signature.positional, *keywords, signature.result)):
        return None
    return _Writer(signature, abi.LAYOUT, kernel, name).code()


class _Table:
    """The words that machine code reads: the next entry, then pointers to functions and to objects that are kept alive."""

    def __init__(self, symbol: str, functions: Mapping[str, int]) -> None:
        self.symbol = symbol
        self.functions = functions
        self.words = [0]
        self.kept: list[object] = []
        self.places: dict[object, int] = {}

    def named(self, name: str) -> str:
        """The address of the word for a function of the C API, or for an object of `_OBJECTS`."""
        if name in self.functions:
            return self.word(self.functions[name])
        return self.object(_OBJECTS[name])

    def object(self, x: object) -> str:
        """The address of a word that points at the object."""
        if id(x) not in self.places:
            self.kept.append(x)
        return self.word(id(x))

    def row(self, objects: tuple[object, ...]) -> str:
        """The address of the first of a row of words that point at the objects."""
        key = tuple(map(id, objects))
        if key not in self.places:
            self.places[key] = len(self.words)
            self.words += key
            self.kept.append(objects)
        return self.address(self.places[key])

    def word(self, value: int) -> str:
        if value not in self.places:
            self.places[value] = len(self.words)
            self.words.append(value)
        return self.address(self.places[value])

    def address(self, place: int) -> str:
        return f"getelementptr (i8, ptr @{self.symbol}, i64 {abi.WORD * place})"


_OBJECTS: Mapping[str, object] = {
    **{"ndarray": np.ndarray, "float": float, "int": int, "tuple": tuple, "list": list},
    **{"dict": dict, "True": True, "False": False, "None": None, "_miss": sys.intern("_miss")},
    **{"bool_True": np.True_, "bool_False": np.False_},
}

_ENDINGS = """
decline:
  %decline.decref = load ptr, ptr $Py_DecRef
  call void @.each(ptr %decline.decref, ptr %objects, i64 $result_nodes)
  br label %next
next:
  %next.entry = load ptr, ptr $next
  %last = icmp eq ptr %next.entry, null
  br i1 %last, label %miss, label %chain
chain:
  %passed = musttail call ptr %next.entry(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames)
  ret ptr %passed
miss:
  %missed = tail call ptr @.miss(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames)
  ret ptr %missed
fail:
  %fail.decref = load ptr, ptr $Py_DecRef
  call void @.each(ptr %fail.decref, ptr %objects, i64 $result_nodes)
  ret ptr null
"""


class _Writer:
    """Writes one entry: the checks, the outputs, the call of the kernel, the result."""

    def __init__(self, signature: CallSignature, layout: abi.Layout, kernel: str, name: str) -> None:
        self.signature = signature
        self.layout = layout
        self.kernel = kernel
        self.name = name
        self.table = _Table(f"{name}.table", layout.functions)
        self.lines: list[str] = []
        self.shapes: dict[tuple[int, ...], str] = {}
        self.wanted: dict[str, None] = {}  # helpers, in order of first use
        self.packing: list[Callable[[], None]] = []
        self.count = 0
        self.areas = dict.fromkeys(("inputs", "outputs", "room", "values", "held", "objects"), 0)

    def code(self) -> EntryCode:
        """Write the entry, and behind it the helpers that it names, and those that they name."""
        self.arguments()
        self.outputs()
        self.run()
        self.result()
        body = self.resolve("\n".join(self.lines) + _ENDINGS)
        header = f"define ptr @{self.name}(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {{"
        areas = [f"  %{a} = alloca [{max(n, 1)} x ptr]" for a, n in self.areas.items()]
        parts = ["\n".join([header, "start:", *areas, body + "}"])]
        written: set[str] = set()
        while missing := [name for name in self.wanted if name not in written]:
            written.update(missing)
            parts += [self.resolve(HELPERS[name]) for name in missing]
        table = self.table
        size = len(table.words)
        variables = [f"@{table.symbol} = global [{size} x ptr] zeroinitializer, align 16"]
        for shape, symbol in self.shapes.items():
            extents = ", ".join(f"i64 {n}" for n in shape)
            variables.append(f"@{symbol} = private constant [{len(shape)} x i64] [{extents}]")
        text = "\n".join(variables + parts) + "\n"
        return EntryCode(text, self.name, table.symbol, tuple(table.words), tuple(table.kept))

    # The checks: each failing one goes to the next entry.

    def arguments(self) -> None:
        positional, keywords = self.signature.positional, self.signature.keywords
        count = self.op("and i64 %nargsf, 9223372036854775807")  # without PY_VECTORCALL_ARGUMENTS_OFFSET
        self.require(f"icmp eq i64 {count}, {len(positional)}")
        if keywords:
            self.require("icmp ne ptr %kwnames, null")
            names = self.load(self.field("%kwnames", self.layout.var_size), "i64")
            self.require(f"icmp eq i64 {names}, {len(keywords)}")
        else:
            self.require("icmp eq ptr %kwnames, null")
        for i, node in enumerate(positional):
            self.match(node, self.load(self.element("%args", i)))
        for guess, (keyword, node) in enumerate(keywords):
            key = self.pointer(sys.intern(keyword))
            call = f"call i64 @.keyword(ptr %kwnames, i64 {len(keywords)}, ptr {key}, i64 {guess})"
            found = self.op(call)
            self.require(f"icmp sge i64 {found}, 0")
            self.match(node, self.load(self.element("%args", self.op(f"add i64 {found}, {count}"))))

    def match(self, node: Node, x: str, *, mutable: bool = False) -> None:
        """Check the object x; `mutable` if a list or a dict is what keeps it alive."""
        match node:
            case Leaf():
                self.match_leaf(node, x)
                if mutable and self.signature.release_gil:
                    self.do(f"store ptr {x}, ptr {self.slot('held')}")
            case NoneNode():
                self.require(f"icmp eq ptr {x}, {self.pointer(None)}")
            case Static(value) if type(value) in COMPARED:
                self.require(f"call i1 @.equal(ptr {x}, ptr {self.pointer(value)})")
            case Static(value):
                self.require(f"icmp eq ptr {x}, {self.pointer(value)}")
            case Tuple(children):
                self.require(f"call i1 @.sized(ptr {x}, ptr {self.word('tuple')}, i64 {len(children)})")
                items = self.field(x, self.layout.tuple_items)
                self.match_items(children, items, mutable=mutable)
            case List(children):
                self.require(f"call i1 @.sized(ptr {x}, ptr {self.word('list')}, i64 {len(children)})")
                if children:
                    items = self.load(self.field(x, self.layout.list_items))
                    self.match_items(children, items, mutable=True)
            case Dict(keys, children):
                self.match_dict(keys, children, x)

    def match_items(self, children: tuple[Node, ...], items: str, *, mutable: bool) -> None:
        for i, child in enumerate(children):
            self.match(child, self.load(self.element(items, i)), mutable=mutable)

    def match_dict(self, keys: tuple[object, ...], children: tuple[Node, ...], x: str) -> None:
        values = self.slot("values", max(len(keys), 1))
        row = self.table.row(keys) if keys else "null"
        self.require(f"call i1 @.dict(ptr {x}, i64 {len(keys)}, ptr {row}, ptr {values})")
        self.match_items(children, values, mutable=True)

    def match_leaf(self, leaf: Leaf, x: str) -> None:
        place = self.slot("inputs")
        if leaf.kind == "array":
            descr, shape = self.pointer(leaf.dtype), self.shape(leaf.shape)
            check = f"@.array(ptr {x}, ptr {descr}, {shape}, ptr {place})"
        elif leaf.kind in ("int", "bool"):
            check = f"@.{leaf.kind}(ptr {x}, ptr {self.slot('room')}, ptr {place})"
        else:
            kind = float if leaf.kind == "float" else leaf.dtype.type
            offset = self.layout.float_value if kind is float else self.layout.scalar_value[kind]
            check = f"@.boxed(ptr {x}, ptr {self.pointer(kind)}, i64 {offset}, ptr {place})"
        self.require(f"call i1 {check}")

    # The outputs: every node of the result has a word among %objects, siblings side by side. What
    # is there and not null when something fails is what must be released.

    def outputs(self) -> None:
        root = self.slot("objects")
        clear = len(self.lines)
        self.reserve(self.signature.result, root)
        nodes = self.areas["objects"]
        self.lines.insert(clear, f"  call void @.clear(ptr %objects, i64 {nodes})")

    def reserve(self, node: Node, place: str) -> None:
        """Make what the kernel needs at once (before it, the collector must not run); the rest waits in `packing`."""
        match node:
            case Leaf("array", dtype, shape):
                arguments = f"ptr {self.pointer(dtype)}, {self.shape(shape)}, ptr {place}"
                self.require(f"call i1 @.new({arguments}, ptr {self.slot('outputs')})", "fail")
            case Leaf(_, dtype) if dtype.type is np.bool_:
                room = self.slot("room")
                self.do(f"store ptr {room}, ptr {self.slot('outputs')}")
                self.packing.append(lambda: self.pack_bool(room, place))
            case Leaf(_, dtype):
                kind = dtype.type
                alloc = self.load(self.table.word(abi.allocator(kind)))
                offset = self.layout.scalar_value[kind]
                arguments = f"ptr {self.pointer(kind)}, ptr {alloc}, i64 {offset}, ptr {place}"
                self.require(f"call i1 @.box({arguments}, ptr {self.slot('outputs')})", "fail")
            case NoneNode():
                self.constant(None, place)
            case Static(value):
                self.constant(value, place)
            case _:
                items = self.slot("objects", max(len(node.children), 1))
                for i, child in enumerate(node.children):
                    self.reserve(child, self.element(items, i))
                self.packing.append(lambda: self.pack(node, items, place))

    def constant(self, value: object, place: str) -> None:
        x = self.pointer(value)
        self.do(f"call void {self.word('Py_IncRef')}(ptr {x})")
        self.do(f"store ptr {x}, ptr {place}")

    def pack_bool(self, room: str, place: str) -> None:
        true = self.op(f"icmp ne i8 {self.load(room, 'i8')}, 0")
        one, zero = self.pointer(np.True_), self.pointer(np.False_)
        x = self.op(f"select i1 {true}, ptr {one}, ptr {zero}")
        self.do(f"call void {self.word('Py_IncRef')}(ptr {x})")
        self.do(f"store ptr {x}, ptr {place}")

    def pack(self, node: Tuple | List | Dict, items: str, place: str) -> None:
        """The container of finished items, which takes their references."""
        arguments = f"ptr {items}, i64 {len(node.children)}"
        if isinstance(node, Dict):
            arguments = f"ptr {self.table.row(node.keys) if node.keys else 'null'}, {arguments}"
        x = self.op(f"call ptr @.pack_{type(node).__name__.lower()}({arguments})")
        self.require(f"icmp ne ptr {x}, null", "fail")
        self.do(f"store ptr {x}, ptr {place}")

    def run(self) -> None:
        """Call the kernel; if it declines, drop the outputs and pass the call on."""
        release, held = self.signature.release_gil, self.areas["held"]
        if held:
            self.do(f"call void @.each(ptr {self.word('Py_IncRef')}, ptr %held, i64 {held})")
        if release:
            thread = self.op(f"call ptr {self.word('PyEval_SaveThread')}()")
        status = self.op(f"call i64 @{self.kernel}(ptr %inputs, ptr %outputs)")
        if release:
            self.do(f"call void {self.word('PyEval_RestoreThread')}(ptr {thread})")
        if held:
            self.do(f"call void @.each(ptr {self.word('Py_DecRef')}, ptr %held, i64 {held})")
        self.require(f"icmp eq i64 {status}, 0", "decline")

    def result(self) -> None:
        for pack in self.packing:
            pack()
        self.do(f"ret ptr {self.load('%objects')}")

    # Lines of text.

    def do(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def op(self, text: str) -> str:
        """A new register with the value of the instruction."""
        self.count += 1
        self.do(f"%v{self.count} = {text}")
        return f"%v{self.count}"

    def require(self, condition: str, otherwise: str = "next") -> None:
        """Go on where the condition, an instruction that gives an i1, holds."""
        holds = self.op(condition)
        self.do(f"br i1 {holds}, label %on{self.count}, label %{otherwise}")
        self.lines.append(f"on{self.count}:")

    def load(self, address: str, kind: str = "ptr") -> str:
        return self.op(f"load {kind}, ptr {address}")

    def field(self, x: str, offset: int) -> str:
        return self.op(f"getelementptr i8, ptr {x}, i64 {offset}")

    def element(self, row: str, index: int | str) -> str:
        return self.op(f"getelementptr ptr, ptr {row}, i64 {index}") if index != 0 else row

    def slot(self, area: str, count: int = 1) -> str:
        """The address of the next free words of an area on the stack."""
        first = self.areas[area]
        self.areas[area] += count
        return self.element(f"%{area}", first)

    def word(self, name: str) -> str:
        """The pointer of that name in the table."""
        return self.load(self.table.named(name))

    def pointer(self, x: object) -> str:
        """The object, as a pointer."""
        return self.load(self.table.object(x))

    def shape(self, shape: tuple[int, ...]) -> str:
        """The arguments `ndim, dims` of a helper."""
        if not shape:
            return "i32 0, ptr null"
        symbol = self.shapes.setdefault(shape, f"{self.name}.shape{len(self.shapes)}")
        return f"i32 {len(shape)}, ptr @{symbol}"

    def resolve(self, text: str) -> str:
        """Replace the placeholders `@.helper` and `$name`."""

        def helper(match: re.Match[str]) -> str:
            self.wanted[match[1]] = None
            return f"@{self.name}.{match[1]}"

        def value(match: re.Match[str]) -> str:
            offset = getattr(self.layout, match[1], None)
            return self.table.named(match[1]) if offset is None else str(offset)

        text = text.replace("$contiguous_aligned", str(abi.CONTIGUOUS_ALIGNED))
        text = text.replace("$result_nodes", str(self.areas["objects"]))
        text = text.replace("$next", self.table.address(0))
        return re.sub(r"\$(\w+)", value, re.sub(r"@\.(\w+)", helper, text))
