"""Static arguments: those that a compiled function treats as part of the program.

They are told by position or by name, and one is inferred from the other, as in JAX. A static value
is compared by == and hash, and by its type: 1, 1.0 and True are different programs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter
from typing import Any

from tracejit.errors import StaticArgumentError, did_you_mean
from tracejit.runtime.arguments import BY_POSITION, name_of, parameters_of, positional_name
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer

#: (position or name, value) of each static argument of a call.
Fixed = tuple[tuple[int | str, Any], ...]


class Statics:
    """Which arguments of a function are static."""

    def __init__(
        self,
        fun: Callable[..., Any],
        argnums: int | Sequence[int] | None,
        argnames: str | Iterable[str] | None,
        what: str = "static",
    ):
        """what: how the options that tell them begin, in messages."""
        self.fun = fun
        self.what = what
        parameters = parameters_of(fun)
        positional = [p.name for p in parameters if p.kind in BY_POSITION]
        numbers, names = _numbers(argnums, what), _names(argnames, what)
        self._check(parameters, positional, numbers, names)
        variadic = any(p.kind is Parameter.VAR_POSITIONAL for p in parameters)
        self.argnums = tuple(
            i + len(positional) if i < 0 and not variadic and parameters else i for i in numbers
        )
        self.argnames = names
        if argnums is None:
            self.argnums = tuple(i for i, name in enumerate(positional) if name in names)
        elif argnames is None:
            self.argnames = tuple(positional[i] for i in self.argnums if 0 <= i < len(positional))

    def _check(
        self, parameters: Sequence[Parameter], positional: Sequence[str],
        numbers: Sequence[int], names: Sequence[str],
    ) -> None:  # fmt: skip
        """Raise where the function has no such argument."""
        if not parameters:
            return  # a builtin without a signature
        kinds = {p.kind for p in parameters}
        if Parameter.VAR_POSITIONAL not in kinds:
            for i in numbers:
                if not -len(positional) <= i < len(positional):
                    raise StaticArgumentError(
                        f"{self.what}_argnums: {name_of(self.fun)} has no positional argument "
                        f"{i}, it has {len(positional)}", where=user_frame(),
                    )  # fmt: skip
        known = [p.name for p in parameters if p.kind is Parameter.KEYWORD_ONLY] + list(positional)
        if Parameter.VAR_KEYWORD not in kinds:
            for name in names:
                if name not in known:
                    raise StaticArgumentError(
                        f"{self.what}_argnames: {name_of(self.fun)} has no argument {name!r}",
                        where=user_frame(), hint=did_you_mean(name, known),
                    )  # fmt: skip

    def split(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any], Fixed]:
        """The arguments without the static ones (None in their positions), and these."""
        fixed: list[tuple[int | str, Any]] = []
        rest = list(args)
        for i in self.argnums:
            place = i + len(args) if i < 0 else i
            if 0 <= place < len(args):
                fixed.append((place, args[place]))
                rest[place] = None
        named = {}
        for name, value in kwargs.items():
            if name in self.argnames:
                fixed.append((name, value))
            else:
                named[name] = value
        fixed.sort(key=lambda item: str(item[0]))
        return tuple(rest), named, tuple(fixed)

    def key(self, fixed: Fixed) -> tuple[Any, ...]:
        """What stands for static values in the key of a cache; they need a hash."""
        for place, value in fixed:
            if isinstance(value, Tracer):
                raise StaticArgumentError(
                    f"static argument {self._name(place)} of {name_of(self.fun)} is traced",
                    where=user_frame(), hint="a static value is known when the program is "
                    "compiled: make it static in the function around, too",
                )  # fmt: skip
            try:
                hash(value)
            except TypeError:
                raise StaticArgumentError(
                    f"static argument {self._name(place)} of {name_of(self.fun)} is of type "
                    f"{type(value).__name__}, which has no hash", where=user_frame(),
                    hint="a static value is part of the key of the compiled program: pass a tuple "
                    "instead of a list or an array, or do not make it static",
                ) from None  # fmt: skip
        return tuple([(place, type(value), value) for place, value in fixed])

    def _name(self, place: int | str) -> str:
        return place if isinstance(place, str) else positional_name(self.fun, place)


def put_back(
    args: Sequence[Any], kwargs: Mapping[str, Any], fixed: Fixed
) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with the static ones in their places."""
    all_args, all_kwargs = list(args), dict(kwargs)
    for place, value in fixed:
        if isinstance(place, int):
            all_args[place] = value
        else:
            all_kwargs[place] = value
    return all_args, all_kwargs


def _numbers(argnums: int | Sequence[int] | None, what: str) -> tuple[int, ...]:
    if argnums is None:
        return ()
    try:
        if isinstance(argnums, Iterable):
            return tuple(map(operator.index, argnums))
        return (operator.index(argnums),)
    except TypeError:
        raise StaticArgumentError(
            f"{what}_argnums must be an int or a sequence of ints, not {argnums!r}",
            where=user_frame(),
        ) from None


def _names(argnames: str | Iterable[str] | None, what: str) -> tuple[str, ...]:
    if argnames is None:
        return ()
    given = (argnames,) if isinstance(argnames, str) else argnames
    names = tuple(given) if isinstance(given, Iterable) else (given,)
    if not all(isinstance(name, str) for name in names):
        raise StaticArgumentError(
            f"{what}_argnames must be a name or a sequence of names, not {argnames!r}",
            where=user_frame(),
        )
    return names
