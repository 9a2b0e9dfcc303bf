"""check and pure_callback: Python's part in a compiled program."""

from tracejit.control.effects import check, pure_callback

__all__ = ["check", "pure_callback"]
