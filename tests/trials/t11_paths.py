"""Hostile UIDs, AE titles, file names and zip entries at every entrance: nothing is written outside the data folder.

What Python writes is reported by the processes themselves; what any library writes, by the kernel (strace).
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import quote

import httpx

from service.settings import Settings
from service.startup import metrics_folder
from tests.conftest import ROOT
from tests.factories import dataset_bytes, make_radiograph, part10
from tests.service.intake.dimse.sender import RawSender, associate_rq
from tests.trials.changes import changed_paths, outside, tracer_of_changes
from tests.trials.mutants.doors import EXPLICIT, Doors, open_doors, wrong_files
from tests.trials.mutants.seeds import seed_files
from tests.trials.mutants.tree import Element, read_tree, write_tree
from tests.trials.mutants.values import TEXTS, UIDS
from tests.trials.trial import Counts, Trial

SHARE = 500
"""Hostile names of one seed."""
IN_ZIP = 25
_UID_TAGS = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00020002, 0x00020003)
_AE_TITLES = (
    b"..", b"../../../etc", b"/etc/passwd", b"TESTER/../x", b"TESTER\0\0", b"\0" * 16, b" " * 16, b"%2e%2e%2f",
    b"\xff" * 16, b"TESTER\n", b"$(touch x)", b"`touch x`", b"';DROP TABLE--", b"<script>", b"con", b"TESTER\\..\\x",
)  # fmt: skip
_NAMES = (
    "../../../../tmp/pandok-out", "/tmp/pandok-out", "C:\\windows\\x.dcm", "..\\..\\x.dcm", "a\0b.dcm", "\u202egpj.exe",
    "x" * 5_000, "~/.ssh/authorized_keys", "", ".", "..", "con", "a/./../../b", "//server/share/x", "%2e%2e/x", "a\nb",
    "-rf", "$(touch x).dcm", "<img src=x onerror=alert(1)>.dcm", "spool/../../x", "archive/1/ab/x.dcm",
)  # fmt: skip


def run(seed: int, folder: Path) -> Counts:
    """Send one seed's share of hostile names."""
    chance = Random(seed)
    endings: Counter[str] = Counter()
    with open_doors(folder) as doors:
        processes = doors.processes()
        tracer = tracer_of_changes(folder / "trace", doors.service.descendants())
        before = _around(folder)
        for ending in _all(doors, chance):
            endings[ending] += 1
        tracer.leave()
        changed = list(changed_paths(folder / "trace", ROOT))
        numbers = metrics_folder(Settings(data_folder=doors.service.folder))
        changed_outside = outside(changed, (doors.service.folder, doors.report, numbers, os.devnull))
        print(dict(endings), changed_outside[:20])
        return {
            "names": endings.total(),
            "written_outside": len(doors.written_outside()),
            "changes_seen": len(changed),
            "changed_outside": len(changed_outside),
            "new_files_around": len(_around(folder) - before),
            "undocumented": sum(count for ending, count in endings.items() if "UNDOCUMENTED" in ending),
            "process_deaths": len(set(processes) - set(doors.processes())),
            "wrong_files": wrong_files(doors.archived()),
            "bad_uids_kept": _bad_uids(doors),
        }


