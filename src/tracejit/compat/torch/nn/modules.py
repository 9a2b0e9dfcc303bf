"""Parameters, and modules that hold them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.kinds import no_grad
from tracejit.compat.torch.tensor import Box, Tensor
from tracejit.errors import ArgumentError
from tracejit.trace.provenance import user_frame

__all__ = ["Module", "ModuleDict", "ModuleList", "Parameter", "ParameterList", "Sequential"]


class Parameter(Tensor):
    """A tensor that a module learns: it requires gradients, unless said."""

    def __init__(self, data: Any = None, requires_grad: bool = True):
        array = data.cell.value if isinstance(data, Tensor) else np.asarray(data, np.float32)
        super().__init__(None, Box(known(array)))
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Module:
    """The base class: what is assigned to an attribute is found by its kind.

    Parameters and modules are looked up in the attributes, in the order of assignment; `buffers`
    are tensors that are saved and not learnt.
    """

    training: bool = True

    def __init__(self, *_: Any, **__: Any):
        self.__dict__.setdefault("_buffers", {})

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A tensor that is saved and not learnt."""
        self.__dict__.setdefault("_buffers", {})[name] = persistent
        self.__dict__[name] = tensor

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as assigning it."""
        self.__dict__[name] = param

    def add_module(self, name: str, module: Module) -> None:
        """The same as assigning it."""
        self.__dict__[name] = module

    register_module = add_module

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below, by name."""
        return ((name, x) for name, x in vars(self).items() if isinstance(x, Module))

    def children(self) -> Iterator[Module]:
        """The modules right below."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below, each once."""
        seen: set[int] = set()
        pending: list[tuple[str, Module]] = [(prefix, self)]
        while pending:
            path, module = pending.pop(0)
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            below = [(_join(path, name), child) for name, child in module.named_children()]
            pending = below + pending

    def modules(self) -> Iterator[Module]:
        """This module and all below."""
        return (module for _, module in self.named_modules())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters, each once, by path: `layer.weight`."""
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, x in vars(module).items():
                if isinstance(x, Parameter) and id(x) not in seen:
                    seen.add(id(x))
                    yield _join(path, name), x

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (x for _, x in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """The buffers, by path."""
        for path, module in self.named_modules(prefix):
            for name in vars(module).get("_buffers", ()):
                if vars(module)[name] is not None:
                    yield _join(path, name), vars(module)[name]

    def buffers(self) -> Iterator[Tensor]:
        """The buffers."""
        return (x for _, x in self.named_buffers())

    def state_dict(self) -> OrderedDict[str, Tensor]:
        """Parameters and buffers by path, without history."""
        state = OrderedDict((name, x.detach()) for name, x in self.named_parameters())
        state.update(self.named_buffers())
        return state

    def load_state_dict(self, state_dict: Any, strict: bool = True) -> None:
        """Write the values of a `state_dict` into parameters and buffers."""
        mine: dict[str, Tensor] = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        missing, unexpected = mine.keys() - state_dict.keys(), state_dict.keys() - mine.keys()
        if strict and (missing or unexpected):
            raise ArgumentError(
                f"Error(s) in loading state_dict for {type(self).__name__}: missing key(s) "
                f"{sorted(missing)}, unexpected key(s) {sorted(unexpected)}", where=user_frame(),
                hint="strict=False takes those that are in both",
            )  # fmt: skip
        with no_grad():
            for name in mine.keys() & state_dict.keys():
                mine[name].copy_(state_dict[name])  # type: ignore[attr-defined]

    def train(self, mode: bool = True) -> Module:
        """Say whether this module is being trained (dropout, batch norm); itself."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Say that it is not being trained; itself."""
        return self.train(False)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the parameters."""
        for x in self.parameters():
            x.grad = None if set_to_none or x.grad is None else x.grad.zero_()  # type: ignore

    def requires_grad_(self, requires_grad: bool = True) -> Module:
        """Whether the parameters are learnt; itself."""
        for x in self.parameters():
            x.requires_grad_(requires_grad)
        return self

    def apply(self, fn: Callable[[Module], Any]) -> Module:
        """Call a function with each module below, then with this one; itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Module:
        """Parameters in another dtype; devices are all the CPU. Itself."""
        for x in (*self.parameters(), *self.buffers()):
            x.data = x.detach().to(*args, **kwargs)  # type: ignore[attr-defined]
        return self

    def double(self) -> Module:
        """Parameters in float64; itself."""
        return self.to(np.float64)

    def float(self) -> Module:
        """Parameters in float32; itself."""
        return self.to(np.float32)

    def cpu(self) -> Module:
        """Itself."""
        return self

    def extra_repr(self) -> str:
        """What the text of the module says in its parentheses."""
        return ""

    def __repr__(self) -> str:
        below = [f"({name}): {child!r}" for name, child in self.named_children()]
        if not below:
            return f"{type(self).__name__}({self.extra_repr()})"
        lines = "\n".join(below).replace("\n", "\n  ")
        return f"{type(self).__name__}(\n  {lines}\n)"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


class _Several(Module):
    """Modules or parameters by number."""

    def __init__(self, items: Any = ()):
        super().__init__()
        for x in items:
            self.append(x)

    def append(self, x: Any) -> Any:
        """One more; itself."""
        self.__dict__[str(len(self))] = x
        return self

    def _items(self) -> list[Any]:
        return [x for name, x in vars(self).items() if name.isdigit()]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __getitem__(self, index: Any) -> Any:
        found = self._items()[index]
        return type(self)(found) if isinstance(index, slice) else found


class ModuleList(_Several):
    """Modules in a list."""


class ParameterList(_Several):
    """Parameters in a list."""


class Sequential(_Several):
    """Modules one after the other; they may be named by an OrderedDict."""

    def __init__(self, *modules: Any):
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            several = modules[0] if len(modules) == 1 and type(modules[0]) is list else modules
            for module in several:
                self.append(module)

    def _items(self) -> list[Any]:
        return list(self.children())

    def forward(self, x: Any) -> Any:
        """The last module of the last but one ... of x."""
        for module in self.children():
            x = module(x)
        return x


class ModuleDict(Module):
    """Modules by name."""

    def __init__(self, modules: Any = ()):
        super().__init__()
        for name, module in dict(modules).items():
            self.add_module(name, module)

    def __getitem__(self, name: str) -> Module:
        return vars(self)[name]  # type: ignore[no-any-return]

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def keys(self) -> list[str]:
        """The names."""
        return [name for name, _ in self.named_children()]

    def items(self) -> list[tuple[str, Module]]:
        """Names and modules."""
        return list(self.named_children())

    def values(self) -> list[Module]:
        """The modules."""
        return list(self.children())
