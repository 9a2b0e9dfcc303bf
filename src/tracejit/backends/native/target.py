"""The machine: which vectors it has, and from LLVM assembly to code in memory.

One target machine is kept for the process. No optimisation pipeline runs: what the emitter writes is
what the code generator gets (see ../shared measurements in docs/backends.md).
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import llvmlite.binding as llvm

from tracejit.errors import CompileError


@dataclass(frozen=True)
class Features:
    """What the code generator may use: the width of a vector register in bits, and fused fma."""

    vector_bits: int
    has_fma: bool
    cpu: str
    flags: str


@cache
def host() -> Features:
    """The features of this machine."""
    flags = llvm.get_host_cpu_features()
    bits = 512 if flags.get("avx512f") else 256 if flags.get("avx2") else 128
    arm = flags.get("neon") or "aarch64" in llvm.get_process_triple()
    fused = bool(flags.get("fma") or arm)
    return Features(bits, fused, llvm.get_host_cpu_name(), flags.flatten())


@cache
def target_machine() -> llvm.TargetMachine:
    """The target machine of this process."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = host()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=features.cpu, features=features.flags, opt=2, jit=True
    )


class Code:
    """Machine code in memory, as long as the object lives."""

    def __init__(self, text: str, symbols: Mapping[str, int] | None = None):
        """Compile LLVM assembly; `symbols` are addresses of what it declares external."""
        machine = target_machine()
        try:
            module = llvm.parse_assembly(text)
        except RuntimeError as error:
            raise CompileError(f"LLVM does not take the emitted code: {error}") from None
        for name, address in (symbols or {}).items():
            llvm.add_symbol(name, address)
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.engine.finalize_object()

    def address(self, name: str) -> int:
        """The address of a function."""
        return self.engine.get_function_address(name)

    def set_pointer(self, name: str, address: int) -> None:
        """Store an address in a pointer variable of the module."""
        place = self.engine.get_global_value_address(name)
        ctypes.c_void_p.from_address(place).value = address


def assembly(text: str) -> str:
    """The machine's assembly for LLVM assembly."""
    return target_machine().emit_assembly(llvm.parse_assembly(text))
