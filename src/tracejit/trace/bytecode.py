"""What the bytecode around an instruction says about the loop that it belongs to.

Python tells an iterator or a truth value nothing of the statement that asks. The instruction at
which the asking frame stands does: whether a `range(...)` is what a `for` statement runs over, and
whether a truth decides if a `while` goes on.
"""

from __future__ import annotations

import dis
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from types import CodeType
from typing import Any

_ASIDE = ("CACHE", "TO_BOOL", "NOT_TAKEN")
_COLLECTING = ("LIST_APPEND", "SET_ADD", "MAP_ADD")


@dataclass(frozen=True, slots=True)
class WhileTest:
    """One test of a `while a and b:`, number `place` of `count`, for the loop with its body at
    `body`. Python compiles the tests twice, ahead of the body and behind it. stays: the truth on
    which the loop goes on, False for `not a`."""

    body: int
    place: int
    count: int
    behind: bool
    stays: bool = True


@dataclass(frozen=True, slots=True)
class Step:
    """An instruction with its EXTENDED_ARG, if it has any: that is where jumps to it go."""

    opname: str
    argval: Any
    offset: int
    is_jump_target: bool
    line: int | None


@lru_cache(maxsize=1024)
def _instructions(code: CodeType) -> tuple[Step, ...]:
    steps: list[Step] = []
    prefix: dis.Instruction | None = None
    for i in dis.get_instructions(code):
        if i.opname == "EXTENDED_ARG":
            prefix = prefix or i
        elif i.opname not in _ASIDE:
            first = prefix or i
            line = i.positions.lineno if i.positions else None
            steps.append(Step(i.opname, i.argval, first.offset, first.is_jump_target, line))
            prefix = None
    return tuple(_straightened(steps))


def _straightened(steps: list[Step]) -> Iterator[Step]:
    """A `while` that ends the body of a `for` is entered, since 3.12, over a jump to the next
    round, as conditional jumps go forward only: here that is a conditional jump to there."""
    bodies = {i.argval for i in steps if "BACKWARD" in i.opname}
    following = [*steps[1:], None, None]
    skipped = None
    for i, jump, body in zip(steps, following, following[1:], strict=False):
        if i is skipped:
            continue
        if (
            i.opname == "POP_JUMP_IF_TRUE" and i.argval in bodies and jump and body
            and jump.opname == "JUMP_BACKWARD" and body.offset == i.argval
        ):  # fmt: skip
            skipped = jump
            yield replace(i, opname="POP_JUMP_IF_FALSE", argval=jump.argval)
        else:
            yield i


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
    return _begins_for(code, _at(code, offset) + 1)


@lru_cache(maxsize=4096)
def iterates(code: CodeType, offset: int) -> bool:
    """Whether the instruction at this offset is where a `for` statement asks for an iterator."""
    return _begins_for(code, _at(code, offset))


def _begins_for(code: CodeType, at: int) -> bool:
    """Whether a `for` statement asks for its iterator at an instruction."""
    names = [i.opname for i in _instructions(code)[at : at + 2]]
    return names == ["GET_ITER", "FOR_ITER"] and not _collects(code, at + 1)


def _collects(code: CodeType, at: int) -> bool:
    """Whether a FOR_ITER is one of a comprehension, which may lie in a function's own code.

    What collects an element says how deep in the stack its collection lies: above it are the
    iterators of the comprehension's loops. Of a generator the whole code is the comprehension.
    """
    if code.co_name == "<genexpr>":
        return True
    steps = _instructions(code)
    loops = [(k, _at(code, i.argval)) for k, i in enumerate(steps) if i.opname == "FOR_ITER"]
    end = dict(loops)[at]
    for k, i in enumerate(steps[at:end], start=at):
        if i.opname in _COLLECTING:
            around = sum(at <= first <= k < behind for first, behind in loops)
            if around < i.argval:
                return True
    return False


@lru_cache(maxsize=4096)
def in_loop(code: CodeType, start: int) -> tuple[Step, ...]:
    """The instructions of the loop at an offset, of its FOR_ITER or of the body of a `while`."""
    instructions, first = _instructions(code), _at(code, start)
    ends = [k for k, i in enumerate(instructions) if _goes_back(i, instructions[first].offset)]
    return instructions[first : ends[-1] + 1] if ends else instructions[first:]


