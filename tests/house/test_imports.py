"""The rooms of the package, and what each may import.

The whole syntax tree counts: function bodies and `if TYPE_CHECKING` as well. The rules are data;
each of them is also broken here on purpose, in a small package of its own, to see that it is seen.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "tracejit"

# ---- the rules

# Which room a module lives in: the longest name that begins its own.
ROOMS = {
    "errors": "base", "config": "base", "tree": "base", "treedef": "base",
    "ir": "ir", "trace": "trace", "ops": "ops", "transforms": "transforms", "control": "control",
    "series": "series",
    "numpy": "face", "lax": "face", "random": "face", "scipy": "face", "nn": "face",
    "tree_util": "face", "debug": "face", "optim": "face",
    "passes": "passes",
    "backends": "backends", "backends.eager": "eager", "backends.native": "native",
    "backends.xla": "xla",
    "runtime": "runtime",
    "api": "door", "compat": "door", "testing": "door", "__init__": "door", "__main__": "door",
    "ad_checkpoint": "door", "experimental": "door", "implicit": "door",
    "custom_batching": "door", "custom_derivatives": "door", "extend": "door", "test_util": "door",
    "demo": "door", "scipy.optimize": "door",
}  # fmt: skip

_MEANING = {"base", "ir", "ops", "control"}
_ENGINE = _MEANING | {"trace", "transforms", "passes"}
_MACHINES = {"backends", "eager", "native", "xla"}

# What a room may import beside itself.
MAY_IMPORT = {
    "base": set(),
    "ir": {"base"},
    "trace": {"base", "ir"},
    "ops": {"base", "ir"},
    "transforms": {"base", "ir", "ops"},
    "control": {"base", "ir", "trace", "ops", "transforms"},
    "series": _MEANING | {"transforms"},
    "face": _MEANING | {"trace"},
    "passes": _MEANING,
    "backends": _MEANING | {"passes"},
    "eager": _MEANING | {"passes", "backends"},
    "native": _MEANING | {"passes", "backends"},
    "xla": _MEANING | {"passes", "backends"},
    "runtime": (_ENGINE - {"ops"}) | _MACHINES,
    "door": _ENGINE | _MACHINES | {"face", "runtime", "series"},
}

# The vector space is all that a transform knows of the operations: its sum, its zeros, its axes.
TRANSFORMS_MAY_NAME = {"add", "mul", "broadcast", "keep_zeros", "batch_all"}

# Who may import what is neither ours nor the standard library's. numpy: every room but the base.
PACKAGES = {
    "llvmlite": ("backends.native",),
    "jax": ("backends.xla", "compat.jax"),
    "scipy": ("backends", "scipy.optimize"),
    "platformdirs": ("runtime", "backends"),
    "rich": ("demo", "__main__"),
    "matplotlib": ("api.compare", "demo"),
    "sklearn": ("demo",),
}

# Who may load a module by its name, when it is first used (ops: SciPy's functions, for the
# reference values; numpy.operators: tracejit.scipy, made of the face; backends.native.blas:
# SciPy's BLAS; disk: platformdirs, by those who keep code; api.sparse_arrays: scipy.sparse;
# api.compare: matplotlib; ir.types: ml_dtypes), and who may read the environment.
LOADERS = (
    *("api.compare", "api.sparse_arrays"),
    *("__init__", "backends.__init__", "backends.native.blas", "backends.native.disk", "ir.types"),
    *("compat", "demo", "numpy.operators", "ops.linalg", "ops.special", "scipy.__init__"),
)
READS_ENVIRONMENT = "config"


# ---- reading a package


class Import(NamedTuple):
    """One name that a module imports: `from tracejit.ir import walk` gives tracejit.ir and walk."""

    line: int
    module: str
    name: str | None
    nested: bool


class Module(NamedTuple):
    """A module by its name below the package (`ir.walk`; a package's own code is `ir.__init__`)."""

    name: str
    tree: ast.Module

    @property
    def room(self) -> str | None:
        parts = self.name.split(".")
        heads = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
        return next((ROOMS[head] for head in heads if head in ROOMS), None)

    def imports(self) -> Iterator[Import]:
        inner = {
            id(node)
            for outer in ast.walk(self.tree)
            if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
            for node in ast.walk(outer)
        }
        for node in ast.walk(self.tree):
            nested = id(node) in inner
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(node.lineno, alias.name, None, nested)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    base = "." * node.level + (node.module or "")
                    yield Import(node.lineno, base, alias.name, nested)


def read(root: Path) -> dict[str, Module]:
    """The modules below a folder, by name."""
    modules = {}
    for file in sorted(root.rglob("*.py")):
        name = ".".join(file.relative_to(root).with_suffix("").parts)
        modules[name] = Module(name, ast.parse(file.read_text(encoding="utf-8"), str(file)))
    return modules


def target(imported: Import, modules: dict[str, Module]) -> str | None:
    """The module of ours that an import reaches, by its name below the package."""
    if imported.module.split(".")[0] != "tracejit":
        return None
    below = imported.module.removeprefix("tracejit").removeprefix(".")
    names = [below] if imported.name is None else [f"{below}.{imported.name}".lstrip("."), below]
    for name in names:
        for candidate in (name, f"{name}.__init__".lstrip(".")):
            if candidate in modules:
                return candidate
    return below or "__init__"


def within(name: str, places: tuple[str, ...]) -> bool:
    """Whether a module is one of the places, or lies below one."""
    return any(name == place or name.startswith(place + ".") for place in places)


# ---- the checks: each yields what is wrong


def room_faults(modules: dict[str, Module]) -> Iterator[str]:
    """Modules in no room, and imports of a room that the importer's must not know."""
    for module in modules.values():
        if module.room is None:
            yield f"{module.name}: lives in no room"
            continue
        for imported in module.imports():
            other = target(imported, modules)
            if other is None:
                continue
            room = Module(other, module.tree).room
            place = f"{module.name}:{imported.line}"
            if room != module.room and room not in MAY_IMPORT[module.room]:
                yield f"{place}: {module.room} must not import {room} ({other})"
            names_operation = imported.name not in TRANSFORMS_MAY_NAME
            if (module.room, room) == ("transforms", "ops") and names_operation:
                yield f"{place}: transforms must not name the operation {imported.name}"


def package_faults(modules: dict[str, Module]) -> Iterator[str]:
    """Imports of other people's packages outside of the place that is theirs."""
    for module in modules.values():
        for imported in module.imports():
            package = imported.module.split(".")[0]
            place = f"{module.name}:{imported.line}"
            if imported.module.startswith("."):
                yield f"{place}: a relative import"
            elif package in sys.stdlib_module_names or package == "tracejit":
                continue
            elif package == "numpy":
                if module.room == "base":
                    yield f"{place}: the base needs the standard library only, not numpy"
            elif not within(module.name, PACKAGES.get(package, ())):
                yield f"{place}: {package} must not be imported here"


def hidden_faults(modules: dict[str, Module]) -> Iterator[str]:
    """Imports in functions, loading by name, reading of the environment."""
    for module in modules.values():
        named = [(imported.line, imported.name) for imported in module.imports()]
        used = [
            (node.lineno, node.attr if isinstance(node, ast.Attribute) else node.id)
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Attribute | ast.Name)
        ]
        for line, word in named + used:
            if word in ("import_module", "__import__") and not within(module.name, LOADERS):
                yield f"{module.name}:{line}: loads a module by its name"
            if word in ("environ", "environb", "getenv") and module.name != READS_ENVIRONMENT:
                yield f"{module.name}:{line}: only config reads the environment"
        for imported in module.imports():
            if imported.nested:
                place = f"{module.name}:{imported.line}"
                yield f"{place}: an import hidden in a function ({imported.module})"


