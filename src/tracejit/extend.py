"""Operations of your own, by the constructors that tracejit makes its own with.

    softsign = extend.unary(
        "softsign",
        evaluate=lambda x: x / (1 + np.abs(x)),                    # the value, by NumPy
        derivative=lambda x, y: 1 / (1 + np.abs(x)) ** 2,
        lower=lambda x: x / (1 + np.abs(x)),                       # what backends compile
    )
    tj.jit(tj.grad(lambda x: np.sum(softsign(x))))(x)

One call holds an operation's mathematics; a rule that is missing is an error at once. Rules are
written in NumPy: they are traced. `lower` is traced into operations that there are, and fuses with
what is around it; without one, compiled programs call `evaluate` back in Python. Derivatives of the
operation are those of its rules, never of `lower`. `tracejit.testing.check_primitive` tests all the
laws on it. What the house has beyond that (types, zeros) is here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.custom_closure import self_contained
from tracejit.control.extension import EXTENSIONS, lower_by
from tracejit.control.members import one_by_one
from tracejit.errors import ArgumentError, ShapeError, TracejitError, TracerError, TreeError
from tracejit.ir import primitive as house
from tracejit.ir.atoms import Atom, is_zero, zero
from tracejit.ir.primitive import POINTWISE, ZERO, Linear, Primitive, Unknown
from tracejit.ir.types import (
    ALL,
    BOOL,
    COMPLEX,
    FLOATS,
    INEXACT,
    INTEGERS,
    NUMBERS,
    ArrayType,
    Dtypes,
    array_type,
    tangent_type,
    type_of,
)
from tracejit.ir.walk import inline
from tracejit.numpy.arrays import fit, operand, unify
from tracejit.numpy.promotion import result_float
from tracejit.runtime.arguments import check_callable
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.stage import stage
from tracejit.trace.tracer import Tracer, bind

__all__ = [
    "ALL", "BOOL", "COMPLEX", "FLOATS", "INEXACT", "INTEGERS", "NUMBERS", "POINTWISE", "ZERO",
    "ArrayType", "Linear", "Operation", "Unknown", "array_type", "binary", "is_zero", "linear",
    "primitive", "unary",
]  # fmt: skip

Rule = Callable[..., Any]


class Operation:
    """An operation that the user has added: call it with arrays, numbers, traced values.

    primitive: what stands in programs, and what the laws are about.
    """

    def __init__(self, primitive: Primitive, lower: Rule | None, elementwise: bool):
        self.primitive, self._elementwise = primitive, elementwise
        self.__name__, self.__doc__ = primitive.name, primitive.__doc__
        if lower is not None:
            try:
                check_callable(lower, f"lower of {primitive.name}")
            except TracejitError:
                Primitive.registry.pop(primitive.name, None)  # it was never there
                raise
        lower_by(primitive, lower)

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """The result, or the tuple of them where it is not `single`.

        Operands of an operation element by element are broadcast, and take one float dtype if that
        is what it accepts. Parameters are values that Python knows, given by keyword.
        """
        for name, value in params.items():
            if any(isinstance(x, Tracer) for x in tree.leaves(value)):
                raise TracerError(
                    f"the parameter {name} of {self.__name__} is traced", where=user_frame(),
                    hint="parameters are known while tracing; make it an operand",
                )  # fmt: skip
        xs = [operand(x) for x in operands]
        if self._elementwise:
            dtypes = {np.dtype(getattr(x, "dtype", type(x))) for x in xs}
            floats = dtypes <= FLOATS or not dtypes.isdisjoint(COMPLEX)
            xs = unify(xs) if floats else unify(xs, result_float(*xs))
        return bind(self.primitive, *xs, **params)

    def __repr__(self) -> str:
        return f"<operation {self.primitive.name}>"


def unary(
    name: str, *, evaluate: Rule, derivative: Rule | None, lower: Rule | None = None,
    accepts: Dtypes = FLOATS, doc: str = "",
) -> Operation:  # fmt: skip
    """y = f(x), element by element.

    evaluate(x, **params): the value of an array, by NumPy. derivative(x, y, **params): dy/dx, or
    None where it is zero almost everywhere. accepts: the dtypes of x and y.
    """
    made = house.unary(
        _new(name, evaluate), accepts=accepts, evaluate=_by_element(name, evaluate), doc=doc,
        derivative=derivative and _partial(derivative),
    )  # fmt: skip
    return Operation(made, lower, accepts <= INEXACT)


def binary(
    name: str, *, evaluate: Rule, derivatives: tuple[Rule | None, Rule | None] | None,
    lower: Rule | None = None, accepts: Dtypes = FLOATS, doc: str = "",
) -> Operation:  # fmt: skip
    """z = f(x, y), element by element; derivatives[i](x, y, z, **params), or None where it is 0."""
    given = derivatives or (None, None)
    partials = (given[0] and _partial(given[0]), given[1] and _partial(given[1]))
    made = house.binary(
        _new(name, evaluate), accepts=accepts, evaluate=_by_element(name, evaluate), doc=doc,
        derivatives=partials if derivatives else None,
    )  # fmt: skip
    return Operation(made, lower, accepts <= INEXACT)


def linear(
    name: str, *, typing: Rule, evaluate: Rule, transpose: Rule, batch: Rule | None = None,
    operands: tuple[int, ...] | None = None, lower: Rule | None = None, single: bool = True,
    doc: str = "",
) -> Operation:  # fmt: skip
    """An operation that is linear, jointly, in `operands` (all of them, unless said).

    typing(*types, **params) -> tuple of types of the results. transpose(cts, inputs, **params): a
    cotangent, or None, for each input; those that it is linear in are `Unknown(type)`. batch(size,
    inputs, batched, **params) -> tuple of results, with the batch as first axis; without it the
    members are computed one after the other.
    """
    return primitive(
        name, typing=typing, evaluate=evaluate, jvp=Linear(operands), transpose=transpose,
        batch=batch, lower=lower, single=single, doc=doc,
    )  # fmt: skip


def primitive(
    name: str, *, typing: Rule, evaluate: Rule, jvp: Any, transpose: Rule | None = None,
    batch: Any = None, lower: Rule | None = None, single: bool = True,
    defaults: dict[str, Any] | None = None, doc: str = "",
) -> Operation:  # fmt: skip
    """Any operation. See `tracejit.ir.primitive` for the duties of a primitive.

    jvp: `ZERO`, `Linear(operands)`, or a function (primals, tangents, outs, **params) -> tuple of
    tangents, for each of which `None` stands for zero. A tangent that is zero comes as zeros.
    single: whether evaluate returns one array, or a tuple of them.
    """
    rules = _Rules(_new(name, evaluate, typing), typing, evaluate, single)
    made = Primitive(
        name, typing=rules.typed, evaluate=rules.value, single=single, defaults=defaults, doc=doc,
        jvp=jvp if isinstance(jvp, (house.Zero, Linear)) else rules.jvp(jvp),
        transpose=transpose and rules.transpose(transpose),
        batch=batch if batch is POINTWISE else rules.batch(batch),
    )  # fmt: skip
    rules.operation = made
    return Operation(made, lower, False)


def _new(name: str, *rules: Any) -> str:
    """A name that no operation has; making one again, as notebooks do, replaces it."""
    for rule in rules:
        check_callable(rule, name)
    if not name.isidentifier():
        raise ArgumentError(
            f"{name!r} is no name for an operation", where=user_frame(),
            hint="programs are printed and read back: take letters, digits and _",
        )  # fmt: skip
    known = Primitive.registry.get(name)
    if known is not None and known not in EXTENSIONS:
        raise ArgumentError(
            f"there is an operation {name!r} in tracejit already", where=user_frame(),
            hint="give yours another name",
        )  # fmt: skip
    Primitive.registry.pop(name, None)
    return name


# Rules in NumPy.


def _by_element(name: str, evaluate: Rule) -> Rule:
    """The value in the dtype of the operands, whatever NumPy promotes to."""

    def value(*arrays: Any, **params: Any) -> Any:
        y = np.asarray(evaluate(*map(_protected, arrays), **params), arrays[0].dtype)
        if y.shape != np.shape(arrays[0]):
            raise ShapeError(
                f"evaluate of {name} returned {type_of(y)} for {type_of(arrays[0])}",
                where=function_place(evaluate), hint="it works element by element",
            )  # fmt: skip
        return y

    return value


def _in_numpy(rule: Rule) -> Rule:
    """A rule on atoms, from one on what is traced: it is traced at each use, and inlined."""

    def on_atoms(*args: Any, **params: Any) -> Any:
        leaves, structure = tree.flatten(args, is_leaf=_is_atom)
        atoms = [x for x in leaves if isinstance(x, Atom)]
        found: list[tree.TreeDef] = []

        def flat(*tracers: Tracer) -> list[Any]:
            supply = iter(tracers)
            given = [_traced(x, next(supply)) if isinstance(x, Atom) else x for x in leaves]
            results = rule(*structure.unflatten(given), **params)
            outs, out_structure = tree.flatten(results)
            found.append(out_structure)
            return outs

        staged = stage(flat, [x.type for x in atoms])
        outs = inline(self_contained(staged, rule, "an operation"), atoms)
        return found[0].unflatten(outs)

    return on_atoms


def _is_atom(x: Any) -> bool:
    return isinstance(x, (Atom, Unknown))


def _traced(x: Atom, tracer: Tracer) -> Tracer:
    """A tracer; of a zero one that is known to be zero."""
    return Tracer(tracer.owner, zero(x.type)) if is_zero(x) else tracer


def _partial(derivative: Rule) -> Rule:
    """A partial derivative: of the type of the result, also where it is a number."""

    def fitted(*args: Any, **params: Any) -> Any:
        y = args[-1]
        return fit(operand(derivative(*args, **params)), y.dtype, y.shape, traced=True)

    return _in_numpy(fitted)


class _Rules:
    """The rules of one operation, in the form in which the house has them: what they return is
    looked at, since a wrong type would come out as a wrong number."""

    operation: Primitive

    def __init__(self, name: str, typing: Rule, evaluate: Rule, single: bool):
        self.name, self._typing, self._evaluate, self._single = name, typing, evaluate, single

    def typed(self, *types: ArrayType, **params: Any) -> tuple[ArrayType, ...]:
        """What `typing` says."""
        found = self._typing(*types, **params)
        if not isinstance(found, (tuple, list)) or any(type(t) is not ArrayType for t in found):
            raise self._wrong("typing", self._typing, "a tuple of types", found)
        if self._single and len(found) != 1:
            raise self._wrong("typing", self._typing, "one type, as it is `single`", found)
        return tuple(found)

    def value(self, *arrays: Any, **params: Any) -> Any:
        """The value, of the types that typing says."""
        found = self._evaluate(*map(_protected, arrays), **params)
        wanted = self.typed(*[type_of(x) for x in arrays], **params)
        results = (found,) if self._single else found
        if not isinstance(results, (tuple, list)) or len(results) != len(wanted):
            raise self._wrong("evaluate", self._evaluate, f"{len(wanted)} arrays", found)
        made = [np.asarray(y, t.dtype) for y, t in zip(results, wanted, strict=True)]
        for y, t in zip(made, wanted, strict=True):
            if y.shape != t.shape:
                raise ShapeError(
                    f"evaluate of {self.name} returned {type_of(y)}, and its typing says {t}",
                    where=function_place(self._evaluate),
                )
        return made[0] if self._single else tuple(made)

    def jvp(self, rule: Rule) -> Rule:
        """A jvp whose zeros may be None."""
        check_callable(rule, self.name)
        traced = _in_numpy(rule)

        def pushed(primals: Any, tangents: Any, outs: Any, **params: Any) -> Sequence[Atom]:
            types = [tangent_type(y.type) for y in outs]
            ts = traced(list(primals), list(tangents), list(outs), **params)
            found = self._fitting("jvp", rule, ts, types)
            return [zero(type) if t is None else t for t, type in zip(found, types, strict=True)]

        return pushed

    def transpose(self, rule: Rule) -> Rule:
        """A cotangent, or None, for each input."""
        check_callable(rule, self.name)
        traced = _in_numpy(rule)

        def pulled(cts: Any, inputs: Any, **params: Any) -> Sequence[Atom | None]:
            wanted = [x.type if isinstance(x, Unknown) else None for x in inputs]
            return self._fitting("transpose", rule, traced(cts, inputs, **params), wanted)

        return pulled

    def batch(self, rule: Rule | None) -> Rule:
        """A batching rule; one member after the other, where there is none."""
        if rule is None:
            return lambda size, inputs, batched, **params: one_by_one(
                size, inputs, batched, lambda xs: self.operation.bind(*xs, **params)
            )
        check_callable(rule, self.name)
        traced = _in_numpy(rule)

        def many(size: int, inputs: Any, batched: Any, **params: Any) -> Sequence[Atom | None]:
            members = [
                x.type.with_shape(x.type.shape[1:]) if on else x.type
                for x, on in zip(inputs, batched, strict=True)
            ]
            types = self.typed(*members, **params)
            wanted = [t.with_shape((size, *t.shape)) for t in types]
            found = traced(size, inputs, batched, **params)
            return self._fitting("batch", rule, found, wanted, none=False)

        return many

    def _fitting(
        self, what: str, rule: Rule, found: Any, wanted: Sequence[ArrayType | None],
        none: bool = True,
    ) -> Sequence[Atom | None]:  # fmt: skip
        """What a rule returned, if it is of the types that are wanted; None says any."""
        if not isinstance(found, (tuple, list)) or len(found) != len(wanted):
            raise self._wrong(what, rule, f"a tuple of {len(wanted)}", found)
        for x, t in zip(found, wanted, strict=True):
            if x is None and none or t is None:
                continue
            if not isinstance(x, Atom) or x.type != t:
                raise self._wrong(what, rule, str(t), x)
        return found

    def _wrong(self, what: str, rule: Rule, wanted: str, found: Any) -> TracejitError:
        shown = found.type if isinstance(found, Atom) else repr(found)
        if isinstance(found, (tuple, list)):
            shown = f"{len(found)} values"
        return TreeError(
            f"{what} of {self.name} returns {wanted}, and returned {shown}",
            where=function_place(rule),
        )


def _protected(x: Any) -> Any:
    """An array that belongs to the caller, as one that cannot be written to."""
    view = np.asarray(x).view()
    view.setflags(write=False)
    return view
