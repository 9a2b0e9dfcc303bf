"""Machine code that is part of the package: files of LLVM assembly beside this one.

Each is compiled when it is first needed, without much optimisation, which costs a few milliseconds,
and kept on disk where there is a cache. It holds no address of a process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from importlib import resources

import llvmlite.binding as llvm

from tracejit.backends.native.disk import Kept, find, keep, key_of


def library_text(name: str, values: Mapping[str, str] | Callable[[str], str]) -> str:
    """The text of a file, with the values of the names behind dollar signs put in."""
    value = values if callable(values) else values.__getitem__
    text = resources.files(__package__).joinpath(f"{name}.ll").read_text(encoding="utf-8")
    return re.sub(r"\$(\w+)", lambda match: value(match[1]), text)


def library_object(name: str, text: str, opt: int = 0) -> bytes:
    """The object code of such a text."""
    key = key_of(name, lambda: text)
    if key is not None and (kept := find(key)) is not None:
        return kept.code
    machine = library_target().create_target_machine(opt=opt, reloc="pic", codemodel="small")
    code = machine.emit_object(llvm.parse_assembly(text, llvm.create_context()))
    if key is not None:
        keep(key, Kept({}, code))
    return code


def library_target() -> llvm.Target:
    """This machine, whatever extensions it has."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_default_triple()
