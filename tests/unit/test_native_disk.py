"""Compiled code on disk: found by the next process, and never anything but what was kept."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tracejit.backends.native import compile as native
from tracejit.backends.native import disk
from tracejit.backends.native.disk import Kept, find, keep, key_of
from tracejit.backends.native.entry import runtime_object
from tracejit.backends.native.lowering import LOWERINGS
from tracejit.backends.native.target import host
from tracejit.config import config
from tracejit.ir.parsing import parse

pytestmark = pytest.mark.skipif(not disk._CAN_CHECK, reason="nothing is kept on this system")

SOURCE = Path(__file__).parents[2] / "src"
EXP = "fn(%0: f64[7]) -> f64[7] {\n  %1: f64[7] = exp(%0)\n  return %1\n}"
KEPT = Kept({"cells": ["workspace"], "n": 3}, bytes(range(256)) * 20)
X = np.linspace(-1.0, 1.0, 7)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder to keep code in, not there yet."""
    disk._warn.cache_clear()
    path = tmp_path / "deep" / "kept"
    with config(cache_dir=path):
        yield path


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts that go through LLVM."""
    texts: list[str] = []
    compile_text = native.object_code
    monkeypatch.setattr(
        native, "object_code", lambda text: (texts.append(text), compile_text(text))[1]
    )
    return texts


def some_key(text: str = "text") -> str:
    key = key_of("test", lambda: text)
    assert key is not None
    return key


def file_of(folder: Path, key: str) -> Path:
    return folder / f"{key}.tracejit"


def run_exp() -> Any:
    return native.NativeExecutable(parse(EXP))


# ---- what is found


def test_a_program_is_compiled_once(folder: Path, compilations: list[str]) -> None:
    first, second = run_exp(), run_exp()
    assert len(compilations) == 1
    np.testing.assert_array_equal(first(X), second(X))
    np.testing.assert_allclose(second(X)[0], np.exp(X), rtol=1e-15)
    assert first.summary == second.summary
    assert first.texts() == second.texts()


def test_off_unless_asked_for(tmp_path: Path, compilations: list[str]) -> None:
    with config(cache_dir=None):
        assert key_of("test", lambda: "text") is None
        run_exp(), run_exp()
    assert len(compilations) == 2


def test_on_is_the_folder_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "users_folder", lambda: tmp_path / "cache" / "tracejit")
    with config(cache_dir=True):
        keep(some_key(), KEPT)
        assert find(some_key()) == KEPT
    assert (tmp_path / "cache" / "tracejit").is_dir()


PROGRAM = """
import json, llvmlite.binding as llvm
compiled = []
emit = llvm.TargetMachine.emit_object
llvm.TargetMachine.emit_object = lambda self, module: (compiled.append(1), emit(self, module))[1]
import numpy as np, tracejit as tj
A = np.arange(1e4).reshape(100, 100) / 1e4
loss = tj.jit(tj.value_and_grad(lambda x: np.sum(np.exp(x @ A))))
value, gradient = loss(A)
assert loss(A)[0] == value
print(json.dumps([len(compiled), float(value), gradient.tolist()]))
"""


def processes(folder: Path | str, *arguments: str, **more: str) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(SOURCE), "TRACEJIT_CACHE_DIR": str(folder), **more}
    return subprocess.Popen(
        [sys.executable, *arguments], env=environ, text=True, stdout=subprocess.PIPE
    )


def test_a_second_process_compiles_nothing(folder: Path) -> None:
    """Neither kernels nor what programs share; addresses of BLAS and of constants are its own."""
    (first, *result), (second, *again) = (
        json.loads(processes(folder, "-c", PROGRAM).communicate()[0]) for _ in range(2)
    )
    assert first >= 2 and second == 0
    assert result == again


def test_on_in_the_environment(tmp_path: Path) -> None:
    """The system's folder for caches, made with all above it."""
    program = PROGRAM + "from tracejit.backends.native.disk import users_folder as f; print(f())"
    home = str(tmp_path / "home")
    process = processes("on", "-c", program, HOME=home, XDG_CACHE_HOME=f"{home}/caches")
    printed, folder = process.communicate()[0].splitlines()
    kept = Path(folder)
    assert kept.is_relative_to(home)
    assert len([*kept.glob("*.tracejit")]) == json.loads(printed)[0]


def test_no_address_is_in_the_code(folder: Path, compilations: list[str]) -> None:
    product = "  %2: f64[64,64] = dot(%0, %1, batch=((), ()), contract=((1,), (0,)))\n"
    program = f"fn(%0: f64[64,64], %1: f64[64,64]) -> f64[64,64] {{\n{product}  return %2\n}}"
    x = np.random.default_rng(0).normal(size=(64, 64))
    for _ in range(2):
        run = native.NativeExecutable(parse(program), [x])
        np.testing.assert_allclose(run(x)[0], x @ x, rtol=1e-12, atol=1e-12)
    (text,) = compilations
    assert "@blas.dgemm" in text
    assert native._ADDRESS not in text


