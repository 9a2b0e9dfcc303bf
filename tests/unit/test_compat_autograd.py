"""HIPS autograd's names: the derivatives of tracejit, called as autograd has them."""

from __future__ import annotations

import numpy as onp
import pytest
import scipy.integrate
import scipy.signal
import scipy.special
import scipy.stats

import tracejit as tj
import tracejit.compat.autograd.numpy.random as npr
import tracejit.compat.autograd.scipy.stats.norm as norm
from tracejit.compat import autograd
from tracejit.compat.autograd import (
    checkpoint,
    deriv,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_vector_product,
    holomorphic_grad,
    jacobian,
    make_ggnvp,
    make_hvp,
    make_jvp,
    make_jvp_reversemode,
    make_vjp,
    multigrad_dict,
    primitive,
    tensor_jacobian_product,
    value_and_grad,
)
from tracejit.compat.autograd import numpy as np
from tracejit.compat.autograd.extend import (
    def_linear,
    defjvp,
    defjvp_argnums,
    defvjp,
    defvjp_argnum,
    defvjp_argnums,
    notrace_primitive,
    vspace,
)
from tracejit.compat.autograd.misc import const_graph, flatten, optimizers
from tracejit.compat.autograd.misc.fixed_points import fixed_point
from tracejit.compat.autograd.misc.flatten import flatten_func
from tracejit.compat.autograd.scipy import stats
from tracejit.compat.autograd.scipy.integrate import odeint
from tracejit.compat.autograd.scipy.signal import convolve
from tracejit.compat.autograd.test_util import check_equivalent, check_grads, combo_check
from tracejit.errors import (
    ArgumentError,
    GradError,
    MissingRuleError,
    ShapeError,
    UnsupportedError,
)

X = onp.array([0.5, -1.25, 2.0])
A = onp.array([[1.0, 2.0, 0.5], [0.0, -1.0, 3.0]])


def near(x, y) -> None:
    onp.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-14)


def tanh(x):
    """autograd's first example."""
    return (1.0 - np.exp(-2 * x)) / (1.0 + np.exp(-(2 * x)))


def test_the_first_example() -> None:
    near(grad(tanh)(1.0), 1 - onp.tanh(1.0) ** 2)
    third = elementwise_grad(elementwise_grad(elementwise_grad(tanh)))(X)
    t = onp.tanh(X)
    near(third, -2 * (1 - t**2) * (1 - 3 * t**2))


def test_gradients_have_the_structure_of_their_argument() -> None:
    def f(params, x):
        return np.sum(params["w"] * x) + params["b"][0] ** 2

    params = {"w": X, "b": [3.0, 1.0]}
    value, gradient = value_and_grad(f)(params, X)
    near(value, X @ X + 9)
    near(gradient["w"], X)
    assert gradient["b"] == [6.0, 0.0]
    near(grad(f, argnum=1)(params, X), X)
    both = grad(f, (0, 1))(params, X)
    near(both[1], X)
    near(grad(f, [1])(params, X)[0], X)


def test_a_result_of_one_element_is_a_number() -> None:
    value, gradient = value_and_grad(lambda x: x**2)(onp.ones(1))
    assert value.shape == (1,) and gradient == [2.0]
    with pytest.raises(TypeError, match="scalar-output functions"):
        grad(lambda x: x**2)(X)
    with pytest.raises(GradError, match="needs floats"):
        grad(lambda x: x**2)(3)


def test_maps_at_a_point() -> None:
    def f(x):
        return np.sin(A @ x)

    jac = onp.cos(A @ X)[:, None] * A
    vjp, value = make_vjp(f)(X)
    near(value, onp.sin(A @ X))
    near(vjp(onp.ones(2)), jac.sum(0))
    value, tangent = make_jvp(f)(X)(X)
    near(tangent, jac @ X)
    near(make_jvp_reversemode(f)(X)(X), jac @ X)
    near(jacobian(f)(X), jac)
    near(tensor_jacobian_product(f)(X, onp.ones(2)), jac.sum(0))
    near(make_ggnvp(f)(X)(X), jac.T @ (jac @ X))
    near(deriv(lambda x: x**3)(2.0), 12.0)


