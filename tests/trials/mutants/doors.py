"""The real service, `pandok serve`, and every entrance that it has to a network: STOW-RS, uploads, C-STORE."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pynetdicom.dsutils import decode
from sqlalchemy import create_engine, text

from service.intake.outcomes import IntakeReason
from service.intake.spool import DATASET_OFFSET
from tests.conftest import ROOT
from tests.driver import Service, role, running
from tests.service.intake.dimse.sender import LAST, RawSender, accepted, data_pdu, pdv, store_command

WRITES = Path(__file__).parent / "writes"
BOUNDARY = "pandok-trial-5f0b7c"
WORDS = frozenset(reason.word for reason in IntakeReason) | {"stored", "duplicate", "held"}
STATUSES = frozenset(reason.status for reason in IntakeReason) | {0}
HTTP_STATUSES = frozenset((200, 202, 400, 409, 411, 413, 415, 503, 507))
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
CR = "1.2.840.10008.5.1.4.1.1.1"


@dataclass
class Doors:
    """A running service, a sender with a key, and a signed-in person."""

    service: Service
    sender: httpx.Client
    report: Path

    def stow(self, files: Sequence[bytes], **headers: str) -> httpx.Response:
        """Send files by STOW-RS, a part each."""
        body = b"".join(
            b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (BOUNDARY.encode(), file) for file in files
        )
        kind = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
        content = body + f"--{BOUNDARY}--\r\n".encode()
        return self.sender.post("/dicomweb/studies", content=content, headers={"Content-Type": kind, **headers})

    def stowed(self, files: Sequence[bytes]) -> list[str]:
        """Send files by STOW-RS; returns the outcome of each, in the order of the answer's lists."""
        answer = self.stow(files)
        if answer.status_code not in HTTP_STATUSES:
            return [f"UNDOCUMENTED HTTP {answer.status_code}"] * len(files)
        module = answer.json()
        stored = [item.get("00081196") for item in module.get("00081199", {}).get("Value", [])]
        failed = [item["00081197"] for tag in ("00081198", "0008119A") for item in module.get(tag, {}).get("Value", [])]
        return [_said(one, is_kept=True) for one in stored] + [_said(one, is_kept=False) for one in failed]

    def upload(self, content: bytes, name: str = "film.dcm", **headers: str) -> httpx.Response:
        """Send one file as the upload page does; its name is percent-encoded by the page."""
        return self.sender.post("/api/uploads", content=content, headers={"X-File-Name": name, **headers})

    def uploaded(self, content: bytes, name: str = "film.dcm") -> list[str]:
        """Send one file; returns the outcome of each file in it."""
        return self._outcomes(self.upload(content, name))

    def resumed(self, content: bytes, name: str = "film.dcm") -> list[str]:
        """Send one file in two pieces by the door of uploads that go on after a break; returns as `uploaded`."""
        room, version = "/api/uploads/resumable", {"Tus-Resumable": "1.0.0"}
        told = base64.b64encode(hashlib.sha256(content).hexdigest().encode()).decode()
        length = {"Upload-Length": str(len(content)), "Upload-Metadata": f"sha256 {told}"}
        begun = self.sender.post(room, headers={**version, **length})
        if begun.status_code != 201:
            return [f"UNDOCUMENTED HTTP {begun.status_code}"]
        place, middle = begun.headers["Location"], len(content) // 2
        for at, piece in ((0, content[:middle]), (middle, content[middle:])):
            more = {"Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"}
            written = self.sender.patch(place, content=piece, headers={**version, **more})
            if written.status_code != 204:
                return [f"UNDOCUMENTED HTTP {written.status_code}"]
        said = self._outcomes(self.sender.post(f"{place}/take", headers={"X-File-Name": name}))
        self.sender.delete(place, headers=version)
        return said

    def _outcomes(self, answer: httpx.Response) -> list[str]:
        if answer.status_code not in HTTP_STATUSES:
            return [f"UNDOCUMENTED HTTP {answer.status_code}"]
        files = answer.json()["files"]
        words = [file["reason"] or file["outcome"] for file in files]
        return [
            f"{'kept' if file['kept'] else 'refused'} {word if word in WORDS else 'UNDOCUMENTED ' + str(word)}"
            for file, word in zip(files, words, strict=True)
        ]

    def c_store(self, data_set: bytes, *, syntax: str, sop_class: str = CR, uid: str = "1.2.3") -> str:
        """Send one data set by C-STORE; returns its status in words, or `aborted` for a command that is none."""
        with RawSender(self.service.dicom_port, timeout_s=90) as sender:
            contexts = accepted(sender.associate(((sop_class, (syntax,)),)))
            if contexts[1][0] != 0:
                return "refused context"
            values = [pdv(1, 3, store_command(sop_class, uid))]
            pieces = [data_set[start : start + 100_000] for start in range(0, len(data_set), 100_000)] or [b""]
            values += [pdv(1, LAST if number == len(pieces) - 1 else 0, piece) for number, piece in enumerate(pieces)]
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # an answer may come before the end
                sender.send(*map(data_pdu, values))
            kind, body = sender.pdu()
            if kind == 4:
                return status_word(decode(io.BytesIO(body[6:]), True, True).Status)
            return {7: "aborted", 0: "closed"}.get(kind, f"UNDOCUMENTED PDU {kind}")

    def processes(self) -> dict[int, str]:
        """Return the service's own processes by id: supervisor, web, listener, worker; children come and go."""
        assert self.service.process is not None
        found = {pid: role(pid) for pid in self.service.descendants()}
        return {pid: name for pid, name in found.items() if name in ("web", "listener", "worker")}

    def memory_mib(self, kind: str = "VmRSS") -> dict[str, float]:
        """Return each process' resident memory, or with `VmHWM` its peak since `forget_peaks`."""
        found = {}
        for pid, name in self.processes().items():
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            found[name] = next(int(line.split()[1]) for line in lines if line.startswith(kind)) / 1024
        return found

    def processor_s(self) -> float:
        """Return the processor time of the service's own processes so far."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def forget_peaks(self) -> None:
        """Let the kernel count each process' peak memory anew."""
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")

    def written_outside(self) -> list[str]:
        """Return what any process of the service wrote outside its data folder."""
        return self.report.read_text().splitlines() if self.report.is_file() else []

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Ask the service's tables."""
        engine = create_engine(f"sqlite:///{self.service.folder}/pandok.db")
        with engine.connect() as connection:
            found = [dict(row) for row in connection.execute(text(sql)).mappings()]
        engine.dispose()
        return found

    def archived(self) -> Iterator[Path]:
        """Give every file of the archive."""
        return (self.service.folder / "archive").rglob("*.dcm")


