"""The request to trace a function again, with one of its loops unrolled."""

from __future__ import annotations

from dataclasses import dataclass
from types import CodeType
from typing import Any

LEFT = "it is left by break or return, which depends on a traced value"


#: In the place of a loop: arrays of known numbers are written to, and have to be traced ones.
WRITES = "writes"


@dataclass(frozen=True, slots=True)
class Site:
    """A loop in user code: its code object and the offset that tells it from other loops there."""

    code: CodeType
    offset: int


class Retrace(BaseException):
    """Not an error: no `except Exception` of user code may stop it on its way to the stager.

    root: the trace of the function. reason: why the loop cannot be rolled, for `tracejit.range`,
    which has to say so.
    """

    def __init__(self, site: Site | str, reason: str, root: Any):
        super().__init__(reason)
        self.site = site
        self.root = root
        self.reason = reason
