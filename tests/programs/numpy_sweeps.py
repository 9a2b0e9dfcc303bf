"""Time steps, stencils and sweeps over grids, as people write them in NumPy."""

from __future__ import annotations

import numpy as np
from numpy_registry import normal, program


@program(lambda rng: (40, rng.normal(size=30)))
def smooth_line(steps, line):
    """Diffusion on a line, in place."""
    for _ in range(steps):
        line[1:-1] = line[1:-1] + 0.2 * (line[:-2] - 2.0 * line[1:-1] + line[2:])


@program(lambda rng: (12, rng.normal(size=(9, 11)), rng.normal(size=(9, 11))))
def smooth_plane(steps, now, then):
    """Diffusion on a plane, forth and back between two arrays."""
    for _ in range(steps):
        then[1:-1, 1:-1] = 0.25 * (
            now[:-2, 1:-1] + now[2:, 1:-1] + now[1:-1, :-2] + now[1:-1, 2:]
        )
        now[1:-1, 1:-1] = 0.9 * then[1:-1, 1:-1] + 0.1 * then[1:-1, :-2]


@program(lambda rng: (6, rng.normal(size=(6, 7, 8))))
def smooth_room(steps, room):
    """Diffusion in three dimensions, with a copy for each step."""
    for step in range(steps):
        old = room.copy()
        for axis in range(3):
            ahead = np.roll(old, -1, axis=axis)
            behind = np.roll(old, 1, axis=axis)
            room[1:-1, 1:-1, 1:-1] += 0.05 * (ahead - 2 * old + behind)[1:-1, 1:-1, 1:-1]
        room[0] = old[-1] * (step + 1)


@program(lambda rng: (9, rng.normal(size=(10, 12))))
def relax_in_order(sweeps, field):
    """Gauss-Seidel: each point sees the new values before it."""
    rows, columns = field.shape
    for _ in range(sweeps):
        for i in range(1, rows - 1):
            for j in range(1, columns - 1):
                field[i, j] = 0.25 * (
                    field[i - 1, j] + field[i, j - 1] + field[i, j + 1] + field[i + 1, j]
                )
    return np.abs(field).max()


@program(lambda rng: (4, rng.normal(size=(10, 12)), rng.normal(size=(10, 12)), 1.3))
def relax_by_colour(sweeps, field, source, omega):
    """Successive over-relaxation, red points then black ones, by strided slices."""
    for _ in range(sweeps):
        for colour in range(2):
            for i in range(1, field.shape[0] - 1):
                first = 1 + (i + colour) % 2
                near = field[i, first - 1 : -2 : 2] + field[i, first + 1 :: 2]
                near = near + field[i - 1, first:-1:2] + field[i + 1, first:-1:2]
                new = 0.25 * (near - source[i, first:-1:2])
                field[i, first:-1:2] += omega * (new - field[i, first:-1:2])


@program(lambda rng: (rng.normal(size=(5, 20)), 4.0 + rng.random((5, 20)), rng.normal(size=20)))
def tridiagonal(upper, middle, right):
    """Many tridiagonal systems by Thomas' algorithm: down, then up."""
    count = middle.shape[1]
    ratio, solution = np.zeros_like(upper), np.empty_like(middle)
    ratio[:, 0] = upper[:, 0] / middle[:, 0]
    solution[:, 0] = right[0] / middle[:, 0]
    for k in range(1, count):
        pivot = 1.0 / (middle[:, k] - upper[:, k - 1] * ratio[:, k - 1])
        ratio[:, k] = upper[:, k] * pivot
        solution[:, k] = (right[k] - upper[:, k - 1] * solution[:, k - 1]) * pivot
    for k in range(count - 2, -1, -1):
        solution[:, k] -= ratio[:, k] * solution[:, k + 1]
    return solution


