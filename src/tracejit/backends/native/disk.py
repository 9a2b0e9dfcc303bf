"""Compiled code kept on disk, for the processes to come.

    key = key_of("kernel", lambda: text)    # None: nothing is kept
    kept = find(key)                        # None: compile it, then
    keep(key, Kept(facts, code))

What is found here is executed, so it has to be the user's own. The folder must be a folder, no
symbolic link, that the user owns and nobody else may write to; the same holds for each file. An
entry begins with a hash of all that follows and of its key: a damaged one, or one under another's
name, is as good as none, and the next writer replaces it. What ends before it is whole (a killed
process, a full disk) has never had the name of an entry. See docs/cache.md, and Note [the key].

    entry    MAGIC, hash of (key, rest), rest = (length of facts, facts as JSON, object code)

No failure here is an error of the program: where the disk does not play along there is no cache.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import stat
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from tracejit.backends.native.lowering import LOWERINGS
from tracejit.backends.native.target import Features, host
from tracejit.config import config

#: Bytes that a folder may hold; the entries not used for longest go first.
LIMIT = 512 * 2**20

MAGIC = b"tracejit code 1\n"
_SUFFIX = ".tracejit"
_HASH_BYTES = 32
_BEFORE_FACTS = len(MAGIC) + _HASH_BYTES
_LENGTH_BYTES = 8

#: Seconds after which a use is noted anew: what is used daily stays, and few uses write.
_NOTE_USE_AFTER = 3600

# Directory descriptors and owners are POSIX; where they are missing nothing can be checked.
_CAN_CHECK = hasattr(os, "geteuid") and os.open in os.supports_dir_fd
_OPEN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Kept(NamedTuple):
    """What an entry holds: facts about the code, as JSON has them, and the code."""

    facts: dict[str, Any]
    code: bytes


# ---- keys


def key_of(kind: str, source: Callable[[], str | None]) -> str | None:
    """The key of what this compiler makes, on this machine, of the text that `source` returns.

    None where nothing is kept: there is no folder, the text (None) or the compiler is not known.
    """
    if config.cache_dir is None or not _CAN_CHECK or _strangers():
        return None
    compiler = _compiler(host())
    text = None if compiler is None else source()
    if text is None:
        return None
    digest = hashlib.blake2b(f"{compiler} {kind}\n{text}".encode(), digest_size=24)
    return digest.hexdigest()


@cache
def _compiler(features: Features) -> str | None:
    """A hash of compiler and target machine; None where the compiler's sources are not known."""
    sources = _sources(Path(__file__).parents[2])
    if sources is None:
        return None
    versions = (llvmlite.__version__, llvm.llvm_version_info, np.__version__)
    identity = (sources, versions, llvm.get_process_triple(), features)
    return hashlib.blake2b(repr(identity).encode()).hexdigest()


# When the compiler was loaded, as the clock of files has it.
_LOADED = time.time()


def _sources(package: Path) -> str | None:
    """A hash of all that the native backend may import; None if a file is not what was loaded."""
    digest = hashlib.blake2b()
    files = [*_files(package, deep=False)]
    files += _files(package / "backends", deep=False)
    for room in ("ir", "ops", "control", "passes", "trace", "transforms", "backends/native"):
        files += _files(package / room, deep=True)
    try:
        for path in sorted(files):
            with open(path, "rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_mtime > _LOADED:
                    return None
                text = file.read()
            digest.update(f"{path.removeprefix(str(package))} {len(text)}\n".encode() + text)
    except OSError:
        return None
    return digest.hexdigest() if files else None


def _files(folder: Path, *, deep: bool) -> Iterator[str]:
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if deep and entry.is_dir():
                yield from _files(Path(entry.path), deep=True)
            elif entry.name.endswith((".py", ".ll")):
                yield entry.path


def _strangers() -> bool:
    """Whether somebody else's module has a row in the table: its source is in no key."""
    return any(not file.startswith("tracejit/") for file in LOWERINGS.files)


# ---- the folder


@cache
def users_folder() -> Path:
    """Where this system keeps what a user's programs can make again."""
    platformdirs = importlib.import_module("platformdirs")
    return Path(platformdirs.user_cache_dir("tracejit", appauthor=False))


def _enter(*, create: bool) -> int:
    """A descriptor of the folder; OSError where there is none, or none to trust."""
    chosen = config.cache_dir
    if chosen is None:
        raise FileNotFoundError
    path = users_folder() if chosen is True else chosen
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink():
        _refuse(path, "is a symbolic link; name the folder itself")
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _OPEN)
    if fault := _fault(os.fstat(folder)):
        os.close(folder)
        _refuse(path, fault)
    return folder


