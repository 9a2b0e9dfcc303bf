"""scipy.special, as far as tracejit.scipy.special reaches."""

from __future__ import annotations

from tracejit.scipy.special import *  # noqa: F403
