"""Callables with and without entries: misses, chains, classes, methods, lifetime."""

from __future__ import annotations

import copy
import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest
from native_call_harness import (
    DECLINE,
    F8,
    RETURN,
    SCALAR,
    VECTOR,
    Counting,
    accepts,
    compiled,
    copy_kernel,
    function_of,
    needs_native,
)

from tracejit.backends.native import abi
from tracejit.backends.native.call_signature import (
    CallSignature,
    Leaf,
    NoneNode,
    Static,
    Tuple,
    describe,
)
from tracejit.backends.native.callable import (
    NativeCallable,
    NativeEntry,
    install,
    installed,
    uninstall,
)
from tracejit.errors import ArgumentError

X = np.arange(5.0)


def run_fresh(code: str) -> None:
    """Run the code in a new interpreter, which must not fail."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_without_an_entry_a_call_is_a_miss() -> None:
    f = Counting()
    assert f(1, 2, x=3) == ("miss", (1, 2), {"x": 3})
    assert f(*range(300), **{f"k{i}": i for i in range(300)})[1] == tuple(range(300))
    assert list(map(f, [1])) == [("miss", (1,), {})]


def test_importing_needs_no_llvmlite() -> None:
    run_fresh("import tracejit.backends.native.callable, sys; assert 'llvmlite' not in sys.modules")


@pytest.mark.parametrize("native", [False, pytest.param(True, marks=needs_native)])
def test_exceptions_of_a_miss_are_unchanged(native: bool) -> None:
    class Failing(Counting):
        def _miss(self, *args: object, **kwargs: object) -> object:
            raise error

    error = KeyError("mine")
    f = Failing()
    if native:
        install(f, compiled(CallSignature((VECTOR,), (), NoneNode()), RETURN))
    with pytest.raises(KeyError) as caught:
        f(1)
    assert caught.value is error


@needs_native
@pytest.mark.parametrize("spread", [False, True])
def test_a_miss_behind_an_entry_gets_the_arguments_as_given(spread: bool) -> None:
    f = accepts(VECTOR)
    args, kwargs = (1, "b", X), {"x": 3, "y": None}
    result = f(*args, **kwargs) if spread else f(1, "b", X, x=3, y=None)
    assert result == ("miss", args, kwargs)
    assert f() == ("miss", (), {})
    assert f(*range(100_000))[1][-1] == 99_999


@needs_native
def test_three_signatures_chain() -> None:
    f = Counting()
    sizes = (3, 4, 5)
    for n in sizes:
        vector = Leaf("array", F8, (n,))
        install(f, compiled(CallSignature((vector,), (), vector), copy_kernel((0, 0, 8 * n))))
    assert len(installed(f)) == 3
    for n in sizes:
        np.testing.assert_array_equal(f(np.arange(float(n))), np.arange(float(n)))
    assert f.misses == 0
    assert f(np.zeros(6))[0] == "miss"


@needs_native
def test_the_newest_entry_is_asked_first_and_may_decline() -> None:
    f = Counting()
    for status, kernel in enumerate((RETURN, RETURN, DECLINE)):
        install(f, compiled(CallSignature((VECTOR,), (), Static(status)), kernel))
    assert f(X) == 1  # the declining third passes it on to the second
    f = function_of(compiled(CallSignature((VECTOR,), (), VECTOR), DECLINE))
    assert f(X)[0] == "miss"


@needs_native
def test_a_miss_may_install_and_call_again() -> None:
    class Compiling(Counting):
        def _miss(self, *args: object, **kwargs: object) -> object:
            super()._miss()
            install(self, compiled(CallSignature((VECTOR,), (), SCALAR), copy_kernel((0, 0, 8))))
            return self(*args, **kwargs)

    f = Compiling()
    assert [f(X + 7.0), f(X + 8.0), f.misses] == [7.0, 8.0, 1]


@needs_native
def test_uninstall_ends_native_calls() -> None:
    f = accepts(VECTOR)
    assert f(X) is None
    uninstall(f)
    assert installed(f) == ()
    assert f(X)[0] == "miss"


@needs_native
@pytest.mark.parametrize("gone", range(4))
def test_uninstall_of_one_entry_leaves_the_others(gone: int) -> None:
    f = Counting()
    for n in range(4):
        vector = Leaf("array", F8, (n,))
        install(f, compiled(CallSignature((vector,), (), NoneNode()), RETURN))
    entry = installed(f)[3 - gone]
    uninstall(f, entry)
    uninstall(f, entry)
    for n in range(4):
        assert (f(np.zeros(n)) is None) == (n != gone)


def test_the_portable_path(monkeypatch: pytest.MonkeyPatch) -> None:
    f, entry = Counting(), NativeEntry(0, (abi.ctypes.c_int64 * 1)(), None)
    assert not install(f, entry, enabled=False)
    monkeypatch.setattr(abi, "SUPPORTED", False)
    assert not install(f, entry)
    uninstall(f)
    assert f(1) == ("miss", (1,), {})


def test_the_portable_class() -> None:
    """On an interpreter that is not supported the same module makes ordinary objects."""
    code = (
        "import sys; sys.getobjects = list\n"
        "from tracejit.backends.native import abi, callable as c\n"
        "assert not abi.SUPPORTED and 'debug' in abi.WHY_NOT\n"
        "class F(c.NativeCallable):\n"
        "    def _miss(self, *args, **kwargs): return args, kwargs\n"
        "class M: f = F()\n"
        "m = M()\n"
        "assert F()(1, x=2) == ((1,), {'x': 2}) and m.f(3) == ((m, 3), {})\n"
        "assert c.NativeCallable.__mro__[1] is object\n"
    )
    run_fresh(code)


@needs_native
def test_wrong_installations_are_errors() -> None:
    f = accepts(VECTOR)
    with pytest.raises(ArgumentError, match="already"):
        install(Counting(), installed(f)[0])
    entry = compiled(CallSignature((), (), NoneNode()), RETURN)
    with pytest.raises(ArgumentError, match="NativeCallable"):
        install(len, entry)  # type: ignore[arg-type]
    assert install(f, entry)


def test_classes_define_miss_and_not_call() -> None:
    with pytest.raises(TypeError, match="define _miss"):

        class Wrong(NativeCallable):
            def __call__(self) -> None: ...

    with pytest.raises(NotImplementedError, match="NativeCallable defines no _miss"):
        NativeCallable()(1)


def test_subclasses_of_subclasses() -> None:
    class Child(Counting):
        pass

    class Grandchild(Child):
        def _miss(self, *args: object, **kwargs: object) -> object:
            return "grandchild", super()._miss(*args, **kwargs)

    assert Child()(1) == ("miss", (1,), {})
    assert Grandchild()(1) == ("grandchild", ("miss", (1,), {}))


class Model:
    """A class with compiled methods."""

    plain = Counting()
    native = Counting()
    of_class = classmethod(plain)
    of_none = staticmethod(plain)


def test_methods_bind() -> None:
    model = Model()
    assert model.plain(1) == Model.plain(model, 1) == ("miss", (model, 1), {})
    assert model.of_class(1)[1] == (Model, 1)
    assert model.of_none(1)[1] == (1,)
    bound = model.plain
    assert bound(2, y=3) == ("miss", (model, 2), {"y": 3})
    assert Model.plain is Model.__dict__["plain"]


@needs_native
def test_native_methods() -> None:
    model, other = Model(), Model()
    signature = CallSignature((Static(model), VECTOR), (), SCALAR)
    install(Model.native, compiled(signature, copy_kernel((0, 0, 8))))
    bound = model.native
    assert [model.native(X + 3), bound(X + 4), Model.native(model, X + 5)] == [3.0, 4.0, 5.0]
    assert other.native(X)[1][0] is other
    uninstall(Model.native)


def test_copies_are_the_object_itself() -> None:
    f = Counting()
    with pytest.raises(TypeError, match="pickled"):
        copy.copy(NativeEntry(0, (abi.ctypes.c_int64 * 1)(), None))
    assert copy.copy(f) is f
    assert copy.deepcopy([f])[0] is f


@needs_native
def test_collection_frees_the_callable_its_entries_and_their_code() -> None:
    f = accepts(VECTOR)
    f.itself = f
    watched = [weakref.ref(f), weakref.ref(installed(f)[0]), weakref.ref(installed(f)[0].owner[0])]
    del f
    gc.collect()
    assert [ref() for ref in watched] == [None] * 3


@needs_native
def test_collection_through_what_an_entry_keeps() -> None:
    class Holder:
        pass

    holder = Holder()
    holder.f = function_of(compiled(CallSignature((Static(holder),), (), NoneNode()), RETURN))
    assert holder.f(holder) is None
    watched = weakref.ref(holder)
    del holder
    gc.collect()
    assert watched() is None


def test_instances_leave_no_references_behind() -> None:
    def use() -> None:
        for _ in range(1000):
            f = Counting()
            f(1)

    use()
    before = sys.getrefcount(Counting)
    use()
    assert sys.getrefcount(Counting) == before


@needs_native
def test_an_entry_serves_reentrant_calls() -> None:
    depth = []

    class Deep(Counting):
        def _miss(self, *args: object, **kwargs: object) -> object:
            depth.append(args)
            return self(X) if len(depth) > 50 else self(*args)

    f = Deep()
    install(f, compiled(CallSignature((VECTOR,), (), Tuple(())), RETURN))
    assert f("other") == ()
    assert len(depth) == 51
    assert describe(()) == Tuple(())
