"""Tensors, heat maps and answers worth remembering: named by content, made again when they are gone."""

from __future__ import annotations

import hashlib
import io
import json
import os
import secrets
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from preprocessing.recipes import Placement

HALF_WRITTEN_S = 3_600.0
"""No write takes nearly as long: a file that is not whole by then belongs to a process that was killed over it."""


class NotInWorkspace(LookupError):
    """What was asked for was never made, was swept, or is damaged: make it again."""


class Workspace:
    """Files between the steps of the pipeline. A write is whole or did not happen; nothing here must survive.

    Args:
        folder: Holds `tensors/`, `heat_maps/` and `answers/`, each fanned out by the first two hash digits.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put_tensor(self, tensor: NDArray[np.float32]) -> str:
        """Store a tensor and return the SHA-256 of its file."""
        content = _npy(tensor)
        sha256 = hashlib.sha256(content).hexdigest()
        self._write(self.tensor_path(sha256), content)
        return sha256

    def tensor(self, sha256: str) -> NDArray[np.float32]:
        """Return a stored tensor. Raises NotInWorkspace."""
        content = self._read(self.tensor_path(sha256))
        if hashlib.sha256(content).hexdigest() != sha256:
            raise NotInWorkspace(sha256)
        return _array(content)

    def tensor_path(self, sha256: str) -> Path:
        """Return where the tensor is, or would be, stored."""
        return self._path("tensors", sha256, "npy")

    def put_heat_map(self, values: NDArray[np.float32], placement: Placement) -> str:
        """Store a heat map, float32 (outputs, rows, columns), with the placement of the tensor that it covers.

        The name is over both, so that equal maps of two images are two files.
        """
        content, beside = _npy(values), _json(asdict(placement))
        sha256 = hashlib.sha256(beside + content).hexdigest()
        self._write(self._path("heat_maps", sha256, "json"), beside)
        self._write(self._path("heat_maps", sha256, "npy"), content)
        return sha256

    def heat_map(self, sha256: str) -> tuple[NDArray[np.float32], Placement]:
        """Return a stored heat map, float32 (outputs, rows, columns), and the placement of its tensor.

        The map spans the whole tensor whatever its own size. Raises NotInWorkspace.
        """
        content = self._read(self._path("heat_maps", sha256, "npy"))
        beside = self._read(self._path("heat_maps", sha256, "json"))
        if hashlib.sha256(beside + content).hexdigest() != sha256:
            raise NotInWorkspace(sha256)
        return _array(content), Placement(**json.loads(beside))

    def remember(self, kind: str, key: tuple[str, ...], answer: dict[str, object]) -> None:
        """Keep the answer of a deterministic step: `key` names all that the answer depends on."""
        self._write(self._answer_path(kind, key), _json({"key": [kind, *key], "answer": answer}))

    def recall(self, kind: str, key: tuple[str, ...]) -> dict[str, object] | None:
        """Return what was remembered, or None when the step has to be done."""
        try:
            stored = json.loads(self._read(self._answer_path(kind, key)))
        except (NotInWorkspace, ValueError):
            return None
        if not isinstance(stored, dict) or stored.get("key") != [kind, *key]:
            return None
        answer = stored.get("answer")
        return answer if isinstance(answer, dict) else None

    def sweep(self, *, now: float, max_age_s: float) -> int:
        """Remove what nobody used for so long, sooner what a death left half written; return how many files went."""
        gone = 0
        for path in self.folder.glob("*/*/*"):
            age_s = min(max_age_s, HALF_WRITTEN_S) if path.suffix == ".part" else max_age_s
            try:
                if path.is_file() and path.stat().st_mtime < now - age_s:
                    path.unlink()
                    gone += 1
            except FileNotFoundError:
                continue
        return gone

    def _answer_path(self, kind: str, key: tuple[str, ...]) -> Path:
        return self._path("answers", hashlib.sha256(_json([kind, *key])).hexdigest(), "json")

    def _path(self, shelf: str, sha256: str, suffix: str) -> Path:
        return self.folder / shelf / sha256[:2] / f"{sha256}.{suffix}"

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def _read(self, path: Path) -> bytes:
        try:
            content = path.read_bytes()
            os.utime(path)  # the sweep goes by the last use
        except FileNotFoundError as error:
            raise NotInWorkspace(path.stem) from error
        return content


def _npy(values: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values, dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()


def _array(content: bytes) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
    return values


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