def status_word(status: int) -> str:
    """Return a status in words: those that say kept, refused, and what nobody documented."""
    if status not in STATUSES:
        return f"UNDOCUMENTED {status:04X}"
    return f"{'kept' if status in (0, 0xB007) else 'refused'} {status:04X}"


def _said(element: dict[str, Any] | None, *, is_kept: bool) -> str:
    status = element["Value"][0] if element else 0
    return f"{'kept' if is_kept else 'refused'} {status:04X}" if status in STATUSES else f"UNDOCUMENTED {status:04X}"


def wrong_files(paths: Iterator[Path]) -> int:
    """Return how many archived files are not what their names say, or begin with anything but zeros."""
    wrong = 0
    for path in paths:
        content = path.read_bytes()
        digest = hashlib.sha256(content[DATASET_OFFSET:]).hexdigest()
        wrong += content[:132] != bytes(128) + b"DICM" or digest != path.stem
    return wrong


@contextmanager
def open_doors(folder: Path, **settings: str) -> Iterator[Doors]:
    """Run the real service on a folder; every process of it reports what it writes outside its data folder."""
    report, data = folder / "written", folder / "service" / "data"
    watched = {
        "PYTHONPATH": os.pathsep.join((str(WRITES), str(ROOT))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PANDOK_TRIAL_WRITES": str(report),
        "PANDOK_TRIAL_MAY_WRITE": os.pathsep.join((str(data), str(report))),
        **settings,
    }
    (folder / "service").mkdir()
    with running(folder / "service", site=False, **watched) as service:
        service.add_site(quiet_s=900)  # nothing settles: what the worker makes of images has a trial of its own
        headers = {"Authorization": f"Bearer {service.add_key()}"}
        with httpx.Client(base_url=service.address, headers=headers, timeout=120) as sender:
            yield Doors(service, sender, report)
