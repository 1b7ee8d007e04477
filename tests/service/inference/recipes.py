"""The real recipe, but for patients with certain names, which do to a decode child what bad files do."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import InstanceHeader
from preprocessing.placement import Prepared, PreparedVolume
from preprocessing.recipes import RECIPES as REAL
from preprocessing.recipes import SERIES_RECIPES as REAL_SERIES

NAME = "chest_radiograph/1"
MODULE = __name__


class NativePanic(BaseException):
    """What a panicking native library raises: no Exception."""


class DeadlyRecipe:
    """Does what the patient's ID says."""

    name = NAME
    sha256 = REAL[NAME].sha256

    def prepare(self, path: Path, header: InstanceHeader) -> Prepared:
        match header.patient_id:
            case "ABORT":
                os.abort()
            case "SEGV":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "PANIC":
                raise NativePanic
            case "MEMORY":
                np.ones(1 << 33, dtype=np.uint8)
            case "SLEEP":
                time.sleep(60)
            case "SPIN":
                while True:
                    pass
            case "SLOW":
                time.sleep(0.5)
            case "HUGE":
                os.pwrite(os.memfd_create("huge"), b"x", 300 * 1024**2)
            case "CURIOUS":
                path.with_name("other.dcm").read_bytes()
            case "CARELESS":
                path.with_name("new.dcm").write_bytes(b"x")
            case "RUNS":
                os.execv("/bin/true", ["true"])
            case "REFUSE":
                raise UnsupportedImage(Reason.UPSIDE_DOWN, "upside down")
            case "NETWORK":
                import socket

                with socket.socket() as peer:
                    peer.connect(("127.0.0.1", int(header.accession_number or 0)))
            case _:
                pass
        return REAL[NAME].prepare(path, header)


RECIPES = {NAME: DeadlyRecipe()}


class DeadlySeries:
    """Does to a child what a series of bad files does."""

    name = "deadly_volume/1"
    sha256 = "0" * 64

    def prepare_series(self, paths: Sequence[Path]) -> PreparedVolume:
        if paths[0].stem == "abort":
            os.abort()
        while True:
            pass


SERIES_RECIPES = {**REAL_SERIES, "deadly_volume/1": DeadlySeries()}
