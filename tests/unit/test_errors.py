"""Messages have one form, the tree in the docstring is the tree, and errors survive a pickle."""

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

from tracejit import errors
from tracejit.errors import TracejitError, did_you_mean

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, TracejitError)
]


def test_message_says_what_where_and_what_to_do() -> None:
    error = errors.ShapeError("(3,) and (4,) differ", where="model.py:12 in loss", hint="transpose")
    assert str(error) == "(3,) and (4,) differ\n  at model.py:12 in loss\n  hint: transpose"
    assert str(errors.ShapeError("(3,) and (4,) differ")) == "(3,) and (4,) differ"


def test_hints_of_several_lines_are_aligned() -> None:
    assert str(TracejitError("x", hint="a\nb")) == "x\n  hint: a\n        b"


def test_a_class_brings_its_hint_and_a_caller_overrules_it() -> None:
    assert "np.where" in str(errors.TracedBranchError("if on a traced value"))
    assert str(errors.TracedBranchError("if on a traced value", hint="")) == "if on a traced value"


def test_at_adds_a_place_once() -> None:
    class Place:
        def __str__(self) -> str:
            return "model.py:3 in f"

    error = errors.DTypeError("no")
    assert error.at(None).where is None
    assert error.at(Place()) is error
    assert error.at("other.py:1").where == "model.py:3 in f"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_pickles_and_copies(cls: type[TracejitError]) -> None:
    error = cls("what", where="a.py:1 in f", hint="do")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is cls
        assert str(twin) == str(error)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_is_exported_documented_and_drawn(cls: type[TracejitError]) -> None:
    assert cls.__name__ in errors.__all__
    assert cls.__doc__
    parent = cls.__bases__[0]
    drawn = {
        match["name"]: match.start("name")
        for match in re.finditer(r"^.*?-- (?P<name>\w+)", errors.__doc__, re.MULTILINE)
    }
    column = {name: start - errors.__doc__.rindex("\n", 0, start) for name, start in drawn.items()}
    assert cls is TracejitError or cls.__name__ in column
    if parent not in (Exception, TracejitError):
        assert column[cls.__name__] == column[parent.__name__] + 4


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.TracedBranchError, TypeError),
        (errors.TracedConversionError, TypeError),
        (errors.ShapeError, ValueError),
        (errors.AxisError, ValueError),
        (errors.AxisError, IndexError),
        (errors.DTypeError, TypeError),
        (errors.IndexingError, IndexError),
        (errors.TreeError, ValueError),
        (errors.TreeError, TypeError),
        (errors.GradError, TypeError),
        (errors.StaticArgumentError, ValueError),
        (errors.StaticArgumentError, TypeError),
        (errors.ConfigError, ValueError),
        (errors.IRSyntaxError, ValueError),
        (errors.MissingRuleError, NotImplementedError),
        (errors.MissingLoweringError, NotImplementedError),
        (errors.UnsupportedError, NotImplementedError),
    ],
)
def test_errors_are_the_builtin_that_callers_catch(
    cls: type[TracejitError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin):
        raise cls("what")


def test_did_you_mean() -> None:
    assert did_you_mean("natve", ["eager", "native"]) == "did you mean 'native'?"
    assert did_you_mean("gpu", ["native", "eager"]) == "one of 'eager', 'native'"
