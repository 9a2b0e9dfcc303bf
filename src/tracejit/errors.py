"""Every exception of the package, in one tree.

    TracejitError                       what went wrong, where in the user's file, what to do
    |-- TracerError                     a traced value was used as if it were a number
    |   |-- TracedBranchError           ... by `if`, `while`, `and`, `assert`    (also TypeError)
    |   |-- TracedConversionError       ... by float(), int(), np.asarray()      (also TypeError)
    |   `-- LeakedTracerError           ... after its trace had ended
    |-- ShapeError                      shapes that do not fit each other        (also ValueError)
    |   |-- AxisError                   an axis that is not there                (also IndexError)
    |   `-- OperandError                ... in the words of another library    (also RuntimeError)
    |-- DTypeError                      a dtype that an operation does not take  (also TypeError)
    |-- IndexingError                   an index that cannot be applied          (also IndexError)
    |-- TreeError                       pytrees that differ    (also ValueError and TypeError)
    |-- ArgumentError                   a wrong argument       (also ValueError and TypeError)
    |   |-- StaticArgumentError         static_argnums, static_argnames, an unhashable static
    |   |-- GradError                   a gradient that is not defined: a non-scalar output, an
    |   |                               integer input
    |   |   |-- NoRuleError             ... a function without its rule (also AttributeError)
    |   |   `-- GraphError              ... or of a recording that was let go (also RuntimeError)
    |   `-- ConfigError                 a knob that is unknown, or a value that it does not take
    |-- IRError                         a jaxpr that breaks the rules of the language
    |   |-- VerifyError                 ... found by the verifier
    |   `-- IRSyntaxError               ... found by the parser                  (also ValueError)
    |-- CheckError                      a condition of check() that does not hold (also ValueError)
    |-- NonFiniteError                  NaN or infinity, where debug_nans or debug_infs is on
    |                                                               (also FloatingPointError)
    |-- UnsupportedError                outside what tracejit does        (also NotImplementedError)
    |   `-- MissingRuleError            a primitive without a rule for a transform
    |       `-- MissingLoweringError    ... or for a backend
    `-- BackendError                    a backend that is unknown, or is not installed
        `-- CompileError                ... or could not build machine code

Each class also derives from the built-in exception that NumPy or JAX raise in its place, so code
that catches those keeps working. Assertions are for our mistakes, these classes for the caller's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar, Self

__all__ = [
    "ArgumentError",
    "AxisError",
    "BackendError",
    "CheckError",
    "CompileError",
    "ConfigError",
    "DTypeError",
    "GradError",
    "GraphError",
    "IRError",
    "IRSyntaxError",
    "IndexingError",
    "LeakedTracerError",
    "MissingLoweringError",
    "MissingRuleError",
    "NoRuleError",
    "NonFiniteError",
    "OperandError",
    "ShapeError",
    "StaticArgumentError",
    "TracedBranchError",
    "TracedConversionError",
    "TracejitError",
    "TracerError",
    "TreeError",
    "UnsupportedError",
    "VerifyError",
    "did_you_mean",
]


class TracejitError(Exception):
    """The root of the tree: a message of up to three parts, each on its own line.

    Parameters
    ----------
    what:  the fault, in the user's terms: the operation, the shapes, the dtypes.
    where: the user's place, anything whose `str` reads like `model.py:12 in loss`.
    hint:  what to do instead. A class may bring its own (`default_hint`); `hint=""` leaves it out.
    """

    default_hint: ClassVar[str] = ""

    what: str
    where: str | None
    hint: str

    def __init__(self, what: str = "", *, where: object = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.hint = self.default_hint if hint is None else hint

    def at(self, where: object) -> Self:
        """Add the place to an error raised by code that does not know it; keep a known one.

        `except TracejitError as error: raise error.at(provenance)` keeps the traceback.
        """
        if self.where is None and where is not None:
            self.where = str(where)
        return self

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.hint:
            lines.append("  hint: " + self.hint.replace("\n", "\n        "))
        return "\n".join(lines)


# ---- traced values used as numbers


class TracerError(TracejitError):
    """A traced value stands for an array that has no value yet, and was used as if it had one."""


class TracedBranchError(TracerError, TypeError):
    """Python asked a traced value for its truth: `if`, `while`, `and`, `or`, `not`, `assert`."""

    default_hint = (
        "choose values with np.where(condition, a, b), choose computations with "
        "tracejit.lax.cond(condition, f, g, *operands),\n"
        "loop with tracejit.lax.while_loop, or, if the value is the same in every call, make the "
        "argument static (jit(f, static_argnames=...))"
    )


class TracedConversionError(TracerError, TypeError):
    """Python or NumPy asked a traced value for its number: float(), range(), np.asarray()."""

    default_hint = (
        "keep it traced: NumPy functions and operators accept it as it is; for a Python number (a "
        "size, a count, an option),\n"
        "make the argument static (jit(f, static_argnames=...)) or compute it outside"
    )


class LeakedTracerError(TracerError):
    """A traced value outlived its trace: it was kept in a global, an attribute or a closure."""

    default_hint = (
        "return the value from the transformed function instead of storing it "
        "in a global, an attribute or a list that outlives the call"
    )


# ---- shapes, dtypes, indices, trees


class ShapeError(TracejitError, ValueError):
    """Shapes that do not fit the operation or each other."""


class AxisError(ShapeError, IndexError):
    """An axis out of range, or named twice."""


class OperandError(ShapeError, RuntimeError):
    """The same, in the words of the library that a door of `tracejit.compat` stands for."""


class DTypeError(TracejitError, TypeError):
    """A dtype that the operation does not take, or a conversion that NumPy's rules do not allow."""


