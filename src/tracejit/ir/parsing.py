"""Text to jaxprs: reads what `printing` prints.

    program  = "fn" "(" [binder {"," binder}] ")" "->" results "{" {equation} return "}"
    results  = type | "(" [type {"," type}] ")"
    equation = binders "=" name "(" [operand {"," operand}] {"," name "=" value} ")"
    binders  = "_" | binder {"," binder}
    binder   = %name ":" type                       such as %0: f64[3,4]
    operand  = %name | number [":" type]            1.0, -3, inf, nan, true; see printing
    return   = "return" [result {"," result}]       with result = %name | number
    value    = "none" | "true" | "false" | number | string | dtype | type | program
             | "(" [value {"," value}] ")"          a tuple; of one, (value,)

Names are free and end with their `fn`; printing numbers them. Types of equations are not checked
here but by `check.verify`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Container
from typing import Any, NoReturn, TypeVar

import numpy as np

from tracejit.errors import IRSyntaxError, did_you_mean
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.printing import deduce_type, kind_of_number
from tracejit.ir.types import (
    DTYPE_NAMES,
    DTYPES,
    FLOAT0,
    TAPE,
    ArrayType,
    array_type,
    bfloat16,
    kind_of,
)

T = TypeVar("T")

_OTHERS = {DTYPE_NAMES[dtype]: dtype for dtype in (FLOAT0, TAPE)}
_SIZE = r"(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|(?:inf|nan)(?!\w(?<!j)))"
_TOKEN = re.compile(
    rf"""(?:\s+|//[^\n]*)*(?:
      (?P<type>[a-z]\w*\[[\d,]*\])
    | (?P<var>%\??\w+)
    | (?P<number>-?{_SIZE}(?:[+-]{_SIZE}j)?|(?:true|false)\b)
    | (?P<word>[A-Za-z_]\w*)
    | (?P<string>"(?:\\.|[^"\\\n])*")
    | (?P<mark>->|[(){{}}:,=])
    | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
#: How numbers of a kind of dtype are read, if not by int.
_READ: dict[str, Callable[[str], Any]] = {"f": float, "c": complex}
_CONSTANTS = {"none": None, "true": True, "false": False}


def parse(text: str) -> Jaxpr:
    """Read a jaxpr.

    Raises IRSyntaxError, with line and column, for text that is none; for primitives that do not
    exist; and for variables that are bound nowhere before, or twice. `parse(str(jaxpr))` prints as
    `jaxpr` and runs to the same values, unless a parameter is no data.
    """
    parser = _Parser(text)
    jaxpr = parser.program()
    parser.expect_end()
    return jaxpr


def dtype_named(name: str) -> np.dtype | None:
    """The dtype that texts call so, if there is one."""
    return bfloat16() if name == "bf16" else DTYPES.get(name) or _OTHERS.get(name)


