"""Knobs: what they take, where their values come from, and how far an override reaches."""

from __future__ import annotations

import os
import threading
from contextvars import copy_context
from pathlib import Path

import numpy as np
import pytest

from tracejit.config import Config
from tracejit.errors import ConfigError


@pytest.fixture
def config() -> Config:
    return Config(environ={})


def test_defaults(config: Config) -> None:
    assert (config.backend, config.default_float) == ("native", "float64")
    assert (config.dump, config.check, config.disable_jit) == ((), False, False)
    assert 1 <= config.threads <= (os.cpu_count() or 1)
    assert config.cache_dir is None


def test_environment() -> None:
    config = Config(
        environ={
            "TRACEJIT_BACKEND": "eager",
            "TRACEJIT_DEFAULT_FLOAT": "float32",
            "TRACEJIT_DUMP": "fuse, llvm,",
            "TRACEJIT_CHECK": "1",
            "TRACEJIT_DISABLE_JIT": "off",
            "TRACEJIT_THREADS": "3",
            "TRACEJIT_CACHE_DIR": "~/kept",
            "UNRELATED": "x",
        }
    )
    assert (config.backend, config.default_float) == ("eager", "float32")
    assert (config.dump, config.check, config.disable_jit) == (("fuse", "llvm"), True, False)
    assert (config.threads, config.cache_dir) == (3, Path("~/kept").expanduser())


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="TRACEJIT_BACKEND cannot be 'natve'") as caught:
        Config(environ={"TRACEJIT_BACKEND": "natve"})
    assert "did you mean 'native'?" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given", "stored"),
    [
        ("default_float", np.float32, "float32"),
        ("default_float", np.dtype("float32"), "float32"),
        ("dump", "all", ("all",)),
        ("dump", ["fuse", "llvm"], ("fuse", "llvm")),
        ("dump", None, ()),
        ("dump", "", ()),
        ("check", "Yes", True),
        ("threads", 2, 2),
        ("cache_dir", "", None),
        ("cache_dir", Path("kept"), Path("kept")),
        ("cache_dir", "on", True),
        ("cache_dir", True, True),
        ("cache_dir", False, None),
        ("cache_dir", "0", None),
        ("cache_dir", "./on", Path("on")),
    ],
)
def test_values_are_normalised(config: Config, name: str, given: object, stored: object) -> None:
    config.update(name, given)
    assert getattr(config, name) == stored


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("backend", "gpu", "one of 'eager', 'native', 'xla'"),
        ("backend", None, "one of 'eager', 'native', 'xla'"),
        ("default_float", "float46", "did you mean 'float64'?"),
        ("default_float", np.int32, "one of 'float32', 'float64'"),
        ("dump", 3, "names of stages"),
        ("dump", [3], "names of stages"),
        ("check", 2, "True or False"),
        ("threads", 0, "at least 1"),
        ("threads", True, "at least 1"),
        ("threads", "many", "at least 1"),
        ("threads", 1.5, "at least 1"),
        ("cache_dir", 7, "a path"),
        ("jax_enable_x64", "maybe", "True or False"),
    ],
)
def test_bad_values_say_what_is_wanted(config: Config, name: str, value: object, hint: str) -> None:
    before = repr(config)
    with pytest.raises(ConfigError) as caught:
        config.update(name, value)
    assert name in str(caught.value)
    assert hint in caught.value.hint
    assert repr(config) == before


def test_unknown_knobs(config: Config) -> None:
    with pytest.raises(ConfigError, match="no knob 'treads'"):
        config.update("treads", 1)
    with pytest.raises(ConfigError, match="no knob 'treads'"):
        config.override(treads=1)
    with pytest.raises(AttributeError):
        config.treads = 1  # type: ignore[attr-defined]


def test_assignment_updates(config: Config) -> None:
    config.backend = "eager"
    assert config.backend == "eager"
    with pytest.raises(ConfigError):
        config.backend = "gpu"


def test_overrides_nest_and_end_with_the_block(config: Config) -> None:
    with config.override(backend="eager", threads=1) as inside:
        assert inside is config
        with config(backend="xla"):
            assert (config.backend, config.threads) == ("xla", 1)
        assert config.backend == "eager"
        with pytest.raises(RuntimeError), config(backend="native"):
            raise RuntimeError
        assert config.backend == "eager"
    assert config.backend == "native"


def test_update_inside_a_block_reaches_what_the_block_does_not_name(config: Config) -> None:
    with config(backend="eager"):
        config.update("backend", "xla")
        config.update("check", True)
        assert (config.backend, config.check) == ("eager", True)
    assert (config.backend, config.check) == ("xla", True)


def test_override_decorates(config: Config) -> None:
    @config.override(default_float="float32")
    def which() -> str:
        return config.default_float

    assert [which(), which(), config.default_float] == ["float32", "float32", "float64"]


def test_an_override_stays_in_its_thread_and_an_update_does_not(config: Config) -> None:
    seen: list[tuple[str, bool]] = []
    config.update("check", True)
    with config(backend="eager"):
        thread = threading.Thread(target=lambda: seen.append((config.backend, config.check)))
        thread.start()
        thread.join()
        assert copy_context().run(lambda: config.backend) == "eager"
    assert seen == [("native", True)]


def test_jax_names(config: Config) -> None:
    config.update("jax_enable_x64", False)
    assert config.default_float == "float32"
    with config(jax_enable_x64=True, jax_disable_jit=True):
        assert (config.default_float, config.disable_jit) == ("float64", True)


def test_repr_shows_the_values_in_force(config: Config) -> None:
    with config(backend="eager"):
        assert "backend='eager'" in repr(config)


def test_what_holds_for_all_threads() -> None:
    config = Config(environ={})
    assert config.for_all("backend") == "native"
    with config(backend="eager"):
        assert config.for_all("backend") is None
        with config(backend="xla", threads=1):
            assert config.for_all("backend") is config.for_all("threads") is None
        assert config.for_all("backend") is None and config.for_all("threads") is not None
        config.update("backend", "xla")
    assert config.for_all("backend") == "xla"


def test_watchers_are_told() -> None:
    config = Config(environ={})
    seen: list[str | None] = []
    config.watch(lambda: seen.append(config.for_all("backend")))
    config.update("backend", "eager")
    with config(backend="xla"):
        pass
    with pytest.raises(ConfigError):
        config.update("backend", "gpu")
    assert seen == ["native", "eager", None, "eager"]
