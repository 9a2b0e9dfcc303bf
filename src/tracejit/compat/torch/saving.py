"""torch.save and torch.load: pickles of ours, not PyTorch's files."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any


def save(obj: Any, f: Any) -> None:
    """Write tensors, state dicts, and trees of them to a path or an open file."""
    data = pickle.dumps(obj)
    f.write(data) if hasattr(f, "write") else Path(f).write_bytes(data)


def load(f: Any, map_location: Any = None, weights_only: bool = True) -> Any:
    """Read what `save` wrote. Reading a pickle runs what is in it: read your own files only."""
    data = f.read() if isinstance(f, io.IOBase) or hasattr(f, "read") else Path(f).read_bytes()
    return pickle.loads(data)