@program(lambda rng: (*normal((3, 4, 14), (3, 4, 14))(rng), rng.random((4, 4, 15)), 0.2))
def vertical_advection(tendency, state, wind, dt):
    """Implicit advection along the last axis: a Thomas sweep for each column."""
    levels = state.shape[2]
    lower = np.ndarray(state.shape, dtype=state.dtype)
    value = np.ndarray(state.shape)
    carried = np.ndarray(state.shape[:2])
    for k in range(levels):
        above = 0.1 * (wind[1:, :, k + 1] + wind[:-1, :, k + 1])
        below = 0.1 * (wind[1:, :, k] + wind[:-1, :, k])
        diagonal = 1.0 / dt + above + below
        value[:, :, k] = state[:, :, k] / dt + tendency[:, :, k]
        if k > 0:
            diagonal = diagonal - below * lower[:, :, k - 1]
            value[:, :, k] += below * value[:, :, k - 1]
        lower[:, :, k] = above / diagonal
        value[:, :, k] = value[:, :, k] / diagonal
    for k in range(levels - 1, -1, -1):
        if k == levels - 1:
            carried[:] = value[:, :, k]
        else:
            carried[:] = value[:, :, k] + lower[:, :, k] * carried[:, :]
        tendency[:, :, k] = (carried - state[:, :, k]) / dt


@program(lambda rng: (3, rng.normal(size=(12, 12))))
def alternate_directions(steps, u):
    """Implicit in one direction, then in the other."""
    n = u.shape[0]
    r = 0.4
    p, q, half = (np.zeros((n, n)) for _ in range(3))
    for _ in range(steps):
        half[0, :], half[-1, :] = u[0, :], u[-1, :]
        p[:, 0], q[:, 0] = 0.0, u[0, :]
        for i in range(1, n - 1):
            p[1:-1, i] = r / (1 + 2 * r - r * p[1:-1, i - 1])
            q[1:-1, i] = (
                u[i, 1:-1] + r * (u[i, :-2] - 2 * u[i, 1:-1] + u[i, 2:]) + r * q[1:-1, i - 1]
            ) / (1 + 2 * r - r * p[1:-1, i - 1])
        for i in range(n - 2, 0, -1):
            half[i, 1:-1] = p[1:-1, i] * half[i + 1, 1:-1] + q[1:-1, i]
        u[1:-1, 1:-1] = half[1:-1, 1:-1]
    return half


@program(lambda rng: (25, *normal((8, 9), (9, 9), (8, 10))(rng)))
def staggered_wave(steps, pressure, vx, vy):
    """An acoustic wave on staggered grids, driven at a corner."""
    for t in range(steps):
        vx[1:-1, :] -= 0.3 * (pressure[1:, :] - pressure[:-1, :])
        vy[:, 1:-1] -= 0.3 * (pressure[:, 1:] - pressure[:, :-1])
        pressure -= 0.3 * (vx[1:, :] - vx[:-1, :] + vy[:, 1:] - vy[:, :-1])
        pressure[0, 0] = np.sin(0.4 * t)


@program(lambda rng: (rng.normal(size=(9, 10, 3)), rng.random((5, 6, 3)), np.zeros((5, 6, 3))))
def limited_diffusion(field, weight, out):
    """The Laplacian of a Laplacian, with fluxes limited by the gradient's sign."""
    rows, columns = out.shape[0], out.shape[1]
    lap = 4.0 * field[1:-1, 1:-1] - (
        field[2:, 1:-1] + field[:-2, 1:-1] + field[1:-1, 2:] + field[1:-1, :-2]
    )
    across = lap[1:, 1 : columns + 1] - lap[:-1, 1 : columns + 1]
    slope = field[2 : rows + 3, 2 : columns + 2] - field[1 : rows + 2, 2 : columns + 2]
    across = np.where(across * slope > 0, 0.0, across)
    along = lap[1 : rows + 1, 1:] - lap[1 : rows + 1, :-1]
    slope = field[2 : rows + 2, 2 : columns + 3] - field[2 : rows + 2, 1 : columns + 2]
    along = np.where(along * slope > 0, 0.0, along)
    change = across[1:] - across[:-1] + along[:, 1:] - along[:, :-1]
    out[:, :, :] = field[2 : rows + 2, 2 : columns + 2] - weight * change


def _velocity(u, v, p, dt):
    """One explicit step of the momentum equation for u."""
    return (
        u[1:-1, 1:-1]
        - dt * u[1:-1, 1:-1] * (u[1:-1, 1:-1] - u[1:-1, :-2])
        - dt * v[1:-1, 1:-1] * (u[1:-1, 1:-1] - u[:-2, 1:-1])
        - 0.5 * dt * (p[1:-1, 2:] - p[1:-1, :-2])
        + 0.1 * dt * (u[1:-1, 2:] + u[1:-1, :-2] + u[2:, 1:-1] + u[:-2, 1:-1] - 4 * u[1:-1, 1:-1])
    )


