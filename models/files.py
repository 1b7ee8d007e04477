"""The files of a model package: read once, held against their hashes, symbolic links and surprises refused."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

METADATA = "configs/metadata.json"
INFERENCE = "configs/inference.json"
OUTPUTS = "configs/outputs.json"
HASHES = "configs/hashes.json"
ONNX = "models/model.onnx"
ONNX_HALF = "models/model_fp16.onnx"
"""Not required: the same network in half precision, float32 at its edges; what a GPU may run instead."""
CARD = "docs/README.md"
LICENCE = "LICENSE"
REQUIRED = (METADATA, INFERENCE, OUTPUTS, HASHES, ONNX, CARD, LICENCE)

MAX_ONNX_BYTES = 2 * 1024**3
"""Protobuf's own limit; a larger network needs external data, which we refuse."""
MAX_TEXT_BYTES = 4 * 1024**2
MAX_FILES = 200


class PackageRefused(Exception):
    """A package folder that must not serve: what is wrong with it, in one sentence."""


def hash_files(folder: Path) -> dict[str, str]:
    """Return relative path → SHA-256 of every file of a package but the list of hashes itself.

    Raises:
        PackageRefused: The folder holds a symbolic link or something that is no plain file.
    """
    paths = [path for path in _list_files(folder) if path != HASHES]
    return {path: hashlib.sha256(_read(folder, path)).hexdigest() for path in paths}


def checked_contents(folder: Path) -> dict[str, bytes]:
    """Read every file once and hold it against configs/hashes.json; what was hashed is what is used."""
    paths = _list_files(folder)
    for path in REQUIRED:
        if path not in paths:
            raise PackageRefused(f"{path} is missing")
    hashes = json_object(_read(folder, HASHES), HASHES).get("sha256")
    if not isinstance(hashes, dict):
        raise PackageRefused(f"{HASHES} has no list of hashes")
    contents = {path: _read(folder, path) for path in paths}
    for path, content in contents.items():
        if path == HASHES:
            continue
        if path not in hashes:
            raise PackageRefused(f"{path} is not in {HASHES}")
        if hashes[path] != hashlib.sha256(content).hexdigest():
            raise PackageRefused(f"{path} was altered: its hash differs from {HASHES}")
    for path in hashes:
        if path not in contents:
            raise PackageRefused(f"{path} is missing")
    return contents


def _list_files(folder: Path) -> list[str]:
    """Return the relative paths of all files, sorted; symbolic links and special files are refused unopened.

    A hard link is a plain file with a second name and passes: installers that keep one copy of a wheel (uv) make every
    file of a package so. Writing through the other name is no way around a check, since the bytes that were hashed are
    the bytes that are used, and `models.session` holds an ONNX file against its hash again.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise PackageRefused("the package is not a folder")
    found: list[str] = []
    waiting = [folder]
    while waiting:
        for entry in sorted(waiting.pop().iterdir()):
            path = entry.relative_to(folder).as_posix()
            mode = entry.lstat().st_mode
            if stat.S_ISDIR(mode):
                waiting.append(entry)
            elif stat.S_ISREG(mode):
                found.append(path)
            else:
                raise PackageRefused(f"{path} is a link or a special file")
            if len(found) + len(waiting) > MAX_FILES:
                raise PackageRefused(f"more than {MAX_FILES} files")
    return sorted(found)


def _read(folder: Path, path: str) -> bytes:
    """Read one listed file, at most its allowed size, without following a link put there meanwhile."""
    limit = MAX_ONNX_BYTES if path in (ONNX, ONNX_HALF) else MAX_TEXT_BYTES
    try:
        descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise PackageRefused(f"{path} cannot be opened: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > limit:
            raise PackageRefused(f"{path} is larger than {limit} bytes")
        return file.read(limit)


def json_object(content: bytes, path: str) -> dict[str, object]:
    """Return a file's JSON object or raise PackageRefused."""
    try:
        value = json.loads(content)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise PackageRefused(f"{path} is not JSON") from error
    if not isinstance(value, dict):
        raise PackageRefused(f"{path} is not a JSON object")
    return value


def identity(hashes: Mapping[str, str]) -> str:
    """Hash of the sorted list of file hashes: one name for the whole package."""
    listing = "".join(f"{digest}  {path}\n" for path, digest in sorted(hashes.items()))
    return hashlib.sha256(listing.encode()).hexdigest()
