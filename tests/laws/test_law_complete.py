"""Every primitive of the language has rows, and each row is one of a kind."""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter

import tracejit.control
import tracejit.ops
from tracejit.control.extension import EXTENSIONS
from tracejit.ir.primitive import Primitive
from tracejit.testing import SAMPLES

#: Stands for the transpose that it has, and has no value; see tests/unit/test_custom.py.
WITHOUT_VALUE = {"custom_lin"}


def defined_in_the_package() -> set[str]:
    """The names of the primitives of ops and control; tests may register others."""
    for room in (tracejit.ops, tracejit.control):
        for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
            importlib.import_module(module.name)
    return {
        name
        for name, primitive in Primitive.registry.items()
        if getattr(primitive.typing, "__module__", "").startswith("tracejit.")
        and primitive not in EXTENSIONS
    }


def test_every_primitive_has_rows() -> None:
    missing = defined_in_the_package() - {s.primitive.name for s in SAMPLES} - WITHOUT_VALUE
    assert not missing, f"no rows in tracejit/testing/rows for {', '.join(sorted(missing))}"


def test_rows_have_names_of_their_own() -> None:
    names = Counter(map(str, SAMPLES))
    assert [name for name, count in names.items() if count > 1] == []


def test_draws_are_the_same_in_every_run() -> None:
    for sample in SAMPLES[::97]:
        for x, y in zip(sample.arrays(), sample.arrays(), strict=True):
            assert x.tobytes() == y.tobytes()
