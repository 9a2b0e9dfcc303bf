"""Graphs, sequences, geometry, particles, sparse matrices, integers, small networks."""

from __future__ import annotations

import numpy as np
from numpy_registry import normal, program


@program(lambda rng: (rng.random((14, 14)) * 10,))
def shortest_paths(distance):
    """All pairs, through each node in turn."""
    for k in range(distance.shape[0]):
        distance[:] = np.minimum(distance, np.add.outer(distance[:, k], distance[k, :]))


@program(lambda rng: (rng.integers(1, 30, (12, 12)).astype(np.int32),))
def shortest_paths_of_integers(distance):
    for k in range(len(distance)):
        distance[:] = np.minimum(distance[:], distance[:, k][:, None] + distance[k, :])


def _pairs(first, second):
    if first + second == 3:
        return 1
    return 0


@program(lambda rng: (14, rng.integers(0, 4, 14)))
def fold_sequence(n, bases):
    """The most pairs without crossings, over all intervals."""
    best = np.zeros((n, n), np.int32)
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            best[i, j] = max(best[i, j - 1], best[i + 1, j] if i + 1 < n else 0)
            if i + 1 < j:
                best[i, j] = max(best[i, j], best[i + 1, j - 1] + _pairs(bases[i], bases[j]))
            for k in range(i + 1, j):
                best[i, j] = max(best[i, j], best[i, k] + best[k + 1, j])
    return best


@program(lambda rng: (rng.normal(size=(9, 8)),))
def cheapest_path(cost):
    """Dynamic programming from the top to the bottom of a grid, one step aside allowed."""
    total = cost.copy()
    rows, columns = cost.shape
    for i in range(1, rows):
        for j in range(columns):
            best = total[i - 1, j]
            if j > 0:
                best = min(best, total[i - 1, j - 1])
            if j < columns - 1:
                best = min(best, total[i - 1, j + 1])
            total[i, j] += best
    return total[-1].min(), total


@program(lambda rng: (rng.normal(size=9), rng.normal(size=11)))
def time_warping(x, y):
    """The cheapest alignment of two signals."""
    table = np.full((len(x) + 1, len(y) + 1), 1e6)
    table[0, 0] = 0.0
    for i in range(1, len(x) + 1):
        for j in range(1, len(y) + 1):
            gap = (x[i - 1] - y[j - 1]) ** 2
            table[i, j] = gap + min(table[i - 1, j], table[i, j - 1], table[i - 1, j - 1])
    return table[len(x), len(y)]


@program(lambda rng: tuple(rng.uniform(-1.2, 1.2, 25) for _ in range(4)))
def great_circles(lat1, lon1, lat2, lon2):
    half = np.sin((lat2 - lat1) / 2) ** 2
    half = half + np.cos(lat1) * np.cos(lat2) * np.sin((lon2 - lon1) / 2) ** 2
    return 6371.0 * 2 * np.arctan2(np.sqrt(half), np.sqrt(1 - half))


def _rows(rng):
    starts = np.concatenate([[0], np.cumsum(rng.integers(0, 5, 12))])
    columns = rng.integers(0, 9, starts[-1])
    return starts, columns, rng.normal(size=starts[-1]), rng.normal(size=9)


@program(_rows)
def sparse_product(starts, columns, values, x):
    """A matrix in compressed rows times a vector; rows may be empty."""
    y = np.empty(starts.size - 1, values.dtype)
    for i in range(starts.size - 1):
        chosen = columns[starts[i] : starts[i + 1]]
        y[i] = values[starts[i] : starts[i + 1]] @ x[chosen]
    return y


@program(lambda rng: (rng.random((8, 8)),))
def add_trace(a):
    trace = 0.0
    for i in range(a.shape[0]):
        trace += np.tanh(a[i, i])
    return a + trace


@program(lambda rng: (rng.random(60), rng.uniform(0.05, 1.0, 60), 8), steps=(1,))
def means_by_ring(data, radius, rings):
    """The mean of the data in each ring of the radius."""
    largest = radius.max()
    means = np.zeros(rings)
    for i in range(rings):
        inner, outer = largest * i / rings, largest * (i + 1) / rings
        inside = np.logical_and(inner <= radius, radius < outer)
        means[i] = data[inside].mean()
    return means


@program(lambda rng: (rng.random(60), rng.uniform(0.05, 1.0, 60), 8), steps=(1,))
def means_by_histogram(data, radius, rings):
    counts, _ = np.histogram(radius, rings)
    return np.histogram(radius, rings, weights=data)[0] / counts


@program(lambda rng: (rng.integers(0, 256, 20, dtype=np.uint8),))
def check_sum(data):
    """A cyclic redundancy check, bit by bit."""
    register = 0xFFFF
    for byte in data.astype(np.int64):
        register ^= byte
        for _ in range(8):
            if register & 1:
                register = (register >> 1) ^ 0xA001
            else:
                register >>= 1
    return register & 0xFFFF


