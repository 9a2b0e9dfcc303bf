"""The table of a backend's lowerings: a row for each primitive, filled by one file a family."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from tracejit.errors import MissingLoweringError
from tracejit.ir.primitive import Primitive

Rule = TypeVar("Rule", bound=Callable)


class LoweringTable(Generic[Rule]):
    """One backend's rules, by primitive.

    Filling a cell twice is an error (ours: a TypeError at import); so is asking for an empty one
    (MissingLoweringError). Rules are what the backend makes of them.

        LOWERINGS = LoweringTable("xla")
        LOWERINGS.rows(__name__, {ops.sin: lax.sin, ops.cos: lax.cos})      # many, as data

        @LOWERINGS.rule(ops.rem)                                            # one, as a function
        def rem(x, y): ...
    """

    def __init__(self, backend: str):
        self.backend = backend
        self._rules: dict[Primitive, Rule] = {}
        self._files: dict[Primitive, str] = {}

    def rows(self, module: str, rules: Mapping[Primitive, Rule]) -> None:
        """Fill the cells of several primitives; `module` is the `__name__` of who does it."""
        for primitive, rule in rules.items():
            self._fill(primitive, rule, module)

    def rule(self, primitive: Primitive) -> Callable[[Rule], Rule]:
        """A decorator: the function is the rule of this primitive."""

        def fill(rule: Rule) -> Rule:
            self._fill(primitive, rule, rule.__module__)
            return rule

        return fill

    def _fill(self, primitive: Primitive, rule: Rule, module: str) -> None:
        file = module.replace(".", "/") + ".py"
        if primitive in self._rules:
            raise TypeError(
                f"{self.backend} has a lowering of {primitive.name} already, "
                f"in {self._files[primitive]}; {file} brings another"
            )
        self._rules[primitive] = rule
        self._files[primitive] = file

    def __getitem__(self, primitive: Primitive) -> Rule:
        try:
            return self._rules[primitive]
        except KeyError:
            raise self._missing(primitive) from None

    @property
    def files(self) -> frozenset[str]:
        """The files that have filled rows."""
        return frozenset(self._files.values())

    def __contains__(self, primitive: Primitive) -> bool:
        return primitive in self._rules

    def __iter__(self) -> Iterator[Primitive]:
        return iter(self._rules)

    def __len__(self) -> int:
        return len(self._rules)

    def _missing(self, primitive: Primitive) -> MissingLoweringError:
        """The error, which says where the row belongs: beside those of its neighbours."""
        neighbours = self._neighbours(primitive)
        beside = " and ".join(f"{p.name} ({self._files[p]})" for p in neighbours)
        return MissingLoweringError(
            f"the {self.backend} backend has no lowering of {primitive.name}",
            hint="give its table a row" + (f", beside those of {beside}" if beside else ""),
        )

    def _neighbours(self, primitive: Primitive) -> list[Primitive]:
        """The nearest primitives, in order of definition, that do have a row: before and behind."""
        order = list(Primitive.registry.values())
        at = order.index(primitive) if primitive in order else len(order)
        before = next((p for p in reversed(order[:at]) if p in self), None)
        behind = next((p for p in order[at + 1 :] if p in self), None)
        return [p for p in (before, behind) if p is not None]
