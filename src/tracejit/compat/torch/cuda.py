"""`torch.cuda`: there is none."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """False: everything is on the CPU."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing: there are no other generators than that of `torch.manual_seed`."""


manual_seed_all = manual_seed


def empty_cache() -> None:
    """Nothing."""


def synchronize(device: Any = None) -> None:
    """Nothing: calls return when they are done."""