def test_second_derivatives() -> None:
    def f(x):
        return np.sum(x**3) + x[0] * x[1]

    whole = onp.diag(6 * X)
    whole[0, 1] = whole[1, 0] = 1
    near(hessian(f)(X), whole)
    near(hessian_vector_product(f)(X, A[0]), whole @ A[0])
    hvp, gradient = make_hvp(f)(X)
    near(hvp(A[1]), whole @ A[1])
    near(gradient, grad(f)(X))


def test_gradients_by_name() -> None:
    def f(x, y=2.0):
        return x**2 * y

    assert dict(multigrad_dict(f)(3.0)) == {"x": 12.0, "y": 9.0}
    assert grad_named(f, "y")(3.0, 2.0) == 9.0
    with pytest.raises(ArgumentError, match="has no argument 'z'"):
        grad_named(f, "z")
    assert grad_and_aux(lambda x: (x**2, 2 * x))(3.0) == (6.0, 6.0)


def test_holomorphic_gradients_of_real_numbers() -> None:
    with pytest.warns(UserWarning, match="not complex"):
        assert holomorphic_grad(lambda x: x**3)(2.0) == 12.0
    assert holomorphic_grad(lambda x: x**3)(2.0 + 1j) == 3 * (2.0 + 1j) ** 2


def test_it_nests_with_jit_and_is_the_same_program() -> None:
    def f(x):
        return np.sum(np.tanh(x) * np.array([x[0], 2.0, x[2]]))

    ours = tj.jit(value_and_grad(f))
    plain = tj.jit(tj.value_and_grad(f))
    assert str(ours.trace(X)) == str(plain.trace(X))
    assert onp.array_equal(ours(X)[1], plain(X)[1])
    assert isinstance(grad(tj.jit(f)), type(ours))
    near(checkpoint(lambda x: x**2)(X), X**2)
    near(grad(lambda x: checkpoint(f)(x))(X), grad(f)(X))


def test_numpy_makes_arrays_of_traced_values() -> None:
    def f(x):
        y = np.zeros(3) + np.array([x[0], x[1] ** 2, 1.0])
        return np.sum(np.linalg.inv(np.eye(3) + np.outer(y, y)))

    check_grads(f, modes=["rev"], order=1)(X)
    assert npr.RandomState(0).randn(2).shape == (2,)
    assert np.pi == onp.pi and np.ones(2).dtype == onp.float64


# primitives


def test_a_primitive_with_its_vjp() -> None:
    @primitive
    def logsumexp(x):
        top = np.max(x)
        return top + np.log(np.sum(np.exp(x - top)))

    defvjp(logsumexp, lambda ans, x: lambda g: g * np.exp(x - ans))

    def f(y):
        return logsumexp(y**2)

    weights = scipy.special.softmax(X**2)
    near(f(X), scipy.special.logsumexp(X**2))
    near(grad(f)(X), 2 * X * weights)
    near(tj.jit(grad(f))(X), 2 * X * weights)
    check_grads(f, modes=["rev"])(X)


def test_a_primitive_that_needs_numbers_is_called_back() -> None:
    @primitive
    def bessel(x, n):
        return scipy.special.jv(n, x)

    defvjp(bessel, lambda ans, x, n: lambda g: g * (bessel(x, n - 1) - n / x * ans), None)
    x = X + 3

    def f(x):
        return np.sum(bessel(x, 1))

    near(grad(f)(x), scipy.special.jvp(1, x))
    near(tj.jit(grad(f))(x), scipy.special.jvp(1, x))
    defjvp(bessel, lambda t, ans, x, n: t * (bessel(x, n - 1) - n / x * ans), None)
    check_grads(f)(x)


