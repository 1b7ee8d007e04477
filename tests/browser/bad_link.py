"""A link between a browser and the service that is slow and breaks."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

PIECE_BYTES = 1 << 16


class BadLink:
    """Carries bytes to a port of this machine.

    Args:
        port: Where the service answers.
    """

    def __init__(self, port: int) -> None:
        self.up_bytes_per_s = float("inf")
        self._to = port
        self._lines: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def break_off(self) -> None:
        """End every connection where it stands; new ones come through."""
        lines, self._lines = self._lines, []
        for line in lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End for good."""
        self._listening.close()
        self.break_off()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                service = socket.create_connection(("127.0.0.1", self._to))
                self._lines += [caller, service]
                threading.Thread(target=self._carry, args=(caller, service, True), daemon=True).start()
                threading.Thread(target=self._carry, args=(service, caller, False), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, is_up: bool) -> None:
        with source:
            with contextlib.suppress(OSError):
                while piece := source.recv(PIECE_BYTES):
                    if is_up:
                        time.sleep(len(piece) / self.up_bytes_per_s)
                    target.sendall(piece)
            for line in (source, target):
                with contextlib.suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)


@contextmanager
def bad_link(port: int) -> Iterator[BadLink]:
    """Open such a link."""
    link = BadLink(port)
    try:
        yield link
    finally:
        link.close()
