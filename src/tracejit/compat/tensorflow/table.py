"""TensorFlow's functions as a table onto NumPy's: a row is a name, a function, its parameters.

    "reduce_sum: np.sum input_tensor axis keepdims"

Parameters are TensorFlow's, in its order; `perm=axes` is called axes on the other side, `axis:0` is
0 unless given. The first is an array, and so is the second where it is called y.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit import nn
from tracejit import numpy as np
from tracejit.compat.tensorflow import compositions, images, indexing
from tracejit.compat.tensorflow.dtypes import DType
from tracejit.compat.tensorflow.tensor import Value, binary, call, convert
from tracejit.errors import ArgumentError
from tracejit.scipy import special
from tracejit.trace.provenance import user_frame

#: Functions that are also in tf.math.
MATH = """
abs: np.absolute x
acos: np.arccos x
acosh: np.arccosh x
add: np.add x y
asin: np.arcsin x
asinh: np.arcsinh x
atan2: np.arctan2 x y
atan: np.arctan x
atanh: np.arctanh x
bessel_i0: special.i0 x
bessel_i0e: special.i0e x
bessel_i1: special.i1 x
bessel_i1e: special.i1e x
ceil: np.ceil x
cos: np.cos x
cosh: np.cosh x
cumprod: np.cumprod x axis:0
cumsum: np.cumsum x axis:0
cumulative_logsumexp: compositions.cumulative_logsumexp x axis:0
digamma: special.digamma x
divide: compositions.divide x y
divide_no_nan: compositions.divide_no_nan x y
equal: np.equal x y
erf: special.erf x
erfc: special.erfc x
erfinv: special.erfinv x
exp: np.exp x
expm1: np.expm1 x
floor: np.floor x
floordiv: np.floor_divide x y
floormod: np.remainder x y
greater: np.greater x y
greater_equal: np.greater_equal x y
is_finite: np.isfinite x
is_inf: np.isinf x
is_nan: np.isnan x
lbeta: compositions.lbeta x
less: np.less x y
less_equal: np.less_equal x y
lgamma: special.gammaln x
log1p: np.log1p x
log: np.log x
log_sigmoid: nn.log_sigmoid x
logical_and: np.logical_and x y
logical_not: np.logical_not x
logical_or: np.logical_or x y
logical_xor: np.logical_xor x y
maximum: np.maximum x y
minimum: np.minimum x y
mod: np.remainder x y
multiply: np.multiply x y
multiply_no_nan: compositions.multiply_no_nan x y
negative: np.negative x
not_equal: np.not_equal x y
polyval: compositions.polyval coeffs x
pow: np.power x y
reciprocal: np.reciprocal x
reciprocal_no_nan: compositions.reciprocal_no_nan x
reduce_all: np.all input_tensor axis keepdims
reduce_any: np.any input_tensor axis keepdims
reduce_euclidean_norm: compositions.euclidean_norm input_tensor axis keepdims
reduce_logsumexp: special.logsumexp input_tensor axis keepdims
reduce_max: np.max input_tensor axis keepdims
reduce_mean: np.mean input_tensor axis keepdims
reduce_min: np.min input_tensor axis keepdims
reduce_prod: np.prod input_tensor axis keepdims
reduce_std: np.std input_tensor axis keepdims
reduce_sum: np.sum input_tensor axis keepdims
reduce_variance: np.var input_tensor axis keepdims
rint: np.rint x
round: np.round x
rsqrt: compositions.rsqrt x
scalar_mul: compositions.scalar_mul scalar x
segment_mean: compositions.segment_mean data segment_ids
segment_sum: compositions.segment_sum data segment_ids
sigmoid: nn.sigmoid x
sign: np.sign x
sin: np.sin x
sinh: np.sinh x
softplus: nn.softplus features
sqrt: np.sqrt x
square: np.square x
squared_difference: compositions.squared_difference x y
subtract: np.subtract x y
tan: np.tan x
tanh: np.tanh x
top_k: compositions.top_k input k:1
truediv: compositions.divide x y
unsorted_segment_mean: indexing.segment_mean data segment_ids num_segments
unsorted_segment_sum: indexing.segment_sum data segment_ids num_segments
xdivy: compositions.xdivy x y
xlog1py: special.xlog1py x y
xlogy: special.xlogy x y
zero_fraction: compositions.zero_fraction value
"""
#: Functions of arrays' shapes and elements.
ARRAYS = """
argmax: np.argmax input axis:0
argmin: np.argmin input axis:0
argsort: compositions.argsort values axis direction
broadcast_to: np.broadcast_to input shape
clip_by_norm: compositions.clip_by_norm t clip_norm axes
clip_by_value: np.clip t clip_value_min=min clip_value_max=max
concat: np.concatenate values axis
diag: compositions.diag diagonal
ensure_shape: compositions.ensure_shape x shape
expand_dims: np.expand_dims input axis
gather: indexing.gather params indices axis batch_dims:0
gather_nd: indexing.gather_nd params indices
identity: np.copy input
norm: np.linalg.norm tensor ord axis keepdims
one_hot: indexing.one_hot indices depth on_value off_value axis dtype
ones_like: np.ones_like input
pad: compositions.pad tensor paddings mode constant_values
repeat: np.repeat input repeats axis
reshape: np.reshape tensor shape
reverse: np.flip tensor axis
roll: np.roll input shift axis
scatter_nd: indexing.scatter_nd indices updates shape
searchsorted: np.searchsorted sorted_sequence values=v side
slice: compositions.part input_ begin size
sort: compositions.sort values axis direction
squeeze: np.squeeze input axis
stack: np.stack values axis
tensor_scatter_nd_add: indexing.scatter_add tensor indices updates
tensor_scatter_nd_sub: indexing.scatter_sub tensor indices updates
tensor_scatter_nd_update: indexing.scatter_update tensor indices updates
tensordot: np.tensordot a b axes
tile: np.tile input multiples=reps
transpose: np.transpose a perm=axes
zeros_like: np.zeros_like input
"""
LINALG = """
adjoint: np.matrix_transpose matrix
band_part: compositions.band_part input num_lower num_upper
cholesky: np.linalg.cholesky input
cholesky_solve: compositions.cholesky_solve chol rhs
cross: np.cross a b
det: np.linalg.det input
diag: compositions.diag diagonal
diag_part: compositions.diag_part input
eigh: np.linalg.eigh tensor
eigvalsh: np.linalg.eigvalsh tensor
inv: np.linalg.inv input
logdet: compositions.logdet matrix
lstsq: compositions.lstsq matrix rhs l2_regularizer
matrix_rank: np.linalg.matrix_rank a
matrix_transpose: np.matrix_transpose a
matvec: compositions.matvec a b
norm: np.linalg.norm tensor ord axis keepdims
pinv: np.linalg.pinv a
qr: np.linalg.qr input
set_diag: compositions.set_diag input diagonal
slogdet: np.linalg.slogdet input
solve: np.linalg.solve matrix rhs=b
svd: compositions.svd tensor full_matrices:False compute_uv:True
tensor_diag: np.diag diagonal
tensor_diag_part: np.diagonal input
tensordot: np.tensordot a b axes
trace: compositions.trace x
triangular_solve: compositions.triangular_solve matrix rhs lower:True adjoint:False
"""
NN = """
avg_pool2d: images.avg_pool2d input ksize strides padding
avg_pool: images.avg_pool2d input ksize strides padding
batch_normalization: compositions.batch_normalization x mean variance offset scale variance_epsilon
bias_add: compositions.bias_add value bias
conv2d: images.conv2d input filters strides padding dilations
crelu: compositions.crelu features
depthwise_conv2d: images.depthwise_conv2d input filter strides padding
elu: nn.elu features alpha
embedding_lookup: indexing.gather params ids=indices
gelu: nn.gelu features approximate:False
in_top_k: compositions.in_top_k targets predictions k
l2_loss: compositions.l2_loss t
l2_normalize: compositions.l2_normalize x axis epsilon
leaky_relu: nn.leaky_relu features alpha=negative_slope:0.2
log_softmax: nn.log_softmax logits axis
max_pool2d: images.max_pool2d input ksize strides padding
max_pool: images.max_pool2d input ksize strides padding
moments: compositions.moments x axes keepdims
relu6: nn.relu6 features
relu: nn.relu features
selu: nn.selu features
sigmoid: nn.sigmoid x
sigmoid_cross_entropy_with_logits: compositions.sigmoid_cross_entropy labels logits
silu: nn.silu features
softmax: nn.softmax logits axis
softmax_cross_entropy_with_logits: compositions.softmax_cross_entropy labels logits axis
softplus: nn.softplus features
softsign: nn.soft_sign features
sparse_softmax_cross_entropy_with_logits: compositions.sparse_softmax_cross_entropy labels logits
swish: nn.silu features
tanh: np.tanh x
top_k: compositions.top_k input k:1
weighted_cross_entropy_with_logits: compositions.weighted_cross_entropy labels logits pos_weight
zero_fraction: compositions.zero_fraction value
"""

#: Parameters that belong to the program: a tensor there stands for its numbers.
_STATIC = frozenset(
    "axis axes shape multiples reps paddings depth num_classes k repeats shift ord batch_dims "
    "num_segments num_lower num_upper ksize strides begin size minlength".split()
)

_ROOMS = {
    "np": np, "nn": nn, "special": special, "compositions": compositions, "images": images,
    "indexing": indexing,
}  # fmt: skip


def functions(rows: str) -> dict[str, Callable[..., Any]]:
    """The functions of a table, by name."""
    return dict(map(_row, rows.strip().splitlines()))


def _row(row: str) -> tuple[str, Callable[..., Any]]:
    name, _, rest = row.partition(": ")
    path, *parameters = rest.split()
    fun: Any = _ROOMS[path.split(".")[0]]
    for part in path.split(".")[1:]:
        fun = getattr(fun, part)
    return name, _function(name, fun, parameters)


def _function(name: str, fun: Any, parameters: list[str]) -> Callable[..., Any]:
    """A function of tensors; the rest of the row says how its parameters are called."""
    names, theirs, defaults = [], {}, {}
    for parameter in parameters:
        pair, _, default = parameter.partition(":")
        ours, _, other = pair.partition("=")
        names.append(ours)
        theirs[ours] = other or ours
        if default:
            defaults[theirs[ours]] = float(default) if "." in default else _literal(default)
    first, *others = names
    pairs = others[:1] == ["y"] and len(others) == 1

    def function(*args: Any, **kwargs: Any) -> Any:
        kwargs.pop("name", None)
        given = dict(zip(names, args, strict=False), **kwargs)
        unknown = [key for key in given if key not in theirs]
        if unknown or len(args) > len(names) or first not in given:
            raise ArgumentError(
                f"tf.{name} takes {', '.join(names)}, got {len(args)} arguments"
                f"{''.join(f', {key}=' for key in kwargs)}", where=user_frame(),
            )  # fmt: skip
        operand = given.pop(first)
        if pairs and "y" in given:
            y = given["y"]
            if not isinstance(operand, Value) and not isinstance(y, Value):
                operand = convert(operand)
            return binary(fun, operand, y)
        options = defaults | {theirs[key]: _known(theirs[key], x) for key, x in given.items()}
        return call(fun, _operands(operand), **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name}({', '.join(names)}): {fun.__name__} of tensors."
    return function


def _known(name: str, x: Any) -> Any:
    """A parameter: numbers, where it belongs to the program, and NumPy's dtypes."""
    if isinstance(x, DType):
        return x.numpy_dtype
    if name not in _STATIC:
        return x
    if isinstance(x, (list, tuple)):
        items = [int(n) if isinstance(n, Value) and not n.ndim else n for n in x]
        return items if isinstance(x, list) else tuple(items)
    return x.numbers() if isinstance(x, Value) else x


def _literal(text: str) -> Any:
    """A truth, or an int."""
    return text == "True" if text in ("True", "False") else int(text)


def _operands(x: Any) -> Any:
    """The first argument: a tensor, or a list of them where tensors are put together."""
    if isinstance(x, (list, tuple)) and any(isinstance(y, Value) for y in x):
        return [convert(y) for y in x]
    return convert(x)
