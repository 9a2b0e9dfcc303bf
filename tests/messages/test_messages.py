"""The messages that users meet, exactly: what, where in their file, and what to do instead.

The texts are in tests/golden/messages.txt, each behind the case and the way in which it was called.
The place is compared with the marked line of `programs.py`, and stands there as `<here>`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import programs
import tracejit as tj
from tracejit.backends.native.lowering import LOWERINGS
from tracejit.errors import TracejitError
from tracejit.ops import elementwise

X = np.arange(3.0)

WAYS: dict[str, Callable[..., Any]] = {
    "jit": tj.jit,
    "jit of grad": lambda f: tj.jit(tj.grad(f)),
    "grad of jit": lambda f: tj.grad(tj.jit(f)),
    "grad": tj.grad,
    "vmap": lambda f: lambda x: tj.vmap(f)(np.array([x])),
    "jit of vmap": lambda f: lambda x: tj.jit(tj.vmap(f))(np.array([x])),
    "make_jaxpr": lambda f: lambda x: tj.make_jaxpr(f)(tj.ShapeDtypeStruct((), float)),
}
ALL = ("jit", "jit of grad", "grad of jit", "grad")
TRACED = ("jit", "jit of grad", "grad of jit")
WITHOUT_NUMBERS = ("vmap", "jit of vmap", "make_jaxpr")

# The mistake is in the program: it is called with 2.0, in these ways.
IN_THE_PROGRAM: dict[str, tuple[str, ...]] = {
    "branches": WITHOUT_NUMBERS,
    "combines": WITHOUT_NUMBERS,
    "converts": TRACED,
    "counts": TRACED,
    "takes_the_array": ALL,
    "calls_math": TRACED,
    "uses_what_was_kept": ALL,
    "multiplies_shapes": ALL,
    "adds_shapes": ALL,
    "sums_over_no_axis": ALL,
    "shifts_floats": ALL,
    "uses_long_double": ALL,
    "lacks_a_lowering": TRACED,
    "transposes_sine": ALL,
}

# The mistake is in how it is called: `call` is where the user did it.
IN_THE_CALL: dict[str, Callable[[], Any]] = {
    "jit of text": lambda: programs.call(tj.jit(programs.power), 2.0, "two"),
    "jit of an object": lambda: programs.call(tj.jit(programs.power), 2.0, object()),
    "jit of long double": lambda: programs.call(
        tj.jit(programs.power), 2.0, np.ones(2, np.longdouble)
    ),
    "jit of a large int": lambda: programs.call(tj.jit(programs.power), 2.0, 2**70),
    "jit of a masked array": lambda: programs.call(tj.jit(programs.power), np.ma.ones(3), 2),
    "jit of no function": lambda: programs.call(tj.jit, 3),
    "jit for no backend": lambda: programs.call(tj.jit, programs.power, backend="natve"),
    "jit returns text": lambda: programs.call(tj.jit(programs.returns_text), 2.0),
    "static without hash": lambda: programs.call(
        tj.jit(programs.power, static_argnames="n"), 2.0, [1]
    ),
    "static without hash, grad": lambda: programs.call(
        tj.grad(tj.jit(programs.power, static_argnums=1)), 2.0, n=X
    ),
    "static name": lambda: programs.call(tj.jit, programs.power, static_argnames="m"),
    "static number": lambda: programs.call(tj.jit, programs.power, static_argnums=2),
    "static number, type": lambda: programs.call(tj.jit, programs.power, static_argnums="n"),
    "static name, type": lambda: programs.call(tj.jit, programs.power, static_argnames=1),
    "grad of text": lambda: programs.call(tj.grad(programs.power), "two", 1.0),
    "grad of a vector": lambda: programs.call(tj.grad(programs.square), X),
    "grad of a vector, jit": lambda: programs.call(tj.jit(tj.grad(programs.square)), X),
    "grad of a pair": lambda: programs.call(tj.grad(programs.pair), 2.0),
    "grad of a pair, jit": lambda: programs.call(tj.jit(tj.grad(programs.pair)), 2.0),
    "grad of nothing": lambda: programs.call(tj.grad(programs.nothing), 2.0),
    "grad of an integer": lambda: programs.call(tj.grad(programs.integer), 2.0),
    "grad for an integer": lambda: programs.call(tj.grad(programs.scaled), {"w": 1.0, "n": 3}, 2),
    "grad for an integer, jit": lambda: programs.call(
        tj.jit(tj.grad(programs.scaled)), {"w": 1.0, "n": np.arange(3)}, 2
    ),
    "grad without aux": lambda: programs.call(tj.grad(programs.square, has_aux=True), 2.0),
    "grad of no argument": lambda: programs.call(tj.grad(programs.power, argnums=2), 2.0, 1),
    "grad by keyword": lambda: programs.call(tj.grad(programs.square), x=2.0),
    "grad, holomorphic": lambda: programs.call(tj.grad(programs.square, holomorphic=True), X[0]),
    "grad of no function": lambda: programs.call(tj.grad, 3),
    "jacfwd of an integer": lambda: programs.call(tj.jacfwd(programs.integer), X),
    "jvp with a tangent too long": lambda: programs.call(
        tj.jvp, programs.square, (X,), (np.ones(4),)
    ),
    "jvp with another dtype": lambda: programs.call(
        tj.jvp, programs.square, (X,), (np.ones(3, np.float32),)
    ),
    "jvp with another tree": lambda: programs.call(tj.jvp, programs.square, (X,), ([X],)),
    "jvp without a tuple": lambda: programs.call(tj.jvp, programs.square, X, X),
    "jvp of an integer": lambda: programs.call(tj.jvp, programs.square, (2,), (1,)),
    "vjp with another shape": lambda: programs.call(tj.vjp(programs.square, X)[1], np.ones(4)),
    "vmap of different sizes": lambda: programs.call(tj.vmap(programs.product), np.ones((2, 3)), X),
    "vmap of a scalar": lambda: programs.call(tj.vmap(programs.product), 1.0, X),
    "vmap to None": lambda: programs.call(tj.vmap(programs.product, out_axes=None), X, X),
    "vmap with too few axes": lambda: programs.call(tj.vmap(programs.product, (0,)), X, X),
    "vmap of nothing": lambda: programs.call(tj.vmap(programs.product, None), X, X),
    "vmap with another tree": lambda: programs.call(
        tj.vmap(programs.scaled, ({"v": 0}, None)), {"w": X}, X
    ),
    "vmap with an odd axis": lambda: programs.call(tj.vmap(programs.product, ("a", 0)), X, X),
}


def place(function: Callable[..., Any]) -> str:
    """The marked line of a program, as messages say it."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = (i for i, line in enumerate(lines) if line.rstrip().endswith("# here"))
    file = Path(programs.__file__)
    near = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
    return f"{near}:{first + offset} in {function.__name__}"


