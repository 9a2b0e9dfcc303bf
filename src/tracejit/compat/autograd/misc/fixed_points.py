"""fixed_point: what an iteration comes to, with the derivative of that point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit import implicit, lax, tree
from tracejit.runtime.arguments import check_callable

__all__ = ["fixed_point"]


def fixed_point(
    f: Callable[[Any], Callable[[Any], Any]], a: Any, x0: Any,
    distance: Callable[[Any, Any], Any], tol: float,
) -> Any:  # fmt: skip
    """The x with f(a)(x) = x, from x0 by iteration until `distance` of two rounds is `tol`.

    a, x0: floats, arrays or trees. The derivative with respect to `a` is that of the solution, by
    the implicit function theorem: one linear system, and derivatives of any order. With respect to
    x0 it is 0.
    """
    check_callable(f, "fixed_point")

    def solve(init: Any, a: Any) -> Any:
        step = f(a)

        def goes_on(state: Any) -> Any:
            x, previous = state
            return distance(x, previous) > tol

        return lax.while_loop(goes_on, lambda state: (step(state[0]), state[0]),
                              (step(init), init))[0]  # fmt: skip

    def residual(x: Any, a: Any) -> Any:
        return tree.map(lambda new, old: new - old, f(a)(x), x)

    return implicit.root(residual, solve)(x0, a)
