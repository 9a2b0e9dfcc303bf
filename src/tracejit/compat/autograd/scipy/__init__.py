"""autograd.scipy: special functions, factorisations, densities, convolution, odeint."""

from __future__ import annotations

from tracejit.compat.autograd.scipy import integrate, linalg, signal, special, stats

__all__ = ["integrate", "linalg", "signal", "special", "stats"]
