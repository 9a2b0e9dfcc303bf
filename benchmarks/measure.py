"""One system in one process, asked over a pipe: the sides of an interleaved measurement.

A `Worker` is the near side. In the far process the system alone is loaded, so that its threads,
its allocator and its crashes are its own. The questions, in order, for each case and size:

    open    make inputs, build the function, call it: seconds to the first result, bytes of memory
            that stay with the process since (code, workspaces, caches), results
    memory  bytes that a later call adds to the process at its peak
    round   seconds a call over about `seconds`
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib.metadata
import multiprocessing
import os
import time
import timeit
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import warm_up
from benchmarks.case import all_cases, leaves
from benchmarks.systems import SYSTEMS, NotOffered, Ready, load

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
    "TRACEJIT_THREADS",
)  # fmt: skip

#: Longest wait for an answer: a compile of torch takes 20 s, an eager loop may take more.
PATIENCE = 120.0


class Failed(Exception):
    """The far side could not answer; the text says why, none where that was to be expected."""


class Remote:
    """A process that answers questions on `threads` cores: `serve(pipe, *args)` runs there.

    patience: seconds of the longest wait for an answer. Its first answer is its version.
    """

    def __init__(
        self, serve: Callable[..., None], args: tuple[Any, ...], threads: int,
        patience: float = PATIENCE,
    ):  # fmt: skip
        self.threads, self._serve, self._args, self._patience = threads, serve, args, patience
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        with environment(dict.fromkeys(THREAD_VARIABLES, str(self.threads))):
            arguments = (far, *self._args)
            self._process = context.Process(target=self._serve, args=arguments, daemon=True)
            self._process.start()
        far.close()
        self.version: str = self._answer()

    def ask(self, question: str, *args: Any) -> Any:
        """The answer; Failed where it is an error, or the process ended or hangs."""
        self._pipe.send((question, args))
        return self._answer()

    def _answer(self) -> Any:
        try:
            if not self._pipe.poll(self._patience):
                raise EOFError
            good, answer = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            hung = self._process.is_alive()
            self.close()
            with contextlib.suppress(Failed):
                self._start()
            raise Failed("no answer in time" if hung else "the process ended") from None
        if not good:
            raise Failed(answer)
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self._pipe.close()


class Worker(Remote):
    """A process that runs one system."""

    def __init__(self, system: str, threads: int):
        self.system = system
        super().__init__(serve, (system, threads), threads)


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """These variables in the block, for the processes that it starts."""
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# ---- the far side


def serve(pipe: Connection, system: str, threads: int) -> None:
    """Answer until the pipe closes. First answer: the system's version."""
    bench = Bench()

    def begin() -> str:
        bench.prepare = load(system)
        return _version(SYSTEMS[system][2])

    answer_all(pipe, bench, begin, threads)


def answer_all(pipe: Connection, bench: Any, begin: Callable[[], str], threads: int) -> None:
    """On so many cores: answer with `begin()`, then with the methods of `bench`."""
    if hasattr(os, "sched_setaffinity"):  # what XLA takes its number of threads from
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    _reply(pipe, begin)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while True:
            question, args = pipe.recv()
            _reply(pipe, getattr(bench, question), *args)


def _reply(pipe: Connection, function: Any, *args: Any) -> None:
    try:
        pipe.send((True, function(*args)))
    except NotOffered as reason:
        pipe.send((False, str(reason)))
    except ImportError as error:
        pipe.send((False, f"not installed ({error})"))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]
        pipe.send((False, f"{text} ({Path(frame.filename).name}:{frame.lineno})"))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution) if distribution else ""
    except importlib.metadata.PackageNotFoundError:
        return "source"


class Bench:
    """The function under test, and how it is called."""

    def __init__(self) -> None:
        self.prepare: Any = None
        self.ready: Any = None
        self.cases = all_cases() | {warm_up.CASE.name: warm_up.CASE}

    def open(self, case: str, size: str) -> tuple[float, int | None, list[np.ndarray]]:
        """Build the function for a case; (seconds to the first result, bytes held, the result)."""
        self.ready = None
        gc.collect()
        args = self.cases[case].arguments(size)
        before = resident()
        start = time.perf_counter()
        self.ready = self.prepare(self.cases[case], size, args)
        result = self.ready.call(*self.ready.args)
        seconds = time.perf_counter() - start
        self.timer = timer_of(self.ready)
        self.second = self.timer(1)
        copies = [np.array(leaf) for leaf in leaves(result)]
        del result
        held = None if before is None else max(0, (resident() or 0) - before)
        return seconds, held, copies

    def memory(self) -> int | None:
        """Bytes by which a call raises the process's resident memory; None where unknown."""
        return peak_of(lambda: self.ready.call(*self.ready.args))

    def round(self, seconds: float) -> float:
        """Seconds a call, over as many calls as fit in `seconds`."""
        calls = max(1, min(10_000_000, int(seconds / max(self.second, 5e-9))))
        self.second = self.timer(calls) / calls
        return self.second


def timer_of(ready: Ready) -> Any:
    """(n) to the seconds of n calls: a loop that does nothing else, garbage collection off."""
    if ready.many:
        return ready.many
    if ready.bare:
        return timeit.Timer("call()", globals={"call": ready.bare}).timeit
    names = {f"x{i}": x for i, x in enumerate(ready.args)}
    return timeit.Timer(f"call({', '.join(names)})", globals={"call": ready.call, **names}).timeit


def peak_of(call: Any) -> int | None:
    """Bytes by which a call raises resident memory at its peak, what it returns included."""
    before = resident()
    if before is None:
        return None
    kept = call()
    peak = status("VmHWM")
    del kept
    return max(0, peak - before)


def resident() -> int | None:
    """Bytes of this process in memory, and the peak starts again from here; None if not Linux's.

    Freed memory is given back to the system first, so that it counts again when it is used.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return status("VmRSS")
    except (OSError, AttributeError):
        return None


def status(key: str) -> int:
    """Bytes, by Linux's name for what they are: VmRSS, VmHWM."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(key)).split()[1])
