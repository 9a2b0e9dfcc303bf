"""What the bytecode around an instruction says about the loop that it belongs to.

Python tells an iterator or a truth value nothing of the statement that asks. The instruction at
which the asking frame stands does: whether a `range(...)` is what a `for` statement runs over, and
whether a truth decides if a `while` goes on.
"""

from __future__ import annotations

import dis
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType

_JUMPS_BACK = ("JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "POP_JUMP_BACKWARD_IF_TRUE")
_LEAVES = ("POP_JUMP_FORWARD_IF_FALSE", "POP_JUMP_IF_FALSE")
_ASIDE = ("CACHE", "TO_BOOL", "EXTENDED_ARG", "NOT_TAKEN")


@dataclass(frozen=True, slots=True)
class WhileTest:
    """One test of a `while a and b:`, number `place` of `count`, for the loop with its body at
    `body`. Python compiles the tests twice, ahead of the body and behind it."""

    body: int
    place: int
    count: int
    behind: bool


@lru_cache(maxsize=1024)
def _instructions(code: CodeType) -> tuple[dis.Instruction, ...]:
    return tuple(i for i in dis.get_instructions(code) if i.opname not in _ASIDE)


@lru_cache(maxsize=1024)
def _offsets(code: CodeType) -> list[int]:
    return [i.offset for i in _instructions(code)]


def _at(code: CodeType, offset: int) -> int:
    """The number of the instruction at an offset; a call of a Python function stands at its end."""
    return bisect_right(_offsets(code), offset) - 1


@lru_cache(maxsize=4096)
def feeds_for(code: CodeType, offset: int) -> bool:
    """Whether what is called at this offset is what a `for` statement runs over.

    A comprehension is none: what its body makes is collected where no one can reach it.
    """
    at = _at(code, offset)
    names = [i.opname for i in _instructions(code)[at + 1 : at + 4]]
    return names[:2] == ["GET_ITER", "FOR_ITER"] and names[2:3] != ["GET_ITER"] and (
        code.co_name not in ("<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
    )


@lru_cache(maxsize=4096)
def iterates(code: CodeType, offset: int) -> bool:
    """Whether the instruction at this offset is where a `for` statement asks for an iterator."""
    at = _at(code, offset)
    return [i.opname for i in _instructions(code)[at : at + 2]] == ["GET_ITER", "FOR_ITER"]


def for_target(code: CodeType, offset: int) -> str | None:
    """The one variable that the `for` statement at this offset assigns to; None for a pattern."""
    at = _at(code, offset)
    store = _instructions(code)[at + 1]
    if store.opname == "STORE_FAST_LOAD_FAST":
        return str(store.argval[0])
    stores = store.opname in ("STORE_FAST", "STORE_DEREF", "STORE_NAME")
    return str(store.argval) if stores else None


@lru_cache(maxsize=4096)
def while_test(code: CodeType, offset: int) -> WhileTest | None:
    """The test that an instruction, which asks for a truth, is; None if it is none of a `while`."""
    at = _at(code, offset)
    tests = _tests(code)
    for k in (at, at + 1):
        if k in tests:
            return tests[k]
    return None


@lru_cache(maxsize=1024)
def _tests(code: CodeType) -> dict[int, WhileTest]:
    """The conditional jumps of a code object that are tests of `while` loops, by number."""
    instructions = _instructions(code)
    found: dict[int, WhileTest] = {}
    for at, jump in enumerate(instructions):
        if jump.opname not in _JUMPS_BACK:
            continue
        last = at if jump.opname == "POP_JUMP_BACKWARD_IF_TRUE" else at - 1
        if last < 0 or (last < at and instructions[last].opname not in _LEAVES):
            continue
        body = _at(code, jump.argval)
        if not 0 < body < last:
            continue
        behind = instructions[at + 1].offset if at + 1 < len(instructions) else -1
        exits = {behind} | ({instructions[last].argval} if last < at else set())
        ahead = _chain(instructions, body - 1, exits)
        after = [*_chain(instructions, last - 1, exits, body, _line(instructions, last)), last]
        if len(ahead) != len(after):
            continue
        for chain, is_behind in ((ahead, False), (after, True)):
            for place, k in enumerate(chain):
                found[k] = WhileTest(jump.argval, place, len(chain), is_behind)
    return found


def _line(instructions: tuple[dis.Instruction, ...], at: int) -> int | None:
    positions = instructions[at].positions
    return positions.lineno if positions else None


def _chain(
    instructions: tuple[dis.Instruction, ...], at: int, exits: set[int], start: int = 0,
    line: int | None = None,
) -> list[int]:  # fmt: skip
    """The tests from instruction `at` back that all leave for one of `exits`, in order."""
    line = line if line is not None else _line(instructions, at)
    chain: list[int] = []
    while at >= start and _line(instructions, at) == line:
        i = instructions[at]
        if i.opname in _LEAVES:
            if i.argval not in exits:
                break
            chain.append(at)
        elif i.is_jump_target or "JUMP" in i.opname or i.opname.startswith("STORE"):
            if not i.is_jump_target:
                break
            at -= 1
            if chain and instructions[at].opname not in _LEAVES:
                break
            continue
        at -= 1
    return chain[::-1]
