"""The fixtures of conftest.py, in a test session of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = (Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8")


@pytest.fixture
def session(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder with the project's conftest and one golden test."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it='def test_it(golden):\n    golden("sub/f.ir", "one\\ntwo")\n')
    return pytester


def test_golden_missing_different_updated(session: pytest.Pytester) -> None:
    missing = session.runpytest()
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*there is no golden/sub/f.ir for", "one", "two"])
    missing.stdout.fnmatch_lines(["*pytest 'test_it.py::test_it' --update-golden*"])

    session.runpytest("--update-golden").assert_outcomes(passed=1)
    kept = session.path / "golden" / "sub" / "f.ir"
    assert kept.read_text() == "one\ntwo\n"
    session.runpytest().assert_outcomes(passed=1)

    kept.write_text("one\n2\n")
    different = session.runpytest()
    different.assert_outcomes(failed=1)
    different.stdout.fnmatch_lines(["*-2", "*+two", "*--update-golden*"])
    assert kept.read_text() == "one\n2\n"


def test_rng_depends_on_the_test_alone(session: pytest.Pytester) -> None:
    session.makepyfile(
        test_it="""
        seen = []
        def test_a(rng): seen.append(rng.normal())
        def test_b(rng): seen.append(rng.normal())
        def test_both(rng):
            assert seen[0] != seen[1]
            print("drawn", seen)
        """
    )
    draws = [
        next(line for line in session.runpytest("-s").outlines if "drawn" in line) for _ in range(2)
    ]
    assert draws[0].split("drawn")[1] == draws[1].split("drawn")[1]


@pytest.mark.parametrize(
    ("present", "expected"), [(True, ["eager", "native", "xla"]), (False, ["eager", "native"])]
)
def test_backend_runs_once_for_each_that_is_installed(
    pytester: pytest.Pytester, present: bool, expected: list[str]
) -> None:
    probe = 'importlib.util.find_spec("jax")'
    assert probe in CONFTEST
    pytester.makeconftest(CONFTEST.replace(probe, str(present)))
    file = pytester.makepyfile(test_it="def test_it(backend): pass")
    result = pytester.runpytest("-v", file)
    result.assert_outcomes(passed=len(expected))
    result.stdout.fnmatch_lines([f"*test_it?{name}?*PASSED*" for name in expected])
