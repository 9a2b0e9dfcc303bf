"""New operations with derivatives of the user's: `primitive`, `defvjp`, `defjvp`.

    @primitive
    def logsumexp(x): ...
    defvjp(logsumexp, lambda ans, x: lambda g: g * np.exp(x - ans))

The function is traced into the program where it can be; one that needs numbers (SciPy, C) is called
back in Python. There are no boxes: rules get arrays and traced values. With both kinds of rules the
jvps are used, in reverse mode their transposes, so that both modes work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api.custom import custom_jvp, custom_vjp
from tracejit.api.linear_maps import stop_gradient
from tracejit.control.custom_values import CustomVJPPrimal, SymbolicZero
from tracejit.control.effects import pure_callback
from tracejit.errors import ArgumentError, MissingRuleError, TracerError, UnsupportedError
from tracejit.runtime.arguments import check_callable, name_of
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer, is_traced

__all__ = [
    "VSpace", "def_linear", "defjvp", "defjvp_argnum", "defjvp_argnums", "defvjp", "defvjp_argnum",
    "defvjp_argnums", "notrace_primitive", "primitive", "vspace",
]  # fmt: skip

Fun = Callable[..., Any]


class Primitive:
    """What `primitive` returns: the function, with rules that are given later.

    pull: (argnums, ans, args, kwargs) -> (g -> cotangents of these arguments).
    push: (argnums, tangents, ans, args, kwargs) -> the tangent of the result.
    """

    def __init__(self, fun: Fun):
        check_callable(fun, "primitive")
        functools.update_wrapper(self, fun, updated=())
        self.fun = fun
        self.pull: Fun | None = None
        self.push: Fun | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not is_traced(*tree.leaves((args, kwargs))):
            return self.fun(*args, **kwargs)
        argnums = [i for i, x in enumerate(args) if _is_float(x)]
        # Without the operands: what a rule closes over is none of its arguments.
        put = functools.partial(_put, _put(args, argnums, [None] * len(argnums)), argnums)

        def fun(*xs: Any) -> Any:
            return _numbers(self.fun, put(xs), kwargs)

        fun.__name__ = name_of(self.fun)
        rule = self._with_jvp if self.push else self._with_vjp
        return rule(fun, put, argnums, kwargs)(*[args[i] for i in argnums])

    def _with_jvp(self, fun: Fun, put: Fun, argnums: list[int], kwargs: dict[str, Any]) -> Fun:
        assert self.push is not None
        push = self.push

        def jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
            args = put(primals)
            ans = self(*args, **kwargs)
            live = [i for i, t in enumerate(tangents) if not _all_zero(t)]
            asked, ts = [argnums[i] for i in live], [_filled(tangents[i]) for i in live]
            return ans, push(asked, ts, ans, args, kwargs)

        wrapped = custom_jvp(fun)
        wrapped.defjvp(jvp, symbolic_zeros=True)
        return wrapped

    def _with_vjp(self, fun: Fun, put: Fun, argnums: list[int], kwargs: dict[str, Any]) -> Fun:
        live: list[int] = []

        def fwd(*given: Any) -> tuple[Any, Any]:
            xs = [tree.map(lambda x: x.value, each, is_leaf=_is_primal) for each in given]
            live[:] = [
                i for i, each in enumerate(given)
                if any(x.perturbed for x in tree.leaves(each, is_leaf=_is_primal))
            ]  # fmt: skip
            ans = self(*put(xs), **kwargs)
            return ans, (ans, xs)

        def bwd(residuals: Any, g: Any) -> Any:
            if self.pull is None:
                raise MissingRuleError(
                    f"{name_of(self.fun)} has no derivative", where=user_frame(),
                    hint=f"give it one: defvjp({name_of(self.fun)}, ...)",
                )  # fmt: skip
            ans, xs = residuals
            g = tree.map(_filled, g, is_leaf=_is_zero)
            slopes = self.pull([argnums[i] for i in live], ans, put(xs), kwargs)(g)
            return tuple(_put([None] * len(argnums), live, list(slopes)))

        wrapped = custom_vjp(fun)
        wrapped.defvjp(fwd, bwd, symbolic_zeros=True)
        return wrapped

    def __repr__(self) -> str:
        return f"<primitive {name_of(self.fun)}>"


def primitive(f_raw: Fun) -> Primitive:
    """A function of arrays whose derivatives are given by `defvjp` and `defjvp`."""
    return Primitive(f_raw)


def notrace_primitive(f_raw: Fun) -> Fun:
    """A function whose result is a constant in derivatives."""

    @functools.wraps(f_raw)
    def constant(*args: Any, **kwargs: Any) -> Any:
        return f_raw(*stop_gradient(args), **stop_gradient(kwargs))

    return constant


# Rules


def defvjp(fun: Primitive, *vjpmakers: Fun | None, argnums: Sequence[int] | None = None) -> None:
    """For each argument `maker(ans, *args, **kwargs) -> (g -> cotangent)`; None for no derivative.

    argnums: which arguments the makers are for; the first ones, unless said.
    """
    makers = dict(
        zip(range(len(vjpmakers)) if argnums is None else argnums, vjpmakers, strict=False)
    )

    def pull(argnums: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Fun:
        pulls = [_rule(fun, makers, "vjp", i) for i in argnums]
        given = [maker and maker(ans, *args, **kwargs) for maker in pulls]
        return lambda g: [back and back(g) for back in given]

    _primitive(fun, "defvjp").pull = pull


def defvjp_argnum(fun: Primitive, vjpmaker: Fun) -> None:
    """One rule for all: `vjpmaker(argnum, ans, args, kwargs) -> (g -> cotangent)`."""

    def pull(argnums: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Fun:
        given = [vjpmaker(i, ans, args, kwargs) for i in argnums]
        return lambda g: [back(g) for back in given]

    _primitive(fun, "defvjp_argnum").pull = pull


def defvjp_argnums(fun: Primitive, vjpmaker: Fun) -> None:
    """One rule for several: `vjpmaker(argnums, ans, args, kwargs) -> (g -> cotangents)`."""
    _primitive(fun, "defvjp_argnums").pull = vjpmaker


def defjvp(
    fun: Primitive, *jvpfuns: Fun | str | None, argnums: Sequence[int] | None = None
) -> None:  # fmt: skip
    """For each argument `jvp(t, ans, *args, **kwargs) -> tangent of the result`, None for none, or
    "same" where the function is linear in it."""
    rules = dict(zip(range(len(jvpfuns)) if argnums is None else argnums, jvpfuns, strict=False))

    def one(argnum: int, t: Any, ans: Any, args: Any, kwargs: Any) -> Any:
        rule = _rule(fun, rules, "jvp", argnum)
        if rule == "same":
            return fun(*_put(args, [argnum], [t]), **kwargs)
        return None if rule is None else rule(t, ans, *args, **kwargs)

    defjvp_argnum(fun, one)


def defjvp_argnum(fun: Primitive, jvpmaker: Fun) -> None:
    """One rule for all: `jvpmaker(argnum, t, ans, args, kwargs) -> tangent of the result`."""

    def push(argnums: Sequence[int], ts: Sequence[Any], ans: Any, args: Any, kwargs: Any) -> Any:
        parts = [jvpmaker(i, t, ans, args, kwargs) for i, t in zip(argnums, ts, strict=True)]
        zeros = tree.map(np.zeros_like, ans)
        return functools.reduce(_add, [part for part in parts if part is not None], zeros)

    _primitive(fun, "defjvp_argnum").push = push


def defjvp_argnums(fun: Primitive, jvpmaker: Fun) -> None:
    """One rule for several: `jvpmaker(argnums, ts, ans, args, kwargs) -> tangent of the result`."""
    _primitive(fun, "defjvp_argnums").push = jvpmaker


def def_linear(fun: Primitive) -> None:
    """The function is linear in each of its arguments."""

    def same(argnum: int, t: Any, ans: Any, args: Any, kwargs: Any) -> Any:
        return fun(*_put(args, [argnum], [t]), **kwargs)

    defjvp_argnum(fun, same)


def _rule(fun: Primitive, rules: dict[int, Any], kind: str, argnum: int) -> Any:
    if argnum not in rules:
        raise MissingRuleError(
            f"{kind.upper()} of {name_of(fun.fun)} wrt argnum {argnum} not defined",
            where=user_frame(), hint=f"def{kind}(..., argnums=[...]); None says that it is zero",
        )  # fmt: skip
    return rules[argnum]


def _primitive(fun: Any, what: str) -> Primitive:
    if not isinstance(fun, Primitive):
        raise ArgumentError(
            f"{what} takes what primitive() has returned, not {fun!r}", where=user_frame(),
            hint="NumPy's functions have their derivatives: wrap a function of your own",
        )  # fmt: skip
    return fun


# Values


def _is_float(x: Any) -> bool:
    """Whether an argument is differentiated: there are floats in it, and nothing else."""
    leaves = tree.leaves(x)
    return bool(leaves) and all(
        type(y) in (float, complex) or getattr(getattr(y, "dtype", None), "kind", "") in ("f", "c")
        for y in leaves
    )


def _is_zero(t: Any) -> bool:
    return isinstance(t, SymbolicZero)


def _is_primal(x: Any) -> bool:
    return isinstance(x, CustomVJPPrimal)


def _all_zero(t: Any) -> bool:
    """Whether a tangent, or each leaf of it, is known to be zero."""
    return all(map(_is_zero, tree.leaves(t, is_leaf=_is_zero)))


def _filled(t: Any) -> Any:
    """A tangent with arrays for zeros that are known."""
    return tree.map(lambda x: x.instantiate() if _is_zero(x) else x, t, is_leaf=_is_zero)


def _put(args: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    given = list(args)
    for place, value in zip(places, values, strict=True):
        given[place] = value
    return given


def _add(x: Any, y: Any) -> Any:
    return tree.map(np.add, x, y)


def _numbers(fun: Fun, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The result of a function, which is traced, or else called back when the program runs."""
    try:
        return fun(*args, **kwargs)
    except (TracerError, UnsupportedError) as error:
        leaves, structure = tree.flatten((args, kwargs))
        places = [i for i, x in enumerate(leaves) if isinstance(x, Tracer)]

        def given(*values: Any) -> Any:
            positional, named = structure.unflatten(_put(leaves, places, values))
            return fun(*positional, **named)

        example = [np.ones(leaves[i].shape, leaves[i].dtype)[()] for i in places]
        try:
            types = tree.map(np.asarray, given(*example))
        except Exception:
            raise error from None
        return pure_callback(
            functools.wraps(fun)(given), types, *[leaves[i] for i in places],
            vmap_method="sequential",
        )  # fmt: skip


