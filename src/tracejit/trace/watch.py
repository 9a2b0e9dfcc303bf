"""What functions see besides their variables: the globals that their code names.

    CALLS = 0                    one round of a loop that is traced once says CALLS = 1, and
    def f(x):              ->    a hundred rounds mean 100: who watches CALLS sees that it
        global CALLS             changes, gives it its value back, and has the loop unrolled
        CALLS += 1
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np

from tracejit.trace.places import Path, is_leaf, restore, same, survey

#: Globals, and the names of them that functions look up.
Named = tuple[dict[str, Any], Collection[str]]


class Watch:
    """The state of globals at one moment. own: those of the function that watches. named: those of
    all functions that may run. but: containers, by id, that somebody else looks after."""

    def __init__(self, own: dict[str, Any], named: Sequence[Named], but: Collection[int]):
        self.own, self.named, self.but = own, named, but
        self.roots: dict[str, tuple[dict[str, Any], str]] = {}
        self.before = self._state()

    def _state(self) -> dict[Path, Any]:
        variables = {}
        for root, space, name in self._names():
            self.roots[root] = space, name
            variables[root] = space[name]
        return survey(variables, self.but)

    def _names(self) -> Iterator[tuple[str, dict[str, Any], str]]:
        for name, x in [*self.own.items()]:
            if not name.startswith("__") and (is_leaf(x) or isinstance(x, (list, dict, tuple))):
                yield name, self.own, name
        for space, names in self.named:
            prefix = "" if space is self.own else f"{space.get('__name__')}."
            for name in names:
                if name in space and not name.startswith("__"):
                    yield prefix + name, space, name
        if any("random" in names for _, names in self.named):
            yield "numpy.random", vars(np.random.mtrand), "_rand"
            yield "random", vars(random), "_inst"

    def changed(self) -> Path | None:
        """A place that is not what it was, if there is any; then all are again what they were."""
        after, before = self._state(), self.before
        places = [p for p, x in before.items() if p not in after or not same(x, after[p])]
        places += [p for p in after if p not in before]
        if not places:
            return None
        restore(before, after)
        for root in {path[0] for path in places}:
            space, name = self.roots[root]
            if (root,) in before:
                space[name] = before[root,]
            else:
                space.pop(name, None)
        return places[0]
