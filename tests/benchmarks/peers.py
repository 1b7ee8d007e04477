"""The programs that we are compared with: named, and installed where that is asked for."""

from __future__ import annotations

from pathlib import Path

from tests.__main__ import PEERS, install_peers

ORTHANC = "/usr/sbin/Orthanc"
DICOMWEB_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
STORESCP = "/usr/bin/storescp"
STORESCU = "/usr/bin/storescu"


def missing(*paths: str) -> list[str]:
    """Return the Debian packages of the programs that are not here."""
    return sorted({PEERS.get(path, "dcmtk") for path in paths if not Path(path).is_file()})


def need(*paths: str, install: bool = False) -> None:
    """Make sure that programs are here. Raises SystemExit with what brings them when they are not."""
    if install and missing(*paths):
        install_peers()
    if packages := missing(*paths):
        raise SystemExit(
            f"The benchmarks need programs of Debian that are not here: apt-get install --no-install-recommends"
            f" {' '.join(packages)}, or, as root: python -m tests.benchmarks --install"
        )