class VSpace:
    """The vector space of a value: its zeros, ones and random elements."""

    def __init__(self, value: Any):
        self.value = tree.map(lambda x: np.zeros(np.shape(x), _dtype(x)), value)

    @property
    def size(self) -> int:
        """The dimension."""
        return sum(x.size for x in tree.leaves(self.value))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an array."""
        return tuple(np.shape(self.value))

    def zeros(self) -> Any:
        """The zero vector."""
        return tree.map(np.copy, self.value)

    def ones(self) -> Any:
        """The vector of ones."""
        return tree.map(np.ones_like, self.value)

    def standard_basis(self) -> Iterator[Any]:
        """Vectors with one 1 each, in order."""
        leaves, structure = tree.flatten(self.value)
        for i, x in enumerate(leaves):
            for place in range(x.size):
                one = np.zeros(x.size, x.dtype)
                one[place] = 1
                yield structure.unflatten(_put(leaves, [i], [one.reshape(x.shape)]))

    def add(self, x: Any, y: Any) -> Any:
        """The sum of two vectors."""
        return _add(x, y)

    def scalar_mul(self, x: Any, a: Any) -> Any:
        """A vector times a number."""
        return tree.map(lambda leaf: leaf * a, x)

    def inner_prod(self, x: Any, y: Any) -> Any:
        """The sum of the products of the elements; of complex numbers the real part of that with
        the conjugates of x."""
        pairs = zip(tree.leaves(x), tree.leaves(y), strict=True)
        return sum(np.real(np.sum(np.conj(a) * b)) for a, b in pairs)

    def covector(self, x: Any) -> Any:
        """The covector of a vector: the conjugates."""
        return tree.map(np.conj, x)

    def randn(self) -> Any:
        """A vector of normal numbers."""
        return tree.map(_normal, self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VSpace) and self._types() == other._types()

    def __hash__(self) -> int:
        return hash(self._types())

    def _types(self) -> Any:
        leaves, structure = tree.flatten(self.value)
        return structure, tuple([(x.shape, x.dtype) for x in leaves])


def _normal(x: Any) -> Any:
    drawn = np.random.normal(size=x.shape)
    if np.iscomplexobj(x):
        drawn = drawn + 1j * np.random.normal(size=x.shape)
    return drawn.astype(x.dtype)


def _dtype(x: Any) -> Any:
    return getattr(x, "dtype", np.asarray(x).dtype if not isinstance(x, Tracer) else None)


def vspace(value: Any) -> VSpace:
    """The vector space of a value."""
    return VSpace(value)


def __getattr__(name: str) -> Any:
    if name in ("Box", "JVPNode", "VJPNode", "SparseObject"):
        raise UnsupportedError(
            f"autograd.extend.{name}: there are no boxes here", where=user_frame(),
            hint="tracejit.tree.register_dataclass makes a class of yours a container of arrays",
        )  # fmt: skip
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
