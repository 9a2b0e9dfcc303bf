"""The laws that every primitive obeys, as functions that raise AssertionError for a broken one.

    from tracejit.testing import Sample, check_all, positive
    check_all(Sample(my_primitive, (positive()("f64[7]"),)))

Each takes a sample, draws its operands, and says in the error which law, which row, how far off.
t: tangents, w: cotangents, both random and the same in every run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.backends.protocol import Backend
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.parsing import parse
from tracejit.ir.types import INEXACT, ArrayType, finfo, type_of
from tracejit.ir.walk import evaluate, inline
from tracejit.ops.complex import real
from tracejit.ops.elementwise import add, convert, mul
from tracejit.ops.structure import broadcast, reduce_sum
from tracejit.series import RULES
from tracejit.testing.compare import assert_close, assert_ulps
from tracejit.testing.samples import Sample
from tracejit.transforms.batch import batch
from tracejit.transforms.gradient import adjoint, value_and_gradient
from tracejit.transforms.jet import jet
from tracejit.transforms.jvp import Mask, jvp
from tracejit.transforms.linearize import Split, linearize
from tracejit.transforms.transpose import transpose

Arrays = Sequence[Any]

# Typing


def check_typing(sample: Sample) -> None:
    """The type rule says the dtype and shape of the NumPy value."""
    program = sample.program()
    (eqn,) = program.equations
    arrays = [a.value(sample.rng()) for a in sample.args]
    with np.errstate(all="ignore"):
        values = eqn.primitive.evaluate(*arrays, **eqn.params)
    for value, expected in zip(values, program.out_types, strict=True):
        actual = type_of(value)
        assert actual == expected, f"typing: {sample}: the rule says {expected}, it is {actual}"


# The calculus


def check_jvp(sample: Sample) -> None:
    """The jvp is the quotient of differences, along all inputs at once and along each alone."""
    program, arrays = sample.program(), sample.arrays()
    live = _float_mask(program.in_types)
    wanted = _float_mask(program.out_types)
    for mask in dict.fromkeys([live, *_singles(live)]):
        forward, _ = jvp(program, mask, wanted)
        tangents = _tangents(program.in_types, mask, sample.rng(1))
        results = evaluate(forward, *arrays, *tangents)
        count = len(program.outvars)
        assert_close("jvp: value", sample, results[:count], evaluate(program, *arrays), rtol=0)
        expected = _directional(lambda *xs: evaluate(program, *xs), arrays, mask, tangents)
        expected = _chosen(expected, wanted)
        assert_close("jvp", sample, results[count:], expected, rtol=sample.rtol)


def check_linearize(sample: Sample) -> None:
    """The known part is the value, the linear part the jvp, and the linear part is linear."""
    program, arrays, parts, residuals = _linearized(sample)
    mask = _float_mask(program.in_types)
    forward, live = jvp(program, mask)
    s, t = (_tangents(program.in_types, mask, sample.rng(seed)) for seed in (1, 2))

    def linear(ts: Arrays) -> Arrays:
        return evaluate(parts.linear, *residuals, *ts)

    assert live == parts.unknown, f"linearize: {sample}: other tangents live than in the jvp"
    pushed = evaluate(forward, *arrays, *s)[len(program.outvars) :]
    rtol = _rtol(program, sample)
    assert_close("linearize", sample, linear(s), pushed, rtol=rtol)
    combined = [2 * a - 3 * b for a, b in zip(s, t, strict=True)]
    expected = [2 * a - 3 * b for a, b in zip(linear(s), linear(t), strict=True)]
    assert_close("linearize: linear", sample, linear(combined), expected, rtol=rtol)


def check_transpose(sample: Sample) -> None:
    """<A t, w> = <t, A' w>, and the transpose of the transpose is A.

    Of complex numbers the real part of the products is meant, without conjugation.
    """
    program, _, parts, residuals = _linearized(sample)
    mask = _float_mask(program.in_types)
    back = adjoint(parts)
    t = _tangents(program.in_types, mask, sample.rng(1))
    w = _tangents(parts.linear.out_types, (True,) * len(parts.linear.outvars), sample.rng(2))
    pushed = evaluate(parts.linear, *residuals, *t)
    pulled = evaluate(back, *residuals, *w)
    rtol = _rtol(program, sample)
    assert_close("transpose", sample, [_inner(t, pulled)], [_inner(pushed, w)], rtol=rtol)
    for ct, tangent in zip(pulled, t, strict=True):
        assert type_of(ct) == type_of(tangent), f"transpose: {sample}: {type_of(ct)}"
    again = transpose(back, (False,) * parts.residuals + (True,) * len(w))
    assert_close("transpose twice", sample, evaluate(again, *residuals, *t), pushed, rtol=rtol)


def check_second_order(sample: Sample) -> None:
    """The jvp of the gradient is the quotient of its differences, and the Hessian is symmetric."""
    program = sample.program()
    both, mask, point = _gradient(sample)
    gradient = Jaxpr(both.invars, both.equations, both.outvars[1:])
    wanted = (True,) * len(gradient.outvars)
    forward, _ = jvp(gradient, mask, wanted)

    def hessian_times(ts: Arrays) -> Arrays:
        return evaluate(forward, *point, *ts)[len(wanted) :]

    s, t = (_tangents(both.in_types, mask, sample.rng(seed)) for seed in (1, 2))
    quotient = _directional(lambda *xs: evaluate(gradient, *xs), point, mask, s)
    assert_close("second order", sample, hessian_times(s), quotient, rtol=10 * sample.rtol)
    assert_close(
        "symmetric Hessian", sample, [_inner(hessian_times(s), t)], [_inner(hessian_times(t), s)],
        rtol=_rtol(program, sample),
    )  # fmt: skip


def check_third_order(sample: Sample) -> None:
    """Along a line, the third derivative is the same by forward mode, reverse mode and Taylor mode.

    For float64 it is the quotient of differences of the second one, too; and the first two are
    the same by forward and Taylor mode.
    """
    line, point = _along_line(sample)
    rtol = 10 * _rtol(sample.program(), sample)
    forward = list(itertools.accumulate(range(3), lambda f, _: _forward_rate(f), initial=line))
    values = [evaluate(f, *point)[0] for f in forward]
    series, _ = jet(line, 3, (1, *(0,) * (len(point) - 1)), RULES, (True,))
    coefficients = evaluate(series, *point, np.ones_like(point[0]))
    expected = [coefficients[0], coefficients[1], 2 * coefficients[2], 6 * coefficients[3]]
    assert_close("third order: Taylor", sample, values, expected, rtol=rtol)
    back = _reverse_rate(line)
    for _ in range(2):
        back = _forward_rate(back) if sample.tapes else _reverse_rate(back)
    assert_close("third order: reverse", sample, evaluate(back, *point), values[3:], rtol=rtol)
    if sample.is_double:
        along, one = (True, *(False,) * (len(point) - 1)), [np.ones(())]
        quotient = _directional(lambda *xs: evaluate(forward[2], *xs), point, along, one)
        assert_close("third order", sample, values[3:], quotient, rtol=100 * sample.rtol)


# Batching, machines, text


def check_batch(sample: Sample, size: int = 3) -> None:
    """A batch gives what its members give, whichever of the inputs have the batch."""
    program = sample.program()
    members = [sample.arrays(seed) for seed in range(size)]
    for mask in _subsets(len(program.invars)):
        batched, live = batch(program, size, mask, (True,) * len(program.outvars))
        assert all(live)
        inputs = [
            np.stack([m[i] for m in members]) if many else members[0][i]
            for i, many in enumerate(mask)
        ]
        each = [
            evaluate(program, *(m[i] if b else members[0][i] for i, b in enumerate(mask)))
            for m in members
        ]
        expected = [np.stack(outs) for outs in zip(*each, strict=True)]
        results = evaluate(batched, *inputs)
        for y, out in zip(results, program.out_types, strict=True):
            actual, wanted = type_of(y), out.with_shape((size, *out.shape))
            assert actual == wanted, f"batch {mask}: {sample}: {actual} instead of {wanted}"
        assert_close(f"batch {mask}", sample, results, expected, rtol=_rtol(program, sample))


def check_backends(samples: Sample | Sequence[Sample], backend: Backend) -> None:
    """A backend's value is NumPy's, to the row's ulps; for strided operands too.

    Several rows make one program, for backends that take long to compile one.
    """
    rows = [samples] if isinstance(samples, Sample) else samples
    programs, arrays = [s.program() for s in rows], [s.arrays() for s in rows]
    run = backend.compile(_side_by_side(programs), name="samples")
    for law, operands in (
        (backend.name, arrays),
        (f"{backend.name}, strided", [[_strided(x) for x in xs] for xs in arrays]),
    ):
        results = iter(run(*itertools.chain(*operands)))
        for sample, program, xs in zip(rows, programs, arrays, strict=True):
            assert_ulps(
                law, sample, [next(results) for _ in program.outvars], evaluate(program, *xs),
                ulps=sample.ulps, scale=sample.scale, flush="subnormals" not in sample.needs,
            )  # fmt: skip


def check_gradients(samples: Sample | Sequence[Sample], backend: Backend) -> None:
    """A backend's gradient is that of NumPy, equation by equation, but for rounding."""
    rows = [samples] if isinstance(samples, Sample) else samples
    programs, _, points = zip(*map(_gradient, rows), strict=True)
    results = iter(backend.compile(_side_by_side(programs), name="gradients")(*sum(points, [])))
    for sample, program, point in zip(rows, programs, points, strict=True):
        found = [next(results) for _ in program.outvars]
        rtol = _rtol(sample.program(), sample)
        law = f"{backend.name}, gradient"
        assert_close(law, sample, found, evaluate(program, *point), rtol=rtol)