def test_other_forms_of_rules() -> None:
    @primitive
    def product(x, y):
        return x * y

    with pytest.raises(MissingRuleError, match="product has no derivative"):
        grad(lambda x: np.sum(product(x, x)))(X)
    defvjp(product, lambda ans, x, y: lambda g: g * y)
    with pytest.raises(MissingRuleError, match="argnum 1"):
        grad(lambda x: np.sum(product(x, x)))(X)
    defvjp_argnum(product, lambda argnum, ans, args, kwargs: lambda g: g * args[1 - argnum])
    near(grad(lambda x: np.sum(product(x, x)))(X), 2 * X)
    defvjp_argnums(
        product, lambda argnums, ans, args, kwargs: lambda g: [2 * g * args[1 - i] for i in argnums]
    )
    near(grad(lambda x: np.sum(product(x, x)))(X), 4 * X)
    defjvp_argnums(product, lambda argnums, ts, ans, args, kwargs: 3 * ts[0] * args[1])
    near(grad(lambda x: np.sum(product(x, 2.0)))(X), onp.full(3, 6.0))
    def_linear(product)
    near(grad(lambda x: np.sum(product(x, x)))(X), 2 * X)
    defjvp(product, "same", None)
    near(grad(lambda x: np.sum(product(x, x)))(X), X)
    with pytest.raises(ArgumentError, match="takes what primitive"):
        defvjp(np.sin, None)


def test_a_function_that_is_a_constant() -> None:
    steps = notrace_primitive(lambda x: np.floor(x) + x)
    near(grad(lambda x: np.sum(x * steps(x)))(X), onp.floor(X) + X)
    space = vspace({"a": X, "b": 1.0})
    assert space.size == 4 and space == vspace({"a": X, "b": 2.0}) and vspace(A).shape == (2, 3)
    assert space.ones()["b"] == 1.0 and vspace(X).zeros().sum() == 0


def test_checks_fail_for_a_wrong_rule() -> None:
    wrong = primitive(lambda x: x**2)
    defvjp(wrong, lambda ans, x: lambda g: g * x)
    with pytest.raises(AssertionError, match="VJP of"):
        check_grads(wrong, modes=["rev"])(X)
    with pytest.raises(ArgumentError, match="modes"):
        check_grads(wrong, modes=["reverse"])
    combo_check(lambda x, y: np.sum(x * y), (0, 1))([X, X + 1], [2.0, X])


# misc and scipy


def test_flatten() -> None:
    tree = {"b": [1.0, A], "a": X}
    vector, unflatten = flatten(tree)
    near(vector, onp.concatenate([X, [1.0], A.ravel()]))
    assert unflatten(2 * vector)["b"][1].shape == (2, 3)
    assert flatten([])[0].size == 0
    flat, _, start = flatten_func(lambda t: grad(lambda t: np.sum(t["a"] ** 2))(t), tree)
    near(flat(start)[:3], 2 * X)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_optimizers(name) -> None:
    seen = []

    def loss(p, i):
        return np.sum((p["x"] - X) ** 2) + p["y"] ** 2

    found = getattr(optimizers, name)(
        tj.jit(grad(loss)), {"x": onp.zeros(3), "y": 1.0}, callback=lambda p, i, g: seen.append(i),
        num_iters=400, step_size=0.05,
    )  # fmt: skip
    onp.testing.assert_allclose(found["x"], X, atol=2e-2)
    assert seen == list(range(400))


def test_adam_is_autograds_to_the_bit() -> None:
    """The numbers of autograd 1.9."""
    found = optimizers.adam(grad(lambda x, i: np.sum((x - 3.0) ** 4)), onp.zeros(2), num_iters=5)
    assert found.tolist() == EXPECTED


EXPECTED = [0.0049995644471927045, 0.0049995644471927045]


