"""tf.function: paths, printing, random numbers, variables; and what loops are written with."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit.compat import graph
from tracejit.compat import tensorflow as tf
from tracejit.compat.tensorflow.function import PATHS
from tracejit.errors import ArgumentError, ShapeError


def near(x, y, rtol=1e-5) -> None:
    np.testing.assert_allclose(np.asarray(x), y, rtol=rtol, atol=1e-6)


# paths


def test_a_function_that_branches_has_a_program_for_each_path() -> None:
    runs = []

    @tf.function
    def f(x):
        runs.append(1)
        if tf.reduce_sum(x) > 0:
            return 2.0 * x
        return -x

    v = tf.Variable([1.0, 1.0])
    for k in range(6):
        sign = 1.0 if k % 2 else -1.0
        v.assign([sign, sign])
        with tf.GradientTape() as tape:
            y = f(v)
        near(y, [2.0, 2.0] if sign > 0 else [1.0, 1.0])
        near(tape.gradient(y, v), [2.0, 2.0] if sign > 0 else [-1.0, -1.0])
    assert len(runs) == 2 == f.experimental_get_tracing_count()


def test_loops_whose_length_is_a_tensor() -> None:
    @tf.function
    def halved(x, n):
        for _ in tf.range(n):
            x = x / 2.0
        while tf.reduce_sum(x) > 1.0:
            x = tf.tanh(x)
        return x

    near(halved(tf.constant(8.0), tf.constant(3)), 1.0)
    near(halved(tf.constant(8.0), tf.constant(2)), np.tanh(2.0))
    near(halved(tf.constant(4.0), tf.constant(2)), 1.0)
    assert halved.experimental_get_tracing_count() == 3


def test_too_many_paths_run_as_they_stand() -> None:
    @tf.function
    def f(n):
        return n * int(n)

    for k in range(2 * PATHS):
        assert int(f(tf.constant(k))) == k * k
    assert f.experimental_get_tracing_count() == PATHS


def test_variables_are_assigned_on_the_path_that_is_taken() -> None:
    count = tf.Variable(0.0)

    @tf.function
    def f(x):
        count.assign_add(1.0)
        if x > 0:
            count.assign_add(10.0)
        return count

    assert [float(f(x)) for x in (-1.0, 1.0, -1.0, 1.0)] == [1.0, 12.0, 13.0, 24.0]
    assert float(count) == 24.0


def test_what_is_printed_is_printed_once_in_each_call(capsys) -> None:
    @tf.function
    def f(x):
        tf.print("x is", x)
        if x > 1.0:
            tf.print("much")
        return x + 1.0

    for x in (1.0, 2.0, 3.0):
        f(tf.constant(x))
    assert capsys.readouterr().out.split("\n")[:-1] == [
        "x is 1.0", "x is 2.0", "much", "x is 3.0", "much",
    ]  # fmt: skip


def test_random_numbers_are_drawn_in_each_call() -> None:
    runs = []

    @tf.function
    def noisy(x):
        runs.append(1)
        return x + tf.random.normal((3,)), tf.random.shuffle(tf.range(5))

    tf.random.set_seed(0)
    first, second = noisy(tf.zeros(3))[0], noisy(tf.zeros(3))[0]
    assert not np.allclose(first, second) and len(runs) == 1
    assert sorted(noisy(tf.zeros(3))[1].numpy()) == [0, 1, 2, 3, 4]
    tf.random.set_seed(0)
    near(noisy(tf.zeros(3))[0], first)


def test_metrics_are_updated_in_a_function() -> None:
    accuracy, mean = tf.keras.metrics.SparseCategoricalAccuracy(), tf.keras.metrics.Mean()

    @tf.function
    def update(y, scores):
        accuracy.update_state(y, scores)
        mean(scores)

    for _ in range(3):
        update(tf.constant([0, 1]), tf.constant([[1.0, 0.0], [1.0, 0.0]]))
    near(accuracy.result(), 0.5)
    near(mean.result(), 0.5)
    assert update.experimental_get_tracing_count() == 1
    accuracy.reset_state()
    assert float(accuracy.result()) == 0.0


# flow


def test_branches_and_loops() -> None:
    x, y = tf.constant(2.0), tf.constant(5.0)
    near(tf.cond(x < y, lambda: x * 17.0, lambda: y), 34.0)
    near(tf.case([(x > y, lambda: x)], default=lambda: y), 5.0)
    near(tf.switch_case(tf.constant(7), [lambda: x, lambda: y]), 5.0)
    (i,) = tf.while_loop(lambda i: i < 10, lambda i: (i + 3,), [tf.constant(0)])
    assert int(i) == 12
    assert int(tf.while_loop(lambda i: True, lambda i: i + 1, [0], maximum_iterations=4)[0]) == 4
    with pytest.raises(ArgumentError, match="no default"):
        tf.case([(x > y, lambda: x)])


def test_maps_and_folds_are_differentiated() -> None:
    v = tf.Variable([1.0, 2.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        squares = tf.reduce_sum(tf.map_fn(lambda x: x * x, v))
        product = tf.foldl(lambda a, x: a * x, v)
        sums = tf.scan(lambda a, x: a + x, v)
    near(tape.gradient(squares, v), [2.0, 4.0, 6.0])
    near(tape.gradient(product, v), [6.0, 3.0, 2.0])
    near(sums, [1.0, 3.0, 6.0])
    near(tf.foldr(lambda a, x: a - x, v), 0.0)
    near(tf.scan(lambda a, x: a + x, v, reverse=True), [6.0, 5.0, 3.0])
    near(tf.vectorized_map(lambda xy: xy[0] + xy[1], (v, v)), [2.0, 4.0, 6.0])
    with pytest.raises(ShapeError, match="first axis"):
        tf.map_fn(lambda x: x, tf.constant(1.0))


def test_tensor_array() -> None:
    array = tf.TensorArray(tf.float32, size=0, dynamic_size=True)
    for k in range(3):
        array = array.write(k, tf.fill((2,), float(k)))
    near(array.stack(), [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    near(array.concat(), [0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
    near(array.unstack(tf.range(4)).read(2), 2)
    with pytest.raises(ArgumentError, match="not resizeable"):
        tf.TensorArray(tf.float32, size=1).write(1, 0.0)


def test_datasets() -> None:
    x, y = np.arange(10.0, dtype=np.float32), np.arange(10)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    assert [a.shape[0] for a, _ in batches] == [4, 4, 2] and len(batches) == 3
    assert len(batches.repeat(2)) == 6 == len(list(batches.repeat(2)))
    whole = tf.data.Dataset.range(5).map(lambda i: i * i).filter(lambda i: i > 1).take(2)
    assert [int(i) for i in whole] == [4, 9]
    mixed = tf.data.Dataset.from_tensor_slices(x).shuffle(10, seed=1)
    first, second = ([float(a) for a in mixed] for _ in range(2))
    assert sorted(first) == sorted(second) == list(x) and first != second
    pairs = tf.data.Dataset.zip(tf.data.Dataset.range(2), tf.data.Dataset.range(5)).enumerate()
    assert [int(i) for i, _ in pairs] == [0, 1]
    with pytest.raises(TypeError, match="length is unknown"):
        len(whole)
    with pytest.raises(ShapeError, match="must be equal"):
        tf.data.Dataset.from_tensor_slices((x, y[:3]))


# derivatives that functions bring, and forward mode


def test_custom_gradients_read_what_there_is_now() -> None:
    v, scale = tf.Variable(2.0), [3.0]

    @tf.custom_gradient
    def f(x):
        def grad(dy, variables=None):
            return dy * v * scale[0], [dy * x]

        return v * x, grad

    for value in (2.0, 5.0):
        v.assign(value)
        scale[0] += 1.0
        x = tf.Variable(4.0)
        with tf.GradientTape() as tape:
            y = f(x)
        near(y, 4.0 * value)
        slopes = tape.gradient(y, [x, v])
        near(slopes[0], value * scale[0])
        near(slopes[1], 4.0)


def test_custom_gradients_of_variables_need_an_argument() -> None:
    v = tf.Variable(2.0)

    @tf.custom_gradient
    def f(x):
        return v * x, lambda dy: dy

    with pytest.raises(ArgumentError, match="no argument 'variables'"), tf.GradientTape() as tape:
        tape.gradient(f(tf.constant(1.0)), v)


def test_programs_that_do_not_come_again_are_not_kept() -> None:
    v = tf.Variable(2.0)

    @tf.custom_gradient
    def f(x):
        return x * x, lambda dy: dy * x

    def slope():
        with tf.GradientTape() as tape:
            y = f(v)
        return float(tape.gradient(y, v))

    slope()
    before = len(graph._programs)
    assert [slope() for _ in range(5)] == [2.0] * 5 and len(graph._programs) == before


def test_custom_gradients_take_keywords() -> None:
    @tf.custom_gradient
    def f(x, factor=1.0):
        return x * factor, lambda dy: dy * 10.0 * factor

    v = tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = f(v, factor=3.0)
    near(tape.gradient(y, v), 30.0)


def test_forward_accumulator() -> None:
    v = tf.Variable([1.0, 2.0])
    with tf.autodiff.ForwardAccumulator(v, tf.constant([1.0, 0.0])) as forward:
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(v**3)
        slope = tape.gradient(y, v)
        other = tf.constant(1.0) * 2.0
    near(forward.jvp(slope), [6.0, 0.0])
    near(forward.jvp(y), 3.0)
    assert forward.jvp(other) is None
    near(forward.jvp(other, unconnected_gradients="zero"), 0.0)
    with pytest.raises(ShapeError, match="tangents of shapes"):
        tf.autodiff.ForwardAccumulator(v, tf.constant(1.0))


def test_a_variable_is_its_own_target() -> None:
    v, w = tf.Variable(2.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        result = v if tf.constant(1.0) > 0 else w**2
    slopes = tape.gradient(result, [v, w])
    near(slopes[0], 1.0)
    assert slopes[1] is None


def test_parts_of_variables_are_assigned() -> None:
    v = tf.Variable(tf.zeros((3, 2)))
    v[0, 1].assign(1.0)
    v[1].assign_add([2.0, 3.0])
    v.scatter_nd_update([[2]], [[5.0, 6.0]])
    near(v, [[0.0, 1.0], [2.0, 3.0], [5.0, 6.0]])
    v.scatter_nd_add([[2, 0], [2, 0]], [1.0, 1.0])
    near(v[2], [7.0, 6.0])
