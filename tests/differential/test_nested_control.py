"""Random programs of loops and branches in each other: here, on each backend, and under JAX.

Values and derivatives of all kinds agree; the programs are those of nested_control.py. JAX has no
reverse mode through loops of unknown length: there its program has a loop of MOST rounds, of which
those too many change nothing. And all agree with the program whose loops run in Python.

    TRACEJIT_NESTED=2000 pytest tests/differential/test_nested_control.py    tries more
    TRACEJIT_NESTED=500@9000 ...                                             those from 9000 on
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from nested_control import MOST, Writer

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import tracejit as tj
from tracejit import lax as our_lax

COUNT, _, FIRST = os.environ.get("TRACEJIT_NESTED", "8@0").partition("@")
SEEDS = range(int(FIRST or 0), int(FIRST or 0) + int(COUNT))
#: Of loops in loops in loops JAX compiles ten derivatives in a minute.
DEPTH = 2

NAMES = ["cond", "switch", "scan", "while_loop", "fori_loop", "map", "associative_scan",
         "dynamic_update_slice", "dynamic_index_in_dim"]  # fmt: skip
OUR_LAX = SimpleNamespace(
    **{name: getattr(our_lax, name) for name in NAMES}, jit=tj.jit, checkpoint=tj.checkpoint,
    slots=lambda f: tj.checkpoint(f, slots=2),
)  # fmt: skip
JAX_LAX = SimpleNamespace(
    **{name: getattr(jax.lax, name) for name in NAMES}, jit=jax.jit, checkpoint=jax.checkpoint,
    slots=jax.checkpoint,
)  # fmt: skip

FORWARD = ["value", "jvp", "vmap", "vmap of n"]
REVERSE = ["grad", "vjp", "vmap of grad", "grad of vmap", "jvp of grad", "grad of grad"]
#: What is asked of a batch, and what of each member.
MEMBERS = {"vmap": "value", "vmap of n": "value", "vmap of grad": "grad", "grad of vmap": "grad"}
Given = tuple[list[Any], list[Any], list[Any]]


def bounded_while(more: Any, step: Any, init: Any) -> Any:
    """while_loop as a loop of MOST rounds."""

    def turn(state: Any, _: Any) -> Any:
        return jax.lax.cond(more(state), step, lambda s: s, state), None

    return jax.lax.scan(turn, init, None, length=MOST)[0]


def bounded_fori(low: Any, high: Any, step: Any, init: Any) -> Any:
    """fori_loop as a loop of MOST rounds."""

    def turn(state: Any, k: Any) -> Any:
        i = low + k
        return jax.lax.cond(i < high, lambda s: step(i, s), lambda s: s, state), None

    return jax.lax.scan(turn, init, jnp.arange(MOST))[0]


BOUNDED = SimpleNamespace(
    **{**vars(JAX_LAX), "while_loop": bounded_while, "fori_loop": bounded_fori}
)


def made(text: str, lax: Any, xp: Any) -> Callable[..., Any]:
    """program(x, v, w, n) of a text."""
    names: dict[str, Any] = {}
    exec(compile(text, "program", "exec"), names)
    return lambda x, v, w, n: names["program"](lax, xp, x, v, w, n)


def arguments(seed: int) -> Given:
    """Arguments, those of a batch of three, tangents."""
    rng = np.random.default_rng(seed)
    one = [rng.uniform(-1, 1), *rng.uniform(-1, 1, (2, 3)), np.int64(rng.integers(0, 4))]
    many = [rng.uniform(-1, 1, 3), *rng.uniform(-1, 1, (2, 3, 3)), rng.integers(0, 4, 3)]
    return one, many, [rng.uniform(-1, 1), *rng.uniform(-1, 1, (2, 3))]


def floats(out: dict[str, Any]) -> Any:
    return out["s"], out["v"]


def pulled(pair: Any) -> Any:
    y, pull = pair
    return pull(y)


def modes(us: Any, program: Any, xp: Any, one: Any, many: Any, ts: Any) -> dict[str, Any]:
    """What a program is asked, by name: functions without arguments. us: tracejit, or jax."""
    *xs, n = one
    *rows, ns = many
    wrt = (0, 1, 2)

    def loss(*xs: Any) -> Any:
        out = program(*xs)
        return xp.sin(out["s"]) + xp.sum(out["v"][0] ** 2)

    def along(*xs: Any) -> Any:
        return sum(xp.sum(g * t) for g, t in zip(slope(*xs, n), ts, strict=True))

    slope = us.grad(loss, wrt)
    return {
        "value": lambda: program(*one),
        "jvp": lambda: us.jvp(lambda *xs: floats(program(*xs, n)), (*xs,), (*ts,)),
        "vmap": lambda: us.vmap(program)(*many),
        "vmap of n": lambda: us.vmap(program, (None, None, None, 0))(*xs, ns),
        "grad": lambda: slope(*one),
        "vjp": lambda: pulled(us.vjp(lambda *xs: floats(program(*xs, n)), *xs)),
        "vmap of grad": lambda: us.vmap(slope)(*many),
        "grad of vmap": lambda: us.grad(lambda *rows: xp.sum(us.vmap(loss)(*rows, ns)), wrt)(*rows),
        "jvp of grad": lambda: us.jvp(lambda *xs: slope(*xs, n), (*xs,), (*ts,)),
        "grad of grad": lambda: us.grad(along, wrt)(*xs),
    }


@cache
def under_jax(text: str, seed: int, names: Sequence[str]) -> dict[str, Any]:
    """What JAX says."""
    plain = all(name in FORWARD for name in names)

    def ask(given: Given) -> dict[str, Any]:
        asked = modes(jax, made(text, JAX_LAX if plain else BOUNDED, jnp), jnp, *given)
        return {name: asked[name]() for name in names}

    with jax.enable_x64(True):
        return jax.device_get(jax.jit(ask)(arguments(seed)))


def in_python(text: str, seed: int, name: str) -> Any:
    """What the program says whose loops are Python's; of a batch, each member by itself."""
    one, many, ts = arguments(seed)
    program = made(text, OUR_LAX, np)
    rows = [list(row) for row in zip(*many, strict=True)]
    if name == "vmap of n":
        rows = [[*one[:3], n] for n in many[3]]
    with tj.config(disable_jit=True):
        if name not in MEMBERS:
            return modes(tj, program, np, one, many, ts)[name]()
        each = [modes(tj, program, np, row, many, ts)[MEMBERS[name]]() for row in rows]
    return tj.tree.map(lambda *ys: np.stack(ys), *each)


