"""Series element by element. x, y: operands, z: the result; x_k is the coefficient of t^k."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.ir.atoms import Atom, is_zero, ones, zero
from tracejit.ir.primitive import Primitive, times
from tracejit.ir.types import tangent_type
from tracejit.ops import elementwise as ops
from tracejit.transforms.jet import (
    Coefficient,
    Coefficients,
    Rule,
    Series,
    Use,
    constant,
    convolution,
    divided,
    scaled,
    total,
)

Step = Callable[[int], Coefficients]


def product(x: Series, y: Series, k: int) -> Atom:
    """[x y]_k = sum of x_i y_(k-i)."""
    return convolution(_times, x, y, [(i, k - i) for i in range(k + 1)], x.type)


def _times(x: Atom, y: Atom) -> Atom:
    return times(x, y) if not is_zero(x) else x


def _square(x: Series, k: int) -> Atom:
    """[x x]_k, each pair once: 2 x_0 x_k + 2 x_1 x_(k-1) + ... (+ the square of the middle)."""
    pairs = [(i, k - i) for i in range((k + 1) // 2)]
    twice = scaled(convolution(_times, x, x, pairs, x.type), 2)
    middle = x[k // 2] if k % 2 == 0 else zero(tangent_type(x.type))
    return total([twice, middle if is_zero(middle) else ops.square(middle)], x.type)


def _add(use: Use) -> Step:
    (x, y) = use.inputs
    return lambda k: use.value() if k == 0 else [total([x[k], y[k]], x.type)]


def _sub(use: Use) -> Step:
    (x, y) = use.inputs

    def step(k: int) -> Coefficients:
        if k == 0:
            return use.value()
        return [x[k] if is_zero(y[k]) else -y[k] if is_zero(x[k]) else x[k] - y[k]]

    return step


def _each(use: Use) -> Step:
    """The operation on each coefficient."""
    (x,) = use.inputs
    return lambda k: [x[k]] if k and is_zero(x[k]) else use.bind(x[k])


def _convert(use: Use) -> Step:
    """Between floats on each coefficient."""
    (x,), (y,) = use.inputs, use.outs

    def step(k: int) -> Coefficients:
        return [zero(tangent_type(y.type))] if k and is_zero(x[k]) else use.bind(x[k])

    return step


def _mul(use: Use) -> Step:
    x, y = use.inputs
    return lambda k: use.value() if k == 0 else [product(x, y, k)]


def _squared(use: Use) -> Step:
    (x,) = use.inputs
    return lambda k: use.value() if k == 0 else [_square(x, k)]


def _div(use: Use) -> Step:
    """z y = x:  z_k = (x_k - sum of y_i z_(k-i) for i >= 1) / y_0."""
    (x, y), (z,) = use.inputs, use.outs

    def step(k: int) -> Coefficients:
        if k == 0:
            return use.value()
        rest = convolution(_times, y, z, [(i, k - i) for i in range(1, k + 1)], x.type)
        top = x[k] if is_zero(rest) else -rest if is_zero(x[k]) else x[k] - rest
        return [top if is_zero(top) else top / y[0]]

    return step


def _circular(second: Primitive, ahead: float, behind: float) -> Callable[[Use], Step]:
    """y' = ahead z x', z' = behind y x' for a pair of functions, of which z is the `second`."""

    def start(use: Use) -> Step:
        (x,), (y,) = use.inputs, use.outs
        z = Series(x.type, lambda k: second(x[0]) if k == 0 else _turned(x, y, k, behind))
        return lambda k: use.value() if k == 0 else [_turned(x, z, k, ahead)]

    return start


def _turned(x: Series, of: Series, k: int, sign: float) -> Atom:
    """sign / k * sum of j x_j of_(k-j)."""
    terms = (scaled(_times(x[j], of[k - j]), j) for j in range(1, k + 1) if not is_zero(x[j]))
    return divided(total(terms, x.type), sign * k)


def _integer_pow(use: Use) -> Step:
    """By repeated squaring, which is right at 0, too; a negative power is 1 over the positive."""
    (x,), n = use.inputs, use.params["n"]
    size = abs(n)
    power, base = constant(ones(x.type)), x
    while size:
        if size % 2:
            power = base if not power.varies else _product_series(power, base)
        size //= 2
        base = _product_series(base, base) if size else base
    if n >= 0:
        return lambda k: use.value() if k == 0 else [power[k]]
    inverse = Use(use.rules, ops.div, [constant(ones(x.type)), power], {})
    return lambda k: use.value() if k == 0 else inverse.at(k)


def _product_series(x: Series, y: Series) -> Series:
    return Series(x.type, lambda k: _square(x, k) if x is y else product(x, y, k))


def _keep_zeros(use: Use) -> Step:
    """A coefficient is spoilt where those of the guards so far are all 0."""
    x, *guards = use.inputs

    def step(k: int) -> Coefficients:
        if is_zero(x[k]):
            return [x[k]]
        known = [g[0] for g in guards]
        known += [g[j] for g in guards for j in range(1, k + 1) if not is_zero(g[j])]
        return use.bind(x[k], *known)

    return step


_ROWS: dict[Any, Callable[[Use], Step]] = {
    ops.add: _add,
    ops.sub: _sub,
    ops.neg: _each,
    ops.convert: _convert,
    ops.mul: _mul,
    ops.square: _squared,
    ops.div: _div,
    ops.sin: _circular(ops.cos, 1.0, -1.0),
    ops.cos: _circular(ops.sin, -1.0, 1.0),
    ops.sinh: _circular(ops.cosh, 1.0, 1.0),
    ops.cosh: _circular(ops.sinh, 1.0, 1.0),
    ops.integer_pow: _integer_pow,
    ops.keep_zeros: _keep_zeros,
}
ROWS: dict[Primitive, Rule] = {p: Coefficient(start) for p, start in _ROWS.items()}