def _all(doors: Doors, chance: Random) -> Iterator[str]:
    for _ in range(SHARE // 5 // 10):
        yield from doors.stowed([_hostile_file(chance) for _ in range(10)])
    for number in range(SHARE // 5):
        send = doors.resumed if number % 2 else doors.uploaded
        yield from send(_hostile_file(chance), quote(chance.choice(_NAMES), safe=""))
    for _ in range(SHARE // 5):
        yield _by_dimse(doors, chance)
    for _ in range(SHARE // 5):
        yield _ae_title(doors, chance)
    for _ in range(SHARE // 10 // IN_ZIP):
        yield from doors.uploaded(_hostile_zip(chance), "x.zip")
    for _ in range(SHARE // 10):
        yield _address(doors, chance)


def _hostile_file(chance: Random) -> bytes:
    file = read_tree(seed_files()["made/radiograph"])
    tag, uid = chance.choice(_UID_TAGS), chance.choice(UIDS)
    level = file.meta if tag >> 16 == 2 else file.elements
    for element in level:
        if element.tag == tag:
            element.value = uid + b"\0" * (len(uid) % 2)
        elif element.tag in (0x00100010, 0x00100020):
            text = chance.choice(TEXTS)[:200]
            element.value = text + b" " * (len(text) % 2)
    file.meta.append(Element(0x00020016, b"AE", chance.choice(_AE_TITLES).ljust(16)))
    return write_tree(file)


def _by_dimse(doors: Doors, chance: Random) -> str:
    """Send a hostile UID in the command, in the data set, or in both."""
    uid = chance.choice(UIDS).decode("latin-1")[:64]
    dataset = make_radiograph()
    content = dataset_bytes(dataset)
    if chance.random() < 0.5:
        content = content.replace(
            dataset.SOPInstanceUID.encode(), uid.encode("latin-1").ljust(len(dataset.SOPInstanceUID))[:64]
        )
    try:
        return doors.c_store(content, syntax=EXPLICIT, uid=uid)
    except ValueError:  # the sender's own library refuses to write it
        return doors.c_store(content, syntax=EXPLICIT)


def _ae_title(doors: Doors, chance: Random) -> str:
    """Associate under a hostile title, as caller or as called."""
    request = bytearray(associate_rq())
    place = chance.choice((10, 26))
    request[place : place + 16] = chance.choice(_AE_TITLES).ljust(16)[:16]
    with RawSender(doors.service.dicom_port) as sender:
        sender.send(bytes(request))
        kind, _ = sender.pdu()
        return {2: "accepted", 3: "refused", 7: "aborted", 0: "closed"}.get(kind, f"UNDOCUMENTED PDU {kind}")


def _hostile_zip(chance: Random) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for _ in range(IN_ZIP):
            entry = zipfile.ZipInfo(chance.choice(_NAMES)[:200] or "x")
            if chance.random() < 0.2:
                entry.create_system, entry.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
                archive.writestr(entry, "/etc/passwd")
            else:
                archive.writestr(entry, part10(make_radiograph()))
    return buffer.getvalue()


def _address(doors: Doors, chance: Random) -> str:
    """Ask for a hostile UID by the address."""
    uid = quote(chance.choice(UIDS), safe="")
    path = chance.choice((f"/dicomweb/studies/{uid}", f"/dicomweb/studies/{uid}/series/1.2/instances/{uid}/metadata"))
    try:
        status = doors.sender.get(path).status_code
    except httpx.InvalidURL:
        return "not an address"
    return f"HTTP {status}" if status in (200, 204, 307, 400, 404, 405, 406) else f"UNDOCUMENTED HTTP {status}"


def _around(folder: Path) -> set[str]:
    """Return every path of the trial's folder and of the working folder's first level, but for the data folder."""
    data = folder / "service" / "data"
    found = {str(path) for path in folder.rglob("*") if data not in path.parents}
    return found | {
        str(path) for place in (Path.cwd(), Path("/tmp"), Path("/etc")) for path in place.glob("pandok-out*")
    }


def _bad_uids(doors: Doors) -> int:
    """Return how many rows hold a UID that is none."""
    rows = doors.rows(
        "SELECT sop_instance_uid u FROM instance UNION SELECT study_instance_uid FROM study"
        " UNION SELECT series_instance_uid FROM series"
    )
    return sum(not row["u"].isascii() or not row["u"].replace(".", "").isdigit() or len(row["u"]) > 64 for row in rows)


TRIAL = Trial(
    "11",
    "hostile UIDs, AE titles, file names and zip entries",
    run,
    "names",
    2_000,
    never=(
        "written_outside",
        "changed_outside",
        "new_files_around",
        "undocumented",
        "process_deaths",
        "wrong_files",
        "bad_uids_kept",
    ),
    at_least={"changes_seen": 1_000},
    quick=tuple(range(4)),
)
