"""A case: which image, whose, which split, what is held true of it; and the one place that opens its picture."""

from __future__ import annotations

import io
import math
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal, Self, TypeVar

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.errors import InvalidDicomError

from preprocessing.header import InstanceHeader, read_header
from preprocessing.pixels import read_grey
from preprocessing.recipes import Prepared, Recipe
from preprocessing.windows import HeaderRefused

Split = Literal["train", "val", "test", "external"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
EXTERNAL: Split = "external"
"""Films of a set that is only ever looked at: nothing is learned from them and nothing is chosen on them."""

AgeBand = Literal["under 1 year", "1-5 years", "6-17 years", "adult", "unknown"]

Sex = Literal["F", "M", "O", ""]
View = Literal["PA", "AP", ""]
"""Empty where the set does not say."""

UNKNOWN = math.nan

CHILD_OPACITY = "pneumonia_like_opacity_child"
ANY_FINDING = "any_finding"
ADULT_OPACITY = "pneumonia_like_opacity"
NIH_FINDINGS = (
    "atelectasis",
    "cardiomegaly",
    "consolidation",
    "edema",
    "effusion",
    "emphysema",
    "fibrosis",
    "hernia",
    "infiltration",
    "mass",
    "nodule",
    "pleural_thickening",
    "pneumonia",
    "pneumothorax",
)
"""The fourteen findings of ChestX-ray14, by the names of its label columns."""

FINDINGS = (CHILD_OPACITY, ANY_FINDING, ADULT_OPACITY, *NIH_FINDINGS)
"""Order of the channels of the chest radiograph package."""

ADULT_YEARS = 18

T = TypeVar("T")

UNREADABLE = (OSError, tarfile.TarError, KeyError, InvalidDicomError, HeaderRefused, Image.DecompressionBombError)
"""What opening a missing, truncated or foreign file raises."""


class ManifestRefused(Exception):
    """A manifest that must not be trained on: what is wrong with it, in one sentence."""


@dataclass(frozen=True, slots=True)
class FindingBox:
    """Where a radiologist saw a finding: a box in the image's own pixels, from its top left corner."""

    finding: str
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Case:
    """One de-identified film.

    Attributes:
        image: The image file (picture or DICOM), or the tar file that holds it.
        member: Name inside the tar; None for a plain file.
        patient_id: A pseudonym. The same person has the same one in every set of a site.
        labels: One per finding of the data set (FINDINGS unless said otherwise): 1 present, 0 absent, NaN unknown.
        era_matched: For NIH films: from patient numbers where normal and abnormal films mix.
        age_years: None where the set gives only an age band, or nothing.
        boxes: What radiologists marked on this film; other findings may be there without a box.
    """

    image: Path
    member: str | None
    data_set: str
    patient_id: str
    split: Split
    labels: tuple[float, ...]
    age_band: AgeBand
    sex: Sex
    view: View
    era_matched: bool
    age_years: float | None = None
    boxes: tuple[FindingBox, ...] = ()

    @property
    def file_name(self) -> str:
        """Return the name of the image itself, inside the tar if it lies in one."""
        return self.member or self.image.name


def age_band_of(age_years: float | None) -> AgeBand:
    """Return the band of an age in years."""
    if age_years is None:
        return "unknown"
    if age_years >= ADULT_YEARS:
        return "adult"
    if age_years >= 6:
        return "6-17 years"
    return "1-5 years" if age_years >= 1 else "under 1 year"


def check_splits(cases: Iterable[Case]) -> None:
    """Raise ManifestRefused if a patient's films are divided between splits."""
    split_of: dict[str, Split] = {}
    for case in cases:
        if split_of.setdefault(case.patient_id, case.split) != case.split:
            raise ManifestRefused("a patient's films stand in two splits")


def of_split(cases: Iterable[Case], split: Split) -> list[Case]:
    """Return the cases of one split, in order."""
    return [case for case in cases if case.split == split]


class ImageFiles:
    """Opens the images of cases; a tar file stays open until the end."""

    def __init__(self) -> None:
        self._members: dict[Path, Mapping[str, tuple[tarfile.TarFile, tarfile.TarInfo]]] = {}
        self._lock = Lock()  # a tar file has one place that it reads from: two threads would get each other's films
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def content(self, case: Case) -> bytes:
        """Return the image file's bytes. Raises ManifestRefused if it is missing."""
        with _refused(case), self._lock:
            if case.member is None:
                return case.image.read_bytes()
            if case.image not in self._members:
                tar = self._open.enter_context(tarfile.open(case.image))  # noqa: SIM115 - it is one
                self._members[case.image] = {member.name: (tar, member) for member in tar}
            tar, member = self._members[case.image][case.member]
            file = tar.extractfile(member)
            if file is None:
                raise KeyError(case.member)
            return file.read()

    def grey(self, case: Case) -> NDArray[np.uint8]:
        """Return its picture, uint8 (rows, columns), bright = dense.

        Raises:
            ManifestRefused: The file is missing or is no image.
            UnsupportedImage: A DICOM file's pixels cannot be read.
        """
        with _refused(case):
            if not is_dicom(case):
                return _picture(self.content(case))
            values = self._dicom(case, lambda path, header: read_grey(path, header).values)
            return np.rint(values * 255).astype(np.uint8)

    def prepared(self, case: Case, recipe: Recipe) -> Prepared:
        """Return what the recipe makes of it: DICOM by the function that serves, pictures by its twin.

        Raises:
            ManifestRefused: The file is missing or is no image.
            UnsupportedImage: The recipe refuses the film.
        """
        with _refused(case):
            if not is_dicom(case):
                return recipe.prepare_array(_picture(self.content(case)))
            return self._dicom(case, recipe.prepare)

    def tensor(self, case: Case, recipe: Recipe) -> NDArray[np.float32]:
        """Return its tensor, float32 (1, rows, columns), as `prepared`."""
        return self.prepared(case, recipe).tensor

    def _dicom(self, case: Case, read: Callable[[Path, InstanceHeader], T]) -> T:
        """Return what `read` makes of a DICOM file; the decoders want a path, so a member of a tar becomes a file."""
        if case.member is None:
            return read(case.image, _header(case.image))
        with tempfile.NamedTemporaryFile(suffix=".dcm") as file:
            file.write(self.content(case))
            file.flush()
            return read(Path(file.name), _header(Path(file.name)))


def load_grey(cases: Iterable[Case]) -> Iterator[NDArray[np.uint8]]:
    """Yield each case's picture, as `ImageFiles.grey`."""
    with ImageFiles() as files:
        for case in cases:
            yield files.grey(case)


def load_prepared(cases: Iterable[Case], recipe: Recipe) -> Iterator[Prepared]:
    """Yield each case's tensor and where it lies in the picture, as `ImageFiles.prepared`."""
    with ImageFiles() as files:
        for case in cases:
            yield files.prepared(case, recipe)


def load_tensors(cases: Iterable[Case], recipe: Recipe) -> Iterator[NDArray[np.float32]]:
    """Yield each case's tensor, float32 (1, rows, columns), as `ImageFiles.prepared`."""
    for prepared in load_prepared(cases, recipe):
        yield prepared.tensor


def is_dicom(case: Case) -> bool:
    """Is its image a DICOM file, as in exports of the service? Told by the name: `.dcm`."""
    return case.file_name.endswith(".dcm")


@contextmanager
def _refused(case: Case) -> Iterator[None]:
    """Turn what a missing, truncated or foreign file raises into ManifestRefused with the file's name."""
    try:
        yield
    except UNREADABLE as error:
        raise ManifestRefused(f"{case.data_set}: {case.file_name} is missing or damaged") from error


def _picture(content: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("L"))


def _header(path: Path) -> InstanceHeader:
    meta = pydicom.filereader.read_file_meta_info(path)
    if "FileMetaInformationGroupLength" not in meta or "TransferSyntaxUID" not in meta:
        raise InvalidDicomError("the file meta information is not whole")
    offset = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    transfer_syntax_uid, length = str(meta.TransferSyntaxUID), path.stat().st_size - offset
    with path.open("rb") as file:
        return read_header(file, transfer_syntax_uid=transfer_syntax_uid, offset=offset, length=length)
