"""Layers on windows, and normalisation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.compat.torch.creation import empty, made, ones, zeros
from tracejit.compat.torch.nn import functional, init
from tracejit.compat.torch.nn.modules import Module, Parameter
from tracejit.compat.torch.nn.windows import sizes

F: Any = functional


class _Conv(Module):
    """A convolution; weight and bias are uniform within 1 / sqrt(fan in) at first."""

    rank, transposed = 2, False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, dilation: Any = 1, groups: int = 1, bias: bool = True,
        padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ):  # fmt: skip
        super().__init__()
        if in_channels % groups:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups:
            raise ValueError("out_channels must be divisible by groups")
        rank = self.rank
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = sizes(kernel_size, rank), sizes(stride, rank)
        self.padding = padding if isinstance(padding, str) else sizes(padding, rank)
        self.dilation, self.padding_mode = sizes(dilation, rank), padding_mode
        pair = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        shape = (pair[0], pair[1] // groups, *self.kernel_size)
        self.weight = Parameter(empty(*shape, dtype=dtype))
        offset = Parameter(empty(out_channels, dtype=dtype)) if bias else None
        self.register_parameter("bias", offset)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias anew."""
        bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
        for x in self.parameters():
            init.uniform_(x, -bound, bound)

    def forward(self, input: Any) -> Any:
        """The convolution."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            widths = [p for p in reversed(padding) for _ in range(2)]
            input, padding = F.pad(input, tuple(widths), self.padding_mode), 0
        given = (self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return getattr(F, f"conv{self.rank}d")(input, *given)

    def extra_repr(self) -> str:
        """The sizes, and what is not as usual."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        usual: dict[str, Any] = {
            "padding": sizes(0, self.rank), "dilation": sizes(1, self.rank),
            "output_padding": sizes(0, self.rank), "groups": 1,
        }  # fmt: skip
        for name, value in usual.items():
            found = getattr(self, name, value)
            text += f", {name}={found}" if found != value else ""
        text += "" if self.bias is not None else ", bias=False"
        return text if self.padding_mode == "zeros" else f"{text}, padding_mode={self.padding_mode}"


class Conv1d(_Conv):
    """Convolution over an axis of space."""

    rank = 1


class Conv2d(_Conv):
    """Convolution over two axes of space."""


class Conv3d(_Conv):
    """Convolution over three axes of space."""

    rank = 3


class _ConvTranspose(_Conv):
    """What a convolution with this kernel does to a gradient."""

    transposed = True

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any = 1,
        padding: Any = 0, output_padding: Any = 0, groups: int = 1, bias: bool = True,
        dilation: Any = 1, padding_mode: str = "zeros", device: Any = None, dtype: Any = None,
    ):  # fmt: skip
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip
        self.output_padding = sizes(output_padding, self.rank)

    def forward(self, input: Any) -> Any:
        """The transposed convolution."""
        return getattr(F, f"conv_transpose{self.rank}d")(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding,
            self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTranspose):
    """What `Conv1d` does to a gradient."""

    rank = 1


class ConvTranspose2d(_ConvTranspose):
    """What `Conv2d` does to a gradient."""


class ConvTranspose3d(_ConvTranspose):
    """What `Conv3d` does to a gradient."""

    rank = 3


# ---- pooling, padding


class _Pool(Module):
    """Windows of the last axes, reduced."""

    function = ""
    options: tuple[str, ...] = ("kernel_size", "stride", "padding", "dilation")

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0, *more: Any,
                 **named: Any):  # fmt: skip
        super().__init__()
        self.kernel_size, self.padding = kernel_size, padding
        self.stride = kernel_size if stride is None else stride
        rest = ("dilation", "return_indices", "ceil_mode")
        if "avg" in self.function:
            rest = ("ceil_mode", "count_include_pad", "divisor_override")
        self.named = {**dict(zip(rest, more, strict=False)), **named}
        self.dilation, self.ceil_mode = self.named.get("dilation", 1), False
        self.ceil_mode = self.named.get("ceil_mode", False)

    def forward(self, input: Any) -> Any:
        """The windows."""
        function = getattr(F, self.function)
        return function(input, self.kernel_size, self.stride, self.padding, **self.named)

    def extra_repr(self) -> str:
        """The windows' sizes."""
        names = ["kernel_size", "stride", "padding"]
        names += [] if "avg" in self.function else ["dilation", "ceil_mode"]
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)


class _Adaptive(Module):
    """So many windows along each axis."""

    function = ""

    def __init__(self, output_size: Any):
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        """The windows."""
        return getattr(F, self.function)(input, self.output_size)

    def extra_repr(self) -> str:
        """How many there are."""
        return f"output_size={self.output_size}"


