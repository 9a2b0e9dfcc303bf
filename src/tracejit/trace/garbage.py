"""The garbage collector while a program is traced and compiled.

What is traced is many small objects, each of which stays: collecting among them finds nothing,
again and again, and took a third to a half of the time of long traces. So it is done seldom.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

#: So many new objects are awaited before the youngest are looked at: about 100 MB.
AWAITED = 1_000_000

_lock = threading.Lock()
_blocks = 0
_usual: tuple[int, int, int] = gc.get_threshold()


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Collect garbage seldom in the block. Blocks nest, also of several threads; the collector is
    as it was before behind the last of them, and one that is off stays off."""
    global _blocks, _usual
    with _lock:
        if not _blocks:
            _usual = gc.get_threshold()
            if 0 < _usual[0] < AWAITED:
                gc.set_threshold(AWAITED, *_usual[1:])
        _blocks += 1
    try:
        yield
    finally:
        with _lock:
            _blocks -= 1
            if not _blocks:
                gc.set_threshold(*_usual)
