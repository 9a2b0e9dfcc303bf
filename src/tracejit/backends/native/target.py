"""The machine: which vectors it has, and from LLVM assembly to code in memory.

One target machine is kept for the process. No optimisation pipeline runs: what the emitter writes
is what the code generator gets.
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np

from tracejit.errors import CompileError


@dataclass(frozen=True)
class Features:
    """What the code generator may use: the width of a vector register in bits, fused fma, and
    conversions from float16 to float32 and back."""

    vector_bits: int
    has_fma: bool
    cpu: str
    flags: str
    has_half_conversions: bool = False

    @property
    def has_avx512(self) -> bool:
        """Whether there are x86's vectors of 512 bits."""
        return self.vector_bits == 512

    @property
    def attributes(self) -> str:
        """What LLVM is told of each function."""
        bits = self.vector_bits
        return f'nounwind "prefer-vector-width"="{bits}" "min-legal-vector-width"="{bits}"'


_linking = threading.Lock()


@cache
def host() -> Features:
    """The features of this machine."""
    flags = llvm.get_host_cpu_features()
    bits = 512 if flags.get("avx512f") else 256 if flags.get("avx2") else 128
    arm = flags.get("neon") or "aarch64" in llvm.get_process_triple()
    fused = bool(flags.get("fma") or arm)
    halves = bool(flags.get("f16c") or arm)
    return Features(bits, fused, llvm.get_host_cpu_name(), flags.flatten(), halves)


def _new_machine() -> llvm.TargetMachine:
    """A target machine; position-independent code of the small model reads constants in place."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = host()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=features.cpu, features=features.flags, opt=2, reloc="pic", codemodel="small"
    )


@cache
def target_machine() -> llvm.TargetMachine:
    """The target machine of this process."""
    return _new_machine()


@cache
def _linker() -> llvm.LLJIT:
    """The linker of this process; it owns its target machine."""
    # JITLink lays an object out in one piece. The older linker takes memory section by section, and
    # aborts the process if two of them are more than 2 GB apart.
    return llvm.create_lljit_compiler(_new_machine(), use_jit_link=True)


def object_code(text: str) -> bytes:
    """Compile LLVM assembly for this machine."""
    machine = target_machine()
    try:
        # A context of its own: what modules define in LLVM's global one is never freed.
        module = llvm.parse_assembly(text, llvm.create_context())
    except RuntimeError as error:
        raise CompileError(f"LLVM does not take the emitted code: {error}") from None
    with _without_strength_reduction():
        return machine.emit_object(module)


_generating = threading.Lock()


@contextmanager
def _without_strength_reduction() -> Iterator[None]:
    """Code is generated without LLVM's loop strength reduction in this block.

    It takes up to a quarter of the time, and what a nest emits is reduced already: counters run in
    the steps in which memory is read. The option is LLVM's, one for the process: other users of
    llvmlite find it as it was.
    """
    with _generating:
        llvm.set_option("tracejit", "-disable-lsr=1")
        try:
            yield
        finally:
            llvm.set_option("tracejit", "-disable-lsr=0")


_numbers = itertools.count()


class Code:
    """Machine code in memory, as long as the object lives.

    The library is in an array of objects, which the garbage collector does not look into. It
    would finalize the library of garbage first, and then, maybe, an object that calls the code.
    """

    def __init__(
        self, object_code: bytes, exports: Sequence[str], imports: Mapping[str, int] | None = None
    ):
        """Load object code; `exports` are the symbols whose addresses are wanted, `imports` has
        those of functions that it calls."""
        library = llvm.JITLibraryBuilder().add_object_img(object_code)
        for name in exports:
            library.export_symbol(name)
        for name, address in (imports or {}).items():
            library.import_symbol(name, address)
        library.add_current_process()
        self._library: Any = np.empty((), object)
        with _linking:
            self._library[()] = library.link(_linker(), f"tracejit.{next(_numbers)}")

    def address(self, name: str) -> int:
        """The address of an exported symbol."""
        return self._library[()][name]

    def set_pointer(self, name: str, address: int) -> None:
        """Store an address in a pointer variable of the module."""
        ctypes.c_void_p.from_address(self.address(name)).value = address


def assembly(text: str) -> str:
    """The machine's assembly for LLVM assembly."""
    return target_machine().emit_assembly(llvm.parse_assembly(text, llvm.create_context()))