@program(lambda rng: (rng.normal(size=(5, 12)), 3, np.int64(7)))
def clip_and_scale(a, low, shift):
    return np.clip(a, -low, 1.5) * low + np.asarray(shift)


def _pull(position, mass, soft):
    """The acceleration of each particle, and the potential energy."""
    x, y = position[:, 0:1], position[:, 1:2]
    dx, dy = x.T - x, y.T - y
    inverse = dx**2 + dy**2 + soft**2
    inverse[inverse > 0] = inverse[inverse > 0] ** (-1.5)
    pull = np.hstack([(dx * inverse) @ mass, (dy * inverse) @ mass])
    near = np.sqrt(dx**2 + dy**2)
    near[near > 0] = 1.0 / near[near > 0]
    return pull, np.sum(np.triu(-(mass * mass.T) * near, 1))


@program(lambda rng: (9, 1.0 + rng.random((6, 1)), *normal((6, 2), (6, 2))(rng), 0.02))
def attract(steps, mass, position, velocity, dt):
    """Particles under gravity by leapfrog steps, with their energies."""
    velocity -= np.mean(mass * velocity, 0) / np.mean(mass)
    energies = np.ndarray(steps + 1)
    pull, energies[0] = _pull(position, mass, 0.2)
    for i in range(steps):
        velocity += pull * dt / 2.0
        position += velocity * dt
        pull, potential = _pull(position, mass, 0.2)
        velocity += pull * dt / 2.0
        energies[i + 1] = potential + 0.5 * np.sum(mass * velocity**2)
    return energies


def _relu(x):
    return np.maximum(x, 0)


def _convolve(image, kernel):
    """A convolution without padding: images (n, h, w, c), kernel (k, k, c, d)."""
    k = kernel.shape[0]
    h, w = image.shape[1] - k + 1, image.shape[2] - k + 1
    out = np.empty((image.shape[0], h, w, kernel.shape[3]), dtype=np.float32)
    for i in range(h):
        for j in range(w):
            patch = image[:, i : i + k, j : j + k, :, np.newaxis]
            out[:, i, j, :] = np.sum(patch * kernel[np.newaxis, :, :, :], axis=(1, 2, 3))
    return out


def _pool(image):
    """The largest of each 2 x 2 patch."""
    n, h, w, c = image.shape
    out = np.empty([n, h // 2, w // 2, c], dtype=image.dtype)
    for i in range(h // 2):
        for j in range(w // 2):
            patch = image[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2, :]
            out[:, i, j, :] = np.max(patch, axis=(1, 2))
    return out


def _network(rng):
    shapes = [(2, 12, 12, 1), (3, 3, 1, 2), (2,), (3, 3, 2, 3), (3,), (3, 4), (4,)]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


@program(lambda rng: _network(rng))
def small_network(image, kernel1, bias1, kernel2, bias2, weights, bias):
    x = _pool(_relu(_convolve(image, kernel1) + bias1))
    x = _relu(_convolve(x, kernel2) + bias2)
    return np.reshape(_pool(x), (image.shape[0], -1)) @ weights + bias


@program(lambda rng: [rng.normal(size=s).astype(np.float32) for s in [(4, 6, 6, 3), (2, 2, 3, 2)]])
def normalised_block(image, kernel):
    """A convolution into the middle of a padded array, normalised over the batch."""
    n, h, w, _ = image.shape
    padded = np.zeros((n, h + 1, w + 1, kernel.shape[3]))
    padded[:, 1:-1, 1:-1, :] = _convolve(image, kernel)
    mean = np.mean(padded, axis=0, keepdims=True)
    return _relu((padded - mean) / np.sqrt(np.std(padded, axis=0, keepdims=True) + 1e-5))


def _softmax(x):
    shifted = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return shifted / np.sum(shifted, axis=-1, keepdims=True)


@program(lambda rng: [rng.normal(size=s) for s in [(5, 4), (4, 8), (8,), (8, 3), (3,), (5, 3)]])
def perceptron(x, w1, b1, w2, b2, target):
    """The cross entropy of a network with one hidden layer."""
    chances = _softmax(_relu(x @ w1 + b1) @ w2 + b2)
    return -np.sum(target * np.log(chances))


@program(lambda rng: (rng.normal(size=(2, 3, 5, 5)), rng.normal(size=(2, 3, 5, 5))))
def weighted_softmax(x, weight):
    return _softmax(x) * weight


@program(lambda rng: (rng.normal(size=18),))
def sort_by_neighbours(x):
    """By exchanges, as many rounds as there are elements."""
    n = len(x)
    for i in range(n):
        for j in range(n - 1 - i):
            low, high = min(x[j], x[j + 1]), max(x[j], x[j + 1])
            x[j], x[j + 1] = low, high


@program(lambda rng: (rng.uniform(0.5, 2.0, 6),))
def roots_by_newton(x):
    """Square roots, each until its steps are small."""
    out = np.ones_like(x)
    for i in range(len(x)):
        guess = x[i]
        for _ in range(12):
            guess = 0.5 * (guess + x[i] / guess)
        out[i] = guess
    return out
