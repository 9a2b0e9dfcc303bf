"""Leaving a program before its end, from anywhere in it: with a code.

    leave_if(program, failed, code)    ->        br failed, out, on
                                           out:  store code; br exit       (in a part: ret)
                                           on:   ...
                                           exit: give the workspace back; ret the code

The kernel returns the code, 0 being what it returns at its end: its outputs are not finished then,
and who called it drops them. Below 0: a Python exception is kept, and raised by the caller. Above:
the kernel declines, and the call goes on to the next entry (see entry.py).

A part (parts.py) that leaves returns to its caller, which looks at the code behind the call.
Nothing leaves from what several threads run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NoReturn

from tracejit.backends.native.emit import I64, Block, Function, Value, constant

#: The codes of a program that was left because of a Python exception, which `keep` has; and of a
#: long one that got no workspace; of arguments that share memory with one that is written to; and
#: from `FIRST_GUARD` on of guards, by their places.
RAISED, NO_MEMORY, OVERLAP, FIRST_GUARD = -1, 1, 2, 3


class Exit:
    """How the kernel `fn` is left; the block and the code are there once something leaves."""

    def __init__(self, fn: Function):
        self.fn = fn
        self._block: Block | None = None
        self._parts: set[Function] = set()

    def leave(self, fn: Function, code: Value) -> None:
        """End the current block of a function, the kernel or a part of it, by leaving."""
        if self._block is None:
            self._code = self.fn.alloca(I64, align=8)
            self.fn.opening.append(f"  store i64 0, {self._code.typed}")
            self._block = self.fn.block("exit")
        fn.store(code, self._code)
        self._out(fn)

    def follow(self, fn: Function, part: Function) -> None:
        """Behind the call of a part: leave, if that has left."""
        if part in self._parts:
            code = fn.load(I64, self._code)
            out, on = fn.block("out"), fn.block("on")
            fn.branch_if(fn.not_equal(code, constant(I64, 0)), out, on)
            fn.at(out)
            self._out(fn)
            fn.at(on)

    def _out(self, fn: Function) -> None:
        if fn is self.fn:
            assert self._block is not None
            fn.branch(self._block)
        else:
            self._parts.add(fn)
            fn.ret()

    def finish(self, close: Callable[[], None]) -> None:
        """Write the block, if something leaves; `close` emits what comes before each return."""
        if self._block is not None:
            self.fn.at(self._block)
            close()
            self.fn.ret(self.fn.load(I64, self._code))


def leave_if(program: Any, condition: Value, code: Callable[[], Value]) -> None:
    """Leave the program where the condition, an i1, holds. `code` emits what runs only then, and
    gives the i64 that the kernel returns."""
    fn: Function = program.fn
    out, on = fn.block("out"), fn.block("on")
    fn.branch_if(condition, out, on)
    fn.at(out)
    program.exit.leave(fn, code())
    fn.at(on)


# Exceptions.


class _Kept(threading.local):
    error: BaseException | None = None


_kept = _Kept()


def keep(error: BaseException) -> int:
    """Keep an exception for who called the program that runs in this thread; the code of it."""
    _kept.error = error
    return RAISED


def raise_kept() -> NoReturn:
    """Raise the exception that was kept in this thread."""
    error, _kept.error = _kept.error, None
    assert error is not None, "a program was left with an exception that nobody kept"
    try:
        raise error
    finally:
        del error  # it refers to this frame
