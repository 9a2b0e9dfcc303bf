"""What `test_native_memory` runs between protected pages, in a process for each group."""

from __future__ import annotations

import itertools

import numpy as np
from native_guarded import GuardedRun, check, main, numbers, program

import tracejit  # noqa: F401  registers every primitive
from tracejit.ir.atoms import Literal
from tracejit.ir.types import BOOL, FLOAT32, FLOAT64, INT32, INT64, ArrayType, array_type
from tracejit.ops import contraction, elementwise, indexing, reduction, structure

INT8 = np.dtype(np.int8)
DTYPES = [np.dtype(d) for d in "? i1 i2 i4 i8 u1 u2 u4 u8 f4 f8".split()]
SIZES = range(41)
SHAPES = [(1, 5), (5, 1), (2, 3), (3, 17), (17, 3), (4, 9), (2, 3, 5), (5, 3, 2), (3, 1, 9), (0, 3),
          (3, 0), (2, 0, 3)]  # fmt: skip
#: Indices of any sort, near and far.
WILD = [-(2**63), 2**63 - 1, -(2**31), 2**31 - 1, -1, -2, 0, 1, 2, 3, 5, 16, 17, 1 << 40]


def rng_for(*key: object) -> np.random.Generator:
    return np.random.default_rng(abs(hash(tuple(map(str, key)))) % 2**32)


