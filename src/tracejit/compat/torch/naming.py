"""What PyTorch calls the operations that gave tensors."""

from __future__ import annotations

from typing import Any


class GradFn:
    """The operation that gave a tensor."""

    def __init__(self, step: Any):
        self.step = step

    def name(self) -> str:
        """PyTorch's name of it."""
        word = self.step.operation.name
        known_as = NAMES.get(word) or "".join(p.capitalize() for p in word.strip("_").split("_"))
        if self.step.operation.jaxpr is None:  # an autograd.Function
            return f"{word}Backward"
        return known_as if known_as == "CopySlices" else f"{known_as}Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """What gave the operands that require gradients: (grad_fn, index)."""
        return tuple(
            (GradFn(c.step) if c.step else None, c.index) for c in self.step.inputs if c.needs
        )

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self.step))}>"


#: What PyTorch calls the derivatives of functions that have other names here.
NAMES = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "power": "Pow",
    "negative": "Neg", "absolute": "Abs", "matmul": "Mm", "transpose": "T",
    "swapaxes": "Transpose", "set_item": "CopySlices", "put": "CopySlices", "item": "Select",
    "arctan2": "Atan2", "reshape": "View", "_bce": "BinaryCrossEntropy", "_by_classes": "NllLoss",
    "_nll": "NllLoss", "_bce_logits": "BinaryCrossEntropyWithLogits", "linear": "Addmm",
    "_batch_normal": "NativeBatchNorm", "layer_norm": "NativeLayerNorm",
    "conv2d": "Convolution", "conv1d": "Convolution", "positive": "Clone",
}  # fmt: skip
