"""Complex numbers and their parts.

Derivatives are those of JAX. A tangent of a complex number is a complex number; what pairs with it
is Re(ct * t), without conjugation, so that the adjoint of a multiplication is the multiplication,
and the gradient of a real u(x + iy) is du/dx - i du/dy. `real`, `imag`, `conj` and `complex` are
linear over the real numbers alone, which is all that transposing needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Atom, zero
from tracejit.ir.primitive import POINTWISE, Primitive, Unknown, linear
from tracejit.ir.types import (
    COMPLEX,
    COMPLEX_OF,
    PART_OF,
    ArrayType,
)


def _accept_complex(name: str, x: ArrayType) -> None:
    if x.dtype not in COMPLEX:
        raise DTypeError(f"{name} takes complex numbers, not {x}")


def _part_typing(name: str) -> Any:
    def typing(x: ArrayType) -> tuple[ArrayType, ...]:
        _accept_complex(name, x)
        return (x.with_dtype(PART_OF[x.dtype]),)

    return typing


def _conj_typing(x: ArrayType) -> tuple[ArrayType, ...]:
    _accept_complex("conj", x)
    return (x,)


def _complex_typing(x: ArrayType, y: ArrayType) -> tuple[ArrayType, ...]:
    if x.dtype != y.dtype or x.dtype not in COMPLEX_OF:
        raise DTypeError(f"complex: the parts must be floats of one dtype, not {x} and {y}")
    if x.shape != y.shape:
        raise ShapeError(f"complex: the parts differ in shape, {x} and {y}")
    return (x.with_dtype(COMPLEX_OF[x.dtype]),)


def _complex_value(x: Any, y: Any) -> Any:
    """Put together, not computed: x + 1j * y would spoil signed zeros and infinities."""
    whole = np.empty(np.shape(x), COMPLEX_OF[x.dtype])
    whole.real, whole.imag = x, y
    return whole


real: Primitive = linear(
    "real", typing=_part_typing("real"), evaluate=lambda z: np.real(z).copy(), batch=POINTWISE,
    transpose=lambda cts, inputs: (complex(cts[0], zero(cts[0].type)),),
    doc="The real part.",
)  # fmt: skip
imag: Primitive = linear(
    "imag", typing=_part_typing("imag"), evaluate=lambda z: np.imag(z).copy(), batch=POINTWISE,
    transpose=lambda cts, inputs: (complex(zero(cts[0].type), -cts[0]),),
    doc="The imaginary part.",
)  # fmt: skip
conj: Primitive = linear(
    "conj", typing=_conj_typing, evaluate=np.conjugate, batch=POINTWISE,
    transpose=lambda cts, inputs: (conj(cts[0]),),
    doc="The conjugate, x - iy.",
)  # fmt: skip


def _complex_transpose(cts: Any, inputs: Any) -> tuple[Atom | None, ...]:
    (ct,), (x, y) = cts, inputs
    return (
        real(ct) if isinstance(x, Unknown) else None,
        -imag(ct) if isinstance(y, Unknown) else None,
    )


complex: Primitive = linear(
    "complex", typing=_complex_typing, evaluate=_complex_value, batch=POINTWISE,
    transpose=_complex_transpose, doc="x + iy, of two arrays of floats.",
)  # fmt: skip