class _Parser:
    """A cursor on the text. `kind` and `token` are the next token, `at` is where it begins."""

    kind: str
    token: str
    at: int

    def __init__(self, text: str):
        self.text = text
        self.end = 0
        self.advance()

    # Tokens.

    def advance(self) -> str:
        """Step over the next token; gives what it was."""
        taken = self.token if self.end else ""
        match = _TOKEN.match(self.text, self.end)
        if match is None or match.lastgroup is None:
            self.at = self.skip_space()
            if self.text[self.at] == "<":
                self.fail("a parameter that is no data cannot be read back")
            self.fail(f"there is no token that begins with {self.text[self.at]!r}")
        self.kind = match.lastgroup
        self.token = match[self.kind]
        self.at = match.start(self.kind)
        self.end = match.end()
        return taken

    def skip_space(self) -> int:
        match = re.compile(r"(?:\s+|//[^\n]*)*").match(self.text, self.end)
        assert match is not None
        return match.end()

    def fail(self, what: str, hint: str = "", at: int | None = None) -> NoReturn:
        """Raise with line, column and a caret below the place."""
        at = self.at if at is None else at
        begin = self.text.rfind("\n", 0, at) + 1
        line = self.text[begin:].partition("\n")[0]
        number, column = self.text.count("\n", 0, at) + 1, at - begin + 1
        where = f"line {number}, column {column}\n    {line}\n    {' ' * (at - begin)}^"
        raise IRSyntaxError(what, where=where, hint=hint)

    def expect(self, token: str) -> None:
        if self.token != token or self.kind == "string":
            self.fail(f"expected `{token}`, found {self.found()}")
        self.advance()

    def expect_kind(self, kind: str, what: str) -> str:
        if self.kind != kind:
            self.fail(f"expected {what}, found {self.found()}")
        return self.advance()

    def expect_end(self) -> None:
        if self.kind != "end":
            self.fail(f"expected the end of the text, found {self.found()}")

    def found(self) -> str:
        return "the end of the text" if self.kind == "end" else f"`{self.token}`"

    def accept(self, token: str) -> bool:
        """Step over a mark or word, if it is next."""
        if self.token != token or self.kind not in ("mark", "word"):
            return False
        self.advance()
        return True

    def listed(self, item: Callable[[], T], closing: str) -> list[T]:
        """Items between commas, up to the closing mark, which is stepped over."""
        items: list[T] = []
        while not self.accept(closing):
            if items:
                self.expect(",")
            items.append(item())
        return items

    # Programs.

    def program(self) -> Jaxpr:
        """`fn (...) -> ... { ... }`, with a scope of its own."""
        scope: dict[str, Var] = {}
        self.expect("fn")
        self.expect("(")
        invars = self.listed(lambda: self.binder(scope), ")")
        self.expect("->")
        types = self.listed(self.type, ")") if self.accept("(") else [self.type()]
        self.expect("{")
        equations = []
        while not self.accept("return"):
            if self.token == "}":
                self.fail("expected `return`, found `}`")
            equations.append(self.equation(scope))
        results: list[Atom] = []
        at = self.at
        while not self.accept("}"):
            if results:
                self.expect(",")
            if len(results) == len(types):
                self.fail(f"the head says {len(types)} results, here is one more")
            results.append(self.result(scope, types[len(results)]))
        if len(results) != len(types):
            self.fail(f"the head says {len(types)} results, here are {len(results)}", at=at)
        return Jaxpr(tuple(invars), tuple(equations), tuple(results))

    def type(self) -> ArrayType:
        at = self.at
        name, _, shape = self.expect_kind("type", "a type such as f64[3,4]").partition("[")
        dtype = dtype_named(name)
        if dtype is None:
            self.fail(f"there is no dtype {name}", did_you_mean(name, DTYPES), at)
        sizes = shape[:-1].split(",") if shape != "]" else []
        if not all(sizes):
            self.fail(f"there is no shape [{shape}", at=at)
        return array_type(dtype, tuple(map(int, sizes)))

    def binder(self, scope: dict[str, Var], outer: Container[str] = ()) -> Var:
        """Bind a variable in `scope`; its name must be new there and in `outer`."""
        at = self.at
        name = self.expect_kind("var", "a variable such as %0")
        if name in scope or name in outer:
            self.fail(f"{name} is bound twice", at=at)
        self.expect(":")
        var = scope[name] = Var(self.type())
        return var

    def variable(self, scope: dict[str, Var]) -> Var:
        if self.token not in scope:
            self.fail(f"{self.token} is not bound here", did_you_mean(self.token, scope))
        return scope[self.advance()]

    def result(self, scope: dict[str, Var], type: ArrayType) -> Atom:
        if self.kind != "var":
            return self.literal(type)
        at, var = self.at, self.variable(scope)
        if var.type != type:
            self.fail(f"the head says {type}, this is {var.type}", at=at)
        return var

    def literal(self, type: ArrayType, number: tuple[str, int] | None = None) -> Literal:
        """A number of a known type; the next token, unless given with its place."""
        at = self.at
        if number is None:
            token = self.expect_kind("number", "a variable or a number")
        else:
            token, at = number
        kind = kind_of(type.dtype)
        wanted = {"b": "b", "f": "fi", "c": "cfi"}.get(kind, "i")
        if kind_of_number(token) not in wanted:
            self.fail(f"{token} is no {DTYPE_NAMES[type.dtype]}", at=at)
        if kind == "b":
            return Literal(token == "true", type)
        return Literal(_READ.get(kind, int)(token), type)

    # Equations.

    def equation(self, scope: dict[str, Var]) -> Equation:
        bound: dict[str, Var] = {}  # not in scope on the right
        if not self.accept("_"):
            self.binder(bound, scope)
            while self.accept(","):
                self.binder(bound, scope)
        outvars = list(bound.values())
        self.expect("=")
        at = self.at
        name = self.expect_kind("word", "the name of a primitive")
        if name not in Primitive.registry:
            hint = did_you_mean(name, Primitive.registry)
            self.fail(f"there is no primitive {name!r}", hint if len(hint) < 80 else "", at)
        primitive = Primitive.registry[name]
        self.expect("(")
        operands: list[Any] = []
        params = dict(primitive.defaults)
        self.listed(lambda: self.argument(scope, operands, params), ")")
        inputs = [self.deduced(x, operands, outvars) for x in operands]
        scope.update(bound)
        return Equation(primitive, tuple(inputs), params, tuple(outvars))

    def argument(self, scope: dict[str, Var], operands: list[Any], params: dict[str, Any]) -> None:
        """Take an operand (a literal without type as text and place) or a parameter."""
        at = self.at
        if self.kind == "word":
            name = self.advance()
            self.expect("=")
            params[name] = self.value()
        elif self.kind == "var":
            operands.append(self.variable(scope))
        else:
            token = self.expect_kind("number", "an operand or a parameter")
            typed = self.accept(":")
            operands.append(self.literal(self.type(), (token, at)) if typed else (token, at))

    def deduced(self, x: Any, operands: list[Any], outvars: list[Var]) -> Atom:
        """The operand; a literal without type with the type that printing left out."""
        if isinstance(x, Atom):
            return x
        token, at = x
        type = deduce_type(kind_of_number(token), operands, [v.type for v in outvars])
        if type is None:
            dtype = {"b": "bool", "i": "i64", "f": "f64", "c": "c128"}[kind_of_number(token)]
            hint = f"write it behind the number, as in {token}: {dtype}[]"
            self.fail(f"no other operand and no result says the type of {token}", hint, at)
        return self.literal(type, x)

    # Parameters.

    def value(self) -> Any:
        match self.kind:
            case "number":
                token = self.advance()
                if token in _CONSTANTS:
                    return _CONSTANTS[token]
                return _READ.get(kind_of_number(token), int)(token)
            case "string":
                return json.loads(self.advance())
            case "type":
                return self.type()
            case "word" if self.token == "fn":
                return self.program()
            case "word" if self.token in _CONSTANTS:
                return _CONSTANTS[self.advance()]
            case "word" if (dtype := dtype_named(self.token)) is not None:
                self.advance()
                return dtype
        if self.accept("("):
            return self.tuple()
        self.fail(f"expected the value of a parameter, found {self.found()}")

    def tuple(self) -> Any:
        """Behind the opening parenthesis; `(3)` is read as 3."""
        items: list[Any] = []
        while not self.accept(")"):
            items.append(self.value())
            comma = self.accept(",")
            if not comma:
                self.expect(")")
                return items[0] if len(items) == 1 else tuple(items)
        return tuple(items)