def circle_faults(modules: dict[str, Module]) -> Iterator[str]:
    """A circle of imports, in the order of the circle."""
    graph = {
        module.name: {
            other
            for imported in module.imports()
            if (other := target(imported, modules)) in modules and other != module.name
        }
        for module in modules.values()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "a circle: " + " <- ".join(error.args[1])


CHECKS = [room_faults, package_faults, hidden_faults, circle_faults]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_is_in_order(check) -> None:
    assert list(check(read(SOURCE))) == []


def loaded(program: str, packages: tuple[str, ...]) -> str:
    """Which of the packages a program loads, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\n"
         f"print([p for p in {packages} if p in sys.modules])"],
        env={**os.environ, "PYTHONPATH": str(SOURCE.parent)},
        capture_output=True,
        text=True,
        check=True,
    )  # fmt: skip
    return done.stdout.strip()


def test_import_loads_no_heavy_package() -> None:
    assert loaded("import tracejit", ("jax", "jaxlib", "scipy", "llvmlite")) == "[]"


def test_a_first_derivative_loads_what_it_needs() -> None:
    """numpy.random alone takes longer to load than a small function to compile."""
    program = (
        "import numpy as np, tracejit as tj\n"
        "tj.jit(tj.grad(lambda x: np.sum(np.sin(x))), backend='native')(np.ones(3))"
    )
    others = ("jax", "scipy", "numpy.random", "secrets", "fractions", "decimal", "matplotlib")
    assert loaded(program, others) == "[]"


# ---- the rules, broken on purpose

BROKEN = [
    ("ir/walk.py", "from tracejit.ops.add import add", "ir must not import ops"),
    ("ir/walk.py", "from tracejit.ops import add", "ir must not import ops"),
    ("ir/walk.py", "import tracejit.ops.add", "ir must not import ops"),
    (
        "trace/t.py",
        "import typing as t\nif t.TYPE_CHECKING:\n    from tracejit.ops import add",
        "ops",
    ),
    ("ops/mul.py", "from tracejit.trace import tracer", "ops must not import trace"),
    ("ops/mul.py", "import tracejit", "ops must not import door"),
    ("ops/mul.py", "from tracejit import api", "ops must not import door"),
    ("transforms/jvp.py", "from tracejit.ops.add import sin", "must not name the operation sin"),
    ("transforms/jvp.py", "import tracejit.ops.add", "must not name the operation None"),
    ("backends/eager/run.py", "from tracejit.backends.native import emit", "not import native"),
    ("backends/table.py", "from tracejit.backends.xla import lower", "must not import xla"),
    ("passes/cse.py", "import tracejit.transforms.jvp", "passes must not import transforms"),
    ("runtime/call.py", "from tracejit.api import jit", "runtime must not import door"),
    ("lax.py", "from tracejit.passes import cse", "face must not import passes"),
    ("attic/box.py", "", "attic.box: lives in no room"),
    ("tree.py", "import numpy", "standard library only"),
    ("ops/mul.py", "import jax.numpy as jnp", "jax must not be imported here"),
    ("api/jit.py", "from llvmlite import binding", "llvmlite must not be imported here"),
    ("ops/mul.py", "def f():\n    import requests", "requests must not be imported here"),
    ("ir/walk.py", "from . import types", "a relative import"),
    ("ir/walk.py", "def f():\n    import math", "hidden in a function (math)"),
    ("ir/walk.py", "class A:\n    async def f(self):\n        import math", "hidden in a function"),
    ("ir/walk.py", "import importlib\nimportlib.import_module('jax')", "by its name"),
    ("ir/walk.py", "from importlib import import_module as m", "by its name"),
    ("ir/walk.py", "__import__('jax')", "by its name"),
    ("ir/walk.py", "import os\nos.environ['X']", "only config reads"),
    ("ir/walk.py", "import os\nos.getenv('X')", "only config reads"),
    ("ir/walk.py", "from os import environ", "only config reads"),
    ("ir/walk.py", "from tracejit.ir import types", "a circle: ir."),
    ("ir/__init__.py", "from tracejit.ir.types import x", "a circle: ir."),
]


def plant(root: Path, files: dict[str, str]) -> dict[str, Module]:
    """A small package that keeps every rule, with some files replaced."""
    sound = {
        "__init__.py": "from tracejit.config import config",
        "config.py": "import os\nfrom tracejit.errors import E\nos.environ",
        "errors.py": "",
        "ir/__init__.py": "",
        "ir/types.py": "import numpy\nfrom tracejit.ir import walk, __doc__",
        "ir/walk.py": "from tracejit.errors import E",
        "ops/add.py": "from tracejit.ir.types import T",
        "transforms/jvp.py": "from tracejit.ops.add import add, mul",
        "backends/__init__.py": "import importlib\nimportlib.import_module('x')",
        "backends/native/emit.py": "import llvmlite.binding\nfrom tracejit.backends import table",
        "backends/table.py": "",
        "api/jit.py": "from tracejit.backends.native import emit",
    }
    for name, text in (sound | files).items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return read(root)


def test_a_sound_package_has_no_faults(tmp_path: Path) -> None:
    modules = plant(tmp_path, {})
    assert [fault for check in CHECKS for fault in check(modules)] == []


@pytest.mark.parametrize(("file", "text", "message"), BROKEN)
def test_a_broken_rule_is_seen(tmp_path: Path, file: str, text: str, message: str) -> None:
    if file == "ir/__init__.py":
        modules = plant(tmp_path, {file: text, "ir/types.py": "from tracejit.ir import x"})
    else:
        modules = plant(tmp_path, {file: text})
    faults = [fault for check in CHECKS for fault in check(modules)]
    assert len(faults) >= 1
    assert any(message in fault for fault in faults), faults
