"""tf.custom_gradient: functions that bring their derivative."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tracejit import tree
from tracejit.api import custom
from tracejit.compat.tensorflow.tensor import Tensor, Value, call, convert
from tracejit.compat.tensorflow.tensor import bare as array_of

__all__ = ["custom_gradient"]


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors that returns (result, gradient function), as a function of tensors.

    The gradient function takes a cotangent for each tensor of the result, and returns one for each
    argument: a tensor, or a tuple or list of them. Variables that f reads are constants.
    """

    def arrays(*args: Any) -> Any:
        y, grad = f(*[Tensor(x) for x in args])

        def pull(ct: Any) -> Any:
            weights = [Tensor(w) for w in tree.leaves(ct)]
            found = grad(*weights)
            return tuple(map(array_of, found if isinstance(found, (tuple, list)) else [found]))

        return tree.map(array_of, y), pull

    rule = custom.custom_gradient(functools.wraps(f)(arrays))

    def on_arrays(*args: Any) -> Any:
        return rule(*args)

    @functools.wraps(f)
    def function(*args: Any) -> Any:
        tensors = [x if isinstance(x, Value) else convert(x) for x in args]
        return call(on_arrays, *tensors)

    return function
