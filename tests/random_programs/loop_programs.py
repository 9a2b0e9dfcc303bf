"""Random programs of plain NumPy: loops, branches, assignments, views, helpers; as source text.

    source, shapes = write(7)
    f = load(source, folder)           # a function of a module of its own
    f(*arguments(7, shapes))           # what it returns are its variables at the end

Programs are written so that no index is out of range, and so that values stay small.
"""

from __future__ import annotations

import importlib.util
import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Shape = tuple[int, ...]
_counter = itertools.count()

HEADER = '''\
import numpy as np


class State:
    def __init__(self, v):
        self.v = v
        self.count = 0


def damp(x, s):
    """Writes into its argument."""
    for i in range(len(x)):
        x[i] = 0.5 * x[i] + 0.1 * s
    return x[0] + s


def early(x, s):
    if s > 0.2:
        return np.tanh(s)
    x[-1] += 0.5
    return 0.5 * s - x[0]


def parts(x):
    left, right = x[: len(x) // 2], x[len(x) // 2 :]
    return left.sum(), right.sum()


'''


@dataclass(frozen=True)
class Kind:
    """What a variable is: f, i or b, and its shape."""

    dtype: str
    shape: Shape


class Writer:
    """Writes one program."""

    def __init__(self, seed: int):
        self.r = random.Random(seed)
        self.lines: list[str] = []
        self.depth = 1
        self.scopes: list[dict[str, Kind]] = [{}]
        self.indices: dict[str, tuple[int, int]] = {}
        self.names = itertools.count()
        self.loops: list[str] = []
        self.budget = 26

    # The pieces of source text.

    def put(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def new(self, prefix: str) -> str:
        return f"{prefix}{next(self.names)}"

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.put(head)
        self.depth += 1
        self.scopes.append({})
        at = len(self.lines)
        yield
        if len(self.lines) == at:
            self.put("pass")
        self.scopes.pop()
        self.depth -= 1

    def define(self, name: str, kind: Kind) -> None:
        self.scopes[-1][name] = kind

    def of(self, dtype: str, rank: int | None = None, shape: Shape | None = None) -> list[str]:
        """The variables of a kind that have a value here."""
        return [
            name for scope in self.scopes for name, k in scope.items()
            if k.dtype in dtype
            and (rank is None or len(k.shape) == rank) and (shape is None or k.shape == shape)
        ]  # fmt: skip

    def kind(self, name: str) -> Kind:
        return next(s[name] for s in reversed(self.scopes) if name in s)

    def chance(self, p: float) -> bool:
        return self.r.random() < p

    # Expressions.

    def place(self, n: int) -> str:
        """An index below n, perhaps from the indices of loops."""
        ways = [str(self.r.randrange(n)), str(-1 - self.r.randrange(n))]
        for name, (lo, hi) in self.indices.items():
            if lo >= 0 and hi < n:
                ways += [name, name, f"{n - 1} - {name}", f"-1 - {name}"]
            if lo >= 1 and hi - 1 < n:
                ways.append(f"{name} - 1")
            if lo >= 0 and hi + 1 < n:
                ways.append(f"{name} + 1")
            ways += [f"{name} % {n}", f"min(abs({name}), {n - 1})"]
            if lo >= 0 and hi // 2 < n:
                ways.append(f"{name} // 2")
        ways += [f"{k} % {n}" for k in self.of("i", 0)][:2]
        return self.r.choice(ways)

    def bounds(self, n: int) -> str:
        """A slice of an axis of n that may have traced bounds."""
        name = self.r.choice([*self.indices, "", ""])
        a = self.r.randrange(n)
        ways = [f"{a}:", f":{a + 1}", f"{a}:{self.r.randint(a, n)}", "::2", "::-1", "1:-1"]
        if name:
            lo, hi = self.indices[name]
            if lo >= 0:
                ways = [f":{name}", f"{name}:", f"{name} + 1:", f":{name} + 1"]
                if hi < n:
                    ways += [f"{name}:{n}", f"{name}:{name} + 1", f"{name} // 2:{name}"]
        return self.r.choice(ways)

    def element(self, dtype: str) -> str | None:
        names = [n for n in self.of(dtype) if self.kind(n).shape and 0 not in self.kind(n).shape]
        if not names:
            return None
        name = self.r.choice(names)
        places = ", ".join(self.place(n) for n in self.kind(name).shape)
        return f"{name}[{places}]"

    def integer(self, depth: int = 1) -> str:
        ways = [str(self.r.randint(-3, 6)), *self.of("i", 0), *self.indices]
        element = self.element("i")
        ways += [element] if element else []
        if depth and self.chance(0.4):
            a, b = self.integer(depth - 1), self.integer(depth - 1)
            ways = [f"({a} + {b})", f"({a} - {b})", f"({a} * {b}) % 11", f"max({a}, {b})",
                    f"abs({a})", f"({a} // 2)", f"({a} if {self.test(0)} else {b})"]  # fmt: skip
        return self.r.choice(ways)

    def number(self, depth: int = 2) -> str:
        """A float."""
        if depth == 0 or self.chance(0.3):
            ways = [f"{self.r.uniform(-1, 1):.2f}", *self.of("f", 0), *self.of("f", 0)]
            element = self.element("f")
            return self.r.choice([*ways, *[element] * 3] if element else ways)
        a, b = self.number(depth - 1), self.number(depth - 1)
        ways = [f"({a} + {b})", f"({a} - {b})", f"0.5 * ({a} * {b})", f"np.tanh({a})",
                f"np.sin({a})", f"{a} / (2 + abs({b}))", f"np.sqrt(1 + {a} * {a})",
                f"max({a}, {b})", f"min({a}, {b})", f"abs({a})", f"0.1 * {self.integer()}",
                f"({a} if {self.test(0)} else {b})", f"np.where({self.test(0)}, {a}, {b})",
                f"np.maximum({a}, {b})"]  # fmt: skip
        vectors = [v for v in self.of("f", 1) if self.kind(v).shape[0] > 0]
        if vectors:
            v = self.r.choice(vectors)
            n = self.kind(v).shape[0]
            w = self.r.choice(self.of("f", 1, (n,)))
            cut = self.bounds(n)
            ways += [f"np.tanh({v}.sum())", f"{v}.max()", f"np.mean({v})", f"np.tanh({v} @ {w})",
                     f"np.tanh(np.sum({v}[{cut}]))", f"np.tanh(np.dot({v}[{cut}], {w}[{cut}]))",
                     f"0.1 * np.argmax({v})", f"min({v})", f"sum({v}[:3])"]  # fmt: skip
        return self.r.choice(ways)

    def test(self, depth: int = 1) -> str:
        if depth and self.chance(0.35):
            a, b = self.test(0), self.test(0)
            return self.r.choice([f"{a} and {b}", f"{a} or {b}", f"not {a}"])
        a, b, c = self.number(0), self.number(0), self.number(0)
        i, j = self.integer(0), self.integer(0)
        ways = [f"{a} > {b}", f"{a} < {c}", f"-0.8 < {a} < 0.9", f"{i} < {j}", f"{i} % 2 == 0",
                f"{i} != {j}"]  # fmt: skip
        flag = self.element("b")
        return self.r.choice([*ways, flag] if flag else ways)

    def array(self, shape: Shape, depth: int = 1) -> str:
        """An array of floats of this shape."""
        names = self.of("f", None, shape)
        ways = [*names, *names, f"np.full({shape}, {self.number(0)})"]
        if depth and names:
            x, y = self.array(shape, depth - 1), self.array(shape, depth - 1)
            ways += [f"({x} + {y})", f"0.5 * ({x} * {y})", f"np.sin({x})", f"np.flip({x})",
                     f"np.where({x} > {self.number(0)}, {x}, {y})", f"np.minimum({x}, {y})",
                     f"({self.number(1)} * np.tanh({x}))", f"({x} - {self.number(0)})"]  # fmt: skip
            if len(shape) == 1:
                ways += [f"np.tanh(np.cumsum({x}))", f"np.roll({x}, 1)"]
            if len(shape) == 2 and shape[0] == shape[1]:
                ways += [f"np.tanh({x} @ {y})", f"{x}.T"]
        return self.r.choice(ways)

    # Statements.

    def statement(self, level: int) -> None:
        self.budget -= 1
        simple = [self.scalar, self.store, self.store, self.part, self.masked, self.swap,
                  self.helper, self.container, self.integer_store]  # fmt: skip
        if level == 0:
            simple += [self.made, self.view, self.view]
        elif self.chance(0.3):
            simple = [self.view, self.made, self.leave]
        if level < 3 and self.budget > 0 and self.chance(0.5 if level == 0 else 0.35):
            self.r.choice([self.for_, self.for_, self.for_, self.if_, self.while_])(level)
        else:
            self.r.choice(simple)()

    def body(self, level: int) -> None:
        for _ in range(self.r.randint(1, 3)):
            self.statement(level + 1)

    def scalar(self) -> None:
        names = self.of("f", 0)
        if names and self.chance(0.7):
            name = self.r.choice(names)
            op = self.r.choice(["=", "=", "+=", "-="])
            value = self.number()
            self.put(f"{name} {op} np.tanh({value})" if op == "=" else f"{name} {op} 0.1 * {value}")
        elif self.of("i", 0) and self.chance(0.6):
            name = self.r.choice(self.of("i", 0))
            self.put(f"{name} = ({name} + {self.integer()}) % 7")
        elif self.chance(0.5):
            name, value = self.new("s"), self.number()
            self.put(f"{name} = {value} + 0.0")
            self.define(name, Kind("f", ()))
        else:
            name, value = self.new("k"), self.integer()
            self.put(f"{name} = {value}")
            self.define(name, Kind("i", ()))

    def store(self) -> None:
        target = self.element("f")
        if target:
            op = self.r.choice(["=", "=", "+=", "-=", "*="])
            value = self.number()
            self.put(f"{target} {op} np.sin({value})")

    def integer_store(self) -> None:
        target = self.element("i")
        if target:
            self.put(f"{target} = ({self.integer()}) % 9")
        target = self.element("b")
        if target and self.chance(0.5):
            self.put(f"{target} = {self.test()}")

    def part(self) -> None:
        names = [n for n in self.of("f") if self.kind(n).shape and 0 not in self.kind(n).shape]
        if not names:
            return
        name = self.r.choice(names)
        shape = self.kind(name).shape
        if len(shape) == 1:
            cut = self.bounds(shape[0])
            other = self.r.choice(self.of("f", 1, shape))
            value = self.r.choice([self.number(), f"0.5 * {other}[{cut}]",
                                   f"np.sin({name}[{cut}] - {other}[{cut}])"])  # fmt: skip
        elif self.chance(0.5):
            cut = self.place(shape[0])
            value = self.r.choice([self.number(), self.array(shape[1:])])
        else:
            cut = f":, {self.place(shape[1])}"
            value = self.r.choice([self.number(), f"0.5 * {name}[{cut}]"])
        op = self.r.choice(["=", "+=", "*=", "-="])
        self.put(f"{name}[{cut}] {op} np.tanh({value})")

    def masked(self) -> None:
        names = [n for n in self.of("f") if self.kind(n).shape]
        if names:
            name = self.r.choice(names)
            flags = self.of("b", None, self.kind(name).shape)
            mask = self.r.choice([f"{name} > {self.number(0)}", *flags])
            op = self.r.choice(["=", "+=", "*="])
            self.put(f"{name}[{mask}] {op} {self.number(1)}")

    def swap(self) -> None:
        rank = self.r.choice([0, 0, 1])
        names = self.of("f", rank)
        if names:
            a = self.r.choice(names)
            b = self.r.choice(self.of("f", None, self.kind(a).shape))
            if a != b:
                self.put(f"{a}, {b} = {b}, {a}")

    def helper(self) -> None:
        vectors = [v for v in self.of("f", 1) if self.kind(v).shape[0] > 1]
        if not vectors:
            return
        v, name = self.r.choice(vectors), self.new("h")
        call = self.r.choice(["damp({}, {})", "early({}, {})", "parts({})"])
        if call.startswith("parts"):
            other = self.new("h")
            self.put(f"{name}, {other} = parts({v})")
            self.define(other, Kind("f", ()))
        else:
            self.put(f"{name} = np.tanh({call.format(v, self.number(1))})")
        self.define(name, Kind("f", ()))

    def container(self) -> None:
        update = self.r.choice([
            "{c}['a'] = 0.5 * {c}['a'] + {v}", "{c}['b'] += {i}", "{o}.v = 0.9 * {o}.v + 0.1 * {v}",
            "{o}.count += 1", "{t} = ({t}[1], np.tanh({v}))", "{l}[1] = np.tanh({v})",
            "{l}[0], {l}[1] = {l}[1], {l}[0]",
        ])  # fmt: skip
        names = {"c": "table", "o": "state", "t": "pair", "l": "items"}
        self.put(update.format(**names, v=self.number(1), i=self.integer(0)))

    def made(self) -> None:
        n, name = self.r.choice([3, 5, 8]), self.new("a")
        shape = self.r.choice([(n,), (n,), (n, n), (2, n)])
        spelled = shape[0] if len(shape) == 1 and self.chance(0.5) else shape
        value = self.r.choice([f"np.zeros({spelled})", f"np.ones({spelled})",
                               f"np.full({spelled}, 0.3)", "", "copy"])  # fmt: skip
        same = self.of("f", None, shape)
        if value == "copy" and same:
            value = f"{self.r.choice(same)}.copy()"
        if value in ("", "copy"):
            self.put(f"{name} = np.empty({spelled})")
            self.put(f"{name}[:] = {self.number(1)}")
        else:
            self.put(f"{name} = {value}")
        self.define(name, Kind("f", shape))

    def view(self) -> None:
        names = [n for n in self.of("f") if self.kind(n).shape and 0 not in self.kind(n).shape]
        if not names:
            return
        x = self.r.choice(names)
        shape = self.kind(x).shape
        n = shape[0]
        ways: list[tuple[str, Shape]] = [(x, shape), (f"{x}[::-1]", shape), (f"{x}[:]", shape)]
        if n > 2:
            ways += [(f"{x}[1:]", (n - 1, *shape[1:])), (f"{x}[1:-1]", (n - 2, *shape[1:])),
                     (f"{x}[::2]", ((n + 1) // 2, *shape[1:]))]  # fmt: skip
        if len(shape) == 2:
            m = shape[1]
            ways += [(f"{x}.T", (m, n)), (f"{x}[{self.place(n)}]", (m,)), (f"{x}.copy()", shape),
                     (f"{x}[:, {self.place(m)}]", (n,)), (f"{x}.reshape({m}, {n})", (m, n)),
                     (f"{x}.ravel()", (n * m,)), (f"{x}[0, 1:]", (m - 1,))]  # fmt: skip
        text, found = self.r.choice(ways)
        name = self.new("v")
        self.put(f"{name} = {text}")
        self.define(name, Kind("f", found))

    def leave(self) -> None:
        if self.loops and self.chance(0.5):
            with self.block(f"if {self.test()}:"):
                self.put(self.r.choice(["continue"] * 3 + ["break"]))

    def for_(self, level: int) -> None:
        name = self.new("i")
        n = self.r.choice([0, 1, 3, 5, 8, 8, 12, 20, 40] if level == 0 else [1, 3, 5, 6, 9])
        ways = [(f"range({n})", 0, n - 1), (f"range(1, {n + 1})", 1, n),
                (f"range({n}, 0, -1)", 1, n), (f"range({n - 1}, -1, -1)", 0, n - 1),
                (f"range(0, {n}, 2)", 0, n - 1), (f"range({n}, -1, -3)", 0, n)]  # fmt: skip
        for outer, (lo, hi) in self.indices.items():
            if lo >= 0 and hi <= 12:
                triangle = [(f"range({outer})", 0, hi), (f"range({outer}, {hi + 2})", lo, hi + 1),
                            (f"range({outer} - 1, -1, -1)", 0, hi)]  # fmt: skip
                ways += triangle * 3
        if self.of("i", 1) and self.chance(0.4):
            k = self.r.choice(self.of("i", 1))
            ways = [(f"range({k}[{self.place(self.kind(k).shape[0])}] % 7)", 0, 6)]
        elif self.chance(0.1):
            ways = [("range(n)", 0, 7)]
        text, lo, hi = self.r.choice(ways)
        vectors = [v for v in self.of("f", 1) if self.kind(v).shape[0]]
        if vectors and self.chance(0.1):
            with self.block(f"for {name} in {self.r.choice(vectors)}:"):
                self.define(name, Kind("f", ()))
                self.body(level)
            return
        with self.block(f"for {name} in {text}:"):
            self.indices[name] = lo, hi
            self.loops.append(name)
            self.body(level)
            self.loops.pop()
            del self.indices[name]

    def if_(self, level: int) -> None:
        with self.block(f"if {self.test()}:"):
            self.body(level)
        if self.chance(0.3):
            with self.block(f"elif {self.test()}:"):
                self.body(level)
        if self.chance(0.6):
            with self.block("else:"):
                self.body(level)

    def while_(self, level: int) -> None:
        counter = self.new("w")
        limit = self.r.choice([1, 4, 7, 15])
        if self.chance(0.5):
            self.put(f"{counter} = 0")
            tests = [f"{counter} < {limit}", f"{counter} < {limit} and {self.test(0)}",
                     f"{counter} < {limit} - n"]  # fmt: skip
            with self.block(f"while {self.r.choice(tests)}:"):
                self.put(f"{counter} += 1")
                self.indices[counter] = 0, limit
                self.loops.append(counter)
                self.body(level)
                self.loops.pop()
                del self.indices[counter]
            self.define(counter, Kind("i", ()))
        else:
            self.put(f"{counter} = 1.0 + abs({self.number(1)})")
            with self.block(f"while {counter} > {self.r.choice(['0.3', '1e-2'])}:"):
                self.put(f"{counter} *= {self.r.choice(['0.5', '0.7'])}")
                self.loops.append(counter)
                self.body(level)
                self.loops.pop()
            self.define(counter, Kind("f", ()))

    def program(self) -> tuple[str, list[Kind]]:
        kinds = [Kind("f", (self.r.choice([1, 2, 5, 8, 12]),)), Kind("f", (8,)),
                 Kind("f", self.r.choice([(4, 4), (3, 5), (6, 2)])), Kind("i", (5,)),
                 Kind("b", (8,)), Kind("f", ()), Kind("i", ())]  # fmt: skip
        arguments = ["x", "y", "m", "ks", "flags", "s", "n"]
        for name, kind in zip(arguments, kinds, strict=True):
            self.define(name, kind)
        self.put("state, table = State(s), {'a': 0.5, 'b': 0}")
        self.put("pair, items = (s, 1.0), [0.0, s]")
        for _ in range(self.r.randint(3, 7)):
            self.statement(0)
        results = [*self.scopes[0], "state.v", "state.count", "table", "pair", "items"]
        self.put(f"return {', '.join(results)}")
        head = HEADER + f"def program({', '.join(arguments)}):\n"
        return head + "\n".join(self.lines) + "\n", kinds


def write(seed: int) -> tuple[str, list[Kind]]:
    """The source of a program, and what its arguments are."""
    return Writer(seed).program()


def arguments(seed: int, kinds: list[Kind], single: bool = False) -> list[Any]:
    """Arguments of these kinds; floats are float32 where `single`."""
    rng = np.random.default_rng(seed)
    made: list[Any] = []
    for kind in kinds:
        if kind.dtype == "f":
            x: Any = rng.uniform(-1, 1, kind.shape)
            x = float(x) if not kind.shape else x.astype(np.float32 if single else np.float64)
        elif kind.dtype == "i":
            x = rng.integers(0, 5, kind.shape) if kind.shape else int(rng.integers(0, 8))
        else:
            x = rng.random(kind.shape) < 0.5
        made.append(x)
    return made


def load(source: str, folder: Path) -> Any:
    """The function `program` of a module with this source."""
    name = f"loop_program_{next(_counter)}"
    path = folder / f"{name}.py"
    path.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.program
