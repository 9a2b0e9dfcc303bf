"""The executable of the xla backend: 64 bits, arrays in and out, texts, errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

from tracejit import backends
from tracejit.backends.xla import FAMILIES, LOWERINGS
from tracejit.backends.xla.run import XlaExecutable
from tracejit.config import config
from tracejit.control.extension import EXTENSIONS
from tracejit.errors import CompileError, MissingLoweringError
from tracejit.ir.graph import Jaxpr, Provenance
from tracejit.ir.parsing import parse
from tracejit.ir.primitive import POINTWISE, ZERO, Primitive
from tracejit.ir.types import FLOAT32, FLOAT64
from tracejit.passes.inline import BODIES

SHIFT = "fn(%0: f64[3]) -> f64[3] {\n  %1: f64[3] = add(%0, 1e-12)\n  return %1\n}"
SINGLE = "fn(%0: f32[3]) -> f32[3] {\n  %1: f32[3] = add(%0, 1.0)\n  return %1\n}"
ECHO = "fn(%0: f64[3]) -> (f64[3], f64[3], f64[2]) {\n  return %0, %0, 2.5\n}"


@pytest.fixture(autouse=True)
def _float32_by_default() -> Iterator[None]:
    """JAX's switch as it is at first, whatever other tests of the process did to it."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", False)
    yield
    jax.config.update("jax_enable_x64", before)


def compiled(text, **options):
    return backends.load("xla").compile(parse(text), **options)


def test_64_bits_whatever_the_switch_of_the_user_says():
    run, x = compiled(SHIFT), np.ones(3)
    for switch in (False, True):
        with jax.enable_x64(switch):
            (y,) = run(x)
            assert bool(jax.config.jax_enable_x64) is switch
            assert jnp.zeros(2).dtype == (np.float64 if switch else np.float32)
        assert y.dtype == np.float64 and np.all(y - 1.0 > 0)


def test_the_switch_is_left_alone_in_other_threads():
    seen = []
    run = compiled(SHIFT)

    def work():
        seen.append((run(np.ones(3))[0].dtype, jnp.zeros(2).dtype))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(FLOAT64, FLOAT32)] * 3


def test_results_are_fresh_writeable_ndarrays():
    x = np.arange(3.0)
    results = compiled(ECHO)(x)
    for y in results:
        assert type(y) is np.ndarray
        y[...] = -1.0
    np.testing.assert_array_equal(x, np.arange(3.0))


def test_arguments_may_be_strided_read_only_or_on_the_device():
    run = compiled(SHIFT)
    backwards = np.arange(6.0)[::-2]
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    with jax.enable_x64(True):
        on_device = jnp.arange(3.0)
    for x in (backwards, frozen, on_device):
        np.testing.assert_array_equal(run(x)[0], np.asarray(x) + 1e-12)


def test_results_may_stay_on_the_device():
    run = compiled(SINGLE)
    (y,) = run.on_device(jnp.zeros(3))
    assert isinstance(y, jax.Array) and y.dtype == np.float32
    (z,) = run.on_device(y)
    np.testing.assert_array_equal(np.asarray(z), 2.0)


def test_constants_stand_for_the_first_inputs():
    text = "fn(%0: f64[3], %1: f64[3]) -> f64[3] {\n  %2: f64[3] = sub(%0, %1)\n  return %2\n}"
    run = compiled(text, constants=[np.full(3, 1e-12)])
    np.testing.assert_array_equal(run(np.arange(3.0))[0], 1e-12 - np.arange(3.0))


def test_texts_name_the_program():
    texts = compiled(SHIFT, name="shift").texts()
    assert list(texts) == ["stablehlo", "hlo"]
    assert "module @jit_shift" in texts["stablehlo"] and "stablehlo.add" in texts["stablehlo"]
    assert "HloModule jit_shift" in texts["hlo"]


def test_texts_can_be_dumped(capsys):
    with config(dump=("stablehlo",)):
        compiled(SHIFT)
    assert capsys.readouterr().err.startswith("// stablehlo\nmodule @jit_program")


def test_the_observer_sees_the_passes():
    seen = []
    compiled(SHIFT, observer=lambda stage, before, after: seen.append(stage))
    assert "dce" in seen


def test_a_missing_row_names_the_place(monkeypatch):
    monkeypatch.setattr(Primitive, "registry", dict(Primitive.registry))
    strange = Primitive(
        "strange", typing=lambda x: (x,), evaluate=lambda x: x, jvp=ZERO, batch=POINTWISE
    )
    jaxpr = parse("fn(%0: f64[]) -> f64[] {\n  %1: f64[] = strange(%0)\n  return %1\n}")
    (eqn,) = jaxpr.equations
    eqn = eqn._replace(provenance=Provenance("model.py", 12, "loss"))
    jaxpr = Jaxpr(jaxpr.invars, (eqn,), jaxpr.outvars)
    with pytest.raises(MissingLoweringError) as caught:
        backends.load("xla").compile(jaxpr)
    assert "the xla backend has no lowering of strange" in str(caught.value)
    assert "at model.py:12 in loss" in str(caught.value)
    assert strange not in LOWERINGS


def test_what_xla_refuses_is_a_compile_error(monkeypatch):
    def refuse(self):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of memory")

    monkeypatch.setattr(XlaExecutable, "_lowered", refuse)
    with pytest.raises(CompileError, match="XLA could not compile loss: RESOURCE_EXHAUSTED"):
        compiled(SHIFT, name="loss")


def test_every_primitive_has_a_row():
    ours = set(Primitive.registry.values()) - EXTENSIONS.keys()
    missing = {p.name for p in ours if p not in LOWERINGS and p not in BODIES}
    # What fold makes of lu and svd; and guards, behind which XLA has a branch (run.py).
    assert missing == {"solve", "log_abs_det", "pinv", "guard"}
    assert len({family.__name__ for family in FAMILIES}) == len(FAMILIES)


def test_programs_of_nothing():
    assert compiled("fn() -> () {\n  return\n}")() == ()
    (y,) = compiled("fn() -> f64[] {\n  return -inf\n}")()
    assert y.shape == () and y == -np.inf


def test_a_literal_keeps_its_bits():
    (y, z) = compiled("fn() -> (u64[2], f64[]) {\n  return 18446744073709551615, -0.0\n}")()
    assert y.tolist() == [2**64 - 1] * 2 and np.signbit(z)