def check_text(sample: Sample) -> None:
    """The text of a program parses to one that prints the same and has the same value."""
    program, arrays = sample.program(), sample.arrays()
    text = str(program)
    again = parse(text)
    assert str(again) == text, f"text: {sample}: reads back as\n{again}\ninstead of\n{text}"
    expected = evaluate(program, *arrays)
    assert_ulps("text", sample, evaluate(again, *arrays), expected, ulps=0)


def check_all(sample: Sample, *backends: Backend) -> None:
    """Every law that applies to the row."""
    check_typing(sample)
    check_batch(sample)
    if sample.has_text:
        check_text(sample)
    for backend in backends:
        check_backends(sample, backend)
        if sample.is_differentiable and not (sample.tapes and backend.name == "xla"):
            check_gradients(sample, backend)
    if sample.is_differentiable:
        check_linearize(sample)
        if sample.is_double:
            check_jvp(sample)
        check_transpose(sample)
        if sample.is_double:
            check_second_order(sample)
        check_third_order(sample)


# Parts


def _float_mask(types: Sequence[ArrayType]) -> Mask:
    return tuple(t.is_inexact for t in types)


def _singles(mask: Mask) -> list[Mask]:
    """The masks with one of the marks."""
    return [tuple(i == j for i in range(len(mask))) for j, on in enumerate(mask) if on]


