"""The images of a simulation: two sites that name their studies alike, radiographs and slices in each study."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

from preprocessing.header import InstanceHeader, read_header
from tests.factories import dataset_bytes, make_ct_slice, make_radiograph, phantom

QUIET_S = {"CT": 45.0, "default": 60.0}
OTHER_QUIET_S = 30.0
SITES: Mapping[str, Mapping[str, object]] = {
    "test": {},
    "other": {"quiet_s": {"default": OTHER_QUIET_S}, "conflict_answer": "warn"},
}
"""Policy of each, in the order of their ids."""
STUDIES_OF_SITE = 2
MOST_IMAGES = 9
"""So many images a study takes."""
SYNTAX = "1.2.840.10008.1.2.1"
OTHER_SYNTAX = "1.2.840.10008.1.2"


@dataclass(frozen=True, order=True)
class Image:
    """One image, by the number of its study and its own; every other one is a slice."""

    study: int
    number: int

    @property
    def site_id(self) -> int:
        """Its study's."""
        return site_id_of(self.study)

    @property
    def series(self) -> str:
        """The Series Instance UID."""
        return f"{study_uid(self.study)}.{self.number % 2}"

    @property
    def uid(self) -> str:
        """The SOP Instance UID."""
        return f"{self.series}.{self.number}"

    @property
    def quiet_s(self) -> float:
        """How long its study is to be quiet after it: the site's word first, then what holds for its modality."""
        if site_policy(self.study):
            return OTHER_QUIET_S
        return QUIET_S["CT"] if is_slice(self.uid) else QUIET_S["default"]

    def sha256(self, content: str) -> str:
        """Return the name of a content; a capital letter is the same content in another transfer syntax."""
        return f"{self.uid}-{content.lower()}".ljust(64, "0")

    def header(self, content: str) -> InstanceHeader:
        """Return its header."""
        header = _slice_header() if is_slice(self.uid) else _film_header()
        planes = tuple(replace(plane, position_mm=(0.0, 0.0, float(self.number))) for plane in header.planes)
        return replace(header, study_instance_uid=study_uid(self.study), series_instance_uid=self.series,
                       sop_instance_uid=self.uid, planes=planes,
                       transfer_syntax_uid=OTHER_SYNTAX if content.isupper() else SYNTAX)  # fmt: skip


def site_id_of(study: int) -> int:
    """Return the id of a study's site."""
    return 1 + study // STUDIES_OF_SITE


def site_policy(study: int) -> Mapping[str, object]:
    """Return what a study's site wants."""
    return list(SITES.values())[site_id_of(study) - 1]


def study_uid(study: int) -> str:
    """Return the Study Instance UID, which the sites do not agree upon."""
    return f"1.2.{study % STUDIES_OF_SITE}"


def study_number(site_id: int, study_instance_uid: str) -> int:
    """Return the number of a study."""
    return (site_id - 1) * STUDIES_OF_SITE + int(study_instance_uid.rpartition(".")[2])


def is_slice(sop_instance_uid: str) -> bool:
    """Tell whether an image is one of a series of slices."""
    return sop_instance_uid.split(".")[3] == "1"


@functools.cache
def _film_header() -> InstanceHeader:
    return _read(dataset_bytes(make_radiograph(phantom(4, 4))))


@functools.cache
def _slice_header() -> InstanceHeader:
    return _read(dataset_bytes(make_ct_slice(rows=4)))


def _read(data: bytes) -> InstanceHeader:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return read_header(file, transfer_syntax_uid=SYNTAX, offset=0, length=len(data))