DENSITIES = {
    "norm.logpdf": (0.3, 0.1, 1.5), "norm.pdf": (0.3, 0.1, 1.5), "norm.cdf": (0.3, 0.1, 1.5),
    "norm.logcdf": (-9.0, 0.1, 1.5), "norm.sf": (0.3, 0.1, 1.5), "norm.logsf": (9.0, 0.1, 1.5),
    "gamma.logpdf": (1.3, 2.5), "gamma.pdf": (1.3, 2.5), "chi2.logpdf": (1.3, 4.0),
    "chi2.pdf": (1.3, 4.0), "beta.logpdf": (0.3, 2.0, 3.5), "beta.pdf": (0.3, 2.0, 3.5),
    "poisson.logpmf": (3.0, 2.5), "poisson.pmf": (3.0, 2.5), "t.logpdf": (0.3, 4.0, 0.1, 1.5),
    "t.pdf": (0.3, 4.0, 0.1, 1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", DENSITIES)
def test_densities(name) -> None:
    room, fun = name.split(".")
    ours, args = getattr(getattr(stats, room), fun), DENSITIES[name]
    expected = getattr(getattr(scipy.stats, room), fun)(*args)
    onp.testing.assert_allclose(ours(*args), expected, rtol=1e-12)
    onp.testing.assert_allclose(tj.jit(ours)(*args), expected, rtol=1e-12)
    places = tuple(range(room == "poisson", len(args)))
    check_grads(ours, places, order=1)(*args)


def test_densities_of_vectors() -> None:
    cov = onp.eye(3) + 0.1
    for x in (X, onp.stack([X, 2 * X])):
        expected = scipy.stats.multivariate_normal.logpdf(x, X[::-1], cov)
        near(stats.multivariate_normal.logpdf(x, X[::-1], cov), expected)
    near(stats.multivariate_normal.entropy(X, cov),
         scipy.stats.multivariate_normal.entropy(X, cov))  # fmt: skip
    check_grads(stats.multivariate_normal.pdf, (0, 1), order=1)(X, X[::-1], cov)
    x, alpha = onp.array([0.2, 0.3, 0.5]), onp.array([1.5, 2.0, 0.7])
    near(stats.dirichlet.logpdf(x, alpha), scipy.stats.dirichlet.logpdf(x, alpha))
    near(stats.dirichlet.pdf(x, alpha), scipy.stats.dirichlet.pdf(x, alpha))


def test_outside_of_the_support() -> None:
    assert stats.gamma.logpdf(-1.0, 2.0) == -onp.inf and stats.beta.pdf(1.5, 2.0, 2.0) == 0
    assert grad(stats.gamma.pdf)(-1.0, 2.0) == 0
    assert norm is stats.norm and autograd.scipy.special.erf(0.0) == 0


# What programs of others use


def test_lists_with_traced_values_are_arrays():
    near(grad(lambda x: np.mean([x, x * x]))(3.0), 3.5)
    near(grad(lambda x: np.max((x, 2.0)))(3.0), 1.0)
    near(grad(lambda x: np.dot([x, x], [x, 2.0]))(3.0), 8.0)
    near(grad(lambda x: np.linalg.norm([x, x]))(3.0), 2**0.5)
    near(grad(lambda x: np.sum(np.concatenate([[x], [x, 2.0]])))(3.0), 2.0)
    near(grad(lambda x: np.sum(np.append([x], [x, 1.0])))(3.0), 2.0)
    near(grad(lambda x: np.maximum.reduce(np.array([x, 2.0])))(3.0), 1.0)
    assert np.mean([1.0, 2.0]) == 1.5


def test_brackets_that_join():
    near(grad(lambda x: np.sum(np.r_[x, 1.0, x * x, 0:3]))(3.0), 7.0)
    near(grad(lambda x: np.sum(np.c_[np.array([x, x]), np.ones(2)] ** 2))(3.0), 12.0)
    np.testing.assert_array_equal(np.r_[1:4, 0], [1, 2, 3, 0])
    x = onp.array([[1.0, 2.0]])
    near(jacobian(lambda a: np.r_["1", a, 2 * a])(x), jacobian(lambda a: np.hstack([a, 2 * a]))(x))


def test_make_diagonal():
    near(np.make_diagonal(X, axis1=-1, axis2=-2), onp.diag(X))
    near(grad(lambda d: np.sum(np.make_diagonal(d, axis1=-1, axis2=-2) ** 2))(X), 2 * X)
    with pytest.raises(NotImplementedError, match="axis1=-1"):
        np.make_diagonal(X)


def test_fixed_point():
    def root_of(a):
        return fixed_point(
            lambda a: lambda x: 0.5 * (x + a / x), a, 10.0, lambda x, y: np.abs(x - y), 1e-12
        )

    near(root_of(2.0), 2**0.5)
    onp.testing.assert_allclose(grad(root_of)(2.0), 0.5 / 2**0.5, rtol=1e-10)
    onp.testing.assert_allclose(grad(grad(root_of))(2.0), -0.25 / 2**1.5, rtol=1e-10)
    onp.testing.assert_allclose(tj.jit(grad(root_of))(2.0), 0.5 / 2**0.5, rtol=1e-10)


def test_const_graph_is_recorded_once():
    calls = []

    def f(a, x):
        calls.append(1)
        return a * np.sum(x)

    double = const_graph(f, 2.0)
    assert double(X) == double(X) == 2.0 * X.sum() and len(calls) == 1


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("shapes", [((7,), (3,)), ((3,), (7,)), ((5, 6), (3, 2)), ((4, 4), (4, 4))])
def test_convolve(mode, shapes):
    rng = onp.random.default_rng(0)
    a, b = (rng.normal(size=shape) for shape in shapes)
    onp.testing.assert_allclose(
        convolve(a, b, mode=mode), scipy.signal.convolve(a, b, mode, "direct"), atol=1e-12
    )
    check_grads(lambda a, b: convolve(a, b, mode=mode), (0, 1), order=1)(a, b)


def test_convolve_over_some_axes():
    rng = onp.random.default_rng(0)
    images, filters = rng.normal(size=(2, 3, 5, 6)), rng.normal(size=(3, 4, 2, 3))
    y = convolve(images, filters, axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid")
    assert y.shape == (2, 4, 4, 4)
    one = sum(scipy.signal.convolve(images[1, k], filters[k, 2], "valid") for k in range(3))
    onp.testing.assert_allclose(y[1, 2], one, atol=1e-12)
    turned = convolve(filters, images, axes=([2, 3], [2, 3]), dot_axes=([0], [1]), mode="valid")
    onp.testing.assert_allclose(turned, np.swapaxes(y, 0, 1), atol=1e-12)
    with pytest.raises(ShapeError, match="one array must be larger"):
        convolve(onp.ones((5, 3)), onp.ones((2, 4)), mode="valid")


def test_odeint():
    def flow(y, t, rate, matrix):
        return -rate * y + matrix @ y * np.cos(t)

    t = onp.linspace(0.0, 1.0, 4)
    y0, matrix = onp.array([1.0, -0.5]), onp.array([[0.0, 0.3], [-0.2, 0.1]])
    options = {"rtol": 1e-9, "atol": 1e-9}
    near(odeint(flow, y0, t, (0.5, matrix), **options),
         scipy.integrate.odeint(flow, y0, t, (0.5, matrix), **options))  # fmt: skip

    def loss(y0, t, rate, matrix):
        return np.sum(odeint(flow, y0, t, (rate, matrix), **options) ** 2)

    slopes = grad(loss, (0, 1, 2, 3))(y0, t, 0.5, matrix)
    for i, slope in enumerate(slopes):
        args = [y0, t, onp.array(0.5), matrix]
        at = 1e-5 * onp.cos(onp.arange(args[i].size)).reshape(args[i].shape)
        ends = [loss(*args[:i], args[i] + s * at, *args[i + 1 :]) for s in (1, -1)]
        onp.testing.assert_allclose(onp.sum(slope * at), (ends[0] - ends[1]) / 2, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "args", "place"),
    [("beta", (0.3, 2.0, 3.0), 0), ("chi2", (1.5, 3.0), 0), ("gamma", (1.5, 2.0), 0),
     ("t", (0.7, 3.0, 0.1, 2.0), 0), ("poisson", (3.0, 2.5), 1)],
)  # fmt: skip
def test_distribution_functions(name, args, place):
    cdf = getattr(stats, name).cdf
    near(cdf(*args), getattr(scipy.stats, name).cdf(*args))
    several = onp.array([args[place], 0.5])
    slopes = jacobian(lambda x: cdf(*args[:place], x, *args[place + 1 :]))(several)
    near(slopes[0], [grad(cdf, place)(*args), 0.0])
    check_grads(cdf, place, order=1)(*args)
    with pytest.raises(MissingRuleError, match="argnum 1|argnum 0"):
        grad(cdf, 1 - place)(*args)


def test_vector_spaces():
    space = vspace({"a": X, "b": 2.0})
    basis = list(space.standard_basis())
    assert len(basis) == space.size == 4 and basis[3]["b"] == 1.0
    assert space.inner_prod(space.ones(), space.scalar_mul(space.ones(), 3.0)) == 12.0
    near(space.add(space.ones(), space.covector(space.ones()))["a"], 2 * onp.ones(3))
    check_equivalent(space.ones(), space.ones())
    with pytest.raises(AssertionError, match="Value mismatch"):
        check_equivalent(X, X + 1)


def test_boxes_are_refused():
    with pytest.raises(UnsupportedError, match="there are no boxes"):
        from tracejit.compat.autograd.extend import Box  # noqa: F401


def test_rules_are_asked_for_what_is_differentiated():
    @primitive
    def scaled(x, a):
        return x * a

    defvjp(scaled, lambda ans, x, a: lambda g: g * a)
    near(grad(scaled)(X[0], 3.0), 3.0)
    near(tj.jit(grad(scaled))(X[0], 3.0), 3.0)
    with pytest.raises(MissingRuleError, match="VJP of scaled wrt argnum 1"):
        grad(scaled, 1)(X[0], 3.0)
    defjvp(scaled, lambda t, ans, x, a: t * a)
    near(make_jvp(lambda x: scaled(x, 3.0))(X[0])(1.0)[1], 3.0)
    near(tj.jit(grad(scaled))(X[0], 3.0), 3.0)
    with pytest.raises(MissingRuleError, match="JVP of scaled wrt argnum 1"):
        grad(scaled, 1)(X[0], 3.0)


def test_distributions_have_scipys_other_names():
    near(norm.ppf(0.3), scipy.stats.norm.ppf(0.3))
    assert stats.dirichlet.rvs([1.0, 2.0]).shape == (1, 2)
    with pytest.raises(AttributeError):
        norm.no_such_name  # noqa: B018


def test_complex_numbers() -> None:
    z = onp.array([1.0 + 2.0j, -0.5j])
    near(holomorphic_grad(lambda z: np.sum(z**3))(z), 3 * z**2)
    near(grad(lambda z: np.sum(np.real(z * np.conj(z))))(z), 2 * np.conj(z))
    check_grads(lambda z: np.abs(z) * np.sin(z), order=1)(z)
    with pytest.raises(GradError, match="the result is complex"):
        grad(lambda z: np.sum(z**2))(z)
    with pytest.warns(UserWarning, match="not complex"):
        holomorphic_grad(lambda x: x**2)(3.0)
    slope = grad(lambda z: np.sum(np.abs(z) ** 2))
    for _ in range(30):
        near(slope(z), 2 * np.conj(z))

    @primitive
    def square(z):
        return z * z

    defvjp(square, lambda ans, z: lambda g: g * 2 * z)
    near(holomorphic_grad(lambda z: np.sum(square(z)))(z), 2 * z)
    space = vspace(z)
    assert space.randn().dtype == complex
    near(space.inner_prod(z, z), onp.sum(onp.abs(z) ** 2))
