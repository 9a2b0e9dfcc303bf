"""Parameters, and modules that hold them."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.kinds import mode, no_grad, on_cpu
from tracejit.compat.torch.nn import hooks
from tracejit.compat.torch.tensor import Box, RemovableHandle, Tensor, fault, run_together
from tracejit.errors import did_you_mean

__all__ = ["Buffer", "Module", "Parameter"]


class Parameter(Tensor):
    """A tensor that a module learns: it requires gradients, unless said."""

    def __init__(self, data: Any = None, requires_grad: bool = True):
        array = data.cell.value if isinstance(data, Tensor) else np.asarray(data, np.float32)
        super().__init__(box=Box(known(array)))
        self.requires_grad_(requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class Buffer(Tensor):
    """A tensor that a module saves and does not learn."""

    def __init__(self, data: Any, *, persistent: bool = True):
        super().__init__(box=Box(known(data.cell.value)))
        self.persistent = persistent


class _Keys(namedtuple("_Keys", "missing_keys unexpected_keys")):
    """What `load_state_dict` did not find, and what it did not take."""

    def __repr__(self) -> str:
        return super().__repr__() if any(self) else "<All keys matched successfully>"


class Module:
    """The base class. Parameters, buffers and modules that are assigned to attributes are kept in
    tables of their own (`_parameters`, `_buffers`, `_modules`), in the order of assignment."""

    training: bool = True
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _unsaved: set[str]
    _hooks: dict[str, dict[int, Callable[..., Any]]]

    def __init__(self) -> None:
        for name in ("_parameters", "_buffers", "_modules", "_hooks"):
            object.__setattr__(self, name, {})
        object.__setattr__(self, "_unsaved", set())

    # ---- attributes

    def __setattr__(self, name: str, x: Any) -> None:
        tables = self.__dict__
        kind = "_parameters" if isinstance(x, Parameter) else (
            "_modules" if isinstance(x, Module) else
            "_buffers" if isinstance(x, Buffer) or name in tables.get("_buffers", ()) else None
        )  # fmt: skip
        if kind is not None and kind not in tables:
            what = {"_parameters": "parameters", "_modules": "module", "_buffers": "buffers"}[kind]
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        for table in ("_parameters", "_modules"):
            if name in tables.get(table, ()) and table != kind and x is not None:
                expected = "torch.nn.Parameter" if table == "_parameters" else "torch.nn.Module"
                raise TypeError(
                    f"cannot assign {type(x).__name__!r} as {table[1:-1]} '{name}' ({expected} or "
                    "None expected)"
                )
            if name in tables.get(table, ()) and x is None:
                kind = table
        if kind is None:
            object.__setattr__(self, name, x)
            return
        tables.pop(name, None)
        for table in ("_parameters", "_buffers", "_modules"):
            if table != kind:
                tables[table].pop(name, None)
        tables[kind][name] = x
        if isinstance(x, Buffer) and not x.persistent:
            self._unsaved.add(name)

    def __getattr__(self, name: str) -> Any:
        for table in ("_parameters", "_buffers", "_modules"):
            found = self.__dict__.get(table, {})
            if name in found:
                return found[name]
        here = f"'{type(self).__name__}' object has no attribute '{name}'"
        raise AttributeError(here if name.startswith("_") else f"{here}{self._perhaps(name)}")

    def _perhaps(self, name: str) -> str:
        tables = [self.__dict__.get(t, {}) for t in ("_parameters", "_buffers", "_modules")]
        names = [*self.__dict__, *dir(type(self)), *(n for table in tables for n in table)]
        found = did_you_mean(name, [n for n in names if not n.startswith("_")])
        return f"; {found}" if found.startswith("did you mean") else ""

    def __delattr__(self, name: str) -> None:
        for table in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[table]:
                del self.__dict__[table][name]
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """A tensor that is saved (unless said) and not learnt."""
        if hasattr(self, name) and name not in self._buffers:
            raise KeyError(f"attribute '{name}' already exists")
        self._buffers[name] = tensor
        (self._unsaved.discard if persistent else self._unsaved.add)(name)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """The same as assigning it; None keeps its place."""
        self._parameters[name] = None
        if param is not None:
            setattr(self, name, param)

    def add_module(self, name: str, module: Module | None) -> None:
        """The same as assigning it; None keeps its place."""
        self._modules[name] = module

    register_module = add_module

    # ---- calls

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not mode.enabled and not mode.together:
            return run_together(self._called, args, kwargs)
        return self._called(*args, **kwargs)

    def _called(self, *args: Any, **kwargs: Any) -> Any:
        if self.__dict__.get("_hooks"):
            return hooks.call(self, self._hooks, args, kwargs)
        return self.forward(*args, **kwargs)

    def _register(self, kind: str, hook: Callable[..., Any]) -> RemovableHandle:
        return RemovableHandle(self._hooks.setdefault(kind, {}), hook)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """hook(module, args) before each call; what it returns, if anything, are the arguments."""
        return self._register("pre_with_kwargs" if with_kwargs else "pre", hook)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:  # fmt: skip
        """hook(module, args, output) after each call; what it returns, if anything, is the
        output."""
        return self._register("post_with_kwargs" if with_kwargs else "post", hook)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """hook(module, grad_input, grad_output) in each backward; what it returns, if anything,
        is the gradient of the arguments."""
        return self._register("backward", hook)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """hook(module, grad_output) in each backward; what it returns, if anything, is the
        gradient of the output."""
        return self._register("backward_pre", hook)

    # ---- what it holds

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules right below, by name."""
        return ((name, x) for name, x in self._modules.items() if x is not None)

    def children(self) -> Iterator[Module]:
        """The modules right below."""
        return (module for _, module in self.named_children())

    def named_modules(self, memo: Any = None, prefix: str = "") -> Iterator[tuple[str, Module]]:
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

    def _named(self, table: str, prefix: str, recurse: bool, once: bool) -> Iterator[Any]:
        seen: set[int] = set()
        several = self.named_modules(prefix=prefix) if recurse else [(prefix, self)]
        for path, module in several:
            for name, x in module.__dict__[table].items():
                if x is not None and not (once and id(x) in seen):
                    seen.add(id(x))
                    yield _join(path, name), x

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters, each once, by path: `layer.weight`."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, each once."""
        return (x for _, x in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers, by path."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers."""
        return (x for _, x in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path; AttributeError where there is none."""
        found: Any = self
        for name in target.split(".") if target else ():
            found = getattr(found, name)
        return found  # type: ignore[no-any-return]

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path."""
        path, _, name = target.rpartition(".")
        return getattr(self.get_submodule(path), name)  # type: ignore[no-any-return]

    # ---- saving

    def _saved(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Parameters and buffers that are saved, by path, of this module before those below."""
        for name, x in (*self._parameters.items(), *self._buffers.items()):
            if x is not None and name not in self._unsaved:
                yield prefix + name, x
        for name, module in self.named_children():
            yield from module._saved(f"{prefix}{name}.")

    def state_dict(
        self, destination: Any = None, prefix: str = "", keep_vars: bool = False
    ) -> OrderedDict[str, Tensor]:
        """Parameters and buffers by path, without history; they share memory with the module."""
        state: OrderedDict[str, Tensor] = OrderedDict() if destination is None else destination
        for name, x in self._saved(prefix):
            state[name] = x if keep_vars else x.detach()
        return state

    def _depth(self, path: str) -> int:
        """How many parts of a path there are here."""
        found: Module | None = self
        parts = path.split(".")
        for depth, name in enumerate(parts):
            found = None if found is None else found._modules.get(name)
            if found is None:
                return depth
        return len(parts)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> _Keys:
        """Write the values of a `state_dict` into parameters and buffers."""
        mine = dict(self._saved())
        missing = [name for name in mine if name not in state_dict]
        unexpected = [name for name in state_dict if name not in mine]
        unexpected.sort(key=self._depth)
        faults = []
        if strict and unexpected:
            faults.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
        if strict and missing:
            faults.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
        for name, x in mine.items():
            if name in state_dict and tuple(state_dict[name].shape) != tuple(x.shape):
                faults.append(
                    f"size mismatch for {name}: copying a param with shape "
                    f"{state_dict[name].shape} from checkpoint, the shape in current model is "
                    f"{x.shape}."
                )
        if faults:
            listed = "\n\t".join(faults)
            raise fault(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{listed}",
                "" if all("size" in f for f in faults) else "strict=False takes what is in both",
            )
        with no_grad():
            for name, x in mine.items():
                if name in state_dict:
                    x.copy_(state_dict[name])
        return _Keys(missing, unexpected)

    # ---- all that it holds at once

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
            x.grad = None if set_to_none or x.grad is None else x.grad.zero_()

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
        """Floats in another dtype; devices are all the CPU. Itself."""
        for x in (*self.parameters(), *self.buffers()):
            if x.dtype.is_floating_point:
                x.data = x.detach().to(*args, **kwargs)
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

    def cuda(self, device: Any = None) -> Module:
        """An error: everything is on the CPU."""
        on_cpu("cuda")
        return self

    def extra_repr(self) -> str:
        """What the text of the module says in its parentheses."""
        return ""

    def _lines(self) -> list[str]:
        return [f"({name}): {child!r}" for name, child in self._modules.items()]

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = self._lines()
        extra = self.extra_repr()
        if not lines:
            return f"{self._get_name()}({extra})"
        lines = [*([extra] if extra else []), *lines]
        listed = "\n".join(lines).replace("\n", "\n  ")
        return f"{self._get_name()}(\n  {listed}\n)"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
