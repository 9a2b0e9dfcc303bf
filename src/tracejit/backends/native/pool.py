"""The threads of the process, and what programs that share their time need of the machine.

    address("pool.run")            pool.ll       run the parts of a job on several threads
    address("workspace.acquire")   workspace.ll  memory for one run of a program, `release` after it
    address("blas_threads.alone")  blas_threads.ll   BLAS on one thread, until `usual`
    address("tape.grow")           tape.ll       memory of tapes, until `drop`

Each of them is machine code that is loaded when the first program needs it. Programs call its
functions by these names (`shared.py`).

Workers are threads that Python does not know: they run nothing but parts of programs, need no GIL,
and get no signals. There is none until a job wants one, `config.threads` less the caller at most.
After a job they look for the next one for some microseconds, and sleep after that. A fork's child
has none and begins anew. At exit they are ended before the interpreter is.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from tracejit.backends.native.library import library_object, library_text
from tracejit.backends.native.target import Code
from tracejit.config import config

#: Workspaces that a program keeps for later runs: enough for so many threads at once.
SLOTS = 8

#: Looks at the gate, 10 to 50 ns each, before a thread sleeps; to be woken takes about as long.
_SPINS = 1000

#: Bytes of scratch memory that a worker keeps between jobs.
_KEPT_SCRATCH = 1 << 20

# Bytes in front of the memory of a tape, a multiple of what malloc aligns to.
_HEADER = 64

# What waits in a loop should say so to the processor.
_PAUSES = {"x86": "@llvm.x86.sse2.pause()", "aarch64": "@llvm.aarch64.hint(i32 1)"}
_NO_PAUSE = "@llvm.donothing()"

_EXPORTS = {
    "pool": ("run", "stop", "reset", "limit", "workers", "make", "drop"),
    "workspace": ("make", "drop", "acquire", "release"),
    "blas_threads": ("alone", "usual", "reset"),
    "tape": ("grow", "drop"),
}

#: What programs may call.
NAMES = frozenset(
    {"pool.run", "workspace.acquire", "workspace.release", "blas_threads.alone"}
    | {"blas_threads.usual", "tape.grow", "tape.drop"}
)

_loading = threading.RLock()


def address(name: str) -> int:
    """The address of `library.function`, loaded if it is the first time; see above."""
    library, function = name.split(".")
    with _loading:
        return _library(library).address(function)


@cache
def _library(name: str) -> Code:
    """A library of this process; it stays for good, since threads may be in it at any time."""
    text = library_text(name, _value)
    object_code = library_object(name, text, reloc="pic", codemodel="small")
    code = Code(object_code, _EXPORTS[name])
    _STARTS[name](code)
    return code


def _value(name: str) -> str:
    machine = llvm.get_process_triple().partition("-")[0]
    known = "x86" if machine in ("x86_64", "i686") else machine
    return {
        "SPINS": str(_SPINS),
        "SLOTS": str(SLOTS),
        "KEPT_SCRATCH": str(_KEPT_SCRATCH),
        "HEADER": str(_HEADER),
        "SIG_SETMASK": str(int(signal.SIG_SETMASK)),
        "PAUSE": _PAUSES.get(known, _NO_PAUSE),
    }[name]


def _start_pool(code: Code) -> None:
    for name in ("make", "drop"):
        code.set_pointer(name, address(f"workspace.{name}"))
    limit = ctypes.c_int64.from_address(code.address("limit"))

    def adjust() -> None:
        limit.value = config.for_process("threads")

    _start_over_in_children(code)
    config.watch(adjust)
    atexit.register(_procedure(code, "stop"))


def _start_over_in_children(code: Code) -> None:
    """Set a library up, here and in the child of each fork."""
    reset = _procedure(code, "reset")
    reset()
    os.register_at_fork(after_in_child=reset)


def _procedure(code: Code, name: str) -> Callable[[], Any]:
    return ctypes.CFUNCTYPE(None)(code.address(name))


_STARTS: dict[str, Callable[[Code], None]] = {
    "pool": _start_pool,
    "workspace": lambda code: None,
    "tape": lambda code: None,
    "blas_threads": _start_over_in_children,
}


def workers() -> int:
    """How many workers there are now."""
    if not _library.cache_info().currsize:
        return 0
    return ctypes.c_int64.from_address(address("pool.workers")).value
