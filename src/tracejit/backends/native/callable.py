"""`NativeCallable`: Python objects whose call runs machine code, and no Python at all on a hit.

    class Compiled(NativeCallable):            # an ordinary class, with attributes and methods
        def __init__(self, function): ...
        def _miss(self, *args, **kwargs):      # called when no entry takes the arguments
            ...trace, compile...
            install(self, entry)               # from now on such arguments do not come here
            return ...the result, computed in Python

- Define `_miss` in the class body; never `__call__`, which is `_miss` already. What `_miss`
  returns or raises is what the call returns or raises.
- An instance begins without an entry, and every call is a call of `_miss`. Nothing here needs
  llvmlite.
- `install(obj, entry)` puts a `NativeEntry` (made by `entry.native_entry`) in front of
  the object's others. The newest is asked first; an entry that does not take the arguments, or
  whose kernel declines (returns more than 0), passes them on untouched to the next one, and the
  last to `_miss`. The object keeps the entries, and so their machine code, alive.
- `uninstall(obj)` takes all entries out of the chain, `uninstall(obj, entry)` one of them;
  `installed(obj)` tells them, newest first.
- As a class attribute the object binds like a function: `instance.f(x)` is `f(instance, x)`,
  without an object for the bound method where the interpreter can avoid it. A subclass that
  does not want to be a method says `class Other(NativeCallable, method=False)`.
- Where `abi.SUPPORTED` is false, `install` returns False and every call is a call of `_miss`;
  `enabled=False` does the same, for tests.

How it works. The base type has a field for CPython's vectorcall protocol at a fixed place in
each instance. While the field is null the interpreter takes `tp_call`, which is `_miss`; once
it holds the address of an entry the interpreter jumps there. Types made by a `class` statement
do not always inherit the flag that says so (3.11 clears it, later versions do where `__call__`
is defined), so it is set on each subclass, and with it the flag of method descriptors: such
instances, like functions, may be called unbound with the instance as first argument.
"""

from __future__ import annotations

import ctypes
import threading
import types
from collections.abc import Sequence
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, ClassVar, Self

from tracejit.backends.native import abi
from tracejit.backends.native.call_signature import CallSignature
from tracejit.errors import ArgumentError

# typeslots.h, object.h, structmember.h: parts of CPython's stable ABI.
_TP_CALL, _TP_MEMBERS = 50, 72
_DEFAULT, _BASETYPE = 1 << 18, 1 << 10
_HAVE_VECTORCALL, _METHOD_DESCRIPTOR = 1 << 11, 1 << 17
_PY_SSIZE_T, _READONLY = 19, 1

_CALL_OFFSET = abi.HEAD  # of the vectorcall function
CHAIN_OFFSET = _CALL_OFFSET + abi.WORD
"""Where an instance keeps the address of its first record."""

GUESTS = 4
"""How many values of its variable a gate admits."""

_chain_lock = threading.Lock()


class _Member(ctypes.Structure):
    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


class _Slot(ctypes.Structure):
    _fields_: ClassVar = [("slot", ctypes.c_int), ("function", ctypes.c_void_p)]


class _Spec(ctypes.Structure):
    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.POINTER(_Slot)),
    ]


# The interpreter keeps pointers into these for as long as the type lives: module globals, on
# purpose.
_members = (_Member * 2)(
    _Member(b"__vectorcalloffset__", _PY_SSIZE_T, _CALL_OFFSET, _READONLY, None), _Member()
)
_slots = (_Slot * 3)()
_spec = _Spec(
    b"tracejit.backends.native.callable.VectorcallBase",
    CHAIN_OFFSET + abi.WORD,
    0,
    _DEFAULT | _BASETYPE | _HAVE_VECTORCALL,
    _slots,
)


def _vectorcall_base() -> type:
    """A type whose instances have one field, the vectorcall function, null at first."""
    if not abi.SUPPORTED:
        return object
    _slots[0] = _Slot(_TP_CALL, abi.function("PyVectorcall_Call"))
    _slots[1] = _Slot(_TP_MEMBERS, ctypes.addressof(_members))
    make = abi.prototype("PyType_FromSpec", ctypes.py_object, ctypes.c_void_p)
    return make(ctypes.addressof(_spec))


class Gate:
    """Opens and closes the entries that were made with it, all at once, in every thread.

    A gate that is closed lets those calls in during which a context variable has one of the values
    that were admitted: the very object.
    """

    __slots__ = ("_admitted", "words")

    def __init__(self, variable: ContextVar[Any] | None = None) -> None:
        # What the records point at: whether it is closed, the variable, the admitted values.
        self.words = (ctypes.c_int64 * (2 + GUESTS))(0, 0 if variable is None else id(variable))
        self._admitted: list[object] = []  # newest first; keeps their addresses theirs

    @property
    def is_open(self) -> bool:
        """Whether the entries take calls."""
        return self.words[0] == 0

    @is_open.setter
    def is_open(self, value: bool) -> None:
        self.words[0] = not value

    @property
    def admitted(self) -> list[object]:
        """The values with which calls are let in though the gate is closed, at most `GUESTS`."""
        return list(self._admitted)

    @admitted.setter
    def admitted(self, values: Sequence[object]) -> None:
        assert self.words[1], "a gate without a variable admits nobody"
        before, self._admitted = self._admitted, list(values[:GUESTS])
        guests: list[Any] = [id(x) for x in self._admitted]
        self.words[2:] = guests + [0] * (GUESTS - len(guests))
        del before  # not while the words are written


