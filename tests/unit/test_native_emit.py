"""The builder of LLVM assembly: what it writes once, and what each time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tracejit.backends.native.emit import F64, I64, PTR, VOID, Function, Module, Value, vector_type
from tracejit.backends.native.target import object_code


@pytest.fixture
def fn() -> Function:
    return Module().function("f", VOID, [F64, F64, I64, PTR])


PURE: list[Callable[[Function], Value]] = [
    lambda b: b.add(b.args[0], b.args[1]),
    lambda b: b.fma(b.args[0], b.args[1], b.args[0]),
    lambda b: b.abs(b.neg(b.args[2])),
    lambda b: b.select(b.less(*b.args[:2]), b.args[0], b.args[1]),
    lambda b: b.splat(b.args[0], 8),
    lambda b: b.reduce("fadd", b.splat(b.args[0], 8)),
    lambda b: b.sitofp(b.args[2], F64),
    lambda b: b.offset(b.args[3], b.args[2], F64),
    lambda b: b.load(F64, b.args[3]),
]
*PURE, LOAD = PURE


@pytest.mark.parametrize("operation", PURE)
def test_a_block_computes_a_thing_once(fn: Function, operation: Callable) -> None:
    first = operation(fn)
    written = list(fn.here.lines)
    assert operation(fn) is first
    assert fn.here.lines == written


@pytest.mark.parametrize("operation", PURE)
def test_another_block_computes_it_again(fn: Function, operation: Callable) -> None:
    """Whether one comes before the other is not known."""
    first = operation(fn)
    fn.at(fn.block())
    assert operation(fn).text != first.text


def test_memory_is_read_each_time(fn: Function) -> None:
    first = LOAD(fn)
    fn.store(fn.args[1], fn.args[3])
    assert LOAD(fn).text != first.text


def test_what_differs_in_one_operand_is_another(fn: Function) -> None:
    x, y = fn.args[:2]
    texts = {fn.sub(x, y).text, fn.sub(y, x).text, fn.add(x, y).text, fn.less(x, y).text}
    assert len(texts) == 4


def test_a_type_is_one_object() -> None:
    assert vector_type("double", 1) is F64
    assert F64.vector(8).scalar is F64
    assert F64.vector(8) is vector_type("double", 8)
    assert (F64.suffix, PTR.suffix, F64.vector(8).suffix) == ("f64", "p0", "v8f64")
    assert (F64.mask.bytes, F64.integer, F64.vector(4).text) == (1, I64, "<4 x double>")


def test_what_is_written_is_assembly(fn: Function) -> None:
    for operation in [*PURE, LOAD]:
        operation(fn)
    fn.ret()
    assert object_code(str(fn.module))
