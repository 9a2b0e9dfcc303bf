"""scipy.linalg, as far as tracejit.scipy.linalg reaches."""

from __future__ import annotations

from tracejit.scipy.linalg import *  # noqa: F403
