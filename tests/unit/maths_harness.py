"""Compile one function of the native maths as a loop over arrays, and measure errors in ulps."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import llvmlite.binding as llvm
import mpmath
import numpy as np

from tracejit.backends.native.emit import F32, F64, I64, PTR, VOID, Module, Value

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

LANES = {np.dtype(np.float64): F64, np.dtype(np.float32): F32}
Emitter = Callable[..., Value]


def host_features() -> set[str]:
    """What the host's instruction set has, in LLVM's names; of a host that is not x86, nothing."""
    if not llvm.get_default_triple().startswith(("x86_64", "amd64")):
        return set()
    return {name for name, present in llvm.get_host_cpu_features().items() if present}


def target_machine(features: str | None = None) -> llvm.TargetMachine:
    """A machine for one engine, which comes to own it."""
    if features is None:
        return llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=2
        )
    return llvm.Target.from_default_triple().create_target_machine(
        cpu="x86-64", features=features, opt=2
    )


def kernel_module(
    emitter: Emitter, arguments: int, dtype: np.dtype, lanes: int, has_fma: bool = True,
    has_avx512: bool = False,
) -> Module:
    """`kernel(n, out, x, ...)`: out[i] = emitter(x[i], ...), n a multiple of the lanes."""
    module = Module()
    module.has_fma, module.has_avx512 = has_fma, has_avx512
    b = module.function("kernel", VOID, [I64] + [PTR] * (arguments + 1))
    count, out, *arrays = b.args
    type = LANES[np.dtype(dtype)].vector(lanes)
    entry, loop, done = b.here, b.block("loop"), b.block("done")
    b.branch(loop)
    b.at(loop)
    index = b.phi(I64)
    index.add(b.constant(I64, 0), entry)
    xs = [b.load(type, b.offset(a, index.value, type)) for a in arrays]
    b.store(emitter(b, *xs), b.offset(out, index.value, type))
    following = b.add(index.value, b.constant(I64, lanes))
    index.add(following, b.here)
    b.branch_if(b.less(following, count), loop, done)
    b.at(done)
    b.ret()
    return module


@cache
def compiled(
    emitter: Emitter, arguments: int, dtype: np.dtype, lanes: int, has_fma: bool = True,
    features: str | None = None,
) -> tuple[object, object]:
    has_avx512 = features is None and "avx512f" in host_features()
    text = str(kernel_module(emitter, arguments, dtype, lanes, has_fma, has_avx512))
    module = llvm.parse_assembly(text)
    module.verify()
    engine = llvm.create_mcjit_compiler(module, target_machine(features))
    engine.finalize_object()
    signature = ctypes.CFUNCTYPE(None, ctypes.c_int64, *[ctypes.c_void_p] * (arguments + 1))
    return signature(engine.get_function_address("kernel")), engine


def evaluate(
    emitter: Emitter, *arrays: np.ndarray, lanes: int = 8, has_fma: bool = True,
    features: str | None = None,
) -> np.ndarray:
    """emitter over arrays of one dtype, padded to whole vectors."""
    dtype, size = arrays[0].dtype, arrays[0].size
    padded = -(-size // lanes) * lanes
    inputs = [np.concatenate([a, np.ones(padded - size, dtype)]) for a in arrays]
    out = np.empty(padded, dtype)
    kernel, _ = compiled(emitter, len(arrays), dtype, lanes, has_fma, features)
    kernel(padded, out.ctypes.data, *[a.ctypes.data for a in inputs])
    return out[:size]


def reference(function: Callable, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mpmath's values rounded to the dtype, and (exact - rounded) in units of the last place."""
    dtype = arrays[0].dtype
    smallest = np.finfo(dtype).smallest_subnormal
    values = np.empty(arrays[0].size, dtype)
    rest = np.zeros(arrays[0].size)
    with mpmath.workprec(120):
        for i, xs in enumerate(zip(*(a.astype(float).tolist() for a in arrays), strict=True)):
            exact = function(*map(mpmath.mpf, xs))
            with np.errstate(over="ignore"):
                values[i] = dtype.type(float(exact))
            if np.isfinite(values[i]):
                unit = float(max(abs(np.spacing(values[i])), smallest))
                rest[i] = float((exact - mpmath.mpf(float(values[i]))) / unit)
    return values, rest


def ulps(
    got: np.ndarray, values: np.ndarray, rest: np.ndarray, floor: float = 0.0
) -> np.ndarray:
    """Distance of `got` from the exact value in units of its last place, at least `floor`."""
    with np.errstate(all="ignore"):
        unit = np.abs(np.spacing(values)).astype(np.float64)
        distance = np.abs((got.astype(np.float64) - values) / unit - rest)
        error = distance * np.minimum(1.0, unit / floor) if floor else distance
    same = (got == values) & ~np.isfinite(values) | np.isnan(got) & np.isnan(values)
    return np.where(same, 0.0, np.where(np.isnan(error), np.inf, error))
