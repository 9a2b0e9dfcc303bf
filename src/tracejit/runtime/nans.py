"""debug_nans and debug_infs: where in the user's program a NaN or an infinity arose.

    tj.config.update("debug_nans", True)        with tj.debug_nans(True): ...

Compiled programs run as they always do, and their results are looked at. If there is NaN among
them, the program is run once more, equation by equation, and the NaN is followed back, from the
result through the operands that are NaN, to the equation whose operands are not. So what a `where`
did not take is no false alarm. Callbacks and prints happen again in that second run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tracejit.config import config
from tracejit.errors import NonFiniteError
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import COMPLEX, FLOATS, INEXACT, type_of
from tracejit.ir.walk import (
    evaluate_equation,
    evaluator,
    held_jaxprs,
    read,
    user_line,
)

Test = Callable[[Any], Any]

_KINDS: dict[str, tuple[str, Test]] = {
    "debug_nans": ("nan", np.isnan), "debug_infs": ("inf", np.isinf),
}  # fmt: skip
_SELECT, _KEEP_ZEROS = (Primitive.registry[name] for name in ("select", "keep_zeros"))


class _Switch:
    """Whether anybody may want to know: kept by the configuration, so that asking costs nothing."""

    is_on = False

    def adjust(self) -> None:
        """A knob has changed, or a block begins or ends."""
        self.is_on = any(config.for_all(knob) is not False for knob in _KINDS)


_switch = _Switch()
config.watch(_switch.adjust)


def wanted() -> list[tuple[str, Test]]:
    """What to look for here: words and tests."""
    if not _switch.is_on:
        return []
    return [kind for knob, kind in _KINDS.items() if getattr(config, knob)]


def look(
    name: str, jaxpr: Jaxpr, inputs: Sequence[Any], results: Sequence[Any],
    input_name: Callable[[int], str] = "input {}".format,
) -> None:  # fmt: skip
    """NonFiniteError if there is NaN (or infinity) among the results, which `jaxpr` computed.

    input_name: what an input is called, for one that has the NaN already.
    """
    for word, test in wanted():
        if any(_has(test, y) for y in results):
            found = _search(jaxpr, inputs, test, input_name)
            raise _unknown(name, word) if found is None else _report(found, name, word, test)


def _has(test: Test, y: Any) -> bool:
    array = np.asarray(y)
    return array.dtype in INEXACT and bool(test(array).any())


# The search


class _Found(NamedTuple):
    """eqn: where it arose; None if it came in: `source` says as what, and reader is the equation
    that read it first. outs: of the equation, or what came in. infinity: the equation that an
    infinite operand comes from."""

    eqn: Equation | None
    inputs: Sequence[Any]
    outs: Sequence[Any]
    source: str = ""
    reader: Equation | None = None
    infinity: Equation | None = None


class _Run:
    """All values of a program."""

    def __init__(self, jaxpr: Jaxpr, inputs: Sequence[Any]):
        self.values: dict[Var, Any] = dict(zip(jaxpr.invars, inputs, strict=True))
        self.makers: dict[Var, Equation] = {}
        for eqn in jaxpr.equations:
            outs = evaluate_equation(eqn, self.operands(eqn))
            self.values.update(zip(eqn.outvars, outs, strict=True))
            self.makers.update(dict.fromkeys(eqn.outvars, eqn))

    def operands(self, eqn: Equation) -> list[Any]:
        return [read(self.values, x) for x in eqn.inputs]

    def follow(self, x: Atom, test: Test) -> tuple[Atom, Equation | None]:
        """Back from a value that fails the test to the first one on its way, and who reads it."""
        reader = None
        while isinstance(x, Var) and x in self.makers:
            maker, before = self.makers[x], next(self._sources(x, test), None)
            if before is None:
                break
            x, reader = before, maker
        return x, reader

    def _sources(self, x: Var, test: Test) -> Iterator[Atom]:
        """The operands that fail the test, of those that a result has its first failure from."""
        eqn = self.makers[x]
        at = _first(test, self.values[x])
        operands: Sequence[Atom] = eqn.inputs
        if eqn.primitive is _SELECT:
            operands = eqn.inputs[1:2] if read(self.values, eqn.inputs[0])[at] else eqn.inputs[2:]
        elif eqn.primitive is _KEEP_ZEROS:
            operands = eqn.inputs[:1]
        for y in operands:
            value = np.asarray(read(self.values, y))
            if eqn.primitive.is_pointwise and value.dtype.kind in "fc":
                value = value[at]
            if _has(test, value):
                yield y


def _first(test: Test, value: Any) -> tuple[int, ...]:
    failing = np.asarray(test(value))
    return tuple(map(int, np.unravel_index(int(np.argmax(failing)), failing.shape)))


def _search(
    jaxpr: Jaxpr, inputs: Sequence[Any], test: Test,
    input_name: Callable[[int], str] = "input {}".format,
) -> _Found | None:  # fmt: skip
    """Where the first result that fails the test comes from; None if none does this time."""
    run = _Run(jaxpr, inputs)
    bad = (y for y in jaxpr.outvars if isinstance(y, Var) and _has(test, run.values[y]))
    y = next(bad, None)
    if y is None:
        return None
    x, reader = run.follow(y, test)
    eqn = run.makers.get(x)  # type: ignore[call-overload]
    if eqn is None:
        return _Found(None, (), (read(run.values, x),), _source(jaxpr, x, input_name), reader)
    operands = run.operands(eqn)
    inner = _inside(eqn, operands, test) if any(held_jaxprs(eqn)) else None
    if inner is not None:
        return inner
    outs = [run.values[v] for v in eqn.outvars]
    return _Found(eqn, operands, outs, infinity=_infinite(run, eqn, test))


def _source(jaxpr: Jaxpr, x: Atom, input_name: Callable[[int], str]) -> str:
    """What a value is that no equation makes."""
    places = [i for i, v in enumerate(jaxpr.invars) if v is x]
    return input_name(places[0]) if places else "a number that was known while tracing"


def _infinite(run: _Run, eqn: Equation, test: Test) -> Equation | None:
    """The equation that made an operand infinite, of one that made NaN of it."""
    if test is np.isinf:
        return None
    operands = (x for x in eqn.inputs if isinstance(x, Var) and _has(np.isinf, run.values[x]))
    source = next((run.follow(x, np.isinf)[0] for x in operands), None)
    return run.makers.get(source)  # type: ignore[call-overload]


class _Inside(Exception):
    """Ends the second run of an operation that holds jaxprs: found in one of them."""

    def __init__(self, found: _Found):
        super().__init__(found)
        self.found = found


def _inside(eqn: Equation, operands: Sequence[Any], test: Test) -> _Found | None:
    """The equation in the bodies of a loop or branch, in the round in which it arose first."""

    def watch(jaxpr: Jaxpr, *arrays: Any) -> tuple[Any, ...]:
        run = _Run(jaxpr, arrays)
        outs = tuple(read(run.values, y) for y in jaxpr.outvars)
        if any(_has(test, y) for y in outs) and not any(_has(test, x) for x in arrays):
            found = _search(jaxpr, arrays, test)
            if found is not None:
                raise _Inside(found)
        return outs

    token = evaluator.set(watch)
    try:
        evaluate_equation(eqn, operands)
    except _Inside as inside:
        return inside.found
    finally:
        evaluator.reset(token)
    return None


# The report


def _report(found: _Found, name: str, word: str, test: Test) -> NonFiniteError:
    out = next(y for y in found.outs if _has(test, y))
    at, failing = _first(test, out), np.asarray(test(out))
    extent = f"{np.count_nonzero(failing)} of {failing.size} elements"
    where = f"{type_of(out)}{f' at {list(at)}' if at else ''} ({extent})"
    if found.eqn is None:
        first = f", first read by {found.reader.primitive.name}" if found.reader else ""
        return NonFiniteError(
            f"{word} in the result of {name}: it came in as {found.source}, {where}{first}",
            where=user_line(found.reader) if found.reader else None,
            hint="look at what made it: the program has it from outside",
        )
    eqn = found.eqn
    lines = [f"{word} in the result of {name}: {eqn.primitive.name} gave {word}, {where}"]
    shown = [_operand(x, out, at) for x in found.inputs]
    lines.append(f"  operands: {', '.join(shown)}")
    if found.infinity is not None:
        place = user_line(found.infinity) or "a place that is not known"
        lines.append(f"  inf came from {found.infinity.primitive.name}, {place}")
    lines.append(f"  arose {_direction(eqn)}")
    return NonFiniteError("\n".join(lines), where=user_line(eqn))


def _operand(x: Any, out: Any, at: tuple[int, ...]) -> str:
    """An operand as a report shows it: its type, and its number there, or what it lies between."""
    array = np.asarray(x)
    type = str(type_of(array))
    if array.shape == np.shape(out):
        return f"{type} {array[at]}"
    if array.size <= 4:
        return f"{type} {array.tolist()}"
    if array.dtype in COMPLEX:
        array, type = np.abs(array), f"{type} of sizes"
    elif array.dtype not in FLOATS:
        return type
    return f"{type} from {np.nanmin(array)} to {np.nanmax(array)}"


def _direction(eqn: Equation) -> str:
    """Whether an equation is of the function itself, or of its derivative, and of what."""
    roles, place, root = [], eqn.provenance, eqn.primitive.name
    while place.primal is not None:
        roles.append(place.role)
        root = place.primal.params.get("name") or place.primal.primitive.name
        place = place.primal.provenance
    if "transpose" in roles:
        return f"backward, in the derivative of {root} (reverse mode)"
    if "jvp" in roles:
        return f"in the derivative of {root} (forward mode, or a factor that reverse mode uses)"
    if "jet" in roles:
        return f"in the derivatives of {root} (Taylor mode)"
    return "forward, in the function itself"


def _unknown(name: str, word: str) -> NonFiniteError:
    return NonFiniteError(
        f"{word} in the result of {name}, but not when it is run equation by equation",
        hint="rounding differs there: values near the end of the range, or near a singularity",
    )
