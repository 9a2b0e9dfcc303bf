"""TensorFlow's names: `from tracejit.compat import tensorflow as tf`.

Tensors are recorded by `GradientTape` and differentiated, and `tf.function` compiled, by tracejit.
What differs from TensorFlow is said in docs/coming_from_tensorflow.md.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tracejit.compat.tensorflow import data, keras, random
from tracejit.compat.tensorflow.arrays import (
    bincount,
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
from tracejit.compat.tensorflow.flow import (
    TensorArray,
    case,
    cond,
    foldl,
    foldr,
    map_fn,
    scan,
    switch_case,
    vectorized_map,
    while_loop,
)
from tracejit.compat.tensorflow.forward import ForwardAccumulator
from tracejit.compat.tensorflow.function import function
from tracejit.compat.tensorflow.keras import losses, metrics, optimizers
from tracejit.compat.tensorflow.misc import (
    add_n,
    config,
    debugging,
    device,
    dropout,
    executing_eagerly,
    name_scope,
    nest,
    normalize,
)
from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.table import ARRAYS, LINALG, MATH, NN, functions
from tracejit.compat.tensorflow.tape import GradientTape, UnconnectedGradients
from tracejit.compat.tensorflow.tensor import Tensor, constant
from tracejit.compat.tensorflow.tensor import convert as convert_to_tensor
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import TracejitError, did_you_mean

__all__ = [
    "DType", "GradientTape", "Module", "Tensor", "TensorArray", "TensorShape", "TensorSpec",
    "UnconnectedGradients", "Variable", "add_n", "as_dtype", "boolean_mask", "case", "cast",
    "clip_by_global_norm", "cond", "config", "constant", "convert_to_tensor", "custom_gradient",
    "data", "debugging", "device", "einsum", "executing_eagerly", "eye", "fill", "foldl", "foldr",
    "function", "global_norm", "group", "is_tensor", "keras", "linspace", "losses", "map_fn",
    "matmul", "meshgrid", "metrics", "name_scope", "nest", "no_op", "ones", "optimizers", "print",
    "random", "range", "rank", "scan", "shape", "size", "split", "stop_gradient", "switch_case",
    "unstack", "vectorized_map", "where", "while_loop", "zeros",
]  # fmt: skip

_math, _arrays, _linalg, _nn = map(functions, (MATH, ARRAYS, LINALG, NN))
globals().update(_math | _arrays)
math = SimpleNamespace(
    **_math, add_n=add_n, bincount=bincount,
    **{name: _nn[name] for name in ("l2_normalize", "log_softmax", "softmax")},
    **{name: _arrays[name] for name in ("argmax", "argmin")},
)  # fmt: skip
linalg = SimpleNamespace(
    **_linalg, matmul=matmul, eye=eye, einsum=einsum, global_norm=global_norm, normalize=normalize,
    l2_normalize=_nn["l2_normalize"],
)  # fmt: skip
nn = SimpleNamespace(**_nn, dropout=dropout)
errors = SimpleNamespace(InvalidArgumentError=TracejitError, OutOfRangeError=TracejitError)
autodiff = SimpleNamespace(ForwardAccumulator=ForwardAccumulator, GradientTape=GradientTape)
globals().update({dtype.name: dtype for dtype in DTYPES.values() if dtype.name != "bool"})
bool = DTYPES["bool"]
double = DTYPES["float64"]
newaxis = None
__version__ = "2.0 of tracejit"
__all__ += [*_math, *_arrays, *DTYPES]
__all__ += ["autodiff", "double", "errors", "linalg", "math", "newaxis", "nn"]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit's tensorflow has no {name!r}; {did_you_mean(name, __all__)}")
