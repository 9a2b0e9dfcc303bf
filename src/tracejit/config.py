"""The knobs of the package, and the only reader of the environment.

    tracejit.config.default_float                                # read
    tracejit.config.update("default_float", "float32")           # change, for the whole process
    with tracejit.config(default_float="float32"): ...           # change, for a block

    knob            default         meaning
    backend         native          who runs a program: native, eager or xla
    default_float   float64         what creation, draws and Python floats give
    dump            (none)          stages to print while compiling, or all
    check           off             verify the IR between passes
    disable_jit     off             run what jit decorates operation by operation
    debug_nans      off             raise where NaN comes out of a program, and say where it arose
    debug_infs      off             ... where infinity does
    threads         the process's   most threads a native call may use
    cache_dir       (none)          where compiled code is kept: a private folder, or on

The environment sets a knob under its name in capitals, `TRACEJIT_BACKEND=eager`, once at
import.
A block's values hold in the thread (or the asyncio task) that entered the block, also while
`update` changes them for the others; blocks nest, and the innermost that names a knob wins.
JAX's `jax_enable_x64`, `jax_debug_nans`, `jax_debug_infs`, `jax_disable_jit` and
`jax_threefry_partitionable` are understood wherever a name is.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, NamedTuple

from tracejit.errors import ConfigError, did_you_mean

__all__ = ["Config", "config"]

BACKENDS = ("native", "eager", "xla")
FLOATS = ("float64", "float32")

_WORDS = {"1": True, "true": True, "on": True, "yes": True} | {
    "0": False, "false": False, "off": False, "no": False, "": False
}  # fmt: skip


# ---- what a knob takes: each returns the value to store, or raises ValueError saying what to give


def _one_of(*choices: str) -> Callable[[object], str]:
    """Take one of the names; a dtype or a scalar type counts by its name (`np.float32`)."""

    def check(value: object) -> str:
        name = value if isinstance(value, str) else getattr(value, "__name__", str(value))
        if name not in choices:
            raise ValueError(did_you_mean(name, choices))
        return name

    return check


def _switch(value: object) -> bool:
    """Take a bool, or a word for one as the environment has it."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise ValueError("give True or False (in the environment 1 or 0)")


def _stages(value: object) -> tuple[str, ...]:
    """Take the names of stages, as one comma separated text or as an iterable of names."""
    names = value.split(",") if isinstance(value, str) else () if value is None else value
    if not isinstance(names, Iterable):
        raise ValueError("give names of stages, such as 'fold,llvm' or ('fold', 'llvm'), or 'all'")
    stages = tuple(names)
    if not all(isinstance(stage, str) for stage in stages):
        raise ValueError("give names of stages, such as 'fold,llvm' or ('fold', 'llvm'), or 'all'")
    return tuple(stage.strip() for stage in stages if stage.strip())


def _threads(value: object) -> int:
    """Take a count of at least one."""
    try:
        count = int(value) if isinstance(value, str) else value
    except ValueError:
        count = None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ValueError("give a whole number of at least 1")
    return count


def _folder(value: object) -> Path | Literal[True] | None:
    """Take a path, `~` included, or a switch: on (True) is the user's own folder, off is None."""
    if value is None or isinstance(value, bool):
        return value or None
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()] or None
    if not isinstance(value, str | os.PathLike):
        raise ValueError("give a path, True for the user's cache folder, or None")
    return Path(os.fsdecode(value)).expanduser()


def _usable_cores() -> int:
    """The cores that the process may run on: in a container fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Knob(NamedTuple):
    """One row: what an unset knob holds, what it takes, what it means."""

    default: object
    take: Callable[[object], Any]
    meaning: str


_KNOBS: dict[str, _Knob] = {
    "backend": _Knob("native", _one_of(*BACKENDS), "Who runs a program."),
    "default_float": _Knob("float64", _one_of(*FLOATS), "What creation and Python floats give."),
    "dump": _Knob((), _stages, "Stages to print while compiling."),
    "check": _Knob(False, _switch, "Verify the IR between passes."),
    "disable_jit": _Knob(False, _switch, "Run what jit decorates operation by operation."),
    "debug_nans": _Knob(False, _switch, "Raise where NaN comes out, and say where it arose."),
    "debug_infs": _Knob(False, _switch, "Raise where infinity comes out, and say where it arose."),
    "threads": _Knob(_usable_cores(), _threads, "Most threads that a native call may use."),
    "cache_dir": _Knob(None, _folder, "Where compiled code is kept: a private folder, or on."),
    "threefry_partitionable": _Knob(True, _switch, "Draw as JAX does since 0.5; off: as before."),
}

#: The knobs that a traced program depends on.
TRACING = ("default_float", "threefry_partitionable")

# JAX's name -> our name, and how its value reads as ours.
_ALIASES: dict[str, tuple[str, Callable[[object], object]]] = {
    "jax_enable_x64": ("default_float", lambda on: "float64" if _switch(on) else "float32"),
    "jax_debug_infs": ("debug_infs", _switch),
    "jax_debug_nans": ("debug_nans", _switch),
    "jax_disable_jit": ("disable_jit", _switch),
    "jax_threefry_partitionable": ("threefry_partitionable", _switch),
}


def _resolve(name: str, value: object, source: str = "") -> tuple[str, Any]:
    """The knob and the value to store, JAX's names translated; ConfigError if it is not taken."""
    try:
        if name in _ALIASES:
            target, translate = _ALIASES[name]
            return target, translate(value)
        if name in _KNOBS:
            return name, _KNOBS[name].take(value)
    except ValueError as error:
        raise ConfigError(f"{source or name} cannot be {value!r}", hint=str(error)) from None
    raise ConfigError(f"there is no knob {name!r}", hint=did_you_mean(name, _KNOBS))


