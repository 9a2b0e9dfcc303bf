"""Programs as text, before and behind: each `.ir` file is a test, of one idea.

    // pass: cse
    // operands of commutative operations may come in either order
    fn(%0: f64[], %1: f64[]) -> f64[] { ... }
    // becomes
    fn(%0: f64[], %1: f64[]) -> f64[] { ... }

The first line says what runs: `pass:` a pass or pipeline; `transform:` transforms, with respect to
all inputs that are floats, and passes, in order; `print`: the text is printed as it stands;
`error`: what parser and verifier say. The second says the idea.

`pytest tests/golden --update-golden` writes what comes behind `// becomes`. A bug that was found
leaves a file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import tracejit  # noqa: F401  registers every primitive
from tracejit.errors import IRError
from tracejit.ir.check import verify
from tracejit.ir.graph import Jaxpr
from tracejit.ir.parsing import parse
from tracejit.passes.cse import cse
from tracejit.passes.dce import dce
from tracejit.passes.factor import factor
from tracejit.passes.fold import fold
from tracejit.passes.hoist import hoist
from tracejit.passes.inline import inline
from tracejit.passes.join import join
from tracejit.passes.pack import pack
from tracejit.passes.standard import SIMPLIFY
from tracejit.passes.totals import totals
from tracejit.transforms.batch import batch
from tracejit.transforms.gradient import value_and_gradient
from tracejit.transforms.jvp import jvp
from tracejit.transforms.linearize import linearize

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.rglob("*.ir"))
BECOMES = "// becomes\n"


def floats(jaxpr: Jaxpr) -> tuple[bool, ...]:
    """Which inputs have derivatives."""
    return tuple(t.is_inexact for t in jaxpr.in_types)


STEPS: dict[str, Callable[[Jaxpr], Jaxpr]] = {
    "inline": inline,
    "hoist": hoist,
    "totals": totals,
    "fold": fold,
    "cse": cse,
    "dce": dce,
    "factor": factor,
    "join": join,
    "pack": pack,
    "simplify": SIMPLIFY,
    "jvp": lambda jaxpr: jvp(jaxpr, floats(jaxpr))[0],
    "known": lambda jaxpr: linearize(jaxpr, floats(jaxpr)).known,
    "linear": lambda jaxpr: linearize(jaxpr, floats(jaxpr)).linear,
    "gradient": lambda jaxpr: value_and_gradient(jaxpr, floats(jaxpr)),
    "batch": lambda jaxpr: batch(jaxpr, 2, (True,) * len(jaxpr.invars))[0],
}


def run(command: str, text: str) -> str:
    """What a file's command makes of its program."""
    if command == "// error":
        with pytest.raises(IRError) as caught:
            verify(parse(text))
        return "\n".join(f"// {line}".rstrip() for line in str(caught.value).splitlines())
    jaxpr = parse(text)
    verify(jaxpr)
    for step in command.partition(": ")[2].split(", "):
        jaxpr = STEPS[step](jaxpr)
        verify(jaxpr)
    return str(jaxpr)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_golden(file: Path, golden: Callable[[str, str], None]) -> None:
    source = file.read_text(encoding="utf-8").partition(BECOMES)[0]
    command, idea, program = source.split("\n", 2)
    assert idea.startswith("// "), "the second line says the idea"
    name = str(file.relative_to(FOLDER))
    if command == "// print":
        golden(name, f"{command}\n{idea}\n{parse(program)}")
    else:
        golden(name, f"{source}{BECOMES}{run(command, program)}")


def test_there_is_one_idea_a_file() -> None:
    ideas = [file.read_text(encoding="utf-8").split("\n", 2)[1] for file in FILES]
    assert len(set(ideas)) == len(ideas) >= 25
