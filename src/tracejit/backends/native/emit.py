"""Emission of LLVM: modules, functions, blocks and typed values.

A builder, not glued text: every operation takes and returns a `Value`, which knows its type, and
checks that its operands agree. Underneath it appends lines of LLVM assembly, because printing a
module object graph costs more than the rest of the compiler (docs/decisions/0004).

    module = Module()
    fn = module.function("axpy", VOID, [I64, PTR, PTR])
    n, x, y = fn.args
    ...
    fn.ret()
    text = str(module)

Vectors are types like any other: `F64.vector(8)` is <8 x double>, and `fn.add` works on both.
A width of 1 is the scalar type. Integers have no sign in LLVM, so operations that care say it
(`sdiv`, `udiv`, `less(..., signed=False)`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from functools import cache, lru_cache
from string import digits
from typing import NamedTuple

from tracejit.backends.native.ranges import Ranges, number

FLOAT_BITS = {"half": 16, "float": 32, "double": 64}
#: Two floats side by side, as complex numbers lie in memory: for their size alone.
_TWO_BITS = {"{ float, float }": 64, "{ double, double }": 128}
_POINTER_BITS = 64


class Type:
    """An LLVM first-class type: a lane type and how many lanes (1 is a scalar).

    One object for each type (`vector_type` gives it), so that equal types are the same. text: how
    LLVM writes it. bits: of one lane. bytes: of one lane in memory (an i1 takes one). suffix: how
    names of intrinsics spell the type, f64, v8f64, i64.
    """

    __slots__ = ("bits", "bytes", "is_float", "lane", "lanes", "suffix", "text")

    def __init__(self, lane: str, lanes: int):
        self.lane = lane
        self.lanes = lanes
        self.text = lane if lanes == 1 else f"<{lanes} x {lane}>"
        self.is_float = lane in FLOAT_BITS
        bits = FLOAT_BITS.get(lane) or _TWO_BITS.get(lane)
        self.bits = bits or (int(lane[1:]) if lane[0] == "i" else _POINTER_BITS)
        self.bytes = max(1, self.bits // 8)
        name = f"f{self.bits}" if self.is_float else ("p0" if lane == "ptr" else lane)
        self.suffix = name if lanes == 1 else f"v{lanes}{name}"

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def vector(self, lanes: int) -> Type:
        return vector_type(self.lane, lanes)

    @property
    def scalar(self) -> Type:
        return vector_type(self.lane, 1)

    @property
    def integer(self) -> Type:
        """The integer type of the same width and lanes."""
        return vector_type(f"i{self.bits}", self.lanes)

    @property
    def mask(self) -> Type:
        return vector_type("i1", self.lanes)


@cache
def vector_type(lane: str, lanes: int) -> Type:
    """The (shared) type of this lane and number of lanes."""
    return Type(lane, lanes)


VOID, PTR = vector_type("void", 1), vector_type("ptr", 1)
I1, I8, I16 = (vector_type(f"i{n}", 1) for n in (1, 8, 16))
I32, I64 = vector_type("i32", 1), vector_type("i64", 1)
F32, F64 = vector_type("float", 1), vector_type("double", 1)


#: The text of a global variable for an address that is set when the code is loaded.
POINTER = "global ptr null"


class Value:
    """An operand: a type and the text that names it (a register or a constant).

    typed: both, as most operands are written.
    """

    __slots__ = ("text", "type", "typed")

    def __init__(self, type: Type, text: str):
        self.type = type
        self.text = text
        self.typed = f"{type.text} {text}"

    def __str__(self) -> str:
        return self.typed

    __repr__ = __str__

    @property
    def is_constant(self) -> bool:
        return self.text[0] != "%"


def scalar_text(type: Type, value: float | int | bool) -> str:
    """How LLVM assembly writes a number of a scalar type."""
    if type.lane == "double":
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"
    if type.lane == "float":
        # LLVM writes a float constant as the double that holds the same number.
        try:
            rounded = struct.unpack("<f", struct.pack("<f", float(value)))[0]
        except OverflowError:
            rounded = float("inf") if value > 0 else float("-inf")
        return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
    if type.lane == "i1":
        return "true" if value else "false"
    if type.lane == "ptr":
        return f"inttoptr (i64 {int(value)} to ptr)" if value else "null"
    bits = type.bits
    number = int(value) & ((1 << bits) - 1)
    return str(number - (1 << bits) if number >> (bits - 1) else number)


@lru_cache(maxsize=65536)
def _constant(type: Type, value: float | int | bool, sign: bool) -> Value:
    text = scalar_text(type.scalar, value)
    return Value(type, text if type.lanes == 1 else f"splat ({type.lane} {text})")


def constant(type: Type, value: float | int | bool) -> Value:
    """A constant of the type, in every lane."""
    # The sign is part of the key because -0.0 == 0.0.
    return _constant(type, value, str(value)[0] == "-")


def lanes_constant(type: Type, values: list[float | int | bool]) -> Value:
    """A vector constant with a value for each lane."""
    assert len(values) == type.lanes
    if type.lanes == 1:
        return constant(type, values[0])
    items = ", ".join(f"{type.lane} {scalar_text(type.scalar, v)}" for v in values)
    return Value(type, f"<{items}>")


def letters(n: int) -> str:
    """a, b, ..., z, ba, bb, ...: the number in letters."""
    rest, last = divmod(n, 26)
    return (letters(rest) if rest else "") + chr(ord("a") + last)


class Block:
    """Straight-line code and the terminator that leaves it.

    made: the value of each pure operation in it, which is not written twice.
    """

    __slots__ = ("label", "lines", "made", "terminator")

    def __init__(self, label: str):
        self.label = label
        self.lines: list[str | Phi | Loaded] = []
        self.made: dict[str, Value] = {}
        self.terminator = ""


class Phi:
    """A phi whose incoming edges are added later; `value` is what it stands for."""

    __slots__ = ("edges", "value")

    def __init__(self, value: Value):
        self.value = value
        self.edges: list[tuple[Value, Block]] = []

    def add(self, value: Value, block: Block) -> None:
        assert value.type is self.value.type, (value, self.value)
        self.edges.append((value, block))

    def repoint(self, old: Block, new: Block) -> None:
        """Control that came from `old` now comes from `new`."""
        self.edges = [(v, new if block is old else block) for v, block in self.edges]

    def __str__(self) -> str:
        edges = ", ".join(f"[{v.text}, %{block.label}]" for v, block in self.edges)
        return f"  {self.value.text} = phi {self.value.type} {edges}"


class Module:
    """What one compilation unit holds: functions, constants, and the declarations they need."""

    def __init__(
        self, *, has_fma: bool = True, has_avx512: bool = False,
        has_half_conversions: bool = False, provided: frozenset[str] = frozenset(),
    ) -> None:
        self.has_fma = has_fma  # Has the target the instruction? If not, llvm.fma is a call.
        self.has_avx512 = has_avx512  # Has it vectors of 512 bits and what x86 offers for them?
        self.has_half_conversions = has_half_conversions  # From float16 to float32, and back?
        self.provided = provided  # Functions that the linker knows: declared, never defined here.
        self.functions: list[Function] = []
        self.defined: set[str] = set()
        self.declarations: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.tables: dict[str, str] = {}  # names of constant arrays, by what they hold
        self.prefixes: dict[str, Function] = {}  # who makes the names that begin with these letters
        self.sources: dict[str, Source] = {}  # of values that can be loaded in any function
        self.ranges = Ranges()

    def function(
        self, name: str, result: Type, args: list[Type], *, internal: bool = False,
        attributes: str = "nounwind",
    ) -> Function:
        fn = Function(self, name, result, args, internal=internal, attributes=attributes)
        self.functions.append(fn)
        self.prefixes[fn.prefix[1:]] = fn
        self.defined.add(name)
        return fn

    def has(self, name: str) -> bool:
        """Whether a function of this name can be called: defined here, or provided."""
        return name in self.defined or name in self.provided

    def type_of(self, name: str) -> Type:
        """The type of a value of one of the functions."""
        letters = name[1:].rstrip(digits)
        return self.prefixes[letters].types[int(name[1 + len(letters) :])]

    def declare(self, name: str, result: Type, args: list[Type]) -> None:
        if name not in self.declarations:
            types = ", ".join(map(str, args))
            self.declarations[name] = f"declare {result} @{name}({types})"

    def table(self, type: Type, values: list[float | int]) -> Value:
        """A constant array in memory, for polynomial tables and gathers; equal ones are shared."""
        items = ", ".join(f"{type} {scalar_text(type, v)}" for v in values)
        body = f"private unnamed_addr constant [{len(values)} x {type}] [{items}], align 64"
        if body not in self.tables:
            self.tables[body] = f"table.{len(self.globals)}"
            self.globals[self.tables[body]] = body
        return Value(PTR, f"@{self.tables[body]}")

    def __str__(self) -> str:
        parts = [f"@{name} = {text}" for name, text in self.globals.items()]
        parts += self.declarations.values()
        parts += map(str, self.functions)
        return "\n".join(parts) + "\n"


_NAMES = re.compile(r"%[a-z]+\d+")
_LABELS = re.compile(r"label %([\w.]+)")
#: So many values are loaded without asking whether the code uses them.
_FEW = 64


class Source(NamedTuple):
    """Where a value lies: so many bytes behind a pointer, which is an argument or on the stack of
    one function, a global variable, or has a source itself.

    home: the function that loads it at one place; the others do at their beginning.
    """

    base: Value
    offset: int
    type: Type
    home: Function | None


class Loaded:
    """The lines in which a value comes home; left out where nobody there uses it."""

    __slots__ = ("lines", "name")

    def __init__(self, name: str, lines: list[str]):
        self.name = name
        self.lines = lines

    def __str__(self) -> str:
        return "\n".join(self.lines)


def _load_lines(name: str, type: Type, base: Value, offset: int) -> list[str]:
    """Load what is so many bytes behind a pointer, under this name."""
    if not offset:
        return [f"  {name} = load {type.text}, {base.typed}, align {min(8, type.bytes)}"]
    at = f"{name}.at"
    return [
        f"  {at} = getelementptr inbounds i8, {base.typed}, i64 {offset}",
        f"  {name} = load {type.text}, ptr {at}, align {min(8, type.bytes)}",
    ]


class Function:
    """One function under construction; operations append to the current block."""

    def __init__(
        self, module: Module, name: str, result: Type, args: list[Type], *,
        internal: bool, attributes: str,
    ):
        self.module = module
        self.name = name
        self.result = result
        self.prefix = "%" + letters(len(module.functions))
        self.types: list[Type] = []  # of its values, by the numbers behind the prefix
        self.args = [Value(t, self.new_name(t)) for t in args]
        self.header = (
            f"define {'internal ' if internal else ''}{result} @{name}("
            + ", ".join(map(str, self.args)) + f") {attributes}"
        )
        self.blocks: list[Block] = []
        self.opening: list[str] = []  # lines that come first: allocas, and what `receive` loads
        self.uses: list[str] = []  # names with a source, to be loaded at the beginning
        self.here = self.block("entry")

    def __str__(self) -> str:
        body = self.body()
        head = [self.header + " {", f"{self.blocks[0].label}:", *self.opening, *self._loads(body)]
        return "\n".join(head) + "\n" + body + "\n}"

    def _loads(self, body: str) -> list[str]:
        """The lines for the values of `uses`; where they are many, for those in the code."""
        sources, lines, done = self.module.sources, [], set()

        def load(name: str) -> None:
            source = sources.get(name)
            if source is not None and source.home is not self and name not in done:
                done.add(name)
                load(source.base.text)
                lines.extend(_load_lines(name, source.type, source.base, source.offset))

        many = len(self.uses) > _FEW
        for name in dict.fromkeys(_NAMES.findall(body)) if many else self.uses:
            load(name)
        return lines

    def body(self) -> str:
        """The text of the code, without what comes first."""
        lines: list[str | Loaded] = []
        for i, block in enumerate(self.blocks):
            if i:
                lines.append(f"{block.label}:")
            lines += [str(x) if isinstance(x, Phi) else x for x in block.lines]
            lines.append(block.terminator)
        text = "\n".join([x for x in lines if isinstance(x, str)])
        if all(isinstance(x, str) for x in lines):
            return text
        used = set(_NAMES.findall(text))
        return "\n".join([str(x) for x in lines if isinstance(x, str) or x.name in used])

    # Blocks and branches.

    def block(self, name: str = "b") -> Block:
        """A new block, placed after the others; `at` moves there."""
        block = Block(f"{name}.{len(self.blocks)}")
        self.blocks.append(block)
        return block

    def at(self, block: Block) -> None:
        self.here = block

    def _close(self, line: str) -> None:
        assert not self.here.terminator, f"block {self.here.label} is closed already"
        self.here.terminator = line
        self.here.made.clear()  # a long program has no room for them all

    def branch(self, target: Block) -> None:
        self._close(f"  br label %{target.label}")

    def branch_if(self, condition: Value, then: Block, otherwise: Block) -> None:
        self._close(f"  br {condition}, label %{then.label}, label %{otherwise.label}")

    def switch(self, value: Value, default: Block, cases: list[tuple[int, Block]]) -> None:
        arms = " ".join(f"{value.type} {n}, label %{block.label}" for n, block in cases)
        self._close(f"  switch {value}, label %{default.label} [ {arms} ]")

    def ret(self, value: Value | None = None) -> None:
        self._close("  ret void" if value is None else f"  ret {value}")

    def arrives_from(self, terminator: str, old: Block, new: Block) -> None:
        """The terminator of one block is now another's: so say the phis where it leads."""
        targets = set(_LABELS.findall(terminator))
        for block in self.blocks:
            if block.label in targets:
                for line in block.lines:
                    if isinstance(line, Phi):
                        line.repoint(old, new)

    def phi(self, type: Type) -> Phi:
        phi = Phi(Value(type, self.new_name(type)))
        self.here.lines.append(phi)
        return phi

    def new_name(self, type: Type) -> str:
        """The name of a new value: no other function of the module has it."""
        self.types.append(type)
        return f"{self.prefix}{len(self.types) - 1}"

    def owns(self, x: Value) -> bool:
        """Whether a value was made in this function."""
        size = len(self.prefix)
        return x.text.startswith(self.prefix) and x.text[size : size + 1].isdigit()

    def op(self, type: Type, text: str) -> Value:
        """Append `%name = text`, a value of the type."""
        types = self.types
        name = f"{self.prefix}{len(types)}"
        types.append(type)
        self.here.lines.append(f"  {name} = {text}")
        return Value(type, name)

    def pure(self, type: Type, text: str) -> Value:
        """An operation that depends on its operands alone; the value it has in this block already,
        if there is one."""
        made = self.here.made
        known = made.get(text)
        if known is None:
            known = made[text] = self.op(type, text)
        return known

    def receive(self, value: Value, base: Value, offset: int) -> None:
        """A value of another function, found so many bytes behind a pointer that is an argument:
        it can be used under its name.
        """
        self.opening += _load_lines(value.text, value.type, base, offset)

    def fixed(self, type: Type, base: Value, offset: int = 0) -> Value:
        """A value in memory that nobody writes to: loaded at the beginning of each function of the
        module that uses it.
        """
        value = Value(type, self.new_name(type))
        self.module.sources[value.text] = Source(base, offset, type, None)
        self.uses.append(value.text)
        return value

    def load_result(self, type: Type, base: Value, offset: int) -> Value:
        """What another function has left in memory, where it stays: loaded here, and at the
        beginning of the functions to come that use it.
        """
        value = Value(type, self.new_name(type))
        self.module.sources[value.text] = Source(base, offset, type, self)
        lines = _load_lines(value.text, type, base, offset)
        self.here.lines.append(Loaded(value.text, lines))
        return value

    # Constants and lanes.

    constant = staticmethod(constant)

    def like(self, x: Value, number: float | int | bool) -> Value:
        """The constant in the type of x."""
        return constant(x.type, number)

    def splat(self, x: Value, lanes: int) -> Value:
        """A scalar in every lane."""
        if lanes == 1 or x.type.lanes == lanes:
            return x
        assert x.type.lanes == 1, x
        type = x.type.vector(lanes)
        if x.is_constant and not x.text.startswith("@"):
            return Value(type, f"splat ({x.type} {x.text})")
        first = self.pure(type, f"insertelement {type.text} poison, {x.typed}, i64 0")
        zeros = f"<{lanes} x i32> zeroinitializer"
        return self.pure(type, f"shufflevector {first.typed}, {type.text} poison, {zeros}")

    def extract(self, x: Value, lane: int | Value) -> Value:
        if x.type.lanes == 1:
            return x
        at = lane if isinstance(lane, Value) else constant(I64, lane)
        return self.pure(x.type.scalar, f"extractelement {x.typed}, {at.typed}")

    def insert(self, x: Value, item: Value, lane: int | Value) -> Value:
        if x.type.lanes == 1:
            return item
        at = lane if isinstance(lane, Value) else constant(I64, lane)
        return self.pure(x.type, f"insertelement {x.typed}, {item.typed}, {at.typed}")

    def shuffle(self, x: Value, y: Value | None, lanes: list[int]) -> Value:
        """Lanes of x, and of y counted behind those of x."""
        other = f"{x.type} poison" if y is None else str(y)
        pick = ", ".join(f"i32 {n}" for n in lanes)
        type = x.type.vector(len(lanes))
        return self.pure(type, f"shufflevector {x.typed}, {other}, <{len(lanes)} x i32> <{pick}>")

    # Arithmetic.

    def _binary(self, name: str, x: Value, y: Value) -> Value:
        assert x.type is y.type, (name, x, y)
        return self.pure(x.type, f"{name} {x.typed}, {y.text}")

    def _integers(self, name: str, x: Value, y: Value) -> Value:
        """Arithmetic of integers, done here where both are numbers; its range is learnt."""
        if x.type.lanes == 1:
            a, b = number(x), number(y)
            if a is not None and b is not None and x.type.bits > 1:
                total = {"add": a + b, "sub": a - b, "mul": a * b}[name]
                half = 1 << x.type.bits - 1
                return constant(x.type, (total + half) % (2 * half) - half)
            if b == 0 and name != "mul" or b == 1 and name == "mul" and x.type.bits > 1:
                return x
            if a == 0 and name == "add" or a == 1 and name == "mul" and x.type.bits > 1:
                return y
        result = self._binary(name, x, y)
        self.module.ranges.arithmetic(name, x, y, result)
        return result

    def add(self, x: Value, y: Value) -> Value:
        return self._binary("fadd", x, y) if x.type.is_float else self._integers("add", x, y)

    def sub(self, x: Value, y: Value) -> Value:
        return self._binary("fsub", x, y) if x.type.is_float else self._integers("sub", x, y)

    def mul(self, x: Value, y: Value) -> Value:
        return self._binary("fmul", x, y) if x.type.is_float else self._integers("mul", x, y)

    def div(self, x: Value, y: Value) -> Value:
        """Quotient of floats (integers have `sdiv` and `udiv`)."""
        return self._binary("fdiv", x, y)

    def frem(self, x: Value, y: Value) -> Value:
        return self._binary("frem", x, y)

    def sdiv(self, x: Value, y: Value) -> Value:
        return self._binary("sdiv", x, y)

    def udiv(self, x: Value, y: Value) -> Value:
        return self._binary("udiv", x, y)

    def srem(self, x: Value, y: Value) -> Value:
        return self._binary("srem", x, y)

    def urem(self, x: Value, y: Value) -> Value:
        return self._binary("urem", x, y)

    def neg(self, x: Value) -> Value:
        if x.type.is_float:
            return self.pure(x.type, f"fneg {x.typed}")
        return self.sub(constant(x.type, 0), x)

    def fma(self, x: Value, y: Value, z: Value) -> Value:
        """x * y + z with one rounding."""
        return self.intrinsic("fma", x, y, z)

    def abs(self, x: Value) -> Value:
        if x.type.is_float:
            return self.intrinsic("fabs", x)
        return self._pure_call(f"llvm.abs.{x.type.suffix}", x.type, [x, constant(I1, 0)])

    def sqrt(self, x: Value) -> Value:
        return self.intrinsic("sqrt", x)

    def copysign(self, x: Value, sign: Value) -> Value:
        return self.intrinsic("copysign", x, sign)

    def round_even(self, x: Value) -> Value:
        """To the nearest integer, ties to even (NumPy's rint)."""
        return self.intrinsic("rint", x)

    def floor(self, x: Value) -> Value:
        return self.intrinsic("floor", x)

    def ceil(self, x: Value) -> Value:
        return self.intrinsic("ceil", x)

    def trunc_to_integer(self, x: Value) -> Value:
        return self.intrinsic("trunc", x)

    # Bits and logic.

    def and_(self, x: Value, y: Value) -> Value:
        for one, other in ((x, y), (y, x)) if x.type is I1 else ():
            if one.is_constant:
                return other if number(one) else one
        return self._binary("and", x, y)

    def or_(self, x: Value, y: Value) -> Value:
        for one, other in ((x, y), (y, x)) if x.type is I1 else ():
            if one.is_constant:
                return one if number(one) else other
        return self._binary("or", x, y)

    def xor(self, x: Value, y: Value) -> Value:
        return self._binary("xor", x, y)

    def not_(self, x: Value) -> Value:
        return self.xor(x, constant(x.type, -1 if x.type.lane != "i1" else True))

    def shl(self, x: Value, n: Value) -> Value:
        return self._binary("shl", x, n)

    def lshr(self, x: Value, n: Value) -> Value:
        return self._binary("lshr", x, n)

    def ashr(self, x: Value, n: Value) -> Value:
        return self._binary("ashr", x, n)

    def _compare(self, x: Value, y: Value, ordered: str, integer: str) -> Value:
        assert x.type is y.type, (x, y)
        if not x.type.is_float:
            known = self.module.ranges.compared(integer, x, y)
            if known is not None:
                return constant(I1, known)
        name = f"fcmp {ordered}" if x.type.is_float else f"icmp {integer}"
        return self.pure(x.type.mask, f"{name} {x.typed}, {y.text}")

    def equal(self, x: Value, y: Value) -> Value:
        return self._compare(x, y, "oeq", "eq")

    def not_equal(self, x: Value, y: Value) -> Value:
        """True too where either is NaN."""
        return self._compare(x, y, "une", "ne")

    def less(self, x: Value, y: Value, *, signed: bool = True) -> Value:
        return self._compare(x, y, "olt", "slt" if signed else "ult")

    def less_equal(self, x: Value, y: Value, *, signed: bool = True) -> Value:
        return self._compare(x, y, "ole", "sle" if signed else "ule")

    def greater(self, x: Value, y: Value, *, signed: bool = True) -> Value:
        return self._compare(x, y, "ogt", "sgt" if signed else "ugt")

    def greater_equal(self, x: Value, y: Value, *, signed: bool = True) -> Value:
        return self._compare(x, y, "oge", "sge" if signed else "uge")

    def is_nan(self, x: Value) -> Value:
        return self.pure(x.type.mask, f"fcmp uno {x.typed}, {x.text}")

    def select(self, condition: Value, x: Value, y: Value) -> Value:
        assert x.type is y.type and condition.type.lanes in (1, x.type.lanes), (condition, x, y)
        if condition.type is I1 and condition.is_constant:
            return x if number(condition) else y
        result = self.pure(x.type, f"select {condition.typed}, {x.typed}, {y.typed}")
        self.module.ranges.choice(x, y, result)
        return result

    # Conversions.

    def _cast(self, name: str, x: Value, type: Type) -> Value:
        return x if x.type is type else self.pure(type, f"{name} {x.typed} to {type.text}")

    def bitcast(self, x: Value, type: Type) -> Value:
        return self._cast("bitcast", x, type)

    def bits_of(self, x: Value) -> Value:
        """The bits of floats as integers of the same width."""
        return self.bitcast(x, x.type.integer)

    def sitofp(self, x: Value, type: Type) -> Value:
        return self._cast("sitofp", x, type)

    def uitofp(self, x: Value, type: Type) -> Value:
        return self._cast("uitofp", x, type)

    def fptosi(self, x: Value, type: Type) -> Value:
        """Toward zero; undefined outside the range (`saturating` is defined everywhere)."""
        return self._cast("fptosi", x, type)

    def saturating(self, x: Value, type: Type, *, signed: bool = True) -> Value:
        """Float to integer, clamped to the range, NaN to 0."""
        name = "fptosi" if signed else "fptoui"
        return self._pure_call(f"llvm.{name}.sat.{type.suffix}.{x.type.suffix}", type, [x])

    def sext(self, x: Value, type: Type) -> Value:
        result = self._cast("sext", x, type)
        self.module.ranges.choice(x, x, result)
        return result

    def zext(self, x: Value, type: Type) -> Value:
        result = self._cast("zext", x, type)
        if type.lanes == 1 and x.type.bits < 64:
            self.module.ranges.note(result, 0, (1 << x.type.bits) - 1)
        return result

    def truncate(self, x: Value, type: Type) -> Value:
        return self._cast("trunc", x, type)

    def fpext(self, x: Value, type: Type) -> Value:
        return self._cast("fpext", x, type)

    def fptrunc(self, x: Value, type: Type) -> Value:
        return self._cast("fptrunc", x, type)

    # Memory.

    def alloca(self, type: Type, count: int = 1, align: int = 64) -> Value:
        """Room on the stack, reserved once on entry wherever it is asked for."""
        name = self.new_name(PTR)
        self.opening.append(f"  {name} = alloca [{count} x {type}], align {align}")
        return Value(PTR, name)

    def offset(self, base: Value, index: Value | int, type: Type = I8) -> Value:
        """The address `index` elements of the type behind base."""
        at = index if isinstance(index, Value) else constant(I64, index)
        if at.text == "0":
            return base
        return self.pure(PTR, f"getelementptr inbounds {type.lane}, {base.typed}, {at.typed}")

    def step(self, base: Value, index: Value, type: Type) -> Value:
        """The same, where base or the result may be outside of the array."""
        if index.text == "0":
            return base
        return self.pure(PTR, f"getelementptr {type.lane}, {base.typed}, {index.typed}")

    def load(self, type: Type, address: Value, align: int | None = None) -> Value:
        return self.op(type, f"load {type.text}, {address.typed}, align {align or type.bytes}")

    def store(self, x: Value, address: Value, align: int | None = None) -> None:
        self.here.lines.append(f"  store {x.typed}, {address.typed}, align {align or x.type.bytes}")

    def masked_load(self, type: Type, address: Value, mask: Value) -> Value:
        """Lanes under the mask are read, the others are 0."""
        name = f"llvm.masked.load.{type.suffix}.p0"
        return self.call(
            name, type,
            [address, constant(I32, type.bytes), mask, constant(type, 0)],
        )

    def masked_store(self, x: Value, address: Value, mask: Value) -> None:
        name = f"llvm.masked.store.{x.type.suffix}.p0"
        self.call(name, VOID, [x, address, constant(I32, x.type.bytes), mask])

    def gather(self, type: Type, base: Value, index: Value, mask: Value | None = None) -> Value:
        """Element `index[lane]` behind base, lane by lane; lanes off the mask are 0."""
        if type.lanes == 1:
            return self.load(type, self.offset(base, index, type))
        pointers = self.pure(
            PTR.vector(type.lanes), f"getelementptr {type.lane}, {base.typed}, {index.typed}"
        )
        mask = mask or constant(type.mask, True)
        name = f"llvm.masked.gather.{type.suffix}.v{type.lanes}p0"
        return self.call(
            name, type, [pointers, constant(I32, type.bytes), mask, constant(type, 0)]
        )

    # Calls.

    def _call_text(self, name: str, result: Type, args: Sequence[Value], fast: str = "") -> str:
        """The text of a call; what it calls is declared on the way."""
        if name not in self.module.declarations and name not in self.module.defined:
            self.module.declare(name, result, [x.type for x in args])
        return f"call {fast}{result.text} @{name}({', '.join([x.typed for x in args])})"

    def _written(self, result: Type, text: str) -> Value:
        if result is VOID:
            self.here.lines.append("  " + text)
            return Value(VOID, "void")
        return self.op(result, text)

    def call(self, name: str, result: Type, args: Sequence[Value]) -> Value:
        """Call a function by name; an intrinsic or external is declared on the way."""
        return self._written(result, self._call_text(name, result, args))

    def call_pointer(self, address: Value, result: Type, args: Sequence[Value]) -> Value:
        """Call through a function pointer."""
        arguments = ", ".join([x.typed for x in args])
        return self._written(result, f"call {result.text} {address.text}({arguments})")

    def _pure_call(self, name: str, result: Type, args: Sequence[Value], fast: str = "") -> Value:
        """Call an intrinsic that only computes."""
        return self.pure(result, self._call_text(name, result, args, fast))

    def intrinsic(self, name: str, *args: Value) -> Value:
        """An LLVM intrinsic that only computes, whose result and operands share one type."""
        type = args[0].type
        return self._pure_call(f"llvm.{name}.{type.suffix}", type, args)

    def reduce(self, name: str, x: Value) -> Value:
        """Across the lanes by llvm.vector.reduce: add, mul, fadd, fmul, smax, fmax, and, or, ..."""
        if x.type.lanes == 1:
            return x
        intrinsic = f"llvm.vector.reduce.{name}.{x.type.suffix}"
        if name in ("fadd", "fmul"):
            start = constant(x.type.scalar, -0.0 if name == "fadd" else 1.0)
            return self._pure_call(intrinsic, x.type.scalar, [start, x], "reassoc ")
        return self._pure_call(intrinsic, x.type.scalar, [x])

    def scatter(self, x: Value, base: Value, index: Value, mask: Value | None = None) -> None:
        """Store lane by lane at element `index[lane]` behind base, under the mask."""
        if x.type.lanes == 1:
            self.store(x, self.offset(base, index, x.type))
            return
        pointers = self.pure(
            PTR.vector(x.type.lanes), f"getelementptr {x.type.lane}, {base.typed}, {index.typed}"
        )
        mask = mask or constant(x.type.mask, True)
        name = f"llvm.masked.scatter.{x.type.suffix}.v{x.type.lanes}p0"
        self.call(name, VOID, [x, pointers, constant(I32, x.type.bytes), mask])
