"""NumPy's functions on arrays and traced values: `import tracejit.numpy as tnp`.

The names, arguments and results are NumPy's. The same functions answer when code that says
`import numpy as np` is traced, so a program may use either; this namespace adds the functions that
create arrays, which NumPy cannot hand over. What is different is said in docs/numpy.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.types import bfloat16 as _bfloat16
from tracejit.numpy import (
    calculus,
    choosing,
    contraction,
    creation,
    einstein,
    fft,
    indexing,
    linalg,
    mutation,
    operators,
    plain,
    reductions,
    shaping,
    sorting,
    static,
    statistics,
    ufuncs,
    world,
)
from tracejit.numpy.arrays import nearest
from tracejit.numpy.calculus import *  # noqa: F403
from tracejit.numpy.choosing import *  # noqa: F403
from tracejit.numpy.contraction import *  # noqa: F403
from tracejit.numpy.creation import *  # noqa: F403
from tracejit.numpy.einstein import *  # noqa: F403
from tracejit.numpy.indexing import *  # noqa: F403
from tracejit.numpy.mutation import *  # noqa: F403
from tracejit.numpy.reductions import *  # noqa: F403
from tracejit.numpy.shaping import *  # noqa: F403
from tracejit.numpy.sorting import *  # noqa: F403
from tracejit.numpy.static import *  # noqa: F403
from tracejit.numpy.statistics import *  # noqa: F403
from tracejit.numpy.ufuncs import *  # noqa: F403
from tracejit.numpy.windows.functions import aware_of_windows

_ROOMS = (
    calculus, choosing, contraction, creation, einstein, indexing, mutation, reductions, shaping,
    sorting, static, statistics, ufuncs,
)  # fmt: skip

__all__ = sorted({"fft", "linalg", *(name for room in _ROOMS for name in room.__all__)})

operators.answer_for(np, _ROOMS)
world.lend()
plain.lend()
operators.answer_for(np.linalg, (linalg,))
operators.answer_for(np.fft, (fft,))
globals().update(aware_of_windows({name: globals()[name] for name in __all__}))


def __getattr__(name: str) -> Any:
    if name == "bfloat16":
        return _bfloat16().type
    hint = f"np.{name} works on known arrays" if hasattr(np, name) else nearest(name, __all__)
    raise AttributeError(f"tracejit.numpy has no {name!r}; {hint}")
