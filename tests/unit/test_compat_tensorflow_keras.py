"""Layers, optimizers, schedules, losses; and functions by the table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg

from tracejit.compat import tensorflow as tf
from tracejit.errors import ArgumentError, UnsupportedError


def near(x, y, rtol=1e-4) -> None:
    np.testing.assert_allclose(np.asarray(x), y, rtol=rtol, atol=1e-5)


R = np.random.default_rng(0)
A = R.normal(size=(3, 3)).astype(np.float32)
S = A @ A.T + 3 * np.eye(3, dtype=np.float32)
B = R.normal(size=(3, 2)).astype(np.float32)


def test_linear_algebra() -> None:
    factor = np.linalg.cholesky(S)
    near(tf.linalg.solve(matrix=S, rhs=B), np.linalg.solve(S, B))
    near(tf.linalg.triangular_solve(factor, B, adjoint=True),
         scipy.linalg.solve_triangular(factor, B, lower=True, trans=1))  # fmt: skip
    near(tf.linalg.cholesky_solve(factor, B), np.linalg.solve(S, B))
    near(tf.linalg.logdet(S), np.log(np.linalg.det(S)))
    s, u, v = tf.linalg.svd(A)
    near(u @ tf.linalg.diag(s) @ tf.transpose(v), A)
    e, w = tf.linalg.eigh(S)
    near(w @ tf.linalg.diag(e) @ tf.linalg.adjoint(w), S)
    near(tf.linalg.lstsq(S, B), np.linalg.solve(S, B), 1e-2)
    near(tf.linalg.set_diag(tf.ones((2, 3)), [5.0, 6.0]), [[5, 1, 1], [1, 6, 1]])
    near(tf.linalg.band_part(tf.ones((3, 3)), 1, 0), [[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    unit, length = tf.linalg.normalize(tf.constant([3.0, 4.0]))
    near(unit, [0.6, 0.8])
    near(length, [5.0])


def test_indices() -> None:
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    near(tf.gather(x, [1, 0], batch_dims=1), [2.0, 3.0])
    near(tf.gather(x, [[1], [0]], axis=1, batch_dims=1), [[2.0], [3.0]])
    near(tf.gather_nd(x, [[0, 0], [1, 1]]), [1.0, 4.0])
    near(tf.scatter_nd([[1], [1]], [5.0, 6.0], [3]), [0.0, 11.0, 0.0])
    near(tf.tensor_scatter_nd_update(tf.zeros(4), [[1], [3]], [5.0, 6.0]), [0, 5, 0, 6])
    near(tf.tensor_scatter_nd_sub(tf.ones(2), [[1]], [5.0]), [1.0, -4.0])
    near(tf.one_hot([0, 2], 3, on_value=5.0, off_value=-1.0), [[5, -1, -1], [-1, -1, 5]])
    near(tf.math.segment_sum([1.0, 2.0, 3.0], [0, 0, 1]), [3.0, 3.0])
    near(tf.math.unsorted_segment_mean([1.0, 2.0, 4.0], [1, 0, 1], 3), [2.0, 2.5, 0.0])
    near(tf.math.bincount([1, 1, 2]), [0, 2, 1])
    table = tf.Variable([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.nn.embedding_lookup(table, [0, 2, 2]) ** 2)
    near(tape.gradient(loss, table), [[2.0, 4.0], [0.0, 0.0], [20.0, 24.0]])


def test_checks() -> None:
    tf.debugging.assert_equal(tf.constant(1), 1)
    with pytest.raises(ArgumentError, match="assert_less did not hold"):
        tf.debugging.assert_less(2.0, 1.0)
    with pytest.raises(tf.errors.InvalidArgumentError, match="NaN or Inf"):
        tf.debugging.check_numerics(tf.constant(np.nan), "x")
    with pytest.raises(tf.errors.InvalidArgumentError, match="ensure_shape"):
        tf.ensure_shape(tf.ones(2), (None, 3))


def test_convolutions_and_pools() -> None:
    image = R.normal(size=(1, 5, 5, 1)).astype(np.float32)
    kernel = R.normal(size=(3, 3, 1, 1)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(image[0, :, :, 0], (3, 3))
    expected = np.einsum("ijkl,kl->ij", windows, kernel[:, :, 0, 0])
    near(tf.nn.conv2d(image, kernel, strides=1, padding="VALID")[0, :, :, 0], expected)
    near(tf.nn.conv2d(image, kernel, 1, "SAME")[0, 1:-1, 1:-1, 0], expected)
    near(tf.nn.max_pool2d(image, 2, 2, "VALID")[0, 0, 0, 0], image[0, :2, :2, 0].max())
    near(tf.nn.avg_pool2d(tf.ones((1, 3, 3, 1)), 2, 2, "SAME"), np.ones((1, 2, 2, 1)))
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(),
         layers.BatchNormalization(), layers.GlobalAveragePooling2D(), layers.Dropout(0.5),
         layers.LayerNormalization(), layers.Dense(2)]
    )  # fmt: skip
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(tf.random.normal((3, 8, 8, 1)), training=True) ** 2)
    slopes = tape.gradient(loss, model.trainable_variables)
    assert [g.shape for g in slopes] == [v.shape for v in model.trainable_variables]
    assert model.trainable_variables[0].shape == (3, 3, 1, 4)
    assert len(model.non_trainable_variables) == 2
    near(model(image), model(image))


def test_dropout_and_batches() -> None:
    x = tf.ones((1000,))
    dropped = tf.nn.dropout(x, 0.25).numpy()
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert 0.65 < (dropped > 0).mean() < 0.85
    norm = tf.keras.layers.BatchNormalization(momentum=0.5)
    rows = R.normal(2.0, 3.0, (200, 2)).astype(np.float32)
    y = norm(rows, training=True)
    near(tf.reduce_mean(y, axis=0), [0.0, 0.0])
    near(norm.moving_mean, 0.5 * rows.mean(0))
    table = tf.keras.layers.Embedding(5, 3)
    assert table(tf.constant([[1, 2]])).shape == (1, 2, 3)


def test_fit_says_what_to_write() -> None:
    with pytest.raises(UnsupportedError, match="compile and fit"):
        tf.keras.Sequential([]).compile(optimizer="adam")
    with pytest.raises(ArgumentError, match="no initializer 'glorot'"):
        tf.keras.layers.Dense(1, kernel_initializer="glorot")(tf.ones((1, 1)))


optimizers = tf.keras.optimizers


def test_optimizers_by_their_formulas() -> None:
    for amsgrad in (False, True):
        optimizer = optimizers.Adam(0.1, amsgrad=amsgrad)
        v, x, m, s, most = tf.Variable(2.0), 2.0, 0.0, 0.0, 0.0
        for t in range(1, 6):
            g = x * (1 if t < 4 else 0.01)
            optimizer.apply_gradients([(tf.constant(float(g)), v)])
            m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
            most = max(most, s)
            under = most if amsgrad else s
            x -= 0.1 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (math.sqrt(under) + 1e-7)
        near(v, x)
    v = tf.Variable(2.0)
    optimizers.Adamax(0.1).apply_gradients([(tf.constant(4.0), v)])
    near(v, 1.9)
    optimizers.Lion(0.1).apply_gradients([(tf.constant(4.0), v)])
    near(v, 1.8)
    optimizers.AdamW(0.1, weight_decay=0.5).apply_gradients([(tf.constant(1.0), v)])
    near(v, 1.8 * 0.95 - 0.1)
    optimizers.SGD(0.1, weight_decay=0.5).apply_gradients([(tf.constant(0.0), v)])
    near(v, (1.8 * 0.95 - 0.1) * 0.95)
    v = tf.Variable(1.0)
    optimizers.Adadelta(1.0, rho=0.9, epsilon=1e-2).apply_gradients([(tf.constant(2.0), v)])
    near(v, 1 - 2 * np.sqrt(0.01) / np.sqrt(0.4 + 0.01))
    v = tf.Variable(1.0)
    optimizers.Nadam(0.1).apply_gradients([(tf.constant(2.0), v)])
    u1, u2 = (0.9 * (1 - 0.5 * 0.96**k) for k in (1, 2))
    near(v, 1 - 0.1 * (u2 * 0.2 / (1 - u1 * u2) + (1 - u1) * 2 / (1 - u1)) / (2.0 + 1e-7))


@pytest.mark.parametrize(
    ("schedule", "step", "rate"),
    [
        (optimizers.schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]), 10, 1.0),
        (optimizers.schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]), 15, 0.5),
        (optimizers.schedules.PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1]), 25, 0.1),
        (optimizers.schedules.PolynomialDecay(1.0, 100, 0.1), 50, 0.55),
        (optimizers.schedules.PolynomialDecay(1.0, 100, 0.1, cycle=True), 150, 0.1 + 0.9 * 0.25),
        (optimizers.schedules.InverseTimeDecay(1.0, 10, 0.5), 20, 0.5),
        (optimizers.schedules.CosineDecay(1.0, 100), 50, 0.5),
        (optimizers.schedules.CosineDecayRestarts(1.0, 10), 5, 0.5),
        (optimizers.schedules.CosineDecayRestarts(1.0, 10), 20, 0.5),
        (optimizers.schedules.CosineDecayRestarts(1.0, 10, t_mul=1.0, m_mul=0.5), 10, 0.5),
    ],
)
def test_schedules(schedule, step, rate) -> None:
    near(schedule(tf.constant(step)), rate)
    near(schedule(step), rate)


def test_losses() -> None:
    losses = tf.keras.losses
    truth, guess = np.float32([[0, 1], [1, 0]]), np.float32([[0.4, 0.6], [0.3, 0.7]])
    rows = -np.log([0.6, 0.3])
    near(losses.CategoricalCrossentropy()(truth, guess), rows.mean())
    near(losses.CategoricalCrossentropy(reduction="none")(truth, guess), rows)
    near(losses.CategoricalCrossentropy(reduction="SUM")(truth, guess), rows.sum())
    near(losses.CategoricalCrossentropy()(truth, guess, sample_weight=[1.0, 0.0]), rows[0] / 2)
    mixed = -np.sum((truth * 0.8 + 0.1) * np.log(guess), axis=-1)
    near(losses.CategoricalCrossentropy(label_smoothing=0.2)(truth, guess), mixed.mean())
    near(losses.KLDivergence()(guess, guess), 0.0)
    near(losses.Hinge()(truth, guess), np.mean(np.maximum(1 - (2 * truth - 1) * guess, 0)))
    near(losses.LogCosh()(truth, guess), np.mean(np.log(np.cosh(guess - truth))))
    near(losses.CosineSimilarity()(truth, truth), -1.0)
    near(losses.Huber(0.1)(truth, guess), np.mean(0.1 * (np.abs(guess - truth) - 0.05)))
    with pytest.raises(ArgumentError, match="reduction 'all'"):
        losses.MeanSquaredError(reduction="all")


def test_metrics() -> None:
    metrics = tf.keras.metrics
    truth, guess = np.float32([0, 1, 1, 0]), np.float32([0.4, 0.6, 0.3, 0.7])
    near(metrics.BinaryAccuracy()(truth, guess), 0.5)
    near(metrics.MeanSquaredError()(truth, guess), np.mean((truth - guess) ** 2))
    near(metrics.RootMeanSquaredError()(truth, guess), np.sqrt(np.mean((truth - guess) ** 2)))
    near(metrics.MeanAbsoluteError()(truth, guess), np.mean(np.abs(truth - guess)))
    near(metrics.CategoricalAccuracy()(np.eye(2), np.float32([[0.9, 0.1], [0.8, 0.2]])), 0.5)
    near(metrics.Sum()([1.0, 2.0]), 3.0)


def test_random_numbers() -> None:
    draws = tf.random.Generator.from_seed(1)
    assert not np.allclose(draws.normal((2,)), draws.normal((2,)))
    near(tf.random.stateless_normal((2,), seed=[1, 2]), tf.random.stateless_normal((2,), [1, 2]))
    often = tf.random.categorical(tf.math.log([[0.9, 0.1]]), 1000)
    assert often.shape == (1, 1000) and often.numpy().mean() < 0.2
    near(tf.keras.utils.to_categorical([0, 1], 3), [[1, 0, 0], [0, 1, 0]])
