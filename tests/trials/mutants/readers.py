"""DICOMweb's readers of a stored file: what they answer, at what peak of memory, and how long others wait meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.trials.mutants.doors import Doors

PLACE = "/dicomweb/studies/1.2.3.5/series/1.2.3.6/instances"
READERS = {
    "/metadata": "application/dicom+json",
    "/frames/1": "*/*",
    "": 'multipart/related; type="application/dicom"',
}
STATUSES = frozenset((200, 404, 406, 413))
"""What may be answered of a file that may be kept."""


@dataclass
class ReadBack:
    """What came of reading kept files.

    Attributes:
        at_first_mib: The web process' memory before the first; what a reading leaves behind counts as its peak too.
    """

    at_first_mib: float
    answers: int = 0
    undocumented: int = 0
    peak_mib: float = 0.0
    processor_s: float = 0.0
    others_waited_s: float = 0.0
    said: list[str] = field(default_factory=list)

    def read(self, doors: Doors, uid: str) -> None:
        """Have every reader read one stored file."""
        self.said = []
        for reader, accept in READERS.items():
            doors.forget_peaks()
            worked = doors.processor_s()
            with _others(doors.service.address) as waited:
                with doors.sender.stream("GET", f"{PLACE}/{uid}{reader}", headers={"Accept": accept}) as answer:
                    size = sum(map(len, answer.iter_raw()))
                time.sleep(0.02)
            grown = doors.memory_mib("VmHWM")["web"] - self.at_first_mib
            self.answers += 1
            self.undocumented += answer.status_code not in STATUSES
            self.peak_mib = max(self.peak_mib, grown)
            self.processor_s = max(self.processor_s, doors.processor_s() - worked)
            self.others_waited_s = max(self.others_waited_s, *waited)
            self.said.append(
                f"{reader or 'whole'} {answer.status_code}, {size:,} bytes, {grown:.0f} MiB, {max(waited):.2f} s"
            )


@contextmanager
def _others(address: str) -> Iterator[list[float]]:
    """Ask for something small again and again; gives how long each answer took, complete when the block ends."""
    waited: list[float] = []
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=address, timeout=60) as client:
            while not waited or not done.wait(0.02):
                started = time.monotonic()
                client.get("/live").raise_for_status()
                waited.append(time.monotonic() - started)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waited
    finally:
        done.set()
        thread.join()
