"""What every test may ask for: a seeded generator, each backend in turn, golden files."""

from __future__ import annotations

import difflib
import importlib.util
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import hypothesis
import numpy as np
import pytest

BACKENDS = ["eager", "native"] + (["xla"] if importlib.util.find_spec("jax") else [])

# No deadline: the first example of a test may compile. On CI the examples are the same every time.
hypothesis.settings.register_profile(
    "tracejit", deadline=None, derandomize="CI" in os.environ, print_blob=True
)
hypothesis.settings.load_profile("tracejit")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write the texts that golden tests compare, instead of comparing them",
    )


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's name: the same numbers alone or among others."""
    return np.random.default_rng(zlib.crc32(request.node.name.encode()))


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Each backend that can run here; xla is left out where jax is not installed."""
    return str(request.param)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("grad.ir", text)`: the text must be that of tests/golden/grad.ir."""
    folder = Path(__file__).parent / "golden"
    update = request.config.getoption("--update-golden")
    command = f"pytest '{request.node.nodeid}' --update-golden"

    def compare(name: str, text: str) -> None:
        file = folder / name
        text = text.rstrip("\n") + "\n"
        if update:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        elif not file.exists():
            pytest.fail(f"there is no golden/{name} for\n{text}\nif it is right: {command}", False)
        elif (kept := file.read_text(encoding="utf-8")) != text:
            lines = difflib.unified_diff(
                kept.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm=""
            )
            pytest.fail("\n".join([*lines, "", f"if it is right: {command}"]), False)

    return compare
