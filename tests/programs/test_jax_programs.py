"""Programs written for JAX run with tracejit in its place, and print the numbers they printed.

Beside each program stands the output that JAX gave; the words have to be equal (an array's name
aside), the numbers to six digits. Python's and the program's own defaults are those of JAX:
float32, and for the notebook the random numbers from before JAX 0.5.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj

PROGRAMS = sorted(Path(__file__).parent.glob("autodiff_*.py"))
NUMBER = re.compile(r"(?<![\w.])-?\d+\.\d*(?:e[-+]\d+)?")


def words_of(text: str) -> str:
    """The text without its numbers, its spaces and NumPy's names for an array or a number."""
    text = re.sub(r"np\.float32\((\S+)\)", r"Array(\1,dtype=float32)", text)
    return re.sub(r"\s", "", NUMBER.sub("#", text.replace("array(", "Array(")))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_a_jax_program_prints_what_it_printed(program: Path, capsys: pytest.CaptureFixture[str]):
    with tj.config(default_float="float32", threefry_partitionable=False):
        runpy.run_path(str(program))
    got = capsys.readouterr().out
    want = program.with_suffix(".txt").read_text(encoding="utf-8")
    assert words_of(got) == words_of(want)
    pairs = [[float(x) for x in NUMBER.findall(text)] for text in (got, want)]
    # One unit in the last place printed is 1e-8.
    np.testing.assert_allclose(*pairs, rtol=1e-6, atol=1.01e-8)
