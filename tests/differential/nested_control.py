"""Random small programs of nested loops and branches, as Python text that runs here and under JAX.

    text = Writer(seed).program()      # def program(lib, xp, x, v, w, n): ...

`lib` has cond, switch, scan, while_loop, fori_loop, map, associative_scan; jit, checkpoint, and
slots (checkpoint with so many slots). Numbers are scalars, vectors of 3 and small integers; they
stay in a range where rounding does not grow.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: No loop without a known number of rounds has more.
MOST = 6


@dataclass
class Scope:
    """The names that may be read, by kind: s scalar, v vector, i integer below 6."""

    s: list[str] = field(default_factory=list)
    v: list[str] = field(default_factory=list)
    i: list[str] = field(default_factory=list)

    def copy(self) -> Scope:
        return Scope([*self.s], [*self.v], [*self.i])

    def add(self, kind: str, name: str) -> None:
        getattr(self, kind).append(name)


SCALARS = [
    "xp.sin({s} * {t})", "xp.tanh({s} + {t})", "0.5 * {s} - 0.4 * {t} + 0.1", "{s} * 0.9",
    "xp.cos({s}) * 0.7", "xp.where({p}, {s}, 0.5 * {t})", "xp.sum({v}) / 3", "{v}[0]",
    "xp.sum({v} * {u}) / 4", "lax.dynamic_index_in_dim({v}, {i}, keepdims=False)",
    "xp.tanh({s} * {i})", "0.3", "{s} / (1.5 + {t} * {t})",
]  # fmt: skip
VECTORS = [
    "xp.sin({v})", "xp.tanh({v} * {s})", "0.6 * {v} - 0.3 * {u}", "{v}[::-1]",
    "xp.where({v} > {u}, {v}, {s})", "xp.stack([{s}, {t}, 0.2])", "xp.cumsum({v}) * 0.4",
    "lax.dynamic_update_slice({v}, xp.stack([{s}]), ({i},))", "xp.cos({v} + {s}) * 0.8",
    "lax.dynamic_update_slice({v}, {u}[1:], ({i},))",
]  # fmt: skip
INTEGERS = ["{i}", "({i} + 1) % 4", "xp.where({p}, {i}, 2)", "({i} * {j} + 1) % 3"]
PREDICATES = [
    "{s} > {c}", "xp.sum({v}) < {c}", "{i} > 1", "({s} > {c}) & ({t} < 0.6)", "xp.any({v} > {c})",
]  # fmt: skip
ASSOCIATIVE = [
    ("lambda a, b: a + b", "{v}", "0.4 * {r}"),
    ("lambda a, b: a * b", "{v}", "xp.tanh({r})"),
    ("lambda a, b: (a[0] * b[0], a[1] * b[0] + b[1])", "(xp.sin({v}), {u})", "xp.tanh({r}[1])"),
    ("lambda a, b: {{'m': a['m'] + b['m']}}", "{{'m': xp.stack([{v}, {u}])}}",
     "0.5 * {r}['m'][0]"),
]  # fmt: skip


class Writer:
    """Writes one program; the same for the same seed."""

    def __init__(self, seed: int, depth: int = 3, tapes: bool = True):
        self.rng = random.Random(seed)
        self.depth, self.tapes = depth, tapes
        self.lines: list[str] = []
        self.indent = 1
        self.names = 0

    def program(self) -> str:
        """The text of `program(lax, xp, x, v, w, n)`, which returns a dict."""
        scope = Scope(["x"], ["v", "w"], ["n"])
        self.statement(scope, self.depth)
        self.block(scope, self.depth - 1)
        s, v = " + ".join(scope.s), " + ".join(scope.v)
        self.line(f"return {{'s': {s}, 'v': ({v},), 'i': {scope.i[-1]}}}")
        return "\n".join(["def program(lax, xp, x, v, w, n):", *self.lines, ""])

    # Text.

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    def new(self, kind: str) -> str:
        self.names += 1
        return f"{kind}{self.names}"

    def expr(self, kind: str, scope: Scope) -> str:
        """An expression, of names that were made lately rather than long ago."""
        pick = self.recent
        known = {
            "s": pick(scope.s), "t": pick(scope.s), "v": pick(scope.v), "u": pick(scope.v),
            "i": pick(scope.i), "j": pick(scope.i), "c": f"{self.rng.uniform(-0.3, 0.6):.2f}",
        }  # fmt: skip
        known["p"] = self.rng.choice(PREDICATES).format(**known)
        return self.rng.choice(EXPRESSIONS[kind]).format(**known)

    def recent(self, names: Sequence[str]) -> str:
        return names[-1] if self.rng.random() < 0.5 else self.rng.choice(names)

    def kinds(self, least: int, most: int, of: str = "ssvvi") -> list[str]:
        return [self.rng.choice(of) for _ in range(self.rng.randint(least, most))]

    def packed(self, n: int) -> tuple[str, list[str]]:
        """A pytree of n leaves: a format, and how each leaf is reached."""
        if n == 1 and self.rng.random() < 0.5:
            return "{}", [""]
        if n > 2 and self.rng.random() < 0.5:
            inner, paths = self.packed(n - 1)
            return f"({inner}, {{}})", [*(f"[0]{p}" for p in paths), "[1]"]
        if self.rng.random() < 0.3:
            keys = [f"'k{9 - i}'" for i in range(n)]
            return "{{" + ", ".join(f"{k}: {{}}" for k in keys) + "}}", [f"[{k}]" for k in keys]
        return "(" + "{}, " * n + ")", [f"[{i}]" for i in range(n)]

    def unpack(self, source: str, paths: Sequence[str], kinds: Sequence[str], scope: Scope) -> None:
        for path, kind in zip(paths, kinds, strict=True):
            name = self.new(kind)
            self.line(f"{name} = {source}{path}")
            scope.add(kind, name)

    def function(self, head: str, scope: Scope, write: Callable[[Scope], str]) -> None:
        """`def head: ... return write(scope)`; what is inside reads the names around."""
        inner = scope.copy()
        self.line(f"def {head}:")
        self.indent += 1
        result = write(inner)
        self.line(f"return {result}")
        self.indent -= 1

    def results(self, kinds: Sequence[str], scope: Scope) -> list[str]:
        return [self.expr(kind, scope) for kind in kinds]

    # Statements.

    def block(self, scope: Scope, depth: int) -> None:
        """One or two statements; deeper ones hold less."""
        for _ in range(self.rng.choice((1, 1, 2))):
            if depth == 0 or self.rng.random() < 0.15:
                kind = self.rng.choice("sv")
                name = self.new(kind)
                self.line(f"{name} = {self.expr(kind, scope)}")
                scope.add(kind, name)
            else:
                self.statement(scope, depth)

    def statement(self, scope: Scope, depth: int) -> None:
        """A loop or a branch."""
        choice = self.rng.choice(STATEMENTS if self.tapes else STATEMENTS[:-2])
        choice(self, scope, depth - 1)

    def cond(self, scope: Scope, depth: int) -> None:
        pred = self.rng.choice(PREDICATES)
        self.branches(scope, depth, 2, lambda funs: f"lax.cond({self.filled(pred, scope)}, {funs}")

    def filled(self, text: str, scope: Scope) -> str:
        pick = self.rng.choice
        return text.format(
            s=pick(scope.s), t=pick(scope.s), v=pick(scope.v), u=pick(scope.v), i=pick(scope.i),
            c=f"{self.rng.uniform(-0.3, 0.6):.2f}",
        )  # fmt: skip

    def switch(self, scope: Scope, depth: int) -> None:
        index = self.expr("i", scope)
        if self.rng.random() < 0.5:
            index = self.filled("xp.where({s} > {c}, 2, 0) - xp.where({t} > 0.3, 1, 0)", scope)
        n = self.rng.randint(2, 3)
        self.branches(scope, depth, n, lambda funs: f"lax.switch({index}, [{funs}]")

    def branches(self, scope: Scope, depth: int, count: int, call: Callable[[str], str]) -> None:
        """Functions of alike results, and the call that takes one of them."""
        kinds = self.kinds(1, 2)
        form, paths = self.packed(len(kinds))
        operands = self.kinds(0, 2, "sv")
        given = [self.recent(getattr(scope, k)) for k in operands]
        taken = [self.new(k) for k in operands]
        funs = [self.new("f") for _ in range(count)]

        def write(inner: Scope) -> str:
            for kind, name in zip(operands, taken, strict=True):
                inner.add(kind, name)
            self.block(inner, depth)
            return form.format(*self.results(kinds, inner))

        for fun in funs:
            self.function(f"{fun}({', '.join(taken)})", scope, write)
        out = self.new("r")
        rest = "".join(f", {x}" for x in given)
        self.line(f"{out} = {call(', '.join(funs))}{rest})")
        self.unpack(out, paths, kinds, scope)

    def scan(self, scope: Scope, depth: int) -> None:
        carries, outs = self.kinds(1, 3), self.kinds(0, 2)
        form, paths = self.packed(len(carries))
        out_form, out_paths = self.packed(len(outs)) if outs else ("None", [])
        init = form.format(*self.results(carries, scope))
        rows, row_kinds, length, options = self.rows(scope)
        step, c, r = self.new("f"), self.new("c"), self.new("r")

        def write(inner: Scope) -> str:
            self.unpack(c, paths, carries, inner)
            self.unpack(r, row_kinds[1], row_kinds[0], inner)
            self.block(inner, depth)
            after = form.format(*self.results(carries, inner))
            return f"{after}, {out_form.format(*self.results(outs, inner))}"

        self.function(f"{step}({c}, {r})", scope, write)
        final, ys = self.new("r"), self.new("y")
        self.line(f"{final}, {ys} = lax.scan({step}, {init}, {rows}{options})")
        self.unpack(final, paths, carries, scope)
        for path, kind in zip(out_paths, outs, strict=True):
            self.stacked(f"{ys}{path}", kind, length, scope)

    def rows(self, scope: Scope) -> tuple[str, tuple[list[str], list[str]], int, str]:
        """xs of a scan: text, kinds and paths of a row, the number of rows, options."""
        reverse = ", reverse=True" if self.rng.random() < 0.4 else ""
        unroll = ", unroll=2" if self.rng.random() < 0.2 else ""
        v, u = self.recent(scope.v), self.recent(scope.v)
        text, kinds, paths, length = self.rng.choice([
            ("None", [], [], self.rng.choice((1, 2, 4))),
            (v, ["s"], [""], 3),
            (f"({v}, {u})", ["s", "s"], ["[0]", "[1]"], 3),
            (f"{{'a': xp.stack([{v}, {u}]), 'b': {v}[:2]}}", ["v", "s"], ["['a']", "['b']"], 2),
            (f"{v}[:0]", ["s"], [""], 0),
        ])  # fmt: skip
        counted = f", length={length}" if not kinds else ""
        return text, (kinds, paths), length, counted + reverse + unroll

    def stacked(self, ys: str, kind: str, length: int, scope: Scope) -> None:
        """What is stacked becomes a name of some kind."""
        name, to = self.new(kind), kind
        if kind == "s" and length == 3:
            text, to = ys, "v"
        elif kind == "i":
            text = f"xp.sum({ys}) % 4"
        else:
            text = f"xp.sum({ys}, axis=0) * 0.3"
        self.line(f"{name} = {text}")
        scope.add(to, name)

    def fori(self, scope: Scope, depth: int) -> None:
        low = self.rng.randint(-1, 2)
        self.counted(scope, depth, f"{low}, {low + self.rng.choice((0, 1, 2, 3))}")

    def fori_traced(self, scope: Scope, depth: int) -> None:
        low = self.rng.choice(["0", "1", self.recent(scope.i)])
        self.counted(scope, depth, f"{low}, {self.recent(scope.i)}")

    def counted(self, scope: Scope, depth: int, bounds: str) -> None:
        carries = self.kinds(1, 3)
        form, paths = self.packed(len(carries))
        step, i, c = self.new("f"), self.new("i"), self.new("c")

        def write(inner: Scope) -> str:
            self.unpack(c, paths, carries, inner)
            inner.add("i", i)
            self.block(inner, depth)
            return form.format(*self.results(carries, inner))

        self.function(f"{step}({i}, {c})", scope, write)
        out, init = self.new("r"), form.format(*self.results(carries, scope))
        self.line(f"{out} = lax.fori_loop({bounds}, {step}, {init})")
        self.unpack(out, paths, carries, scope)

    def while_loop(self, scope: Scope, depth: int) -> None:
        carries = ["i", *self.kinds(1, 3)]
        form, paths = self.packed(len(carries))
        more, step, c = self.new("f"), self.new("f"), self.new("c")
        most = self.rng.choice(["0", "2", "4", self.recent(scope.i)])

        def test(inner: Scope) -> str:
            self.unpack(c, paths, carries, inner)
            count = inner.i[len(scope.i)]
            return f"({count} < {most}) & ({self.filled(self.rng.choice(PREDICATES), inner)})"

        def write(inner: Scope) -> str:
            self.unpack(c, paths, carries, inner)
            count = inner.i[len(scope.i)]
            self.block(inner, depth)
            return form.format(f"{count} + 1", *self.results(carries[1:], inner))

        self.function(f"{more}({c})", scope, test)
        self.function(f"{step}({c})", scope, write)
        out, init = self.new("r"), form.format("0", *self.results(carries[1:], scope))
        self.line(f"{out} = lax.while_loop({more}, {step}, {init})")
        self.unpack(out, paths, carries, scope)

    def map(self, scope: Scope, depth: int) -> None:
        fun, r, out = self.new("f"), self.new("s"), self.new("v")

        def write(inner: Scope) -> str:
            inner.add("s", r)
            self.block(inner, depth)
            return self.expr("s", inner)

        self.function(f"{fun}({r})", scope, write)
        self.line(f"{out} = xp.ones(3) * lax.map({fun}, {self.recent(scope.v)})")
        scope.add("v", out)

    def associative(self, scope: Scope, depth: int) -> None:
        fun, elems, result = self.rng.choice(ASSOCIATIVE)
        r, out = self.new("r"), self.new("v")
        last = ", axis=1" if "stack" in elems else ""
        reverse = ", reverse=True" if self.rng.random() < 0.5 else ""
        elems = elems.format(v=self.recent(scope.v), u=self.recent(scope.v))
        self.line(f"{r} = lax.associative_scan({fun.format()}, {elems}{last}{reverse})")
        self.line(f"{out} = {result.format(r=r)}")
        scope.add("v", out)

    def call(self, scope: Scope, depth: int) -> None:
        """A function of its own, jitted or checkpointed."""
        kind = self.rng.choice("sv")
        fun, taken, out = self.new("f"), self.new("v"), self.new(kind)

        def write(inner: Scope) -> str:
            inner.add("v", taken)
            self.block(inner, depth)
            return self.expr(kind, inner)

        self.function(f"{fun}({taken})", scope, write)
        how = self.rng.choice(["jit", "checkpoint", "slots"])
        self.line(f"{out} = lax.{how}({fun})({self.recent(scope.v)})")
        scope.add(kind, out)


EXPRESSIONS = {"s": SCALARS, "v": VECTORS, "i": INTEGERS}
#: The last two have no known number of rounds.
STATEMENTS = [
    Writer.cond, Writer.switch, Writer.scan, Writer.scan, Writer.fori, Writer.map,
    Writer.associative, Writer.call, Writer.while_loop, Writer.fori_traced,
]  # fmt: skip
