"""tf.Module: an object whose variables can be listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracejit.compat.tensorflow.variable import Variable

__all__ = ["Module"]


class Module:
    """tf.Module: variables are found in the attributes, in lists, tuples, dicts and modules there.

    variables, trainable_variables: each once, in the order of the attributes' names. submodules:
    the modules inside.
    """

    def __init__(self, name: str | None = None):
        self.name = name or type(self).__name__.lower()

    def _attributes(self) -> list[str]:
        """The names of the attributes, in the order in which variables are looked for."""
        return sorted(vars(self))

    @property
    def variables(self) -> tuple[Variable, ...]:
        return tuple([x for x in _inside(self) if isinstance(x, Variable)])

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        return tuple([v for v in self.variables if v.trainable])

    @property
    def non_trainable_variables(self) -> tuple[Variable, ...]:
        return tuple([v for v in self.variables if not v.trainable])

    @property
    def submodules(self) -> tuple[Module, ...]:
        return tuple([x for x in _inside(self) if isinstance(x, Module) and x is not self])


def _inside(module: Module) -> Iterator[Module | Variable]:
    """The module, then all variables and modules that it holds, each once, depth first."""
    seen: set[int] = set()
    pending: list[Any] = [module]
    while pending:
        x = pending.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        if isinstance(x, (Variable, Module)):
            yield x
        if isinstance(x, Module):
            pending += [vars(x)[name] for name in reversed(x._attributes())]
        elif isinstance(x, dict):
            pending += [x[key] for key in reversed(x)]
        elif isinstance(x, (list, tuple)):
            pending += reversed(x)