def test_the_runtime_of_calls_is_kept(folder: Path) -> None:
    code = runtime_object()
    (file,) = folder.iterdir()
    assert file.read_bytes().endswith(code)
    assert runtime_object() == code


# ---- what is not


def flipped(at: float) -> Callable[[Path], None]:
    def damage(file: Path) -> None:
        data = bytearray(file.read_bytes())
        data[int(at * (len(data) - 1))] ^= 4
        file.write_bytes(data)

    return damage


def shortened(to: float) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(file.read_bytes()[: int(to * file.stat().st_size)])


def another_entry(file: Path) -> None:
    keep(some_key("other"), KEPT)
    file_of(file.parent, some_key("other")).rename(file)


def a_link(file: Path) -> None:
    file.rename(file.with_suffix(".moved"))
    file.symlink_to(file.with_suffix(".moved"))


def a_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


DAMAGE = {
    **{f"bit at {at}": flipped(at) for at in (0, 0.004, 0.01, 0.013, 0.5, 1)},
    **{f"cut at {to}": shortened(to) for to in (0, 0.001, 0.01, 0.5, 0.9999)},
    **{"longer": longer, "another entry": another_entry, "a link": a_link, "a pipe": a_pipe},
    **{"writable by all": lambda file: file.chmod(0o622)},
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_entry_is_ignored_and_replaced(
    folder: Path, damage: Callable[[Path], None]
) -> None:
    keep(some_key(), KEPT)
    damage(file_of(folder, some_key()))
    assert find(some_key()) is None
    keep(some_key(), KEPT)
    assert find(some_key()) == KEPT


def test_every_bit_counts(folder: Path) -> None:
    small = Kept({}, b"code")
    keep(some_key(), small)
    file = file_of(folder, some_key())
    whole = file.read_bytes()
    for i in range(8 * len(whole)):
        data = bytearray(whole)
        data[i // 8] ^= 1 << i % 8
        file.write_bytes(data)
        assert find(some_key()) is None


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can chown")
def test_an_entry_of_another_user_is_ignored(folder: Path) -> None:
    keep(some_key(), KEPT)
    os.chown(file_of(folder, some_key()), 12345, -1)
    assert find(some_key()) is None


def test_a_folder_in_the_place_of_an_entry(folder: Path, compilations: list[str]) -> None:
    run_exp()
    (file,) = folder.iterdir()
    file.unlink()
    file.mkdir()
    run_exp(), run_exp()
    assert len(compilations) == 3
    assert [*folder.iterdir()] == [file]


# ---- the folder


def test_folder_and_entries_are_private(folder: Path) -> None:
    before = os.umask(0)
    try:
        keep(some_key(), KEPT)
    finally:
        os.umask(before)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert file_of(folder, some_key()).stat().st_mode & 0o777 == 0o600


def refused(words: str) -> None:
    """Nothing is kept or found here, and the first attempt says why."""
    with pytest.warns(RuntimeWarning, match=words):
        keep(some_key(), KEPT)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        keep(some_key(), KEPT)
        assert find(some_key()) is None


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(folder: Path, mode: int) -> None:
    keep(some_key(), KEPT)
    folder.chmod(mode)
    refused("written to by others")


def test_a_link_to_a_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    keep(some_key(), KEPT)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    refused("symbolic link")


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(some_key(), KEPT)
    me = os.geteuid()
    monkeypatch.setattr(disk.os, "geteuid", lambda: me + 1)
    refused("another user")


def test_a_file_in_the_place_of_the_folder(folder: Path, compilations: list[str]) -> None:
    folder.parent.mkdir()
    folder.write_text("a file")
    run_exp()(X)
    assert len(compilations) == 1
    assert folder.read_text() == "a file"


@pytest.mark.parametrize("call", ["mkdir", "open", "rename"])
def test_a_disk_that_takes_nothing_is_no_cache(
    folder: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str], call: str
) -> None:
    def fails(*args: Any, **named: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(disk.os, call, fails)
    run_exp(), run_exp()
    assert len(compilations) == 2
    monkeypatch.undo()
    assert not folder.exists() or not any(folder.iterdir())


def test_a_folder_that_can_only_be_read_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: Any, **named: Any) -> None:
        raise OSError(30, "Read-only file system")

    keep(some_key(), KEPT)
    os.utime(file_of(folder, some_key()), (0, 0))
    for call in ("mkdir", "utime", "rename"):
        monkeypatch.setattr(disk.os, call, fails)
    assert find(some_key()) == KEPT


# ---- size


def test_what_was_not_used_for_longest_goes_first(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "LIMIT", 10 * 5300)
    keys = [some_key(str(i)) for i in range(30)]
    for age, key in zip(range(30, 0, -1), keys, strict=True):
        keep(key, KEPT)
        if file_of(folder, key).exists():
            os.utime(file_of(folder, key), (time.time() - 86400 * age,) * 2)
        if age == 30:
            (folder / "notes.txt").write_text("x" * 100_000)
        find(keys[0])  # a use every day
    assert find(keys[0]) == KEPT
    assert find(keys[-1]) == KEPT
    assert sum(find(key) is not None for key in keys) <= 10
    assert (folder / "notes.txt").exists()


# ---- several processes

WRITER = """
import sys, tracejit
from tracejit.backends.native.disk import Kept, keep
print("ready", flush=True)
while True:
    for key in sys.argv[1:]:
        keep(key, Kept({"key": key}, bytes(range(256)) * 4000))
"""


def whole(key: str) -> bool:
    """An entry is there; if it is, it is what was written."""
    found = find(key)
    assert found in (None, Kept({"key": key}, bytes(range(256)) * 4000))
    return found is not None


def test_writers_at_once_and_their_end_by_kill_9(folder: Path) -> None:
    keys = [some_key(str(i)) for i in range(3)]
    seconds = random.Random(0)
    for _ in range(3):
        writers = [processes(folder, "-c", WRITER, *keys) for _ in range(2)]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        begin, length = time.monotonic(), seconds.uniform(0.05, 0.2)
        while not all(map(whole, keys)) or time.monotonic() < begin + length:
            assert time.monotonic() < begin + 60
        for writer in writers:
            writer.kill()
            writer.communicate()
        assert all(map(whole, keys))


# ---- keys


def test_what_a_key_depends_on(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = some_key()
    assert some_key() == key
    others = [some_key("texts"), key_of("other", lambda: "text")]
    features = host()
    for change in (
        {"cpu": "i386"}, {"flags": features.flags + ",+x"}, {"vector_bits": 64}, {"has_fma": None}
    ):  # fmt: skip
        monkeypatch.setattr(disk, "host", lambda change=change: replace(features, **change))
        others.append(some_key())
    monkeypatch.undo()
    for module, name in ((disk.llvmlite, "__version__"), (disk.llvm, "llvm_version_info")):
        monkeypatch.setattr(module, name, "another")
        disk._compiler.cache_clear()
        with config(cache_dir=folder):
            others.append(some_key())
        monkeypatch.undo()
    disk._compiler.cache_clear()
    assert len({key, *others}) == 1 + len(others)


def test_programs_that_differ_have_different_texts() -> None:
    changes = [("exp", "log"), ("f64", "f32"), ("7", "8")]
    texts = {
        native._identity(parse(text), n, ())
        for n in (0, 1)
        for text in (EXP, *(EXP.replace(*pair) for pair in changes))
    }
    assert len(texts) == 8


def test_a_parameter_that_is_no_data_is_in_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, expected in [
        ('call(%0, name="<lambda>")', True), ('call(%0, name="\\"<", f=<f>)', False),
        ("call(%0, rule=<f>)", False),
    ]:  # fmt: skip
        monkeypatch.setattr(native, "print_jaxpr", lambda jaxpr, text=text: text)
        assert (native._identity(parse(EXP), 0, ()) is not None) == expected


def test_sources_count_by_content(tmp_path: Path) -> None:
    room = tmp_path / "backends" / "native"
    room.mkdir(parents=True)
    (room / "emit.py").write_text("x = 1")
    (room / "notes.txt").write_text("not compiled")
    the_past = (time.time() - 10**6,) * 2

    def sources() -> str | None:
        for file in room.iterdir():
            os.utime(file, the_past)
        return disk._sources(tmp_path)

    first = sources()
    assert first is not None
    assert sources() == first
    (room / "notes.txt").write_text("edited")
    assert sources() == first
    (room / "emit.py").write_text("x = 2")
    assert sources() not in (first, None)
    (room / "emit.py").write_text("x = 1")
    (room / "entry.ll").write_text("")
    assert sources() not in (first, None)


def test_sources_that_changed_since_they_were_loaded(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("x = 1")
    os.utime(tmp_path / "config.py", (disk._LOADED + 1,) * 2)
    assert disk._sources(tmp_path) is None
    assert disk._sources(tmp_path / "nowhere") is None


def test_an_edited_compiler_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk._compiler.cache_clear()
    monkeypatch.setattr(disk, "_LOADED", 0.0)
    assert key_of("test", lambda: "text") is None
    disk._compiler.cache_clear()


def test_rows_from_elsewhere_are_in_no_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert some_key()
    monkeypatch.setitem(LOWERINGS._files, object(), "mine/rows.py")  # type: ignore[misc]
    assert key_of("test", lambda: "text") is None
