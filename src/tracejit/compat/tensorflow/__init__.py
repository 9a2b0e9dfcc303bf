"""TensorFlow's names: `from tracejit.compat import tensorflow as tf`.

Tensors are recorded by `GradientTape` and differentiated, and `tf.function` compiled, by tracejit.
What differs from TensorFlow is said in docs/coming_from_tensorflow.md.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tracejit.compat.tensorflow import keras, random
from tracejit.compat.tensorflow.arrays import (
    boolean_mask,
    cast,
    clip_by_global_norm,
    einsum,
    eye,
    fill,
    global_norm,
    group,
    is_tensor,
    linspace,
    matmul,
    meshgrid,
    no_op,
    ones,
    print,
    range,
    rank,
    shape,
    size,
    split,
    stop_gradient,
    unstack,
    where,
    zeros,
)
from tracejit.compat.tensorflow.custom import custom_gradient
from tracejit.compat.tensorflow.dtypes import DTYPES, DType, TensorShape, TensorSpec, as_dtype
from tracejit.compat.tensorflow.function import function
from tracejit.compat.tensorflow.keras import losses, metrics, optimizers
from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.table import ARRAYS, LINALG, MATH, NN, functions
from tracejit.compat.tensorflow.tape import GradientTape, UnconnectedGradients
from tracejit.compat.tensorflow.tensor import Tensor, constant
from tracejit.compat.tensorflow.tensor import convert as convert_to_tensor
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import TracejitError, did_you_mean

__all__ = [
    "DType", "GradientTape", "Module", "Tensor", "TensorShape", "TensorSpec",
    "UnconnectedGradients", "Variable", "as_dtype", "boolean_mask", "cast",
    "clip_by_global_norm", "constant", "convert_to_tensor", "custom_gradient", "einsum", "eye",
    "fill", "function", "global_norm", "group", "is_tensor", "keras", "linspace", "losses",
    "matmul", "meshgrid", "metrics", "no_op", "ones", "optimizers", "print", "random", "range",
    "rank", "shape", "size", "split", "stop_gradient", "unstack", "where", "zeros",
]  # fmt: skip

_math, _arrays, _linalg, _nn = map(functions, (MATH, ARRAYS, LINALG, NN))
globals().update(_math | _arrays)
math = SimpleNamespace(**_math)
linalg = SimpleNamespace(**_linalg, matmul=matmul, eye=eye, global_norm=global_norm)
nn = SimpleNamespace(**_nn)
errors = SimpleNamespace(InvalidArgumentError=TracejitError)
autodiff = SimpleNamespace(GradientTape=GradientTape)
globals().update({dtype.name: dtype for dtype in DTYPES.values() if dtype.name != "bool"})
bool = DTYPES["bool"]
double = DTYPES["float64"]
newaxis = None
__all__ += [*_math, *_arrays, *DTYPES]
__all__ += ["autodiff", "double", "errors", "linalg", "math", "newaxis", "nn"]


def __getattr__(name: str) -> Any:
    raise AttributeError(
        f"tracejit's tensorflow has no {name!r}; {did_you_mean(name, sorted(globals()))}"
    )
