"""Modules that hold others: lists, dicts, and sequences that are called one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tracejit.compat.torch.nn.modules import Module, Parameter
from tracejit.compat.torch.tensor import Tensor

__all__ = ["ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]


class _Several(Module):
    """Modules, or parameters, by number."""

    _table = "_modules"

    def __init__(self, items: Any = None):
        super().__init__()
        self.extend(() if items is None else items)

    def _items(self) -> list[Any]:
        return list(self.__dict__[self._table].values())

    def append(self, x: Any) -> Any:
        """One more; itself."""
        setattr(self, str(len(self)), x)
        return self

    def extend(self, items: Any) -> Any:
        """Some more; itself."""
        for x in items:
            self.append(x)
        return self

    def insert(self, index: int, x: Any) -> Any:
        """One more at a place; itself."""
        items = self._items()
        items.insert(index, x)
        return self._renewed(items)

    def _renewed(self, items: list[Any]) -> Any:
        self.__dict__[self._table].clear()
        return self.extend(items)

    def __len__(self) -> int:
        return len(self.__dict__[self._table])

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(self._items()[index])
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range")
        return self._items()[index]

    def __setitem__(self, index: int, x: Any) -> None:
        setattr(self, list(self.__dict__[self._table])[index], x)

    def __delitem__(self, index: Any) -> None:
        items = self._items()
        del items[index]
        self._renewed(items)


class ModuleList(_Several):
    """Modules in a list."""

    def _lines(self) -> list[str]:
        """Neighbours that read the same are told once."""
        texts = [repr(x) for x in self]
        lines, start = [], 0
        for i, text in enumerate(texts):
            if i + 1 == len(texts) or texts[i + 1] != text:
                count = i + 1 - start
                several = f"({start}-{i}): {count} x " if count > 1 else f"({i}): "
                lines.append(several + text)
                start = i + 1
        return lines


class ParameterList(_Several):
    """Parameters in a list; tensors become parameters."""

    _table = "_parameters"

    def append(self, x: Any) -> Any:
        """One more; itself."""
        plain = isinstance(x, Tensor) and not isinstance(x, Parameter)
        return super().append(Parameter(x) if plain else x)


class Sequential(_Several):
    """Modules one after the other; they may be named by an OrderedDict."""

    def __init__(self, *modules: Any):
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], dict):
            for name, module in modules[0].items():
                self.add_module(name, module)
        else:
            self.extend(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return type(self)(dict(list(self._modules.items())[index]))
        return super().__getitem__(index)

    def forward(self, input: Any) -> Any:
        """The last module of the last but one ... of the input."""
        for module in self._modules.values():
            input = module(input)  # type: ignore[misc]
        return input


class _Named(Module):
    """Modules, or parameters, by name."""

    _table = "_modules"

    def __init__(self, items: Any = None):
        super().__init__()
        self.update(items or {})

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[self._table][name]

    def __setitem__(self, name: str, x: Any) -> None:
        setattr(self, name, x)

    def __delitem__(self, name: str) -> None:
        delattr(self, name)

    def __len__(self) -> int:
        return len(self.__dict__[self._table])

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__[self._table])

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__[self._table]

    def update(self, items: Any) -> None:
        """Those of a dict, or of pairs."""
        for name, x in dict(items).items():
            self[name] = x

    def keys(self) -> Any:
        """The names."""
        return self.__dict__[self._table].keys()

    def items(self) -> Any:
        """Names and what they name."""
        return self.__dict__[self._table].items()

    def values(self) -> Any:
        """What is named."""
        return self.__dict__[self._table].values()


class ModuleDict(_Named):
    """Modules by name."""

    def __setitem__(self, name: str, x: Any) -> None:
        self.add_module(name, x)


class ParameterDict(_Named):
    """Parameters by name; tensors become parameters."""

    _table = "_parameters"

    def __setitem__(self, name: str, x: Any) -> None:
        self.register_parameter(name, x if isinstance(x, Parameter) else Parameter(x))