class _Pad(Module):
    """The input, padded."""

    rank, mode = 2, "constant"

    def __init__(self, padding: Any, value: float = 0.0):
        super().__init__()
        one = isinstance(padding, int)
        self.padding = (padding,) * (2 * self.rank) if one else tuple(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        """Padded."""
        value = self.value if self.mode == "constant" else None
        return F.pad(input, self.padding, self.mode, value)

    def extra_repr(self) -> str:
        """How far."""
        return f"{self.padding}"


def _family(base: type, name: str, **members: Any) -> type:
    members = {"__module__": __name__, "__doc__": base.__doc__, **members}
    return type(name, (base,), members)


_FAMILIES: dict[str, type] = {}
for _rank in (1, 2, 3):
    for _kind, _title in (("max", "Max"), ("avg", "Avg")):
        _name = f"{_title}Pool{_rank}d"
        _FAMILIES[_name] = _family(_Pool, _name, function=f"{_kind}_pool{_rank}d")
        _name = f"Adaptive{_title}Pool{_rank}d"
        _FAMILIES[_name] = _family(_Adaptive, _name, function=f"adaptive_{_kind}_pool{_rank}d")
    for _title, _mode in (
        ("Zero", "constant"), ("Constant", "constant"), ("Reflection", "reflect"),
        ("Replication", "replicate"), ("Circular", "circular"),
    ):  # fmt: skip
        _name = f"{_title}Pad{_rank}d"
        _FAMILIES[_name] = _family(_Pad, _name, rank=_rank, mode=_mode)
globals().update(_FAMILIES)

# ---- normalisation


class _BatchNorm(Module):
    """Mean 0 and variance 1 for each channel: of the batch while training, of what was seen
    before else."""

    dims: tuple[int, ...] = (4,)

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1,
        affine: bool = True, track_running_stats: bool = True,
    ):  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.register_parameter("weight", Parameter(ones(num_features)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features)) if affine else None)
        tracks = track_running_stats
        self.register_buffer("running_mean", zeros(num_features) if tracks else None)
        self.register_buffer("running_var", ones(num_features) if tracks else None)
        self.register_buffer("num_batches_tracked", made(0) if tracks else None)

    def forward(self, input: Any) -> Any:
        """Normalised."""
        if input.ndim not in self.dims:
            wanted = " or ".join(f"{n}D" for n in self.dims)
            raise ValueError(f"expected {wanted} input (got {input.ndim}D input)")
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.training and self.track_running_stats:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or self.running_mean is None, momentum, self.eps,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Batch norm of (batch, channels) or (batch, channels, length)."""

    dims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of images."""


class BatchNorm3d(_BatchNorm):
    """Batch norm of volumes."""

    dims = (5,)


class _InstanceNorm(Module):
    """Mean 0 and variance 1 over space, for each element of the batch and channel."""

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1,
                 affine: bool = False):  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine = affine
        self.register_parameter("weight", Parameter(ones(num_features)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features)) if affine else None)

    def forward(self, input: Any) -> Any:
        """Normalised."""
        return F.instance_norm(input, None, None, self.weight, self.bias, True, 0.1, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            "track_running_stats=False"
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of (batch, channels, length)."""


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of images."""


class GroupNorm(Module):
    """Mean 0 and variance 1 over groups of channels."""

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True):
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.affine = affine
        self.register_parameter("weight", Parameter(ones(num_channels)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_channels)) if affine else None)

    def forward(self, input: Any) -> Any:
        """Normalised."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LayerNorm(Module):
    """Mean 0 and variance 1 over the last axes, then weight and bias."""

    def __init__(self, normalized_shape: Any, eps: float = 1e-5, elementwise_affine: bool = True,
                 bias: bool = True):  # fmt: skip
        super().__init__()
        one = isinstance(normalized_shape, int | np.integer)
        shape = self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        affine = elementwise_affine
        self.register_parameter("weight", Parameter(ones(shape)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(shape)) if affine and bias else None)

    def forward(self, input: Any) -> Any:
        """Normalised."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        affine = self.elementwise_affine
        text = f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={affine}"
        return f"{text}, bias={self.bias is not None}"


class RMSNorm(Module):
    """Over the root of the mean square of the last axes, times a weight."""

    def __init__(self, normalized_shape: Any, eps: float | None = None,
                 elementwise_affine: bool = True):  # fmt: skip
        super().__init__()
        one = isinstance(normalized_shape, int)
        self.normalized_shape = (normalized_shape,) if one else tuple(normalized_shape)
        self.eps = eps
        weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None
        self.register_parameter("weight", weight)

    def forward(self, input: Any) -> Any:
        """Normalised."""
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The options."""
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine=True"


__all__ = [
    *_FAMILIES, "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Conv1d", "Conv2d", "Conv3d",
    "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "GroupNorm", "InstanceNorm1d",
    "InstanceNorm2d", "LayerNorm", "RMSNorm",
]  # fmt: skip