def _subsets(count: int) -> list[Mask]:
    """The masks with a mark or more; for many inputs those with one, and the full one."""
    if count <= 3:
        return [m for m in itertools.product((False, True), repeat=count) if any(m)]
    return [*_singles((True,) * count), (True,) * count]


def _chosen(items: Sequence[Any], mask: Mask) -> list[Any]:
    return [x for x, on in zip(items, mask, strict=True) if on]


def _tangents(types: Sequence[ArrayType], mask: Mask, rng: np.random.Generator) -> list[Any]:
    return [_tangent(t, rng) for t, on in zip(types, mask, strict=True) if on]


def _tangent(type: ArrayType, rng: np.random.Generator) -> np.ndarray:
    t = rng.uniform(-1.0, 1.0, type.shape)
    return (t + 1j * rng.uniform(-1.0, 1.0, type.shape) if type.is_complex else t).astype(
        type.dtype
    )


def _rtol(program: Jaxpr, sample: Sample) -> float:
    """What rounding leaves of an identity: by the coarsest float of the program."""
    types = (*program.in_types, *program.out_types)
    eps = max((float(finfo(t.dtype).eps) for t in types if t.is_inexact), default=0.0)
    return eps * 1e4 * max(1.0, sample.scale)


def _inner(xs: Arrays, ys: Arrays) -> np.ndarray:
    pairs = zip(xs, ys, strict=True)
    return np.asarray(sum(np.sum(_wide(x) * _wide(y)).real for x, y in pairs))


def _wide(x: Any) -> np.ndarray:
    """In double precision."""
    return np.asarray(x, np.promote_types(np.asarray(x).dtype, np.float64))


def _linearized(sample: Sample) -> tuple[Jaxpr, Arrays, Split, Arrays]:
    program, arrays = sample.program(), sample.arrays()
    parts = linearize(program, _float_mask(program.in_types))
    known = evaluate(parts.known, *arrays)
    count = len(program.outvars)
    assert_close("linearize: value", sample, known[:count], evaluate(program, *arrays), rtol=0)
    return program, arrays, parts, known[count:]


def _weighted(sample: Sample) -> tuple[Jaxpr, Mask, list[Any]]:
    """The program of a weighted sum of all results.

    With it: which of its inputs have a derivative, and the inputs, of which the last are weights.
    """
    program = sample.program()
    outs = _chosen(program.out_types, _float_mask(program.out_types))
    weights = _tangents(outs, (True,) * len(outs), sample.rng(3))
    mask = _float_mask(program.in_types) + (False,) * len(weights)
    return _weighted_sum(program), mask, [*sample.arrays(), *weights]


