"""Keys and bits: seeds to keys, keys to keys, keys to random words.

Everything is one call of the block cipher `threefry2x32`. A key encrypts counters:

    bits of element i       the words (i >> 32, i & 0xffffffff), encrypted
    key i of a split        the same; both words are kept
    fold_in of data         the words (0, data), encrypted; both words are kept

Element i depends on nothing but the key and i, so draws can be cut in parts and made in any order.
With `config.threefry_partitionable` off, the counters of a draw of n words are 0 .. n - 1 in two
halves, a block encrypts one word of each, as in JAX before 0.5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.config import config
from tracejit.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from tracejit.ir.atoms import Literal
from tracejit.ir.types import (
    FLOAT32,
    INT32,
    INT64,
    UINT32,
    UINT64,
    UNSIGNED,
    Shape,
    array_type,
)
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    convert,
    fault,
    operand,
    reshape_to,
    shape_argument,
    shape_of,
    stretch,
    value,
)
from tracejit.numpy.promotion import as_dtype, default_float, dtype_of
from tracejit.numpy.shaping import concatenate, stack
from tracejit.ops import elementwise, structure
from tracejit.ops.random import threefry2x32
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer, bind, current_trace, is_traced

__all__ = ["PRNGKey", "bits", "clone", "fold_in", "key", "key_data", "split", "wrap_key_data"]

WORD = 0xFFFF_FFFF
GENERATOR = "threefry2x32"


# What the user gives


def default_int() -> np.dtype:
    """The dtype of integers drawn by default: as wide as the default float."""
    return INT32 if default_float() == FLOAT32 else INT64


def checked_shape(name: str, shape: Any, *parameters: Any) -> Shape:
    """The shape of a draw whose parameters have to fit in; None: that of the parameters."""
    return fitting_shape(name, shape, *map(shape_of, parameters))


def fitting_shape(name: str, shape: Any, *parameters: Shape) -> Shape:
    """The shape of a draw, to which all these shapes broadcast."""
    wanted = None if shape is None else shape_argument(shape)
    if wanted is not None and any(n < 0 for n in wanted):
        raise fault(ShapeError, f"random.{name}: a shape has no negative sizes, got {wanted}")
    try:
        together = np.broadcast_shapes(*parameters)
        if wanted is None or np.broadcast_shapes(wanted, together) == wanted:
            return together if wanted is None else wanted
    except ValueError:
        pass
    given = " and ".join(map(str, parameters))
    raise fault(
        ShapeError, f"random.{name}: shapes {given} do not broadcast to the shape {wanted}",
        "shape= is that of the whole result, and the shapes of parameters are its last axes",
    )  # fmt: skip


def words_of(name: str, key: ArrayLike) -> tuple[Array, Array]:
    """The two words of one key."""
    found = _checked_key(name, key)
    if found.shape != (2,):
        raise fault(
            ShapeError, f"random.{name} takes one key, an array of shape (2,), got {found.shape}",
            f"for many keys, vmap: tracejit.vmap(lambda key: random.{name}(key, ...))(keys)",
        )  # fmt: skip
    return found[..., 0], found[..., 1]


def _checked_key(name: str, key: ArrayLike) -> Array:
    """An array of keys, of shape (..., 2)."""
    hint = "make one: key = random.key(0)"
    if not isinstance(key, (Tracer, np.ndarray)):
        if not hasattr(key, "__array__") or isinstance(key, np.generic):
            raise fault(ArgumentError, f"random.{name}: a key is an array, not {key!r}", hint)
        key = np.asarray(key)
    if key.dtype != UINT32:
        raise fault(DTypeError, f"random.{name}: a key has dtype uint32, not {key.dtype}", hint)
    if key.shape[-1:] != (2,):
        raise fault(ShapeError, f"random.{name}: the last axis of keys has length 2, not that of "
                    f"shape {key.shape}", hint)  # fmt: skip
    return key


# Seeds to keys


def key(seed: ArrayLike, *, impl: str | None = None) -> Array:
    """The key of a seed, an integer: its upper and lower 32 bits. uint32[2].

    With float32 as the default float the upper bits are zero, as in JAX without x64.
    """
    _check_generator(impl)
    if isinstance(seed, int):
        if not -(2**63) <= seed < 2**63:
            raise fault(ArgumentError, f"a seed has 64 bits, {seed} needs more")
        seed = np.int64(seed)
    seed = operand(seed)
    if shape_of(seed) != ():
        raise fault(
            ShapeError, f"a seed is one integer, not an array of shape {shape_of(seed)}",
            "for many keys: random.split(random.key(0), n), or tracejit.vmap(random.key)(seeds)",
        )  # fmt: skip
    if dtype_of(seed).kind not in "iub":
        raise fault(DTypeError, f"a seed is an integer, not {dtype_of(seed)}")
    seed = value(seed)
    low = convert(seed, UINT32)
    if seed.dtype.itemsize < 8 or default_float() == FLOAT32:
        high = np.uint32(0)
    else:
        high = convert(
            bind(elementwise.shift_right_logical, seed, seed.dtype.type(32)), UINT32
        )
    return _paired(high, low)


def PRNGKey(seed: ArrayLike, *, impl: str | None = None) -> Array:
    """The same as `key`: there is one kind of key, uint32[2]."""
    return key(seed, impl=impl)


def _check_generator(impl: str | None) -> None:
    if impl not in (None, GENERATOR):
        raise fault(UnsupportedError, f"there is no generator {impl!r}", f"{GENERATOR!r} is it")


def key_data(keys: ArrayLike) -> Array:
    """The words of keys: the keys themselves."""
    return _checked_key("key_data", keys)


def wrap_key_data(words: ArrayLike, *, impl: str | None = None) -> Array:
    """Keys with these words, uint32[..., 2]: the words themselves."""
    _check_generator(impl)
    return _checked_key("wrap_key_data", operand(words))


def clone(key: ArrayLike) -> Array:
    """The same key, for the same numbers once more."""
    return _checked_key("clone", key)


# Keys to keys


def split(key: ArrayLike, num: Any = 2) -> Array:
    """New keys, independent of each other and of the old: uint32[num, 2]; num may be a shape."""
    words, shape = words_of("split", key), checked_shape("split", num)
    if not config.threefry_partitionable:
        return reshape_to(_encrypt_halves(words, 2 * math.prod(shape)), (*shape, 2))
    return _paired(*_encrypt(words, shape))


def fold_in(key: ArrayLike, data: ArrayLike) -> Array:
    """A new key made of a key and a number of 32 bits: a step, a rank, an index."""
    words = words_of("fold_in", key)
    if isinstance(data, int) and not 0 <= data <= WORD:
        raise fault(ArgumentError, f"fold_in takes a number from 0 to 2**32 - 1, not {data}")
    data = operand(data)
    if shape_of(data) != () or dtype_of(data).kind not in "iub":
        raise fault(
            ArgumentError, f"fold_in takes one integer, not {dtype_of(data)}{list(shape_of(data))}",
            "for many: tracejit.vmap(lambda i: random.fold_in(key, i))(data)",
        )  # fmt: skip
    return _paired(*bind(threefry2x32, *words, np.uint32(0), value(data, UINT32)))


def _paired(high: Array, low: Array) -> Array:
    """Keys from their words."""
    words = (high, low)
    return stack(words, axis=-1) if is_traced(*words) else np.stack(words, axis=-1)


# Keys to bits


def bits(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """Random bits, as unsigned integers; by default as wide as the default float."""
    wide = UINT32 if default_float() == FLOAT32 else UINT64
    dtype = wide if dtype is None else as_dtype(dtype)
    if dtype not in UNSIGNED:
        raise fault(DTypeError, f"random.bits gives unsigned integers, not {dtype}")
    return bits_of(words_of("bits", key), checked_shape("bits", shape), dtype)


def bits_of(words: tuple[Array, Array], shape: Shape, dtype: np.dtype) -> Array:
    """Random unsigned integers of a dtype, under the words of a key."""
    if not config.threefry_partitionable:
        return _bits_of_halves(words, shape, dtype)
    high, low = _encrypt(words, shape)
    if dtype != UINT64:
        return convert(bind(elementwise.xor, high, low), dtype)
    by32 = Literal(32, array_type(UINT64, shape))
    high = bind(elementwise.shift_left, convert(high, UINT64), by32)
    return bind(elementwise.or_, high, convert(low, UINT64))


def _encrypt(words: tuple[Array, Array], shape: Shape) -> tuple[Array, Array]:
    """The numbers 0, 1, 2, ... in a shape, as two words each, encrypted."""
    high, low = _counters(shape, traced=is_traced(*words))
    return bind(threefry2x32, *[stretch(w, shape) for w in words], high, low)


def _bits_of_halves(words: tuple[Array, Array], shape: Shape, dtype: np.dtype) -> Array:
    """`bits_of` from words in one sequence: two for 64 bits, a part of one for fewer than 32."""
    size = math.prod(shape)
    if dtype == UINT64:
        both = convert(_encrypt_halves(words, 2 * size), UINT64)
        high = bind(elementwise.shift_left, both[:size], np.full(size, 32, UINT64))
        return reshape_to(bind(elementwise.or_, high, both[size:]), shape)
    parts = 4 // dtype.itemsize
    found = _encrypt_halves(words, -(-size // parts))
    if parts > 1:
        shifts = np.arange(parts, dtype=UINT32) * np.uint32(8 * dtype.itemsize)
        grid = (found.shape[0], parts)
        shifted = bind(
            elementwise.shift_right_logical, stretch(found[:, None], grid), stretch(shifts, grid)
        )
        found = reshape_to(shifted, (grid[0] * parts,))[:size]
    return reshape_to(convert(found, dtype), shape)


def _encrypt_halves(words: tuple[Array, Array], count: int) -> Array:
    """The numbers 0 .. count - 1, the first half encrypted with the second, as one sequence.

    An odd count has a 0 behind it, whose cipher is dropped.
    """
    half = -(-count // 2)
    if not half:
        return np.zeros(0, UINT32)
    first = np.arange(half, dtype=UINT32)
    second = first + np.uint32(half)
    if count % 2:
        second[-1] = 0
    both = bind(threefry2x32, *[stretch(w, (half,)) for w in words], first, second)
    return concatenate(both)[:count]


def _counters(shape: Shape, *, traced: bool) -> tuple[Any, Any]:
    """0, 1, 2, ... in row-major order, as upper and lower words."""
    size = math.prod(shape)
    if size <= 1:
        zero = Literal(0, array_type(UINT32, shape))
        return zero, zero
    if size <= WORD + 1:
        low = reshape_to(_count(size, UINT32, traced), shape)
        return Literal(0, array_type(UINT32, shape)), low
    number = reshape_to(_count(size, UINT64, traced), shape)
    return convert(number >> np.uint64(32), UINT32), convert(number, UINT32)


def _count(size: int, dtype: np.dtype, traced: bool) -> Array:
    """0, 1, 2, ...: index arithmetic in a traced program, an array outside."""
    trace = current_trace()
    if trace is None or not traced:
        return np.arange(size, dtype=dtype)
    trace.provenance = user_frame()
    (numbers,) = trace.emit(structure.iota, (), {"dtype": dtype, "shape": (size,), "axis": 0})
    return Tracer(trace, numbers)
