"""One file on its way through a service's real parts: the door's reader, a decode child, and all who read it later."""

from __future__ import annotations

import ctypes
import gc
import hashlib
import os
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from preprocessing.elements import HeaderRefused
from preprocessing.header import InstanceHeader, read_header, to_json
from service.inference.decoding import DecodeLimits, DecodePool, Died, Refused
from service.intake.outcomes import Door
from service.intake.part10 import Part10Splitter, Turned
from service.intake.spool import DATASET_OFFSET, Spooled
from service.intake.verify import verify
from service.learning.films import FilmRefused, write_film
from service.results.dicomweb.explicit import CONVERTIBLE, to_explicit
from service.results.dicomweb.frames import Frames, NoSuchFrame
from service.results.dicomweb.metadata import read_metadata
from service.results.dicomweb.records import StoredInstance
from tests.factories import Parts, open_parts
from tests.trials.mutants.measured import noted
from tests.trials.mutants.writes.sitecustomize import watch

RECIPE = "chest_radiograph/1"
LIMITS = DecodeLimits(memory_bytes=2 << 30, cpu_s=30, wall_s=60.0)
"""As a service sets them."""

IN_SCOPE: Mapping[str, Any] = {
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1",
    "modality": "CR",
    "body_part_examined": "CHEST",
    "anatomic_region": None,
    "view_position": "PA",
    "view_code": None,
    "presentation_intent_type": None,
}
"""What the recipe is told instead of the file's own: so that every kind of image goes on to its pixels."""

_written_outside: list[str] = []
_allowed: list[str] = []


@dataclass
class Lane:
    """A service's parts, and what became of every file so far."""

    parts: Parts
    pool: DecodePool
    endings: Counter[str] = field(default_factory=Counter)
    surprises: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    wrong_hash: int = 0
    grown_mib: list[float | None] = field(default_factory=list)
    """Of each file that went to a decode child: how far the child's memory rose. None of a child that did not say."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, content: bytes, called: str = "") -> str:
        """Send one file all the way; returns how it ended. What nobody documented is a surprise."""
        started = time.monotonic()
        try:
            ending = self._taken(content)
        except Exception as error:  # noqa: BLE001 - what a trial is for
            ending = "surprise"
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.surprises.append(f"{called}: {type(error).__name__}: {error} at {place.filename}:{place.lineno}")
        with self.lock:
            self.endings[ending] += 1
            self.seconds.append(time.monotonic() - started)
        return ending

    def _taken(self, content: bytes) -> str:
        splitter = Part10Splitter(self.parts.intake, self.parts.sender(door=Door.UPLOAD))
        splitter.feed(content)
        end = splitter.finish()
        if isinstance(end, Turned):
            return f"refused {end.reason.word}"
        spooled = end.spooled
        try:
            header = _header(spooled)
        except HeaderRefused as refusal:
            spooled.abandon()
            return f"refused {refusal.kind}"
        turned = verify(header, sop_class_uid=None, sop_instance_uid=None, study_instance_uid=None)
        path = self._kept(spooled, content)
        try:
            return f"{turned.word if turned else 'kept'}, {self._decoded(path, header)}"
        finally:
            self._read(path, header, spooled)
            path.unlink()

    def _kept(self, spooled: Spooled, content: bytes) -> Path:
        """Give a file its place in the archive; what the door would refuse for its UIDs goes on here."""
        spooled.finish(sop_class_uid="1.2.840.10008.5.1.4.1.1.1", sop_instance_uid="1.2.3")
        spooled.close()
        # Equal mutants of two threads are two files here.
        sha256 = f"{threading.get_native_id():08x}{spooled.content_sha256[8:]}"
        path = self.parts.archive.path(self.parts.site_id, sha256)
        path.parent.mkdir(parents=True, exist_ok=True)
        spooled.path.replace(path)
        stored = path.read_bytes()
        is_whole = stored[:132] == bytes(128) + b"DICM" and content.endswith(stored[DATASET_OFFSET:])
        if not is_whole or hashlib.sha256(stored[DATASET_OFFSET:]).hexdigest() != spooled.content_sha256:
            self.wrong_hash += 1
        return path

    def _decoded(self, path: Path, header: InstanceHeader) -> str:
        prepared = self.pool.prepare(path, to_json(replace(header, **IN_SCOPE)), RECIPE)
        peak = noted(self.parts.settings.work_folder, path)
        self.grown_mib.append(int(peak.read_text()) / 1024 if peak.is_file() else None)
        peak.unlink(missing_ok=True)
        if isinstance(prepared, Died):
            return f"decoder died: {prepared.how}"
        return prepared.reason.value if isinstance(prepared, Refused) else "decoded"

    def _read(self, path: Path, header: InstanceHeader, spooled: Spooled) -> None:
        """Read it as those do who come later: DICOMweb's metadata, frames and conversion, and the export of cases."""
        read_metadata(path, header, "bulkdata")
        if header.transfer_syntax_uid in CONVERTIBLE:
            syntax, size_bytes = header.transfer_syntax_uid, spooled.size_bytes
            for _ in to_explicit(path, transfer_syntax_uid=syntax, size_bytes=size_bytes) or ():
                pass
        instance = StoredInstance(
            site_id=self.parts.site_id,
            study_instance_uid="1.2",
            series_instance_uid="1.2",
            sop_instance_uid="1.2",
            sop_class_uid="1.2",
            transfer_syntax_uid=header.transfer_syntax_uid,
            content_sha256=path.stem,
            size_bytes=spooled.size_bytes,
            header=header,
            is_result=False,
        )
        try:
            frames = Frames(self.parts.archive, instance)
            for number in {1, frames.count} if frames.count else ():
                for _ in frames.frame(number):
                    pass
        except (NoSuchFrame, HeaderRefused):
            pass
        target = path.with_suffix(".film")
        with suppress(FilmRefused):
            write_film(path, header, target, name=path.stem, patient="P")
        target.unlink(missing_ok=True)


def _header(spooled: Spooled) -> InstanceHeader:
    with os.fdopen(os.dup(spooled.descriptor), "rb") as file:
        return read_header(
            file,
            transfer_syntax_uid=spooled.transfer_syntax_uid,
            offset=DATASET_OFFSET,
            length=spooled.size_bytes,
        )


@contextmanager
def open_lane(
    folder: Path, *, limits: DecodeLimits = LIMITS, processes: int = 2, recipes: str = "preprocessing.recipes"
) -> Iterator[Lane]:
    """Open a service's parts and its decode children on a folder; `recipes` names the module that they use."""
    with open_parts(folder) as parts:
        pool = DecodePool(
            processes=processes, limits=limits, workspace_folder=parts.settings.work_folder, recipes=recipes
        )
        pool.start()
        try:
            yield Lane(parts, pool)
        finally:
            pool.close()


@contextmanager
def writes_outside(folder: Path) -> Iterator[list[str]]:
    """Give a list that grows with every path outside a folder that this process writes to."""
    if not _allowed:
        watch(lambda path: _written_outside.append(path) if _is_outside(path) else None, ())
    _allowed[:] = [os.path.realpath(folder)]
    del _written_outside[:]
    yield _written_outside
    _allowed[:] = ["/"]


def _is_outside(path: str) -> bool:
    return not os.path.realpath(path).startswith(tuple(_allowed))


def resident_mib(pid: int | str = "self") -> float:
    """Return the resident memory of a process; of our own what is held, not what tests left to the allocator."""
    if pid == "self":
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
