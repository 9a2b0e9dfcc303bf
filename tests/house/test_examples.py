"""Every example runs, is short, and uses public names; so does the code of the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A program in a process of its own, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_runs(file: Path, tmp_path: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) < 80
    assert not re.search(r"\btj?\.?_\w|import _", text)
    done = run(text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name
)
def test_the_python_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    """The blocks marked `python` of a page are one program."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    if blocks:
        done = run("\n".join(blocks), tmp_path)
        assert done.returncode == 0, done.stderr