@lru_cache(maxsize=4096)
def names_in_loop(code: CodeType, start: int) -> frozenset[str]:
    """The variables that the loop at an offset names, and the attributes."""
    names: set[str] = set()
    for i in in_loop(code, start):
        found = i.argval if isinstance(i.argval, tuple) else (i.argval,)
        names.update(x for x in found if isinstance(x, str))
    return frozenset(names)


@lru_cache(maxsize=4096)
def needs_python(code: CodeType, start: int) -> bool:
    """Whether the loop at an offset does what only Python can: let others run in the middle of its
    body, by `yield`, or ask in a `match` for the class of a value."""
    return any(i.opname in ("YIELD_VALUE", "MATCH_CLASS") for i in in_loop(code, start))


def for_target(code: CodeType, offset: int) -> str | None:
    """The one variable that the `for` statement at this offset assigns to; None for a pattern."""
    at = _at(code, offset)
    store = _instructions(code)[at + 1]
    if store.opname == "STORE_FAST_LOAD_FAST":
        return str(store.argval[0])
    stores = store.opname in ("STORE_FAST", "STORE_DEREF", "STORE_NAME")
    return str(store.argval) if stores else None


@lru_cache(maxsize=4096)
def break_side(
    code: CodeType, offset: int, start: int, asked: int | None = None
) -> bool | None:
    """The truth on which the `if` that asks at `offset` does nothing but leave the loop by `break`.

    start: the offset of the loop, of its FOR_ITER or of the body of a `while`. asked: that of the
    `if` by which a `while True` is left first. None where neither side is a bare `break`, or the
    loop has an `else`.
    """
    instructions, first = _instructions(code), _at(code, start)
    jump = _decision(code, offset)
    ends = [k for k, i in enumerate(instructions) if _goes_back(i, instructions[first].offset)]
    if jump is None or not ends or not first < jump <= ends[-1]:
        return None
    is_for = instructions[first].opname == "FOR_ITER"
    behind = _at(code, instructions[first].argval) if is_for else ends[-1] + 1
    if is_for and instructions[behind].opname == "END_FOR":
        behind += 2 if sys.version_info >= (3, 13) else 1
    found = None if asked is None else forever_test(code, asked)
    if asked is not None and found is not None:
        model = dict(_sides(code, _decision(code, asked) or 0))
        behind = _through(code, model[found[1]])
    for truth, side in _sides(code, jump):
        if is_for:
            if instructions[side].opname != "POP_TOP":
                continue
            side += 1
        side = _through(code, side)
        if side == behind or (behind < len(instructions) and _copies(instructions, side, behind)):
            return truth
    return None


@lru_cache(maxsize=4096)
def forever_test(code: CodeType, offset: int) -> tuple[int, bool] | None:
    """Of an `if` that leaves a `while True:` by `break` or `return`: the offset of that loop, and
    the truth on which it is left."""
    instructions, jump = _instructions(code), _decision(code, offset)
    if jump is None:
        return None
    loops = [
        (_at(code, i.argval), k) for k, i in enumerate(instructions)
        if i.opname.startswith("JUMP_BACKWARD") and _at(code, i.argval) <= jump < k
    ]  # fmt: skip
    if not loops:
        return None
    start, end = max(loops, key=lambda loop: loop[0])
    decisions = (k for k in range(start, end) if _is_decision(instructions[k]))
    if instructions[start].opname == "FOR_ITER" or next(decisions, -1) in _tests(code):
        return None
    if _is_decision(instructions[end - 1]):  # the end of a `while` with a condition
        return None
    for truth, side in _sides(code, jump):
        if _leaves(code, side, end):
            return instructions[start].offset, truth
    return None


def _is_decision(i: Step) -> bool:
    return i.opname.startswith("POP_JUMP") and i.opname.endswith(("IF_TRUE", "IF_FALSE"))


def _decision(code: CodeType, offset: int) -> int | None:
    """The conditional jump that an instruction, which asks for a truth, is or precedes."""
    at = _at(code, offset)
    near = _instructions(code)[at : at + 2]
    return next((at + k for k, i in enumerate(near) if _is_decision(i)), None)


