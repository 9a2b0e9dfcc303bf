"""The native backend as the others see it."""

from __future__ import annotations

from tracejit.backends.native.compile import NativeBackend

BACKEND = NativeBackend()
