"""Machine code that is part of the package: files of LLVM assembly beside this one.

Each is compiled when it is first needed: hastily, in some milliseconds, or well, where it is kept
on disk for the processes to come. It holds no address of a process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import resources

import llvmlite.binding as llvm

from tracejit.backends.native.disk import Kept, find, keep, key_of

# Level 0 takes a quarter of the compile time of level 2, in each process that compiles at all, for
# 10 ns more in a call. Code that is kept on disk is worth the other level.
_HASTY, _WELL = 0, 2


def library_text(name: str, values: Mapping[str, str] | Callable[[str], str]) -> str:
    """The text of a file, with the values of the names behind dollar signs put in."""
    value = values if callable(values) else values.__getitem__
    text = resources.files(__package__).joinpath(f"{name}.ll").read_text(encoding="utf-8")
    return re.sub(r"\$(\w+)", lambda match: value(match[1]), text)


def library_object(name: str, text: str, **machine: str) -> bytes:
    """The object code of such a text, of this process or one before. machine: what LLVM is told."""
    key = key_of(name, lambda: text)
    if key is not None and (kept := find(key)) is not None:
        return kept.code
    opt = _HASTY if key is None else _WELL
    code = library_target().create_target_machine(opt=opt, **machine).emit_object(
        llvm.parse_assembly(text, llvm.create_context())
    )
    if key is not None:
        keep(key, Kept({}, code))
    return code


def library_target() -> llvm.Target:
    """This machine, whatever extensions it has."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple()
