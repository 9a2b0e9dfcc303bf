"""`.ci/run` takes the README's test command, then lint and types, and stops at the first error."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "run"

INSTALL = "```sh\npip install; demo\n```\n"
MARKED = INSTALL + "```python\nimport x\n```\n<!-- ci: tests -->\n\n```sh\necho ran tests\n```\n"
UNMARKED = INSTALL + "```python\nimport x\n```\n```sh\n$ echo ran tests\n```\n```sh\nno\n```\n"


def run(folder: Path, readme: str, failing: str = "") -> subprocess.CompletedProcess[str]:
    """The script in a checkout whose ruff and mypy only say that they ran."""
    (folder / ".ci").mkdir()
    shutil.copy(SCRIPT, folder / ".ci" / "run")
    (folder / "README.md").write_text(readme)
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("ruff", "mypy"):
        tool = tools / name
        tool.write_text(f"#!/bin/sh\necho ran {name} $*\nexit {int(name == failing)}\n")
        tool.chmod(0o755)
    return subprocess.run(
        [folder / ".ci" / "run"], capture_output=True, text=True, cwd="/", check=False
    )


@pytest.mark.parametrize("readme", [MARKED, UNMARKED], ids=["marked", "second block"])
def test_the_steps_in_order(tmp_path: Path, readme: str) -> None:
    done = run(tmp_path, readme)
    assert done.returncode == 0, done.stderr
    ran = [line for line in done.stdout.splitlines() if line.startswith("ran ")]
    assert ran == ["ran tests", "ran ruff check .", "ran mypy src/tracejit"]
    assert done.stdout.endswith("== all green\n")


def test_a_failing_test_command_ends_it(tmp_path: Path) -> None:
    done = run(tmp_path, MARKED.replace("echo ran tests", "false && echo ran tests"))
    assert done.returncode != 0
    assert "ran " not in done.stdout.replace("echo ran tests", "")


def test_a_failing_lint_ends_it(tmp_path: Path) -> None:
    done = run(tmp_path, MARKED, failing="ruff")
    assert done.returncode != 0
    assert "ran ruff" in done.stdout
    assert "ran mypy" not in done.stdout


def test_a_readme_without_the_command_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, INSTALL)
    assert done.returncode == 1
    assert "<!-- ci: tests -->" in done.stderr


def test_the_script_itself_is_executable() -> None:
    assert SCRIPT.stat().st_mode & 0o111
