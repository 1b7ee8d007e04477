"""An honest site: sends studies without end over one association, and echoes over new ones (a process of its own).

python -m tests.trials.honest PORT [SECONDS, ...]     # prints a line of figures for each stretch of time it is told
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field

from tests.factories import make_ct_slice
from tests.service.intake.dimse.sender import (
    COMMAND,
    CT_ID,
    ECHO_ID,
    LAST,
    RawSender,
    data_pdu,
    echo_command,
    pdv,
)  # fmt: skip

CALLING = "HONEST"
ECHO_EVERY_S = 0.1
PIECE_BYTES = 131_066
SLICES = 500
"""Of a study: one without end would be full after twenty thousand."""


@dataclass
class Figures:
    """What one stretch of time gave."""

    stored: int = 0
    refused: int = 0
    echoes_s: list[float] = field(default_factory=list)


class Honest:
    """One sender of images and one of echoes."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.figures = Figures()
        self._threads = [threading.Thread(target=target) for target in (self._send, self._echo)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        dataset = make_ct_slice(rows=512)
        number = 0
        while not self._stop.is_set():
            try:
                with RawSender(self._port, calling=CALLING) as sender:
                    sender.associate()
                    while not self._stop.is_set():
                        if number % SLICES == 0:
                            dataset.StudyInstanceUID = f"1.2.826.0.1.3680043.8.498.{time.time_ns()}"
                        number += 1
                        dataset.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.{time.time_ns()}.{number}"
                        answer = sender.store(dataset, CT_ID, piece=PIECE_BYTES)
                        self.figures.stored += answer.Status == 0x0000
                        self.figures.refused += answer.Status != 0x0000
            except (OSError, AssertionError, EOFError):
                self.figures.refused += 1
                self._stop.wait(0.1)

    def _echo(self) -> None:
        while not self._stop.wait(ECHO_EVERY_S):
            started = time.monotonic()
            try:
                with RawSender(self._port, calling=CALLING) as sender:
                    sender.associate()
                    sender.send(data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command())))
                    self.figures.refused += sender.answer().Status != 0x0000
                    sender.release()
            except (OSError, AssertionError, EOFError):
                self.figures.refused += 1
            self.figures.echoes_s.append(time.monotonic() - started)


def main() -> None:
    """Measure for as long as each line of standard input says."""
    honest = Honest(int(sys.argv[1]))
    honest.start()
    for line in sys.stdin:
        honest.figures = figures = Figures()
        started = time.monotonic()
        time.sleep(float(line))
        seconds = time.monotonic() - started
        print(
            json.dumps({"per_s": figures.stored / seconds, "refused": figures.refused, "echoes_s": figures.echoes_s}),
            flush=True,
        )
    honest.stop()


if __name__ == "__main__":
    main()