def compiled(text: str, seed: int, name: str, backend: str) -> Any:
    """What the compiled program says."""

    def ask(given: Given) -> Any:
        return modes(tj, made(text, OUR_LAX, np), np, *given)[name]()

    return tj.jit(ask, backend=backend)(arguments(seed))


def has_no_end(text: str) -> bool:
    """Whether the length of a loop may be known at run time alone."""
    return "while_loop" in text or "fori_loop" in text


def assert_same(label: str, text: str, result: Any, wanted: Any) -> None:
    """Leaf by leaf; a failure shows the program."""
    for y, z in zip(tj.tree.leaves(result), tj.tree.leaves(wanted), strict=True):
        assert np.shape(y) == np.shape(z), f"{label}\n{text}"
        np.testing.assert_allclose(y, z, rtol=1e-8, atol=1e-9, err_msg=f"{label}\n{text}")


@pytest.mark.parametrize("seed", SEEDS)
def test_they_agree_with_jax(seed: int, backend: str) -> None:
    text = Writer(seed, DEPTH).program()
    names = FORWARD[seed % len(FORWARD)], REVERSE[seed % len(REVERSE)]
    for name in names:
        if name in FORWARD or backend != "xla" or not has_no_end(text):
            wanted = under_jax(text, seed, (name,))[name]
            assert_same(f"{name} on {backend}", text, compiled(text, seed, name, backend), wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_they_agree_with_loops_in_python(seed: int) -> None:
    text = Writer(1000 + seed, DEPTH + 1).program()
    for name in {*FORWARD, *REVERSE} - {"grad of grad"}:
        wanted = in_python(text, seed, name)
        assert_same(name, text, compiled(text, seed, name, "eager"), wanted)
        if name in ("value", "vjp", "vmap of grad"):
            assert_same(name, text, compiled(text, seed, name, "native"), wanted)