def _gradient(sample: Sample) -> tuple[Jaxpr, Mask, list[Any]]:
    """The same with the gradient of the sum."""
    total, mask, point = _weighted(sample)
    return value_and_gradient(total, mask), mask, point


def _along_line(sample: Sample) -> tuple[Jaxpr, list[Any]]:
    """The program s, x, w, t -> <w, f(x + s t)>, and its inputs, s being 0.

    The third derivatives along all lines are all third derivatives.
    """
    total, mask, point = _weighted(sample)
    with building() as builder:
        s = Var(total.out_types[0].with_shape(()))
        xs = [Var(t) for t in total.in_types]
        ts = [Var(x.type) for x in _chosen(xs, mask)]
        supply = iter(ts)
        moved = [_moved(x, s, next(supply)) if on else x for x, on in zip(xs, mask, strict=True)]
        outs = inline(total, moved, builder)
    tangents = _tangents(total.in_types, mask, sample.rng(1))
    return builder.finish([s, *xs, *ts], outs), [np.zeros((), s.dtype), *point, *tangents]


def _moved(x: Atom, s: Atom, t: Atom) -> Atom:
    """x + s t."""
    factor = s if s.dtype == x.dtype else convert(s, dtype=x.dtype)
    return add(x, mul(broadcast(factor, shape=x.shape, dims=()), t))


def _forward_rate(program: Jaxpr) -> Jaxpr:
    """The derivative of output 0 by input 0, both scalars, by forward mode."""
    along = (True, *(False,) * (len(program.invars) - 1))
    pushed, _ = jvp(program, along, (True,))
    with building() as builder:
        invars = [Var(t) for t in program.in_types]
        outs = inline(pushed, [*invars, Literal(1.0, program.in_types[0])])
    return builder.finish(invars, outs[1:])


def _reverse_rate(program: Jaxpr) -> Jaxpr:
    """The same by reverse mode."""
    both = value_and_gradient(program, (True, *(False,) * (len(program.invars) - 1)))
    return Jaxpr(both.invars, both.equations, both.outvars[1:])


def _side_by_side(programs: Sequence[Jaxpr]) -> Jaxpr:
    """All programs in one, their inputs and outputs in order."""
    invars: list[Var] = []
    outs: list[Atom] = []
    with building() as builder:
        for program in programs:
            inputs = [Var(t) for t in program.in_types]
            outs += inline(program, inputs, builder)
            invars += inputs
    return builder.finish(invars, outs)


def _weighted_sum(program: Jaxpr) -> Jaxpr:
    """(inputs, a weight for each element of each float output) -> the scalar sum of products, of
    their real parts."""
    with building() as builder:
        invars = [Var(t) for t in program.in_types]
        outs = [y for y in inline(program, invars, builder) if y.type.is_inexact]
        weights = [Var(y.type) for y in outs]
        products = [mul(y, w) for y, w in zip(outs, weights, strict=True)]
        products = [real(z) if z.type.is_complex else z for z in products]
        terms = [reduce_sum(z, axes=tuple(range(z.ndim))) for z in products]
        total: Atom = terms[0]
        for term in terms[1:]:
            total = add(total, term)
    return builder.finish([*invars, *weights], [total])


def _directional(
    f: Callable[..., Arrays], point: Arrays, mask: Mask, tangents: Arrays, step: float = 2.0**-8
) -> list[Any]:
    """The derivative of f along tangents, by central differences and two Richardson steps.

    The error is of order step^6, some 1e-14 times the seventh derivative; rounding adds 1e-13.
    """

    def difference(h: float) -> list[Any]:
        supply = iter(tangents)
        direction = [next(supply) if on else None for on in mask]
        ahead, behind = (
            f(*(x if d is None else x + e * d for x, d in zip(point, direction, strict=True)))
            for e in (h, -h)
        )
        return [
            np.subtract(a, b) / (2 * h) if np.asarray(a).dtype in INEXACT else None
            for a, b in zip(ahead, behind, strict=True)
        ]

    columns = [difference(step / 2**k) for k in range(3)]
    return [
        None if d0 is None else (64 * d2 - 20 * d1 + d0) / 45
        for d0, d1, d2 in zip(*columns, strict=True)
    ]


def _strided(x: np.ndarray) -> np.ndarray:
    """The same values in an array that is contiguous in no way, where its shape allows."""
    room = np.zeros(tuple(2 * n + 1 for n in x.shape[::-1]), x.dtype)
    every_other: Any = (..., *[np.s_[1::2]] * x.ndim)
    view = room[every_other].T
    view[...] = x
    return view