def message(thunk: Callable[[], Any], where: str) -> str:
    """The class and the text of the error, with `<here>` for the right place."""
    with pytest.raises(TracejitError) as caught:
        thunk()
    text = f"{type(caught.value).__name__}: {caught.value}"
    assert f"  at {where}" in text.splitlines(), f"{text}\nis not at {where}"
    return text.replace(where, "<here>")


@pytest.fixture
def no_arctan2(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend in which a primitive has no row."""
    tj.jit(np.sin)(1.0)  # the table is filled
    monkeypatch.delitem(LOWERINGS._rules, elementwise.atan2)


def test_messages(golden: Callable[[str, str], None], no_arctan2: None) -> None:
    tj.jit(programs.keeps)(1.0)
    texts = []
    for name, ways in IN_THE_PROGRAM.items():
        program = getattr(programs, name)
        found: dict[str, list[str]] = {}
        for way in ways:
            text = message(partial(WAYS[way](program), 2.0), place(program))
            found.setdefault(text, []).append(way)
        texts += [f"## {name}: {', '.join(same)}\n{text}\n" for text, same in found.items()]
    for name, thunk in IN_THE_CALL.items():
        texts.append(f"## {name}\n{message(thunk, place(programs.call))}\n")
    golden("messages.txt", "\n".join(texts))


def test_eager_gradients_know_the_numbers() -> None:
    """What a trace without numbers refuses, a tape does."""
    for name in ("branches", "loops", "combines"):
        program = getattr(programs, name)
        step = 1e-6
        slope = (program(0.5 + step) - program(0.5 - step)) / (2 * step)
        np.testing.assert_allclose(tj.grad(program)(0.5), slope, rtol=1e-6)
