"""What of an operation that holds jaxprs is needed for the results that are used.

Dead code elimination looks here for operations with several results: results that nobody uses go,
and with them the carries, rows, operands and equations of the bodies that only they needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.control.call import call, prune_call
from tracejit.control.cond import cond, prune_cond
from tracejit.control.loop import prune_while, while_
from tracejit.control.scan import prune_scan, scan
from tracejit.ir.graph import Equation
from tracejit.ir.primitive import Primitive
from tracejit.transforms.jvp import Mask

PRUNE: dict[Primitive, Callable[[Equation, Mask], Equation]] = {
    call: prune_call,
    cond: prune_cond,
    scan: prune_scan,
    while_: prune_while,
}


def prune(eqn: Equation, used: Sequence[bool]) -> Equation:
    """An equation that defines the used variables of `eqn`, and as little else as it can.

    Its variables are some of those of `eqn`; `eqn` itself is returned if nothing can go.
    """
    rule = PRUNE.get(eqn.primitive)
    return eqn if rule is None else rule(eqn, tuple(used))
