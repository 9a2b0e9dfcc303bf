"""C by hand, compiled for this machine when it is asked for, and timed inside C.

A case gives `static double call(in..., double *restrict g)`: `in` are the leaves of the arguments
in order (`const double *restrict` and the like for arrays, numbers by value), g the gradient, the
leaves of the first argument one after the other. The sizes are macros of their names in capitals.
-ffast-math lets the compiler reorder sums and call glibc's vector maths (libmvec).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.case import Case, leaves
from benchmarks.systems import NotOffered, Ready

FLAGS = (
    "-O3", "-march=native", "-mprefer-vector-width=512", "-ffast-math", "-fopenmp",
    "-fPIC", "-w",
)  # fmt: skip

C_TYPES = {"float64": "double", "float32": "float", "int64": "long", "int32": "int"}

HEAD = """
#include <math.h>
#include <string.h>
#define INLINE static inline __attribute__((always_inline))
"""

TAIL = """
__attribute__((noinline)) static double once(void **in, double *restrict g) {{
    return call({arguments}g);
}}
double many(long n, void **in, double *g) {{
    double value = 0;
    for (long i = 0; i < n; i++) {{ value = once(in, g); __asm__ volatile("" ::: "memory"); }}
    return value;
}}
"""


def prepare(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    if case.c is None:
        raise NotOffered
    arrays = [np.asarray(leaf, order="C") for item in args for leaf in leaves(item)]
    many = _compile(_source(case, size, arrays))
    inputs = (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
    gradient = np.zeros(sum(leaf.size for leaf in leaves(args[0])))
    g = gradient.ctypes.data

    def call() -> tuple[float, np.ndarray]:
        return many(1, inputs, g), gradient.copy()

    def seconds(n: int) -> float:
        start = time.perf_counter()
        many(n, inputs, g)
        return time.perf_counter() - start

    return Ready(call, (), many=seconds, keep=arrays)


def _source(case: Case, size: str, arrays: list[np.ndarray]) -> str:
    sizes = [f"#define {name.upper()} {value}" for name, value in case.sizes[size].items()]
    arguments = ""
    for i, array in enumerate(arrays):
        pointer = f"({C_TYPES[array.dtype.name]} *)in[{i}]"
        arguments += f"{pointer if array.ndim else '*' + pointer}, "
    return HEAD + "\n".join(sizes) + (case.c or "") + TAIL.format(arguments=arguments)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")


def _compile(source: str) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        file, library = Path(folder, "case.c"), Path(folder, "case.so")
        file.write_text(source)
        compiler, part = os.environ.get("CC", "cc"), Path(folder, "case.o")
        _run([compiler, *FLAGS, "-c", str(file), "-o", str(part)])
        # Linked apart: with -ffast-math the linker adds code that turns subnormals off for all.
        _run([compiler, "-shared", "-fopenmp", str(part), "-o", str(library), "-lmvec", "-lm"])
        many = ctypes.CDLL(str(library)).many
    many.restype = ctypes.c_double
    many.argtypes = [ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    return many