class IndexingError(TracejitError, IndexError):
    """An index of a wrong kind or number, or a static one out of bounds."""


class TreeError(TracejitError, ValueError, TypeError):
    """Pytrees whose structures differ, or an object that cannot be taken apart."""


# ---- arguments of the public functions


class ArgumentError(TracejitError, ValueError, TypeError):
    """An argument of a public function that is of a wrong kind, or out of range."""


class StaticArgumentError(ArgumentError):
    """A static argument that does not exist, or that cannot be a key: it has no hash."""


class GradError(ArgumentError):
    """A derivative that is not defined: of a non-scalar output, or for an integer input."""


class GraphError(GradError, RuntimeError):
    """A recording that gives no derivative: let go, written over, or without what was asked for."""


class NoRuleError(GradError, AttributeError):
    """A function of `custom_jvp`, `custom_vjp` or `custom_vmap` that was not given its rule."""


class ConfigError(ArgumentError):
    """A configuration knob that does not exist, or a value that it does not take."""


class CheckError(TracejitError, ValueError):
    """A condition that `check` was told of did not hold when the program ran."""


class NonFiniteError(TracejitError, FloatingPointError):
    """NaN or infinity came out of a program while `debug_nans` or `debug_infs` was on."""


# ---- the language and the machines


class IRError(TracejitError):
    """A jaxpr that breaks the rules of the language."""


class VerifyError(IRError):
    """The verifier found a fault; the message shows the equations around it."""


class IRSyntaxError(IRError, ValueError):
    """The text of a jaxpr that cannot be read; the message shows line and column."""


class UnsupportedError(TracejitError, NotImplementedError):
    """Something that NumPy or JAX can do and tracejit cannot."""


class MissingRuleError(UnsupportedError):
    """A primitive that has no rule for a transform."""


class MissingLoweringError(MissingRuleError):
    """A primitive that a backend cannot lower."""


class BackendError(TracejitError):
    """A backend that does not exist, or whose package is not installed."""


class CompileError(BackendError):
    """A backend failed to turn a verified program into machine code."""


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """A hint for a misspelt name: the closest choice if there is one, else all of them.

    >>> did_you_mean("natve", ["eager", "native"])
    "did you mean 'native'?"
    """
    known = sorted(choices)
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return "one of " + ", ".join(repr(choice) for choice in known)