ALWAYS_OPEN = Gate()
"""The gate of entries that have no other."""


class NativeEntry:
    """What is called for one signature: the vectorcall function, and the record that it reads.

    The first word of the record is for the address of the next record, 0 behind the last.
    `owner` is whatever keeps the code and the objects that the record names alive. `spares` are
    results that the entry keeps, to use them again; the list is never made longer or shorter.
    """

    __slots__ = ("__weakref__", "call", "owner", "record", "signature", "spares", "taken")

    def __init__(
        self,
        call: int,
        record: ctypes.Array[ctypes.c_int64],
        owner: object,
        spares: list[object] | None = None,
        signature: CallSignature | None = None,
    ) -> None:
        self.call = call
        self.record = record
        self.owner = owner
        self.signature = signature
        self.spares = [] if spares is None else spares
        self.taken = False

    @property
    def address(self) -> int:
        """The address of the record."""
        return ctypes.addressof(self.record)

    def __reduce__(self) -> str:
        raise TypeError("machine code cannot be pickled")


def _itself(self: object, instance: object, owner: type | None = None) -> object:
    """The `__get__` of objects that are no methods."""
    return self


class NativeCallable(_vectorcall_base()):  # type: ignore[misc]
    """The base class of what `jit` returns; see the module's text for what a subclass defines."""

    __slots__ = ("__dict__", "__weakref__", "_entries", "_retired")

    _entries: tuple[NativeEntry, ...]
    _retired: tuple[NativeEntry, ...]

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._entries = self._retired = ()
        return self

    def __init_subclass__(cls, *, method: bool = True, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            raise TypeError(f"{cls.__name__} defines __call__: define _miss, which is its __call__")
        if "_miss" in vars(cls):
            cls.__call__ = vars(cls)["_miss"]  # type: ignore[method-assign]
        if abi.LAYOUT is not None:
            flags = ctypes.c_ulong.from_address(id(cls) + abi.LAYOUT.type_flags)
            flags.value |= _HAVE_VECTORCALL | (_METHOD_DESCRIPTOR if method else 0)
        if not method:
            cls.__get__ = _itself  # type: ignore[method-assign]

    def _miss(self, *args: Any, **kwargs: Any) -> Any:
        """The call of an instance without a matching entry; each subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} defines no _miss")

    __call__ = _miss

    def __get__(self, instance: object, owner: type | None = None) -> object:
        return self if instance is None else types.MethodType(self, instance)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Like functions, these objects are one of a kind: a copied model keeps its compiled
        methods.
        """
        return self


def install(obj: NativeCallable, entry: NativeEntry, *, enabled: bool = True) -> bool:
    """Let calls of `obj` try `entry` first.

    False, and nothing done, where native calls are not supported.

    An entry serves one object, because it knows one successor: a second installation is an
    ArgumentError.
    """
    if not (enabled and abi.SUPPORTED):
        return False
    with _chain_lock:
        call, chain = _fields(obj)
        if entry.taken:
            raise ArgumentError("this native entry is installed in a callable already")
        entry.taken = True
        entry.record[0] = chain.value or 0
        obj._entries = (entry, *obj._entries)
        chain.value = entry.address
        call.value = entry.call
    return True


def uninstall(obj: NativeCallable, entry: NativeEntry | None = None) -> None:
    """Take an entry, or every entry, out of the chain; nothing happens to one that is not in it.

    Its machine code lives as long as the object does, since a call may be running it right now.
    """
    if not abi.SUPPORTED:
        return
    with _chain_lock:
        call, chain = _fields(obj)
        out = [e for e in obj._entries if entry is None or e is entry]
        rest = tuple(e for e in obj._entries if e not in out)
        for before, after in pairwise(rest):
            before.record[0] = after.address
        if rest:
            rest[-1].record[0] = 0
        else:
            call.value = None
        chain.value = rest[0].address if rest else None
        obj._retired += tuple(out)
        obj._entries = rest
    for gone in out:
        for i in range(len(gone.spares)):
            gone.spares[i] = None


def installed(obj: NativeCallable) -> tuple[NativeEntry, ...]:
    """The entries that calls of `obj` try, in their order."""
    return obj._entries


def _fields(obj: NativeCallable) -> tuple[ctypes.c_void_p, ctypes.c_void_p]:
    """The two words of an instance: the vectorcall function and the first record."""
    if not isinstance(obj, NativeCallable):
        raise ArgumentError(f"a NativeCallable is needed, not {type(obj).__name__}")
    word = ctypes.c_void_p.from_address
    return word(id(obj) + _CALL_OFFSET), word(id(obj) + CHAIN_OFFSET)
