"""Python's own: traced containers are lists, tuples and dicts here, so nothing needs a double."""

from __future__ import annotations

from builtins import dict, isinstance, list, tuple, type  # noqa: UP029  that is what this is

__all__ = ["dict", "isinstance", "list", "tuple", "type"]
