"""TensorFlow's names: tensors, tapes, functions, optimizers, and what messages say."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tracejit as tj
from tracejit.compat import tensorflow as tf
from tracejit.errors import ArgumentError, DTypeError, GradError, ShapeError, UnsupportedError


def near(x, y, rtol=1e-6) -> None:
    np.testing.assert_allclose(np.asarray(x), y, rtol=rtol, atol=1e-7)


# tensors


def test_tensors_are_shown_as_tensorflow_shows_them() -> None:
    x = tf.constant(1.1)
    assert str(x) == "tf.Tensor(1.1, shape=(), dtype=float32)"
    assert repr(x) == "<tf.Tensor: shape=(), dtype=float32, numpy=1.1>"
    rows = tf.constant([[1, 2], [3, 4]])
    assert str(rows) == "tf.Tensor([[1 2]\n [3 4]], shape=(2, 2), dtype=int32)"
    assert repr(rows.shape) == "TensorShape([2, 2])" and rows.shape.as_list() == [2, 2]
    assert repr(tf.float32) == "tf.float32" and str(tf.int32) == "<dtype: 'int32'>"
    v = tf.Variable([1.0, 2.0], name="w")
    assert repr(v) == (
        "<tf.Variable 'w:0' shape=(2,) dtype=float32, numpy=array([1., 2.], dtype=float32)>"
    )
    assert f"{x:.2f}" == "1.10" and x.dtype == "float32" and x.dtype == np.float32


def test_dtypes_of_numbers() -> None:
    assert tf.constant(1).dtype == tf.int32 and tf.constant(1.0).dtype == tf.float32
    assert tf.constant(np.ones(2)).dtype == tf.float64 and tf.constant(True).dtype == tf.bool
    assert (tf.constant(1) + 1).dtype == tf.int32 and (2 * tf.constant(1.5)).dtype == tf.float32
    assert (tf.constant(1) / tf.constant(2)).dtype == tf.float64
    assert (tf.constant([1.0]) + np.ones(1)).dtype == tf.float32
    assert (np.ones(1) * tf.constant([1.0])).dtype == tf.float32
    assert tf.cast(tf.constant(1.7), tf.int32).numpy() == 1
    with pytest.raises(DTypeError, match="Cannot convert 1.5 to EagerTensor of dtype int32"):
        tf.constant(1) + 1.5
    with pytest.raises(DTypeError, match="cannot compute add of a float32 tensor and a int32"):
        tf.constant(1.0) + tf.constant(1)
    with pytest.raises(DTypeError, match="Cannot convert"):
        tf.constant(1.5, dtype=tf.int32)
    with pytest.raises(DTypeError, match="requested dtype float64"):
        tf.convert_to_tensor(tf.constant(1.0), tf.float64)
    with pytest.raises(DTypeError, match="int32"):
        tf.constant(2**40)
    with pytest.raises(UnsupportedError, match="no tensors of dtype"):
        tf.constant("text")


def test_tensors_behave() -> None:
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])
    assert len(x) == 2 and [float(row[0]) for row in x] == [1.0, 3.0]
    assert bool(x[0, 0] == 1.0) and (x is not None) and x != None  # noqa: E711
    near(x @ x, np.asarray(x) @ np.asarray(x))
    near(np.sin(x), np.sin(np.asarray(x)))
    near(-x[1] + abs(-x[0]), [-2, -2])
    near(x[:, tf.constant(0) : tf.constant(1)], [[1], [3]])
    near([x[x > 2.0], tf.boolean_mask(x[0], [True, True])], [[3, 4], [1, 2]])
    assert np.sum(x) == 10 and np.mean(tf.Variable([1.0, 2.0])) == 1.5
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    assert x.ref() in {x.ref()} and x.ref().deref() is x
    with pytest.raises(TypeError, match="scalar tensor"):
        iter(tf.constant(1.0))


CASES = {
    "reduce_sum": (lambda: tf.reduce_sum([[1.0, 2.0], [3.0, 4.0]], axis=1), [3, 7]),
    "reduce_mean": (lambda: tf.reduce_mean(tf.ones((2, 3)), [0, 1], keepdims=True), [[1]]),
    "argmax": (lambda: tf.argmax([[1, 3], [4, 2]]), [1, 0]),
    "transpose": (lambda: tf.transpose(tf.reshape(tf.range(4), (2, 2)), perm=[1, 0]),
                  [[0, 2], [1, 3]]),
    "reshape": (lambda: tf.reshape(tf.range(4), tf.shape(tf.ones((2, 2)))), [[0, 1], [2, 3]]),
    "concat": (lambda: tf.concat([tf.ones((1, 2)), [[3.0, 4.0]]], 0), [[1, 1], [3, 4]]),
    "stack": (lambda: tf.stack([tf.constant(1.0), tf.constant(2.0)]), [1, 2]),
    "unstack": (lambda: tf.unstack(tf.eye(2), axis=1)[1], [0, 1]),
    "split": (lambda: tf.split(tf.range(6), [2, 4])[1], [2, 3, 4, 5]),
    "one_hot": (lambda: tf.one_hot([0, 2], 3), [[1, 0, 0], [0, 0, 1]]),
    "gather": (lambda: tf.gather([1.0, 2.0, 3.0], [0, 2]), [1, 3]),
    "pad": (lambda: tf.pad(tf.ones((1, 1)), [[1, 0], [0, 1]]), [[0, 0], [1, 0]]),
    "where": (lambda: tf.where(tf.constant([True, False]), 1.0, tf.zeros(2)), [1, 0]),
    "where_only": (lambda: tf.where(tf.constant([False, True])), [[1]]),
    "clip_by_value": (lambda: tf.clip_by_value(tf.constant([-1.0, 2.0]), 0.0, 1.0), [0, 1]),
    "clip_by_norm": (lambda: tf.clip_by_norm(tf.constant([3.0, 4.0]), 1.0), [0.6, 0.8]),
    "matmul": (lambda: tf.matmul(tf.ones((2, 3)), tf.ones((2, 3)), transpose_b=True), [[3, 3]] * 2),
    "matvec": (lambda: tf.linalg.matvec(2 * tf.eye(2), tf.constant([1.0, 2.0])), [2, 4]),
    "trace": (lambda: tf.linalg.trace(tf.eye(3)), 3),
    "einsum": (lambda: tf.einsum("ij,ij->i", tf.eye(2), tf.eye(2)), [1, 1]),
    "softmax": (lambda: tf.nn.softmax(tf.constant([0.0, np.log(3.0)])), [0.25, 0.75]),
    "top_k": (lambda: tf.math.top_k([1.0, 3.0, 2.0], k=2)[0], [3, 2]),
    "argsort": (lambda: tf.argsort([1.0, 3.0, 2.0], direction="DESCENDING"), [1, 2, 0]),
    "divide_no_nan": (lambda: tf.math.divide_no_nan(tf.ones(2), tf.constant([0.0, 2.0])), [0, 0.5]),
    "squared_difference": (lambda: tf.math.squared_difference(3.0, tf.constant(1.0)), 4),
    "sigmoid_loss": (lambda: tf.nn.sigmoid_cross_entropy_with_logits(
        labels=tf.ones(1), logits=tf.zeros(1)), [np.log(2)]),
    "softmax_loss": (lambda: tf.nn.softmax_cross_entropy_with_logits(
        labels=tf.constant([[0.0, 1.0]]), logits=tf.zeros((1, 2))), [np.log(2)]),
    "sparse_loss": (lambda: tf.nn.sparse_softmax_cross_entropy_with_logits([1], tf.zeros((1, 4))),
                    [np.log(4)]),
    "moments": (lambda: tf.stack(tf.nn.moments(tf.constant([1.0, 3.0]), axes=0)), [2, 1]),
    "l2_normalize": (lambda: tf.nn.l2_normalize(tf.constant([3.0, 4.0])), [0.6, 0.8]),
    "fill": (lambda: tf.fill([2], 3.0), [3, 3]),
    "linspace": (lambda: tf.linspace(0.0, 1.0, 3), [0, 0.5, 1]),
    "range": (lambda: tf.range(1.0, 2.0, 0.5), [1, 1.5]),
    "meshgrid": (lambda: tf.meshgrid([1, 2], [3])[0], [[1, 2]]),
    "global_norm": (lambda: tf.clip_by_global_norm([tf.constant([3.0]), None, tf.constant([4.0])],
                                                   1.0)[0][2], [0.8]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_functions(name) -> None:
    compute, expected = CASES[name]
    near(compute(), expected)


def test_functions_take_tensorflows_parameters() -> None:
    near(tf.reduce_sum(input_tensor=[1.0, 2.0], name="total"), 3)
    near(tf.add(1, 2), 3)
    near(tf.maximum(tf.constant([1.0, -1.0]), 0), [1, 0])
    with pytest.raises(ArgumentError, match="tf.reduce_sum takes input_tensor, axis, keepdims"):
        tf.reduce_sum(tf.ones(2), dim=1)
    with pytest.raises(AttributeError, match="did you mean 'reduce_sum'"):
        tf.reduce_summ  # noqa: B018


def test_random_numbers() -> None:
    tf.random.set_seed(3)
    first = tf.random.normal((1000,), mean=2.0)
    tf.random.set_seed(3)
    assert np.array_equal(first, tf.random.normal((1000,), mean=2.0))
    assert abs(float(tf.reduce_mean(first)) - 2) < 0.2 and first.dtype == tf.float32
    near(tf.sort(tf.random.shuffle(tf.range(5))), range(5))
    assert int(tf.reduce_max(tf.random.uniform([100], 0, 3, tf.int32))) == 2
    assert float(tf.reduce_max(tf.abs(tf.random.truncated_normal((500,))))) <= 2


# variables


def test_variables_are_assigned() -> None:
    v = tf.Variable([1.0, 2.0])
    assert v.assign_add([1.0, 1.0]) is v
    near(v.assign_sub(tf.constant([0.5, 0.5])), [1.5, 2.5])
    near(v.read_value() + v.value(), [3, 5])
    near(v.assign(v * 2), [3, 5])
    kept = v + 0
    v.assign([0.0, 0.0])
    near(kept, [3, 5])
    with pytest.raises(ShapeError, match="Shape mismatch"):
        v.assign([1.0])
    with pytest.raises(DTypeError, match="the value is"):
        v.assign(tf.constant([1, 2]))
    assert (
        tf.Variable(lambda: 1.5).numpy() == 1.5 and tf.Variable(1, dtype=tf.float64).dtype.size == 8
    )


# tapes


def test_gradients_of_watched_tensors() -> None:
    x = tf.constant(3.0)
    with tf.GradientTape() as g:
        g.watch(x)
        y = x * x
    near(g.gradient(y, x), 6)
    with pytest.raises(RuntimeError, match="A non-persistent GradientTape can only be used to"):
        g.gradient(y, x)
    with tf.GradientTape() as g:
        y = x * x
    assert g.gradient(y, x) is None
    with tf.GradientTape() as g, pytest.raises(GradError, match="must be floating"):
        g.watch(tf.constant(1))


def test_tapes_nest() -> None:
    x = tf.Variable(2.0)
    with tf.GradientTape() as third, tf.GradientTape() as second, tf.GradientTape() as first:
        y = x**4
        dy = first.gradient(y, x)
        d2y = second.gradient(dy, x)
    near([dy, d2y, third.gradient(d2y, x)], [32, 48, 48])


def test_a_persistent_tape_and_pauses() -> None:
    x = tf.constant(3.0)
    with tf.GradientTape(persistent=True) as g:
        g.watch(x)
        y = x * x
        z = y * y
        with g.stop_recording():
            paused = y * 2
        w = paused * x
    assert [float(t) for t in g.gradient(z, [x, y])] == [108, 18]
    near(g.gradient(w, x), 18)
    assert g.gradient(paused, x) is None
    near(g.gradient([y, z], x), 114)
    with pytest.raises(ArgumentError, match="Tape is not recording"), g.stop_recording():
        pass
    with g, pytest.raises(ArgumentError, match="still recording"):
        g.__enter__()


def test_a_tape_knows_what_it_has_recorded() -> None:
    x = tf.Variable(3.0)
    with tf.GradientTape() as early:
        y = x * x
    with tf.GradientTape() as late:
        z = y * x
    near(late.gradient(z, x), 9)
    near(early.gradient(y, x), 6)
    after = y * 2
    with tf.GradientTape() as g:
        g.watch(after)
        out = after * y
    near(g.gradient(out, after), 9)
    with tf.GradientTape() as g:
        out = x * 2
        g.reset()
        out = x * 5
    near(g.gradient(out, x), 5)


def test_structures_and_unconnected_sources() -> None:
    a, b = tf.Variable([1.0, 2.0]), tf.Variable(2.0)
    frozen = tf.Variable(1.0, trainable=False)
    with tf.GradientTape(persistent=True) as g:
        loss = tf.reduce_sum(a * b) * frozen
    assert [v.ref() for v in g.watched_variables()] == [a.ref(), b.ref()]
    found = g.gradient(loss, {"a": a, "rest": [b, frozen]})
    near(found["a"], [2, 2])
    assert float(found["rest"][0]) == 3 and found["rest"][1] is None
    zeros = g.gradient(loss, [frozen], unconnected_gradients=tf.UnconnectedGradients.ZERO)
    near(zeros, [0])
    near(g.gradient(loss, b, unconnected_gradients="zero"), 3)
    with tf.GradientTape(watch_accessed_variables=False) as g:
        g.watch(a)
        loss = tf.reduce_sum(a * b)
    near(g.gradient(loss, [a, b])[0], [2, 2])
    with tf.GradientTape() as g:
        y = a * a
    near(g.gradient([y], a, output_gradients=[[1.0, 10.0]]), [2, 40])


def test_a_variable_that_is_assigned_in_the_block() -> None:
    v = tf.Variable(2.0)
    with tf.GradientTape() as g:
        y = v * v
        v.assign(5.0)
        y = y + v * v
    near(g.gradient(y, v), 14)


def test_jacobians() -> None:
    x = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    with tf.GradientTape(persistent=True) as g:
        y = tf.reduce_sum(x * x, axis=1)
        rows = x * x
    near(g.jacobian(y, x), 2 * np.eye(2)[:, :, None] * np.asarray(x))
    by_rows = g.batch_jacobian(rows, x)
    near(by_rows, 2 * np.eye(2) * np.asarray(x)[:, :, None])
    assert g.jacobian(y, [tf.constant(1.0)]) == [None]
    assert g.jacobian(y, tf.Variable(1.0), unconnected_gradients="zero").shape == (2,)
    with pytest.raises(ShapeError, match="Need first dimension of target shape"):
        g.batch_jacobian(rows, tf.Variable([1.0]))


def test_a_jacobian_is_differentiated() -> None:
    x, w = tf.Variable([1.0, 2.0]), tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            y = w * x**3
        jac = inner.jacobian(y, x)
    near(outer.gradient(jac, x), 6 * 3 * np.asarray(x))
    near(outer.gradient(jac, w), 3 * np.sum(np.asarray(x) ** 2))


def test_what_is_stopped_is_constant() -> None:
    x = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as g:
        y = tf.stop_gradient(x * x) * x
        only = tf.stop_gradient(x)
    near(g.gradient(y, x), 9)
    assert g.gradient(only, x) is None


def test_custom_gradients() -> None:
    @tf.custom_gradient
    def log1pexp(x):
        e = tf.exp(x)

        def grad(upstream):
            return upstream * (1 - 1 / (1 + e))

        return tf.math.log(1 + e), grad

    x = tf.constant(100.0)
    with tf.GradientTape() as g:
        g.watch(x)
        y = log1pexp(x)
    near(g.gradient(y, x), 1.0)
    x = tf.constant([0.5, 1.0])
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = log1pexp(x)
        slope = inner.gradient(y, x)
    s = 1 / (1 + np.exp(-np.asarray(x)))
    near(outer.gradient(slope, x), s * (1 - s), 1e-5)

    @tf.custom_gradient
    def product(x, y):
        return x * y, lambda up: (up * 10.0, up * 20.0)

    with tf.GradientTape() as g:
        g.watch(x)
        out = product(x, 2 * x)
    near(g.gradient(out, x), [50, 50])


def test_a_recording_goes_to_jit() -> None:
    x, w = tf.constant([1.0, 2.0]), tf.Variable([3.0, 4.0])
    with tf.GradientTape() as g:
        g.watch(x)
        loss = tf.reduce_sum(tf.tanh(w * x))
    fun = tj.jit(tj.grad(g.compile(loss, [w, x]), (0, 1)))
    values = [t.numpy() for t in (w, x)]
    near(fun(*values)[0], g.gradient(loss, w))

    def plain(w, x):
        return np.sum(np.tanh(w * x))

    mine = tj.jit(tj.value_and_grad(g.compile(loss, [w, x])))
    assert str(mine.trace(*values)) == str(tj.jit(tj.value_and_grad(plain)).trace(*values))
    with pytest.raises(ArgumentError, match="not watched"):
        g.compile(loss, [tf.constant(1.0)])


def test_tensors_in_traced_functions() -> None:
    def f(x):
        return tf.reduce_sum(tf.sin(x) * x[0])

    x = np.array([0.5, 1.0])
    expected = np.cos(x) * x[0] + np.array([np.sum(np.sin(x)), 0])
    near(tj.jit(tj.grad(f))(x), expected)
    near(tj.grad(f)(tf.constant(x)), expected)


def test_a_tape_inside_of_a_trace_is_an_error() -> None:
    @tj.jit
    def f(x):
        t = tf.constant(1.0) * x
        with tf.GradientTape() as g:
            g.watch(t)
        return t

    with pytest.raises(UnsupportedError, match=r"tf\.function"):
        f(np.float32(1))


def test_nothing_is_kept() -> None:
    """A training loop holds the tensors of one round alone."""
    v = tf.Variable([1.0, 2.0])
    alive = []
    for _ in range(5):
        with tf.GradientTape() as g:
            y = tf.reduce_sum(v * v)
        v.assign_sub(0.1 * g.gradient(y, v))
        alive.append(weakref.ref(y.cell))
    del g, y
    gc.collect()
    assert [ref() for ref in alive] == [None] * 5


# functions


def test_a_function_is_recorded_once_for_each_kind() -> None:
    runs = []

    @tf.function
    def f(x, n=2):
        runs.append(n)
        return {"y": x * n, "none": None}

    near(f(tf.constant(3.0))["y"], 6)
    near(f(tf.constant(4.0))["y"], 8)
    assert f(tf.constant(1.0))["none"] is None and runs == [2]
    near(f(tf.constant([1.0, 2.0]))["y"], [2, 4])
    near(f(np.float32(2.0), n=5)["y"], 10)
    assert runs == [2, 2, 5] and f.experimental_get_tracing_count() == 3
    assert f.get_concrete_function(tf.constant(1.0)) is f and "tf.function of" in repr(f)


def test_a_function_reads_and_writes_variables() -> None:
    v = tf.Variable(1.0)

    @tf.function
    def f(x):
        v.assign_add(x)
        return v * 10

    assert [float(f(tf.constant(2.0))) for _ in range(3)] == [30, 50, 70]
    v.assign(0.0)
    near(f(tf.constant(1.0)), 10)
    x = tf.constant(3.0)
    with tf.GradientTape() as g:
        g.watch(x)
        y = f(x) * x
    near(g.gradient(y, x), 40)


def test_a_training_step_is_one_function() -> None:
    tf.random.set_seed(0)
    model = tf.keras.Sequential([
        tf.keras.layers.Dense(8, activation="tanh"), tf.keras.layers.Dense(1)
    ])  # fmt: skip
    optimizer = tf.keras.optimizers.Adam(0.05)
    x = tf.random.normal((64, 3))
    y = tf.reduce_sum(x, axis=1, keepdims=True)
    loss_of = tf.keras.losses.MeanSquaredError()

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    model(x)
    start = model.get_weights()
    eager = [float(step(x, y)) for _ in range(5)]
    after = model.get_weights()
    model.set_weights(start)
    optimizer = tf.keras.optimizers.Adam(0.05)
    compiled = tf.function(step)
    near([float(compiled(x, y)) for _ in range(5)], eager, 1e-4)
    for mine, theirs in zip(model.get_weights(), after, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)
    assert compiled.experimental_get_tracing_count() == 1
    for _ in range(300):
        loss = compiled(x, y)
    assert float(loss) < 0.02 and int(optimizer.iterations) == 305


def test_a_function_that_asks_for_numbers_runs_as_it_stands() -> None:
    @tf.function
    def absolute(x):
        if x > 0:
            return x
        return -x

    assert [float(absolute(tf.constant(v))) for v in (-1.0, 2.0, -3.0)] == [1, 2, 3]

    @tf.function
    def noise():
        return tf.random.normal(())

    assert float(noise()) != float(noise())

    @tf.function
    def fixed(x):
        return x * float(tf.constant(2.0))  # the same in each call

    near(fixed(tf.constant(1.0)), 2)
    assert fixed.experimental_get_tracing_count() == 1


def test_functions_of_objects_and_signatures() -> None:
    class Scale(tf.Module):
        def __init__(self, by):
            super().__init__()
            self.by = tf.Variable(by)

        @tf.function
        def __call__(self, x):
            return x * self.by

    two, three = Scale(2.0), Scale(3.0)
    near([two(tf.constant(1.0)), three(tf.constant(1.0)), two(tf.constant(2.0))], [2, 3, 4])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
    def total(x):
        return tf.reduce_sum(x)

    near(total([1, 2, 3]), 6)
    with pytest.raises(ShapeError, match="does not fit TensorSpec"):
        total(tf.ones((2, 2)))
    with pytest.raises(ArgumentError, match="takes 1 arguments"):
        total(tf.ones(2), 1)
    with pytest.raises(ArgumentError, match="neither a tensor nor hashable"):
        tf.function(lambda x, s: x)(tf.ones(2), {1, 2})
    with pytest.raises(ArgumentError, match="takes a function"):
        tf.function(3)


# keras


def test_modules_list_their_variables() -> None:
    class Inner(tf.Module):
        def __init__(self):
            super().__init__()
            self.w = tf.Variable(1.0)

    class Outer(tf.Module):
        def __init__(self):
            super().__init__("outer")
            self.parts = [Inner(), {"k": Inner()}]
            self.frozen = tf.Variable(0.0, trainable=False)
            self.again = self.parts[0].w

    outer = Outer()
    assert len(outer.variables) == 3 and len(outer.trainable_variables) == 2
    assert len(outer.submodules) == 2 and outer.name == "outer"
    assert len(outer.non_trainable_variables) == 1


def test_layers() -> None:
    layer = tf.keras.layers.Dense(2, activation="relu", kernel_initializer="ones")
    assert layer.trainable_variables == ()
    near(layer(tf.constant([[1.0, -3.0]])), [[0, 0]])
    near(layer(np.array([[1, 3]], np.float32)), [[4, 4]])
    near(tf.keras.layers.Flatten()(tf.ones((2, 3, 4))).shape, (2, 12))
    near(tf.keras.layers.Softmax()(tf.zeros((1, 2))), [[0.5, 0.5]])
    with pytest.raises(ArgumentError, match="did you mean 'relu'"):
        tf.keras.layers.Dense(2, activation="rely")

    class Net(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.first = tf.keras.layers.Dense(3)
            self.act = tf.keras.layers.ReLU()

        def call(self, x):
            return self.act(self.first(x))

    net = Net()
    assert net(tf.ones((4, 2))).shape == (4, 3) and len(net.trainable_variables) == 2


def test_losses_and_metrics() -> None:
    losses = tf.keras.losses
    y, p = tf.constant([[0.0], [1.0]]), tf.constant([[0.2], [0.6]])
    near(losses.mse(y, p), [0.04, 0.16])
    near(losses.MeanAbsoluteError()([[0], [1]], p), 0.3)
    near(losses.Huber(delta=0.1)(y, p), np.mean([0.1 * 0.15, 0.1 * 0.35]))
    near(losses.BinaryCrossentropy()(y, p), -np.mean(np.log([0.8, 0.6])))
    logits = tf.math.log(p / (1 - p))
    near(losses.BinaryCrossentropy(from_logits=True)(y, logits), -np.mean(np.log([0.8, 0.6])))
    rows = tf.constant([[0.25, 0.75]])
    near(losses.SparseCategoricalCrossentropy()([1], rows), -np.log(0.75))
    near(losses.CategoricalCrossentropy(from_logits=True)([[1.0, 0.0]], tf.math.log(rows)),
         -np.log(0.25))  # fmt: skip
    mean = tf.metrics.Mean()
    mean.update_state([1.0, 2.0])
    near(mean(6.0), 3)
    mean.reset_state()
    near(mean.result(), 0)
    near(tf.metrics.SparseCategoricalAccuracy()([1, 0], [[0.1, 0.9], [0.2, 0.8]]), 0.5)
    near(tf.metrics.Accuracy()([1, 0], [1, 1]), 0.5)


def _by_hand(name, g, steps):
    """Where a variable that begins at 1 is after steps with one gradient, as Keras has it."""
    v, m, s, a = 1.0, 0.0, 0.0, 0.1
    for t in range(1, steps + 1):
        if name == "sgd":
            v -= 0.1 * g
        elif name == "nesterov":
            m = 0.9 * m - 0.1 * g
            v += 0.9 * m - 0.1 * g
        elif name in ("adam", "adamw"):
            v -= 0.1 * 0.004 * v if name == "adamw" else 0.0
            m += (g - m) * 0.1
            s += (g * g - s) * 0.001
            v -= 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(s) + 1e-7)
        elif name == "rmsprop":
            s = 0.9 * s + 0.1 * g * g
            v -= 0.1 * g / np.sqrt(s + 1e-7)
        else:
            a += g * g
            v -= 0.1 * g / np.sqrt(a + 1e-7)
    return v


OPTIMIZERS = {
    "sgd": lambda: tf.optimizers.SGD(0.1),
    "nesterov": lambda: tf.optimizers.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: tf.optimizers.Adam(0.1),
    "adamw": lambda: tf.optimizers.AdamW(0.1),
    "rmsprop": lambda: tf.optimizers.RMSprop(0.1),
    "adagrad": lambda: tf.optimizers.Adagrad(0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name) -> None:
    v, optimizer = tf.Variable(1.0), OPTIMIZERS[name]()
    for _ in range(4):
        optimizer.apply_gradients([(tf.constant(0.5), v), (None, tf.Variable(1.0))])
    near(v, _by_hand(name, 0.5, 4), 1e-5)
    assert int(optimizer.iterations) == 4


def test_optimizers_minimize_clip_and_follow_schedules() -> None:
    v = tf.Variable([3.0, 4.0])
    optimizer = tf.optimizers.SGD(1.0, clipnorm=1.0)
    optimizer.minimize(lambda: tf.reduce_sum(v * v), [v])
    near(v, [2.4, 3.2])
    optimizer = tf.optimizers.SGD(1.0, clipvalue=0.1)
    optimizer.apply_gradients([(tf.constant([1.0, -1.0]), v)])
    near(v, [2.3, 3.3])
    optimizer = tf.optimizers.SGD(1.0, global_clipnorm=1.0)
    optimizer.learning_rate = 0.5
    optimizer.apply_gradients([(tf.constant([3.0, 4.0]), v)])
    near(v, [2.0, 2.9])
    decay = tf.keras.optimizers.schedules.ExponentialDecay(1.0, 1, 0.5)
    near([decay(0), decay(2)], [1, 0.25])
    near(tf.optimizers.schedules.CosineDecay(1.0, 10)(5), 0.5)
    v, optimizer = tf.Variable(0.0), tf.optimizers.SGD(decay)
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant(1.0), v)])
    near(v, -1.75)
    with pytest.raises(ArgumentError, match="No gradients provided for any variable"):
        optimizer.apply_gradients([(None, v)])
