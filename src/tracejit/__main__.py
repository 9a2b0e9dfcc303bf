"""The command line, `tracejit` or `python -m tracejit`.

    tracejit demo                                            fit two models, compare backends
    tracejit explain model:loss "f64[3]" "f64[100,3]" --grad     see `tracejit.explain`
    tracejit compare model:loss --args "np.ones(3), 2.0" --grad  see `tracejit.compare`
"""

from __future__ import annotations

import argparse
import inspect
import pkgutil
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy

import tracejit
from tracejit.demo import demo
from tracejit.errors import ArgumentError, TracejitError
from tracejit.ir.parsing import dtype_named


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status."""
    parser = argparse.ArgumentParser(prog="tracejit", description=(tracejit.__doc__ or "")[:72])
    parser.add_argument("--version", action="version", version=f"tracejit {tracejit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("demo", help="fit two models on real data, and compare backends")
    shown.add_argument("--plot", default="tracejit_demo.png", help="where the plot goes")
    shown.add_argument("--quick", action="store_true", help="fewer rounds of timing")
    shown.add_argument("--plain", action="store_true", help="plain text, also where rich is there")
    told = commands.add_parser("explain", help="what a backend made of a function, and why")
    told.add_argument("function", help="module:name")
    told.add_argument("arguments", nargs="*", help='types of the arguments: "f64[100,3]", "f64[]"')
    told.add_argument("--grad", action="store_true", help="of its value and gradient")
    told.add_argument("--backend", help="native, eager or xla")
    _add_compare(commands)
    options = parser.parse_args(argv)
    if options.command == "demo":
        demo(plot=options.plot, quick=options.quick, plain=options.plain)
        return 0
    try:
        print(_explained(options) if options.command == "explain" else _compared(options))
    except TracejitError as error:
        return _fail(str(error))
    return 0


def _add_compare(commands: Any) -> None:
    compared = commands.add_parser("compare", help="the eager mode and the backends side by side")
    compared.add_argument("function", help="module:name")
    compared.add_argument(
        "--args", help="the arguments, in Python: \"np.ones(3), 2.0\" (the function's example_args)"
    )
    compared.add_argument("--grad", action="store_true", help="of its value and gradient")
    compared.add_argument("--backends", help="native,xla (those that are installed)")
    compared.add_argument("--rounds", type=int, default=7, help="slots of timing for each (7)")
    compared.add_argument("--plot", help="where a plot goes")


def _explained(options: argparse.Namespace) -> Any:
    fun = _function(options.function)
    hint = f"give a type for each argument: tracejit explain {options.function} f64[100,3] f64[]"
    _check_count(fun, options.function, options.arguments, hint)
    fun = tracejit.value_and_grad(fun) if options.grad else fun
    return tracejit.explain(fun, backend=options.backend)(*map(_argument, options.arguments))


def _compared(options: argparse.Namespace) -> Any:
    fun = _function(options.function)
    backends = options.backends.split(",") if options.backends else None
    values = _values(fun, options)
    hint = f'give each argument: tracejit compare {options.function} --args "np.ones(3), 2.0"'
    _check_count(fun, options.function, values, hint)
    found = tracejit.compare(
        fun, *values, grad=options.grad, backends=backends, rounds=options.rounds
    )
    if options.plot:
        try:
            found.plot(options.plot)
        except (OSError, ValueError) as error:  # no such folder; no such format
            print(found)
            raise ArgumentError(f"--plot {options.plot!r}: {error}") from None
    return found


def _values(fun: Callable[..., Any], options: argparse.Namespace) -> tuple[Any, ...]:
    """The arguments: given as an expression, or the function's own example, or none."""
    if options.args is None:
        given = getattr(fun, "example_args", ())
        return tuple(given() if callable(given) else given)
    names = {"np": numpy, "numpy": numpy, "tj": tracejit}
    try:
        return tuple(eval(f"({options.args},)", names)) if options.args.strip() else ()
    except Exception as error:
        what = f"--args {options.args!r}: {type(error).__name__}: {error}"
        raise ArgumentError(what, hint='such as --args "np.ones(3), 2.0"') from None


def _function(text: str) -> Callable[..., Any]:
    """module:name, found from the current folder."""
    sys.path.insert(0, "")
    try:
        fun = pkgutil.resolve_name(text)
    except (ImportError, AttributeError, ValueError) as error:
        raise ArgumentError(f"there is no function {text!r}: {error}", hint="module:name") from None
    if not callable(fun):
        raise ArgumentError(f"there is no function {text!r}", hint="module:name")
    return fun  # type: ignore[no-any-return]


def _check_count(
    fun: Callable[..., Any], name: str, arguments: Sequence[Any], hint: str
) -> None:
    """ArgumentError where a function, if Python knows its parameters, cannot take so many."""
    try:
        signature = inspect.signature(fun)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise ArgumentError(f"{name}{signature}: {error}", hint=hint) from None


def _argument(text: str) -> tracejit.ShapeDtypeStruct:
    """What stands for an argument of a type as jaxprs print it."""
    found = re.fullmatch(r"([a-z]+\d*)\[([\d, ]*)\]", text.strip())
    dtype = found and dtype_named(found[1])
    if found is None or dtype is None:
        hint = "such as f64[100,3] or i64[]"
        raise ArgumentError(f"{text!r} is no type of an argument", hint=hint)
    shape = [int(n) for n in found[2].split(",") if n.strip()]
    return tracejit.ShapeDtypeStruct(shape, dtype)


def _fail(message: str) -> int:
    print(message, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
