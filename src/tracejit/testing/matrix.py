"""The completeness matrix: for each primitive, who does each of its duties.

    python -m tracejit.testing.matrix              print it
    python -m tracejit.testing.matrix --write      ... into docs/primitives.md

It is about every backend, so importing this module needs jax. A cell that ought to be filled and
is not says GAP; there are none, or the house tests fail.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tracejit.backends import load
from tracejit.backends.native.lowering import LOWERINGS as NATIVE
from tracejit.backends.table import LoweringTable
from tracejit.backends.xla import LOWERINGS as XLA
from tracejit.ir.primitive import Derivatives, Linear, Primitive, Zero
from tracejit.testing.rows import (
    callback,
    complex,
    contraction,
    control,
    custom,
    elementwise,
    fourier,
    indexing,
    linalg,
    orthogonal,
    random,
    reduction,
    special,
    structure,
)

GAP = "GAP"
FAMILIES = (
    elementwise, special, structure, reduction, contraction, linalg, orthogonal, fourier, indexing,
    random, control, custom, callback, complex,
)  # fmt: skip
#: Eager has no table: a primitive's own value is what it runs.
TABLES: dict[str, LoweringTable] = {"native": NATIVE, "xla": XLA}
#: What no backend needs a row for, and why.
REMOVED_BY_PASSES = {
    ("call", "native"): "inlined", ("guard", "xla"): "a result",
} | {
    (name, backend): "inlined" for name in ("checkpoint", "name", "rewind", "slotted", "replay")
    for backend in ("native", "xla")
} | {
    (name, backend): "inlined" for name in ("linear_solve", "root") for backend in ("native", "xla")
} | {
    (name, backend): "by lu" for name in ("solve", "log_abs_det") for backend in ("native", "xla")
} | {
    ("conj", "native"): "in parts",
} | {
    ("pinv", backend): "by svd" for backend in ("native", "xla")
} | {
    (f"{kind}_call", backend): "inlined"
    for kind in ("custom_jvp", "custom_vjp", "custom_vmap", "linear")
    for backend in ("native", "xla")
}  # fmt: skip
HEADER = ("primitive", "jvp", "transpose", "batch", "eager", "native", "xla", "rows")
PAGE = Path(__file__).parents[3] / "docs" / "primitives.md"
INTRODUCTION = """# Primitives

Every operation of the language, and who does its duties. The page is made by
`python -m tracejit.testing.matrix --write`, and a test says when it is out of date.

- **jvp**: `partials` are derivatives given as data, `linear` needs none, `zero` is piecewise
  constant, `rule` is a function.
- **transpose**: for what is linear in some operand; `by split` is for operations that hold jaxprs,
  whose linear part is an operation with a transpose.
- **batch**: `pointwise` needs no rule.
- **eager, native, xla**: the backends. *inlined*, *in parts*, *by lu*, *by svd*: a pass removes it
  before the backend sees it.
- **rows**: samples in `tracejit/testing/rows`, on which the laws are tested.

"""


def cells(primitive: Primitive, rows: int) -> tuple[str, ...]:
    """One line of the matrix."""
    return (
        primitive.name,
        _jvp(primitive),
        _transpose(primitive),
        "pointwise" if primitive.is_pointwise else "rule" if callable(primitive.batch) else GAP,
        "yes",
        *[_lowering(primitive, backend) for backend in TABLES],
        str(rows),
    )


def _jvp(primitive: Primitive) -> str:
    match primitive.jvp:
        case Zero():
            return "zero"
        case Linear():
            return "linear"
        case Derivatives():
            return "partials"
    return "rule"


def _transpose(primitive: Primitive) -> str:
    if primitive.transpose is not None:
        return "rule"
    if primitive.split is not None:
        return "by split"
    return GAP if isinstance(primitive.jvp, Linear) else "-"


def _lowering(primitive: Primitive, backend: str) -> str:
    if primitive in TABLES[backend]:
        return "yes"
    return REMOVED_BY_PASSES.get((primitive.name, backend), GAP)


def matrix() -> dict[str, list[tuple[str, ...]]]:
    """The lines of the matrix, by family."""
    load("native")  # which fills its table
    rows = Counter(sample.primitive for family in FAMILIES for sample in family.ROWS)
    lines: dict[str, list[tuple[str, ...]]] = {}
    seen: set[Primitive] = set()
    for family in FAMILIES:
        name = family.__name__.rpartition(".")[2]
        members = [p for p in dict.fromkeys(s.primitive for s in family.ROWS) if p not in seen]
        lines[name] = [cells(primitive, rows[primitive]) for primitive in members]
        seen.update(members)
    return lines


def gaps(lines: dict[str, list[tuple[str, ...]]]) -> list[str]:
    """What is missing, as `name: duty`."""
    return [
        f"{line[0]}: {duty}"
        for family in lines.values()
        for line in family
        for duty, cell in zip(HEADER, line, strict=True)
        if cell == GAP
    ]


def page(lines: dict[str, list[tuple[str, ...]]]) -> str:
    """The matrix as a page of the documentation."""
    count = sum(map(len, lines.values()))
    text = [INTRODUCTION + f"{count} primitives, {len(gaps(lines))} gaps."]
    for family, members in lines.items():
        text += [f"\n## {family}\n", _row(HEADER), _row(["---"] * len(HEADER))]
        text += [_row((f"`{name}`", *rest)) for name, *rest in members]
    return "\n".join(text) + "\n"


def _row(items: Sequence[str]) -> str:
    return "| " + " | ".join(items) + " |"


def main(argv: Sequence[str] | None = None) -> int:
    """Print or write the page; 1 if there are gaps."""
    parser = argparse.ArgumentParser(prog="python -m tracejit.testing.matrix")
    parser.add_argument("--write", action="store_true", help=f"write docs/{PAGE.name}")
    write = parser.parse_args(argv).write
    lines = matrix()
    if write:
        PAGE.write_text(page(lines), encoding="utf-8")
    print(f"{PAGE} written" if write else page(lines))
    for gap in gaps(lines):
        print(f"{GAP}: {gap}", file=sys.stderr)
    return 1 if gaps(lines) else 0


if __name__ == "__main__":
    sys.exit(main())