def _fault(status: os.stat_result) -> str | None:
    """Why code in this file or folder is not to be trusted."""
    if status.st_uid != os.geteuid():
        return "belongs to another user"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written to by others; take that away (chmod go-w)"
    return None


def _refuse(path: Path, fault: str) -> None:
    """Warn, once for each folder, and raise PermissionError."""
    _warn(f"compiled code is not kept: {path} {fault}")
    raise PermissionError(fault)


@cache
def _warn(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=2)


# ---- entries


def find(key: str) -> Kept | None:
    """The entry of this key, if there is one that is whole and the user's own."""
    try:
        folder = _enter(create=False)
        try:
            data = _read(folder, key)
        finally:
            os.close(folder)
    except OSError:
        return None
    rest = memoryview(data)[_BEFORE_FACTS:]
    if data[:_BEFORE_FACTS] != MAGIC + _hash(key, rest):
        return None
    facts_at = _LENGTH_BYTES
    code_at = facts_at + int.from_bytes(rest[:facts_at], "little")
    return Kept(json.loads(bytes(rest[facts_at:code_at])), bytes(rest[code_at:]))


def _read(folder: int, key: str) -> bytes:
    """The bytes of a regular file of the user's own; its use is noted."""
    number = os.open(key + _SUFFIX, os.O_RDONLY | _OPEN, dir_fd=folder)
    with open(number, "rb", buffering=0) as file:
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode) or _fault(status):
            return b""
        data = file.read()
    if time.time() - status.st_mtime > _NOTE_USE_AFTER:
        with suppress(OSError):  # of a folder that can only be read
            os.utime(key + _SUFFIX, dir_fd=folder, follow_symlinks=False)
    return data


def _hash(key: str, rest: bytes | memoryview) -> bytes:
    digest = hashlib.blake2b(key.encode(), digest_size=_HASH_BYTES)
    digest.update(rest)
    return digest.digest()


def keep(key: str, kept: Kept) -> None:
    """Write an entry, in one step for whoever reads, and make room if there is need."""
    facts = json.dumps(kept.facts).encode()
    rest = len(facts).to_bytes(_LENGTH_BYTES, "little") + facts + kept.code
    data = MAGIC + _hash(key, rest) + rest
    try:
        folder = _enter(create=True)
        try:
            _write(folder, key + _SUFFIX, data)
            # A look at the whole folder for each 1/64 of the limit that is written, by whomever:
            # keys are hashes, so their first digits serve as dice.
            if len(data) * 64 >= LIMIT * (int(key[:8], 16) / 2**32):
                _trim(folder)
        finally:
            os.close(folder)
    except OSError:
        return


def _write(folder: int, name: str, data: bytes) -> None:
    """Write under another name, then rename: `name` is never seen half written.

    Nothing waits for the disk: what a power cut leaves of an entry does not have its hash.
    """
    draft = f"{os.urandom(8).hex()}{_SUFFIX}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN
    number = os.open(draft, flags, 0o600, dir_fd=folder)
    try:
        with open(number, "wb") as file:
            file.write(data)
        os.rename(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        os.unlink(draft, dir_fd=folder)
        raise


def _trim(folder: int) -> None:
    """Remove what was not used for longest, drafts of killed processes included."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(_SUFFIX) and entry.is_file(follow_symlinks=False):
                status = entry.stat(follow_symlinks=False)
                files.append((status.st_mtime, status.st_size, entry.name))
    total = sum(size for _, size, _ in files)
    for _, size, name in sorted(files):
        if total <= LIMIT:
            return
        os.unlink(name, dir_fd=folder)
        total -= size


# Note [the key]
#
# Equal keys must mean equal code. Code depends on the text it is compiled from, on the compiler,
# and on the machine it is written for. The compiler is LLVM and our sources: all that the native
# backend may import (tests/house says what), by content, so that an edit is seen and a second copy
# of the package finds what the first has kept. A source that has changed since it was loaded may
# not be what runs: then the process keeps nothing. Constants of a program are behind pointers that
# are set when the code is loaded, as are the functions of BLAS: no address of a process is in an
# entry.
