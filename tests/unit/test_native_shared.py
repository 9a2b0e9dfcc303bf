"""Functions that programs share, and LLVM's options, which all its users share."""

from __future__ import annotations

from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest

from tracejit.backends.native import shared
from tracejit.backends.native.compile import NativeExecutable, emit_kernel
from tracejit.backends.native.emit import Module
from tracejit.backends.native.maths import huge_angles, remainder
from tracejit.backends.native.target import object_code, target_machine
from tracejit.config import config
from tracejit.ir.graph import Jaxpr
from tracejit.ir.parsing import parse

HUGE = np.array([1.5e300, -7e22, 1e16, 0.5])

LOOP = """
define void @f(ptr %x, i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  %scaled = mul i64 %i, 24
  %a = getelementptr i8, ptr %x, i64 %scaled
  store i64 %i, ptr %a
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


def of(name: str) -> Jaxpr:
    return parse(f"fn(%0: f64[4]) -> f64[4] {{\n  %1: f64[4] = {name}(%0)\n  return %1\n}}")


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of shared functions that are compiled, in a process that has none yet."""
    texts: list[str] = []
    monkeypatch.setattr(shared, "_loaded", {})
    monkeypatch.setattr(
        shared, "object_code", lambda text: (texts.append(text), object_code(text))[1]
    )
    return texts


def test_programs_share_a_slow_path(compilations: list[str]) -> None:
    for name in ("sin", "cos", "tan"):
        (found,) = NativeExecutable(of(name))(HUGE)
        np.testing.assert_allclose(found, getattr(np, name)(HUGE), rtol=4e-16)
    assert len(compilations) == 1


def test_who_needs_none_compiles_none(compilations: list[str]) -> None:
    NativeExecutable(of("exp"))(HUGE)
    assert not compilations


def test_a_kernel_declares_what_it_shares() -> None:
    module, _ = emit_kernel(of("sin"), 0)
    assert huge_angles.NAME in module.declarations
    assert f"define void @{huge_angles.NAME}" not in str(module)


@pytest.mark.parametrize("family", [huge_angles, remainder])
def test_a_module_that_stands_alone_holds_what_it_calls(family: object) -> None:
    module = Module()
    family.define(module)  # type: ignore[attr-defined]
    family.define(module)  # type: ignore[attr-defined]
    assert [fn.name for fn in module.functions] == [family.NAME]  # type: ignore[attr-defined]


def test_shared_functions_are_kept_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]
) -> None:
    with config(cache_dir=tmp_path / "kept"):
        for _ in range(2):
            monkeypatch.setattr(shared, "_loaded", {})
            (found,) = NativeExecutable(of("sin"))(HUGE)
            np.testing.assert_allclose(found, np.sin(HUGE), rtol=4e-16)
    assert len(compilations) == 1


def test_other_users_of_llvm_find_its_options_as_they_were() -> None:
    def theirs() -> bytes:
        return target_machine().emit_object(llvm.parse_assembly(LOOP, llvm.create_context()))

    before = theirs()
    ours = object_code(LOOP)
    assert theirs() == before
    assert ours != before  # the example is one in which the option matters
    with pytest.raises(Exception, match="LLVM does not take"):
        object_code("define nothing")
    assert theirs() == before