def _sides(code: CodeType, jump: int) -> list[tuple[bool, int]]:
    """The truth and the first instruction of both sides of a conditional jump."""
    i = _instructions(code)[jump]
    jumps_on = i.opname.endswith("IF_TRUE")
    return [(not jumps_on, jump + 1), (jumps_on, _at(code, i.argval))]


def _goes_back(i: Step, target: int) -> bool:
    return "BACKWARD" in i.opname and i.argval == target


def _through(code: CodeType, at: int) -> int:
    """Where one arrives from an instruction by way of plain jumps."""
    instructions = _instructions(code)
    while instructions[at].opname in ("NOP", "JUMP_FORWARD"):
        i = instructions[at]
        at = at + 1 if i.opname == "NOP" else _at(code, i.argval)
    return at


def _copies(instructions: tuple[Step, ...], at: int, behind: int) -> bool:
    """Whether the code at one place is a copy, made by Python, of that behind the loop: it comes
    from the same line, and a `break` or `return` of the loop itself from a line of its own."""
    line = instructions[at].line
    return line is not None and line == instructions[behind].line


def _leaves(code: CodeType, at: int, end: int) -> bool:
    """Whether what runs from an instruction on goes behind the loop that ends at `end`."""
    instructions = _instructions(code)
    for i in instructions[at:]:
        if i.opname.startswith("RETURN"):
            return True
        if i.opname == "JUMP_FORWARD":
            return _at(code, i.argval) > end
        if "JUMP" in i.opname or i.opname == "FOR_ITER":
            return False
    return False


@lru_cache(maxsize=4096)
def while_test(code: CodeType, offset: int) -> WhileTest | None:
    """The test that an instruction, which asks for a truth, is; None if it is none of a `while`."""
    at = _at(code, offset)
    tests = _tests(code)
    return next((tests[k] for k in (at, at + 1) if k in tests), None)


@lru_cache(maxsize=1024)
def _tests(code: CodeType) -> dict[int, WhileTest]:
    """The conditional jumps of a code object that are tests of `while` loops, by number."""
    instructions = _instructions(code)
    found: dict[int, WhileTest] = {}
    for at, jump in enumerate(instructions):
        if "BACKWARD" not in jump.opname or not _is_only_way(instructions, at):
            continue
        last = at if _is_decision(jump) else at - 1
        body = _at(code, jump.argval)
        if not 0 < body < last or not _is_decision(instructions[last]):
            continue
        behind = instructions[at + 1].offset if at + 1 < len(instructions) else -1
        exits = {behind} | ({instructions[last].argval} if last < at else set())
        exits |= {i.argval for i in instructions[at + 1 : at + 2] if i.opname == "JUMP_BACKWARD"}
        ahead = _chain(instructions, body - 1, exits)
        after = [*_chain(instructions, last - 1, exits, body, instructions[last].line), last]
        if len(ahead) != len(after) or any(
            _stays_if(instructions[a]) is not _stays_if(instructions[b], closes=b == at)
            for a, b in zip(ahead, after, strict=True)
        ):
            continue
        for chain, is_behind in ((ahead, False), (after, True)):
            for place, k in enumerate(chain):
                stays = _stays_if(instructions[k], closes=k == at)
                found[k] = WhileTest(jump.argval, place, len(chain), is_behind, stays)
    return found


def _stays_if(i: Step, closes: bool = False) -> bool:
    """The truth on which a test does not leave; a test that closes the loop jumps to its body."""
    return i.opname.endswith("IF_TRUE") is closes


def _is_only_way(instructions: tuple[Step, ...], at: int) -> bool:
    """Whether this jump alone goes back to its body; tests with an `or` have more."""
    jump = instructions[at]
    targets = {jump.argval, jump.offset}
    return not any(
        i is not jump and "JUMP" in i.opname and i.argval in targets for i in instructions
    )


def _chain(
    instructions: tuple[Step, ...], at: int, exits: set[int], start: int = 0,
    line: int | None = None,
) -> list[int]:  # fmt: skip
    """The tests from instruction `at` back that all leave for one of `exits`, in order."""
    line = line if line is not None else instructions[at].line
    chain: list[int] = []
    while at >= start and instructions[at].line == line:
        i = instructions[at]
        if _is_decision(i):
            if i.argval not in exits:
                break
            chain.append(at)
        elif "JUMP" in i.opname or i.opname.startswith("STORE"):
            break
        at -= 1
    return chain[::-1]
