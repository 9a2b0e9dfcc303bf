"""Compile a jaxpr through jax.jit, and call what comes out with NumPy arrays.

JAX has one process-wide switch between 32 and 64 bits, which is the user's. It is never touched:
everything here that traces, compiles or calls happens inside `jax.enable_x64(True)`, which holds
for the block, in this thread. Integers and floats keep their 64 bits whatever the switch says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from tracejit.backends.explanation import Explanation, Step
from tracejit.backends.xla.lower import lower
from tracejit.backends.xla.table import full
from tracejit.control.guard import cut_behind_guards, guard, guards_of
from tracejit.errors import CompileError
from tracejit.ir.effects import has_effects
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import BOOL
from tracejit.passes.pipeline import Observer
from tracejit.passes.stages import dump
from tracejit.passes.standard import SIMPLIFY


class XlaExecutable:
    """A jaxpr compiled by XLA for jax's default device, where its constants are kept.

    XLA has no way out of a program: what is behind the guards is a branch, taken where they hold,
    and what they ask comes out as further results.
    """

    def __init__(self, jaxpr: Jaxpr, name: str, constants: Sequence[np.ndarray] = ()):
        self.guards = guards_of(jaxpr)
        self.jaxpr = jaxpr
        self.name = name
        self._raised: list[BaseException] = []  # by callbacks
        self._calls_back = has_effects(self.jaxpr)
        try:
            with jax.enable_x64(True):
                self._constants = [jax.device_put(np.asarray(x)) for x in constants]
                self._compiled = self._lowered().compile()
        except jax.errors.JaxRuntimeError as error:
            raise CompileError(f"XLA could not compile {name}: {error}") from error

    def __call__(self, *arrays: Any) -> tuple[np.ndarray, ...]:
        """NumPy arrays out. jax arrays among the arguments stay where they are."""
        try:
            outs = tuple([_writeable(np.asarray(y)) for y in self.on_device(*arrays)])
            if self._calls_back:
                jax.effects_barrier()
        except jax.errors.JaxRuntimeError:
            if not self._raised:
                raise
            error, self._raised[:] = self._raised[0], []
            raise error from None
        return outs

    def on_device(self, *arrays: Any) -> tuple[jax.Array, ...]:
        """The results as jax arrays, on the device, perhaps still being computed; GuardFailed where
        the arrays take another path."""
        with jax.enable_x64(True):
            outs = self._compiled(*self._constants, *arrays)
        if not self.guards:
            return outs
        count = len(outs) - len(self.guards)
        for eqn, pred in zip(self.guards, outs[count:], strict=True):
            guard.evaluate(pred, **eqn.params)
        return outs[:count]

    def texts(self) -> dict[str, str]:
        """`stablehlo` and `hlo`."""
        return {name: make() for name, make in self.forms().items()}

    def forms(self) -> dict[str, Callable[[], str]]:
        """By name, what makes each text."""
        return {"stablehlo": self.stablehlo, "hlo": self.hlo}

    def stablehlo(self) -> str:
        """What jax hands to XLA."""
        with jax.enable_x64(True):
            return self._lowered().as_text()

    def hlo(self) -> str:
        """What XLA made of it: fused and scheduled."""
        return self._compiled.as_text() or ""

    def explain(self, name: str) -> Explanation:
        """What XLA tells of the whole program; of its steps it tells in `hlo`."""
        memory: Any = self._compiled.memory_analysis()
        cost = self._compiled.cost_analysis() or {}
        flops = cost.get("flops", 0) + cost.get("transcendentals", 0)
        moved = int(cost.get("bytes accessed", 0))
        step = Step(
            "the whole program; reading and writing are not told apart", bytes_read=moved,
            flops=int(flops),
        )  # fmt: skip
        return Explanation(
            name, "xla", (step,), memory.argument_size_in_bytes, memory.output_size_in_bytes,
            memory.temp_size_in_bytes,
        )  # fmt: skip

    def _lowered(self) -> jax.stages.Lowered:
        def run(*arrays: jax.Array) -> tuple[jax.Array, ...]:
            if self.guards:
                return self._lower_guarded(arrays)
            return lower(self.jaxpr, arrays, self._raised)

        run.__name__ = self.name
        arguments = [jax.ShapeDtypeStruct(t.shape, t.dtype) for t in self.jaxpr.in_types]
        return jax.jit(run).lower(*arguments)


    def _lower_guarded(self, arrays: Sequence[jax.Array]) -> tuple[jax.Array, ...]:
        """The results, 0 where a guard fails, and what the guards ask."""
        ahead, rest = cut_behind_guards(self.jaxpr)
        outs = lower(ahead, arrays, self._raised)
        passed, asked = outs[: len(rest.invars)], outs[len(rest.invars) :]
        hold = full(True, BOOL)
        for eqn, pred in zip(self.guards, asked, strict=True):
            hold = hold & (pred == eqn.params["expected"])

        def go_on(*xs: jax.Array) -> tuple[jax.Array, ...]:
            return lower(rest, xs, self._raised)

        def leave(*xs: jax.Array) -> tuple[jax.Array, ...]:
            return tuple([full(0, t.dtype, t.shape) for t in rest.out_types])

        return (*jax.lax.cond(hold, go_on, leave, *passed), *asked)


def _writeable(y: np.ndarray) -> np.ndarray:
    """y itself, or a copy where it is a view of a buffer that belongs to jax."""
    return y if y.flags.writeable else y.copy()


class XlaBackend:
    """See protocol.Backend."""

    name = "xla"
    tapes = False

    def compile(
        self,
        jaxpr: Jaxpr,
        *,
        name: str = "",
        observer: Observer | None = None,
        constants: Sequence[np.ndarray] = (),
        written: Sequence[int] = (),
    ) -> XlaExecutable:
        """Compile for jax's default device. Ours are the simple passes, XLA has the others."""
        executable = XlaExecutable(SIMPLIFY(jaxpr, observer), name or "program", constants)
        for form, make in executable.forms().items():
            dump(form, make)
        return executable


BACKEND = XlaBackend()
