"""Where transforms and compilers tell what they made: `tracejit.stages` and `config.dump`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tracejit.config import config
from tracejit.ir.graph import Jaxpr
from tracejit.passes.stages import Stages, dump

_listener: ContextVar[Stages | None] = ContextVar("tracejit.stages", default=None)


@contextmanager
def listening(stages: Stages) -> Iterator[Stages]:
    """What is reported in the block is added to `stages`."""
    token = _listener.set(stages)
    try:
        yield stages
    finally:
        _listener.reset(token)


def listener() -> Stages | None:
    """Who listens, if anybody does."""
    return _listener.get()


def wanted() -> bool:
    """Whether a report would reach anybody."""
    return _listener.get() is not None or bool(config.dump)


def report(name: str, jaxpr: Jaxpr) -> None:
    """Tell of a form of a program."""
    stages = _listener.get()
    if stages is not None:
        stages.add(name, jaxpr)
    dump(name, jaxpr)
