"""The runner of JAX's tests on a checkout of our own making, in a process of its own: it puts
modules called jax in place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ml_dtypes")

ROOT = Path(__file__).parents[2]

CHECKS = """
from jax._src import api, dtypes
default_gradient_tolerance = {}
def tolerance(dtype, table): return 0.0
def check_grads(f, args, order, modes=("fwd", "rev"), *rest):
    tangents = tuple(x * 0 + 1 for x in args)
    assert api.jvp(f, args, tangents)[1].sum() == 2.0
"""

TESTS = """
import numpy as np, jax
from functools import partial
from absl.testing import absltest, parameterized
from jax import lax, dtypes
from jax._src import test_util as jtu
from jax.test_util import check_grads
jax.config.parse_flags_with_absl()

class LaxAutodiffTest(jtu.JaxTestCase):
    @jtu.sample_product(dtype=jtu.dtypes.all_inexact, shape=[(1,), (1, 1)])
    def testTwice(self, dtype, shape):
        x = jtu.rand_default(self.rng())(shape, dtype)
        check_grads(lambda x: 2 * x, (x,), 2)

    @parameterized.parameters([dict(op=lax.sin), dict(op=lax.asin)])
    def testOf(self, op):
        self.assertAllClose(op(0.5), getattr(np, op.__name__)(0.5))

    def testText(self):
        text = str(jax.make_jaxpr(lambda x: lax.dot(x, x))(np.ones(3)))
        assert "Precision.HIGHEST" in text

    def testMissing(self):
        lax.no_such_function(1.0)
"""


def run(checkout: Path, *options: str) -> dict[str, tuple[str, str]]:
    """The kinds and causes of the verdicts, by case."""
    out = checkout / "out"
    command = [sys.executable, "-m", "benchmarks.jaxtests", str(checkout), "--out", str(out)]
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    subprocess.run(
        [*command, *options], env={**os.environ, "PYTHONPATH": paths}, cwd=ROOT, check=True,
        capture_output=True,
    )  # fmt: skip
    verdicts = json.loads(out.with_suffix(".json").read_text())
    assert "pass." in out.with_suffix(".md").read_text()
    return {v["name"]: (v["kind"], v["cause"]) for v in verdicts}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "lax_autodiff_test.py").write_text(TESTS)
    (tmp_path / "jax" / "_src").mkdir(parents=True)
    (tmp_path / "jax" / "_src" / "public_test_util.py").write_text(CHECKS)
    return tmp_path


def test_cases_are_counted_by_what_became_of_them(checkout: Path) -> None:
    found = run(checkout)
    twice = [kind for name, (kind, _) in found.items() if name.startswith("testTwice")]
    assert twice == ["passed"] * 10
    assert found["testOf0"][0] == "passed" and found["testOf1"][0] == "passed"
    assert found["testText"][0] == "passed"
    assert found["testMissing"] == ("failed", "Lacking: jax.lax.no_such_function")


def test_through_jit(checkout: Path) -> None:
    found = run(checkout, "--jit", "native", "testTwice")
    assert [kind for kind, _ in found.values()] == ["passed"] * 10
