"""Values against NumPy's, gradients against difference quotients: the far side of the runner.

The reference of a gradient is the derivative of the NumPy source along random directions, by
central differences at two steps (Richardson), with every float32 of source and data made float64:
so it is good to many digits for programs in float32, too.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import tracejit as tj
from benchmarks.case import Namespace
from benchmarks.measure import answer_all, status
from benchmarks.npbench.suite import (
    Outcome,
    Program,
    assigns,
    call,
    copies,
    float_positions,
    loss_of,
    programs,
    static_positions,
)

#: What results may differ from NumPy's, relative to an array's largest element, by their dtype.
TOLERANCES = {"float64": 1e-9, "float32": 2e-5, "complex128": 1e-9, "complex64": 2e-5}

#: What a derivative along a direction may differ from the difference quotient, relatively.
GRADIENT_TOLERANCES = {"float64": 2e-5, "float32": 2e-3}

#: Steps of the difference quotients, relative to an argument's largest element: the first, or where
#: that leads over jumps of a program, smaller ones that meet fewer of them.
STEP = (1e-5, 1e-7, 1e-9)

#: What of a derivative may be lost in the noise of a quotient.
NOISE = 1e-3

DIRECTIONS = 2

#: Arguments in which a program's outputs are step functions: nothing to compare along them.
STEPS = {"azimint_hist": ("radius",), "azimint_naive": ("radius",)}

#: Sizes for the gradient of programs that are chaotic: over fewer steps there is one to compare.
CALM = {"nbody": {"Nt": 10}}

#: What results may differ by, in terms of what a last digit of the inputs changes.
LAST_DIGITS = 100


@dataclass
class Verdict:
    """What was found: `good`, or why not. Seconds of the first call (compiling included), bytes."""

    good: bool
    what: str
    first: float | None = None
    reference: float | None = None
    peak: int | None = None


class Checks:
    """The questions about one program."""

    def __init__(self, program: Program, backend: str | None):
        self.program, self.backend = program, backend

    def value(self, size: str) -> dict[str, Any]:
        """Compare a call under jit with NumPy's: results, arguments, dtypes."""
        return self._judged(self._value, size)

    def gradient(self, size: str) -> dict[str, Any]:
        """Compare the gradient of the sum of all float outputs with difference quotients."""
        return self._judged(self._gradient, size)

    def _judged(self, question: Callable[[str], Verdict], size: str) -> dict[str, Any]:
        try:
            verdict = question(size)
        except Exception as error:
            verdict = Verdict(False, blame(error, self.program))
        verdict.peak = status("VmHWM")
        return asdict(verdict)

    def _value(self, size: str) -> Verdict:
        args = self.program.arguments(size)
        start = time.perf_counter()
        want = call(self.program.function(), args)
        reference = time.perf_counter() - start
        function = tj.jit(
            self.program.function(), static_argnums=static_positions(args), backend=self.backend
        )
        start = time.perf_counter()
        got = call(function, args)
        first = time.perf_counter() - start
        again = call(function, args)
        everything = sorted(want.arguments)
        tolerance = self.program.info.get("rtol")
        found = compared(got.all(everything), want.all(everything), tolerance)
        if found:
            tolerance = self._condition(args, want)
            found = compared(got.all(everything), want.all(everything), tolerance)
        found = found or compared(again.all(everything), got.all(everything), tolerance)
        return Verdict(not found, found or "equal", first, reference)

    def _condition(self, args: Sequence[Any], want: Outcome) -> float:
        """What results may differ by, from what NumPy's change with the last digits of inputs."""
        floats = float_positions(args)
        moved = [x * (1 + np.finfo(x.dtype).eps) if i in floats else x for i, x in enumerate(args)]
        other, everything = call(self.program.function(), moved), sorted(want.arguments)
        pairs = zip(other.all(everything), want.all(everything), strict=True)
        found = [distance(x, y) for x, y in pairs if y.dtype.kind in "fc"]
        return LAST_DIGITS * max(found or [0.0])

    def _gradient(self, size: str) -> Verdict:
        calm = CALM.get(self.program.name, {})
        names = self.program.argument_names
        args = [calm.get(n, x) for n, x in zip(names, self.program.arguments(size), strict=True)]
        floats = float_positions(args)
        changed = assigns(self.program.function(), args)
        if not floats:
            return Verdict(True, "no arrays of floats")
        loss = loss_of(self.program.function(), changed, np.sum)
        function = tj.jit(
            tj.value_and_grad(loss, argnums=tuple(floats)),
            static_argnums=static_positions(args), backend=self.backend,
        )  # fmt: skip
        start = time.perf_counter()
        value, gradients = function(*copies(args))
        first = time.perf_counter() - start
        gradient = dict(zip(floats, gradients, strict=True))
        reference = loss_of(in_double(self.program), changed, np.sum)
        found = self._along_directions(reference, args, value, gradient)
        return Verdict(not found, found or "equal", first)

    def _along_directions(
        self, loss: Callable[..., Any], args: Sequence[Any], value: Any,
        gradient: dict[int, np.ndarray],
    ) -> str:  # fmt: skip
        args = doubled(args)
        rng = np.random.default_rng(7)
        skipped = STEPS.get(self.program.name, ())
        for _ in range(DIRECTIONS):
            tangents = {}
            for i in gradient:
                if self.program.argument_names[i] not in skipped:
                    tangents[i] = self._tangent(args[i], rng)
            terms = [np.real(gradient[i] * t) for i, t in tangents.items()]
            got = sum(float(np.sum(term)) for term in terms)
            largest = np.sqrt(sum(float(np.sum(term**2)) for term in terms))
            narrow = any(gradient[i].dtype == np.float32 for i in gradient)
            allowed = GRADIENT_TOLERANCES["float32" if narrow else "float64"]
            lost = 50 * float(np.finfo(np.float32).eps * abs(value)) if narrow else 0.0
            for step in STEP:
                want, noise = quotient(loss, args, tangents, step)
                size = max(abs(want), largest)
                if abs(got - want) <= allowed * size + min(noise, NOISE * size) + lost:
                    break
            else:
                return f"the derivative is {got:.9g}, the difference quotient {want:.9g}"
        return ""

    @staticmethod
    def _tangent(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A random direction, as large as x; a symmetric matrix stays symmetric and definite."""
        if x.dtype.kind == "c":
            parts = rng.standard_normal((2, *x.shape))
            return (parts[0] + 1j * parts[1]) * (np.max(np.abs(x)) or 1.0)
        if x.ndim == 2 and np.array_equal(x, x.T):
            scale = rng.standard_normal(len(x))
            return x * np.add.outer(scale, scale)
        return rng.standard_normal(x.shape) * (np.max(np.abs(x)) or 1.0)


def quotient(
    loss: Callable[..., Any], args: Sequence[Any], tangents: dict[int, np.ndarray],
    width: float = STEP[0],
) -> tuple[float, float]:  # fmt: skip
    """The derivative along a direction by difference quotients, and its noise."""

    def at(step: float) -> float:
        return float(loss(*[x + step * tangents[i] if i in tangents else x
                            for i, x in enumerate(args)]))  # fmt: skip

    wide, narrow = [(at(h) - at(-h)) / (2 * h) for h in (width, width / 2)]
    noise = 20 * np.finfo(np.float64).eps * abs(at(0.0)) / width + abs(wide - narrow)
    return (4 * narrow - wide) / 3, noise


def in_double(program: Program) -> Callable[..., Any]:
    """The NumPy source with float64 in place of float32."""
    function = program.function()
    function.__globals__["np"] = Namespace(np, float32=np.float64)
    return function


def doubled(args: Sequence[Any]) -> list[Any]:
    """The arguments with float64 in place of float32."""
    return [x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype == np.float32 else x
            for x in args]  # fmt: skip


def compared(
    got: Sequence[np.ndarray], want: Sequence[np.ndarray], tolerance: float | None = None
) -> str:
    """How results differ: "" where they do not. Integers and NaN are exact."""
    if len(got) != len(want):
        return f"{len(got)} results for {len(want)}"
    for k, (x, y) in enumerate(zip(got, want, strict=True)):
        if x.shape != y.shape:
            return f"array {k} has shape {x.shape}, not {y.shape}"
        if x.dtype != y.dtype:
            return f"array {k} is {x.dtype}, not {y.dtype}"
        allowed = max(TOLERANCES.get(y.dtype.name, 0.0), tolerance or 0.0)
        wrong = distance(x, y)
        if not wrong <= allowed:
            return f"array {k} ({y.dtype}{list(y.shape)}) differs by {wrong:.1e}"
    return ""


def distance(x: np.ndarray, y: np.ndarray) -> float:
    """The largest difference, relative to the largest element of y."""
    if not y.size:
        return 0.0
    if y.dtype.kind not in "fc":
        return float(np.max(x != y))
    known = np.isfinite(y)
    if not np.array_equal(x[~known], y[~known], equal_nan=True):
        return float("inf")
    scale = np.max(np.abs(y), where=known, initial=0.0) or 1.0
    return float(np.max(np.abs(x - y), where=known, initial=0.0) / scale)


def blame(error: Exception, program: Program) -> str:
    """The error in a line, with the line of the program and of the code that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1]
    mine = [f for f in frames if Path(f.filename).is_relative_to(program.folder)]
    text = str(error).strip().splitlines()
    where = f"{Path(last.filename).name}:{last.lineno}"
    at = f"at `{mine[-1].line}`, " if mine else ""
    return f"{type(error).__name__}: {text[0][:200] if text else ''} ({at}{where})"


def serve(pipe: Connection, root: str, name: str, backend: str | None, threads: int) -> None:
    """Answer the questions of `Checks` about a program."""
    (program,) = programs(Path(root), [name])
    answer_all(pipe, Checks(program, backend), lambda: "", threads)