def wild(rng: np.random.Generator, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    """Indices, most of them out of range."""
    info = np.iinfo(dtype)
    values = [v for v in WILD if info.min <= v <= info.max] + [info.min, info.max]
    return rng.choice(np.array(values, dtype), shape)


def elementwise_group(run: GuardedRun) -> None:
    """Whole vectors and their tails, of every width."""
    rng = np.random.default_rng(0)
    for n, dtype in itertools.product(SIZES, DTYPES):
        if dtype.itemsize < 4 and n % 3 == 1:
            continue
        t = array_type(dtype, (n,))

        def fun(x, y):
            z = elementwise.max(x, y)
            return z, elementwise.eq(x, y), elementwise.convert(z, dtype=FLOAT64)

        check(run, f"elementwise {t}", program(fun, t, t), [numbers(rng, t), numbers(rng, t)])


def shapes_group(run: GuardedRun) -> None:
    """Transposes, sums over each axis, broadcasts: vectors along any axis."""
    rng = np.random.default_rng(1)
    for shape, dtype in itertools.product(SHAPES, (FLOAT64, FLOAT32, INT8, BOOL)):
        t = array_type(dtype, shape)

        def fun(x):
            order = tuple(reversed(range(x.ndim)))
            turned = structure.permute(x, order=order)
            sums = [
                reduction.reduce_max(x, axes=(a,)) if x.shape[a] else x for a in range(x.ndim)
            ]
            return turned, reduction.reduce_min(x, axes=(0, x.ndim - 1)), *sums

        if 0 not in shape:
            check(run, f"shapes {t}", program(fun, t), [numbers(rng, t)])

        def structural(x, dtype=dtype):
            grown = structure.broadcast(x, shape=(3, *x.shape), dims=tuple(range(1, x.ndim + 1)))
            flat = structure.reshape(x, shape=(x.type.size,))
            return elementwise.not_(grown) if dtype == BOOL else grown, flat

        check(run, f"structural {t}", program(structural, t), [numbers(rng, t)])


def windows_group(run: GuardedRun) -> None:
    """Strided slices, reversals, pads and joins, alone and through each other."""
    rng = np.random.default_rng(2)
    for n, dtype in itertools.product(SIZES, (FLOAT64, INT8)):
        t = array_type(dtype, (n,))
        fill = Literal(3, array_type(dtype))

        def fun(x, n=n, fill=fill):
            low, stride = n // 3, 1 + n % 4
            part = structure.slice(x, start=(low,), limit=(n,), stride=(stride,))
            padded = structure.pad(x, fill, low=(2,), high=(3,), interior=(n % 3,))
            back = structure.reverse(padded, axes=(0,))
            inside = structure.slice(back, start=(1,), limit=(back.shape[0] - 2,), stride=(2,))
            again = structure.pad(part, fill, low=(n % 5,), high=(0,), interior=(0,))
            return part, padded, inside, again, structure.concatenate(x, back, part, axis=0)

        check(run, f"windows {t}", program(fun, t), [numbers(rng, t)])
    for shape in SHAPES:
        t = array_type(FLOAT64, shape)
        nd = len(shape)

        def spread(x, nd=nd):
            zero = Literal(0.0, array_type(FLOAT64))
            y = structure.pad(x, zero, low=(1,) * nd, high=(2,) * nd, interior=(0,) * nd)
            limit = tuple(k - 1 for k in y.shape)
            z = structure.slice(y, start=(1,) * nd, limit=limit, stride=(1,) * nd)
            z = structure.pad(z, zero, low=(0,) * nd, high=(1,) * nd, interior=(1,) * nd)
            turned = structure.permute(y, order=tuple(reversed(range(nd))))
            return z, turned, structure.reduce_sum(z, axes=(nd - 1,))

        check(run, f"spread {t}", program(spread, t), [numbers(rng, t)])


def borders_group(run: GuardedRun) -> None:
    """Sums of what is padded on several sides: a core, and slabs around it."""
    rng = np.random.default_rng(7)
    shapes = [(511,), (513,), (700,), (530, 1), (3, 180), (180, 3), (23, 24), (40, 41), (9, 8, 10)]
    for shape, dtype in itertools.product(shapes, (FLOAT64, FLOAT32, INT8)):
        t = array_type(dtype, shape)
        zero, nd = Literal(0, array_type(dtype)), len(shape)

        def fun(x, nd=nd, zero=zero):
            parts = []
            for axis, low in itertools.product(range(nd), (0, 1, 2)):
                if x.shape[axis] < 3:
                    continue
                start, limit = [0] * nd, list(x.shape)
                start[axis], limit[axis] = 1, x.shape[axis] - 1
                y = structure.slice(x, start=tuple(start), limit=tuple(limit), stride=(1,) * nd)
                low, high = ([n if a == axis else 0 for a in range(nd)] for n in (low, 2 - low))
                parts.append(
                    structure.pad(y, zero, low=tuple(low), high=tuple(high), interior=(0,) * nd)
                )
            total = x
            for part in parts:
                total = elementwise.add(total, part)
            return total, parts[-1]

        check(run, f"borders {t}", program(fun, t), [numbers(rng, t)])


def reductions_group(run: GuardedRun) -> None:
    rng = np.random.default_rng(3)
    for n, dtype in itertools.product(SIZES, (FLOAT64, FLOAT32, INT8, np.dtype(np.uint8))):
        t = array_type(dtype, (n,))

        def fun(x, n=n):
            outs = [structure.reduce_sum(x, axes=(0,)), reduction.reduce_max(x, axes=(0,))]
            outs.append(reduction.cumsum(x, axis=0, reverse=bool(n % 2)))
            outs += reduction.sort(x, axis=0, keys=1)
            return outs + ([reduction.argmax(x, axis=0, dtype=INT64)] if n else [])

        check(run, f"reductions {t}", program(fun, t), [numbers(rng, t)])
    for shape, axis in itertools.product(SHAPES, (0, 1)):
        t = array_type(FLOAT32, shape)

        def along(x, axis=axis):
            outs = [reduction.cummax(x, axis=axis, reverse=False)]
            outs += reduction.sort(x, elementwise.neg(x), axis=axis, keys=1)
            found = [reduction.argmin(x, axis=axis, dtype=INT32)] if x.shape[axis] else []
            return [*outs, *found, structure.reduce_sum(elementwise.square(x), axes=(axis,))]

        check(run, f"along {axis} of {t}", program(along, t), [numbers(rng, t)])


def contraction_group(run: GuardedRun) -> None:
    rng = np.random.default_rng(4)
    sizes = [(1, 1, 1), (2, 3, 5), (7, 9, 3), (8, 8, 8), (17, 5, 1), (1, 33, 9), (29, 31, 37)]
    sizes += [(0, 3, 2), (3, 0, 2), (3, 2, 0), (33, 65, 9)]
    for (m, k, n), dtype in itertools.product(sizes, (FLOAT64, FLOAT32, INT32)):
        for turned in range(4):
            a = array_type(dtype, (k, m) if turned & 1 else (m, k))
            b = array_type(dtype, (n, k) if turned & 2 else (k, n))
            contract = ((0,) if turned & 1 else (1,), (1,) if turned & 2 else (0,))
            jaxpr = program(
                lambda x, y, c=contract: [contraction.dot(x, y, contract=c, batch=((), ()))], a, b
            )
            check(run, f"dot {a} {b} {contract}", jaxpr, [numbers(rng, a), numbers(rng, b)])


def indexing_group(run: GuardedRun) -> None:
    """Reads and writes at indices of every value and width."""
    rng = np.random.default_rng(5)
    integers = [d for d in DTYPES if d.kind in "iu"]
    for n, (d, dtype) in itertools.product((1, 2, 3, 8, 17, 31), enumerate(integers)):
        t, i = array_type(FLOAT64, (n, 5)), array_type(dtype, (1 + (n + d) % 9, 1))
        s = array_type(dtype)

        def fun(x, indices, start, n=n, count=i.shape[0]):
            rows = indexing.gather(x, indices, axes=(0,), batch=0)
            columns = indexing.gather(x, indices, axes=(1,), batch=0)
            added = indexing.scatter_add(x, indices, rows, axes=(0,), batch=0)
            put = indexing.scatter(added, indices, columns, axes=(1,), batch=0)
            window = indexing.dynamic_slice(x, start, start, sizes=((n + 1) // 2, 3))
            moved = indexing.dynamic_update_slice(x, window, start, start)
            padded = structure.pad(
                window, Literal(0.0, array_type(FLOAT64)), low=(1, 2), high=(0, 9), interior=(0, 0)
            )
            return rows, columns, added, put, window, moved, padded

        operands = [
            [numbers(rng, t), wild(rng, dtype, i.shape), np.asarray(v, dtype)]
            for v in wild(rng, dtype, (4,))
        ]
        check(run, f"indexing {t} by {i}", program(fun, t, i, s), *operands)


def pairs_group(run: GuardedRun) -> None:
    """Two indexed axes, a batch, results under the lanes' mask."""
    rng = np.random.default_rng(6)
    for b, n, m in [(1, 3, 4), (3, 2, 7), (2, 5, 9), (4, 1, 17)]:
        for dtype in (INT32, INT64, np.dtype(np.uint64)):
            t, i = array_type(FLOAT64, (b, n, m)), array_type(dtype, (b, 6, 2))
            fill = Literal(0.0, array_type(FLOAT64))

            def fun(x, indices, b=b, fill=fill):
                picked = indexing.gather(x, indices, axes=(1, 2), batch=1)
                back = indexing.scatter_max(x, indices, picked, axes=(1, 2), batch=1)
                wide = structure.pad(picked, fill, low=(0, 3), high=(1, 7), interior=(0, 0))
                kept = indexing.scatter_mul(
                    back, indices, structure.slice(
                        wide, start=(0, 2), limit=(b, 8), stride=(1, 1)), axes=(1, 2), batch=1)
                return picked, back, wide, kept

            operands = [[numbers(rng, t), wild(rng, dtype, i.shape)] for _ in range(4)]
            check(run, f"pairs {t} by {i}", program(fun, t, i), *operands)


def empty_group(run: GuardedRun) -> None:
    """Nothing is read or written where there is nothing."""
    for shape in [(0,), (0, 3), (3, 0), (0, 0), (2, 0, 3)]:
        t = ArrayType(FLOAT64, shape)
        x = np.zeros(shape)

        def fun(x):
            outs = [reduction.cumsum(x, axis=a, reverse=False) for a in range(x.ndim)]
            outs += [
                reduction.argmax(x, axis=a, dtype=INT64) for a in range(x.ndim) if x.shape[a]
            ]
            outs += [structure.reduce_sum(x, axes=(a,)) for a in range(x.ndim)]
            outs += reduction.sort(x, axis=0, keys=1)
            return [*outs, structure.reverse(elementwise.exp(x), axes=(0,))]

        check(run, f"empty {t}", program(fun, t), [x])


GROUPS = {
    name.removesuffix("_group"): group
    for name, group in list(globals().items())
    if name.endswith("_group")
}

if __name__ == "__main__":
    main(GROUPS)