def _pressure(rounds, p, source):
    """Relax the pressure, in place, with walls on all sides."""
    for _ in range(rounds):
        old = p.copy()
        near = old[1:-1, 2:] + old[1:-1, :-2] + old[2:, 1:-1] + old[:-2, 1:-1]
        p[1:-1, 1:-1] = 0.25 * (near - source[1:-1, 1:-1])
        p[:, -1] = p[:, -2]
        p[0, :] = p[1, :]
        p[:, 0] = p[:, 1]
        p[-1, :] = 0


@program(lambda rng: (12, 4, *(0.1 * rng.normal(size=(9, 9)) for _ in range(3)), 0.05))
def driven_cavity(steps, rounds, u, v, p, dt):
    """Flow under a moving lid."""
    source = np.zeros(u.shape)
    for _ in range(steps):
        un = u.copy()
        vn = v.copy()
        source[1:-1, 1:-1] = (un[1:-1, 2:] - un[1:-1, :-2] + vn[2:, 1:-1] - vn[:-2, 1:-1]) / dt
        _pressure(rounds, p, source)
        u[1:-1, 1:-1] = _velocity(un, vn, p, dt)
        v[1:-1, 1:-1] = _velocity(vn, un, p, dt)
        u[0, :] = 0
        u[:, 0] = 0
        u[:, -1] = 0
        u[-1, :] = 1
        v[0, :] = v[-1, :] = 0
        v[:, 0] = v[:, -1] = 0


@program(lambda rng: (0.02 + 0.01 * rng.random((7, 9)), 0.5))
def channel_until_steady(u, force):
    """A periodic channel, driven by a force until it hardly changes."""
    change = 1.0
    count = 0
    while change > 0.01:
        old = u.copy()
        left, right = np.roll(old, 1, axis=1), np.roll(old, -1, axis=1)
        u[1:-1, :] = old[1:-1, :] + 0.1 * (
            old[2:, :] + old[:-2, :] + left[1:-1] + right[1:-1] - 4 * old[1:-1, :] + force
        )
        u[0, :] = 0
        u[-1, :] = 0
        change = (np.sum(u) - np.sum(old)) / np.sum(u)
        count += 1
    return count


@program(lambda rng: (0.25, rng.normal(size=(7, 16))))
def smooth_both_ways(alpha, image):
    """A recursive filter along rows and along columns, each forth and back."""
    gain = (1.0 - np.exp(-alpha)) ** 2
    decay, decay2 = 2.0 * np.exp(-alpha), -np.exp(-2.0 * alpha)
    forth = np.empty_like(image)
    back = np.empty_like(image)
    forth[:, 0] = gain * image[:, 0]
    forth[:, 1] = gain * image[:, 1] + decay * forth[:, 0]
    for j in range(2, image.shape[1]):
        forth[:, j] = gain * image[:, j] + decay * forth[:, j - 1] + decay2 * forth[:, j - 2]
    back[:, -1] = 0.0
    back[:, -2] = gain * image[:, -1]
    for j in range(image.shape[1] - 3, -1, -1):
        back[:, j] = gain * image[:, j + 1] + decay * back[:, j + 1] + decay2 * back[:, j + 2]
    out = 0.5 * (forth + back)
    forth[0, :] = gain * out[0, :]
    for i in range(1, image.shape[0]):
        forth[i, :] = gain * out[i, :] + 0.5 * decay * forth[i - 1, :]
    out[:] = forth * 2
    return out


@program(lambda rng: (rng.normal(size=40), np.array([0.2, 0.3, 0.1]), np.array([-0.5, 0.2])))
def recursive_filter(signal, feed, back):
    """A direct form II filter: the state is a short array that is shifted in place."""
    state = np.zeros(2)
    out = np.zeros_like(signal)
    for n in range(signal.shape[0]):
        inner = signal[n] - back[0] * state[0] - back[1] * state[1]
        out[n] = feed[0] * inner + feed[1] * state[0] + feed[2] * state[1]
        state[1] = state[0]
        state[0] = inner
    return out
