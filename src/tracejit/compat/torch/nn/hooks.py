"""Functions that a module calls before and after itself, and in the backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.compat.torch.tensor import Tensor


def call(module: Any, table: dict[str, Any], args: Any, kwargs: Any) -> Any:
    """The call of a module that has hooks."""
    for hook in list(table.get("pre", {}).values()):
        found = hook(module, args)
        if found is not None:
            args = found if isinstance(found, tuple) else (found,)
    for hook in list(table.get("pre_with_kwargs", {}).values()):
        found = hook(module, args, kwargs)
        if found is not None:
            args, kwargs = found
    backward = [table.get("backward", {}), table.get("backward_pre", {})]
    slopes = _Slopes(module, *backward) if any(backward) else None
    args = args if slopes is None else slopes.enter(args)
    out = module.forward(*args, **kwargs)
    for hook in list(table.get("post", {}).values()):
        found = hook(module, args, out)
        out = out if found is None else found
    for hook in list(table.get("post_with_kwargs", {}).values()):
        found = hook(module, args, kwargs, out)
        out = out if found is None else found
    return out if slopes is None else slopes.leave(out)


class _Slopes:
    """The backward hooks of one call: they learn the gradients of the output first, then those of
    the arguments; both pass through here as hooks of tensors."""

    def __init__(self, module: Any, backward: dict[int, Any], before: dict[int, Any]):
        self.module, self.backward, self.before = module, backward, before
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments as tensors whose gradients come by here."""
        self.inputs = [None] * len(args)
        self.watching = any(isinstance(x, Tensor) and x.requires_grad for x in args)
        return tuple([self._watched(x, i, self._of_input) for i, x in enumerate(args)])

    def leave(self, out: Any) -> Any:
        """The output in the same way."""
        several = out if isinstance(out, tuple) else (out,)
        self.outputs = [None] * len(several)
        watched = tuple([self._watched(y, i, self._of_output) for i, y in enumerate(several)])
        return watched if isinstance(out, tuple) else watched[0]

    def _watched(self, x: Any, place: int, hook: Callable[[int, Tensor], Any]) -> Any:
        if not isinstance(x, Tensor) or not x.requires_grad:
            return x
        same: Tensor = x.view_as(x)
        same.register_hook(lambda slope: hook(place, slope))
        return same

    def _of_output(self, place: int, slope: Tensor) -> Any:
        self.outputs[place] = slope
        for hook in list(self.before.values()):
            found = hook(self.module, tuple(self.outputs))
            if found is not None:
                self.outputs[:] = found if isinstance(found, tuple) else (found,)
        if not self.watching:  # no argument requires gradients
            self._tell()
        return self.outputs[place]

    def _of_input(self, place: int, slope: Tensor) -> Any:
        self.inputs[place] = slope
        self._tell()
        return self.inputs[place]

    def _tell(self) -> None:
        for hook in list(self.backward.values()):
            found = hook(self.module, tuple(self.inputs), tuple(self.outputs))
            if found is not None:
                self.inputs[:] = found if isinstance(found, tuple) else (found,)
