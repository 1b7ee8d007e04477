"""Synthetic CT series with known answers: a dense ball in air, cut by slices that lie as the test says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import EnhancedCTImageStorage, MRImageStorage, generate_uid

from tests.factories import make_ct_slice

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
BALL_HU, AIR_HU = 300, -1000


def make_series(
    count: int = 12,
    *,
    size: tuple[int, int] = (48, 40),
    spacing_mm: tuple[float, float] = (1.5, 1.25),
    cosines: Sequence[float] = AXIAL,
    step_mm: Sequence[float] | None = None,
    middle_mm: Sequence[float] = (0.0, 0.0, 0.0),
    ball_mm: Sequence[float] | None = None,
    radius_mm: float = 16.0,
    distance_mm: float = 3.0,
    study: Dataset | None = None,
    **attributes: Any,
) -> list[Dataset]:
    """Return the slices of one series in the order of their positions, the ball where the test wants it.

    Args:
        count: How many slices.
        size: Rows, columns.
        spacing_mm: Between rows, between columns.
        cosines: Image Orientation (Patient).
        step_mm: From slice to slice, LPS; along the normal when the test does not say.
        middle_mm: Middle of the stack, LPS.
        ball_mm: Middle of the ball; of the stack when the test does not say.
        radius_mm: Of the ball.
        distance_mm: Between slices, where `step_mm` is not given.
        study: Whose study they are of.
        attributes: Of every slice.
    """
    row, column = np.array(cosines[:3]), np.array(cosines[3:])
    step = np.array(step_mm) if step_mm is not None else distance_mm * np.cross(row, column)
    corner = np.array(middle_mm, float) - step * (count - 1) / 2
    corner -= row * spacing_mm[1] * (size[1] - 1) / 2 + column * spacing_mm[0] * (size[0] - 1) / 2
    common = {
        "StudyInstanceUID": study.StudyInstanceUID if study else generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "ImageOrientationPatient": [format(value, ".9f") for value in cosines],
        "PixelSpacing": list(spacing_mm),
        "SliceThickness": 99,  # no spacing
        **attributes,
    }
    ball = np.array(middle_mm if ball_mm is None else ball_mm, float)
    slices = []
    for index in range(count):
        position = corner + index * step
        hounsfield = cut_ball(position, (row * spacing_mm[1], column * spacing_mm[0]), size, ball, radius_mm)
        slices.append(
            _with_pixels(
                make_ct_slice(
                    ImagePositionPatient=[format(value, ".6f") for value in position],
                    InstanceNumber=index + 1,
                    **common,
                ),
                hounsfield,
            )
        )
    return slices


def cut_ball(
    position: NDArray[np.float64],
    steps: tuple[NDArray[np.float64], NDArray[np.float64]],
    size: tuple[int, int],
    ball: NDArray[np.float64],
    radius_mm: float,
) -> NDArray[np.float64]:
    """Return Hounsfield units of a plane through the ball, soft over 3 mm at its surface for resampling."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    places = position + columns[..., None] * steps[0] + rows[..., None] * steps[1]
    inside = np.clip((radius_mm - np.linalg.norm(places - ball, axis=-1)) / 3 + 0.5, 0, 1)
    return AIR_HU + (BALL_HU - AIR_HU) * inside


def _with_pixels(dataset: Dataset, hounsfield: NDArray[np.float64]) -> Dataset:
    stored = np.round(hounsfield - float(dataset.RescaleIntercept)).astype(np.uint16)
    dataset.Rows, dataset.Columns = stored.shape
    dataset.PixelData = stored.tobytes()
    return dataset


def make_mr_series(count: int = 12, **options: Any) -> list[Dataset]:
    """Return a series as `make_series`, as MR: the ball gives a signal of 1300, all around it none."""
    slices = make_series(count, **options)
    for one in slices:
        one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = MRImageStorage
        one.Modality, one.BodyPartExamined = "MR", "HEAD"
        one.PixelData = (one.pixel_array - np.uint16(AIR_HU + 1024)).tobytes()
        del one.RescaleSlope, one.RescaleIntercept
    return slices


def make_enhanced(slices: Sequence[Dataset], marks: Sequence[dict[str, Any]] | None = None) -> Dataset:
    """Return the slices as the frames of one Enhanced CT image, in the order in which they are given.

    Args:
        slices: Of one series.
        marks: Attributes of each frame's Frame Content.
    """
    first = slices[0]
    image = make_ct_slice()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows", "Columns"):
        setattr(image, keyword, getattr(first, keyword))
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope",
                    "RescaleIntercept", "SliceThickness"):  # fmt: skip
        delattr(image, keyword)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    image.NumberOfFrames = len(slices)
    image.PixelData = b"".join(one.PixelData for one in slices)
    values = _item(RescaleIntercept=first.RescaleIntercept, RescaleSlope=first.RescaleSlope, RescaleType="HU")
    image.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[_item(PixelSpacing=first.PixelSpacing, SliceThickness=99)],
            PlaneOrientationSequence=[_item(ImageOrientationPatient=first.ImageOrientationPatient)],
            PixelValueTransformationSequence=[values],
            CTImageFrameTypeSequence=[_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
        )
    ]
    image.PerFrameFunctionalGroupsSequence = [
        _item(
            FrameContentSequence=[_item(StackID="1", **(marks[n] if marks else {}))],
            PlanePositionSequence=[_item(ImagePositionPatient=one.ImagePositionPatient)],
        )
        for n, one in enumerate(slices)
    ]
    return image


def _item(**attributes: Any) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