def _attribute(name: str) -> Any:
    """The attribute of a knob: the innermost block's value, else the process's; set, it updates."""

    def read(self: Config) -> Any:
        return self.inside(self._overrides.get(), name)

    def write(self: Config, value: object) -> None:
        self.update(name, value)

    return property(read, write, doc=_KNOBS[name].meaning)


class Config:
    """The values of all knobs: an attribute each, `update` and `override` to change them.

    A read costs about 0.1 us.
    """

    __slots__ = ("_blocks", "_known_blocks", "_lock", "_overrides", "_values", "_watchers")

    backend: str = _attribute("backend")
    default_float: str = _attribute("default_float")
    dump: tuple[str, ...] = _attribute("dump")
    check: bool = _attribute("check")
    disable_jit: bool = _attribute("disable_jit")
    debug_nans: bool = _attribute("debug_nans")
    debug_infs: bool = _attribute("debug_infs")
    threads: int = _attribute("threads")
    cache_dir: Path | Literal[True] | None = _attribute("cache_dir")
    threefry_partitionable: bool = _attribute("threefry_partitionable")

    @property
    def tracing(self) -> tuple[Any, ...]:
        """The values of the knobs that a traced program depends on (`TRACING`)."""
        return tuple([getattr(self, name) for name in TRACING])

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Take the defaults, and what `environ` (None: the process's) says in `TRACEJIT_<KNOB>`.

        Raises ConfigError, naming the variable, for a value that its knob does not take.
        """
        environ = os.environ if environ is None else environ
        self._values = {name: knob.default for name, knob in _KNOBS.items()}
        for name in _KNOBS:
            variable = f"TRACEJIT_{name.upper()}"
            if variable in environ:
                self._values[name] = _resolve(name, environ[variable], variable)[1]
        self._overrides: ContextVar[dict[str, Any] | None]
        self._overrides = ContextVar("tracejit.config", default=None)
        self._known_blocks: dict[frozenset[tuple[str, Any]], dict[str, Any]] = {}
        self._blocks: Counter[str] = Counter()
        self._watchers: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    def update(self, name: str, value: object) -> None:
        """Set a knob for the whole process, except in blocks that override it.

        Raises ConfigError, and changes nothing, for an unknown knob or an unfit value.
        """
        name, value = _resolve(name, value)
        with self._lock:
            self._values[name] = value
            self._tell()

    def override(self, **knobs: object) -> AbstractContextManager[Config]:
        """A context manager (or decorator) that sets knobs for a block, in this thread alone.

        The values are checked here, before the block is entered: ConfigError as in `update`.
        """
        return self._overriding(dict(_resolve(name, value) for name, value in knobs.items()))

    __call__ = override

    @contextmanager
    def _overriding(self, knobs: dict[str, Any]) -> Iterator[Config]:
        token = self._overrides.set(self._block((self._overrides.get() or {}) | knobs))
        self._count(knobs, 1)
        try:
            yield self
        finally:
            self._count(knobs, -1)
            self._overrides.reset(token)

    def _block(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values of a block: one dict, never changed, for all blocks that set the same."""
        return self._known_blocks.setdefault(frozenset(values.items()), values)

    @property
    def blocks(self) -> ContextVar[dict[str, Any] | None]:
        """What the blocks around set, all together: a dict, None outside of every block."""
        return self._overrides

    def inside(self, block: Mapping[str, Any] | None, name: str) -> Any:
        """A knob's value where `blocks` holds this."""
        return block[name] if block is not None and name in block else self._values[name]

    def for_all(self, name: str) -> Any:
        """A knob's value if it is the same in every thread; None while a block sets the knob."""
        return None if self._blocks[name] else self._values[name]

    def for_process(self, name: str) -> Any:
        """A knob's value outside of blocks."""
        return self._values[name]

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` now, and whenever a knob changes or a block begins or ends anywhere."""
        with self._lock:
            self._watchers.append(watcher)
            watcher()

    def _count(self, knobs: Iterable[str], step: int) -> None:
        """Note that a block begins (1) or ends (-1)."""
        with self._lock:
            for name in knobs:
                self._blocks[name] += step
            self._tell()

    def _tell(self) -> None:
        for watcher in self._watchers:
            watcher()

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in _KNOBS)
        return f"Config({values})"


config = Config()
