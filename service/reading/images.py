"""An image's header → what a reader's viewer is told of it: view, what a length means, what was lost."""

from __future__ import annotations

from preprocessing.header import InstanceHeader
from preprocessing.view import read_view
from service.reading.answers import ImageView, SpacingView

PROJECTIONS = frozenset({"CR", "DX", "DR", "RG", "MG", "IO", "PX", "RF", "XA"})
"""Modalities whose pixels are shadows at the detector: a length there is larger than in the patient (PS3.3 10.7)."""
SLICES = frozenset({"CT", "MR", "PT", "NM"})
LOSSY_SYNTAXES = frozenset(
    {
        "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91",
        "1.2.840.10008.1.2.4.203",
    }
)  # fmt: skip
"""Transfer syntaxes that a sender takes for lossy compression, whatever the header says of earlier ones."""

_LATERALITY = {"L": "left", "R": "right", "B": "both", "U": "unpaired"}
NOT_MEASURABLE = SpacingView(kind="none", row_mm=None, column_mm=None)


def spacing_of(header: InstanceHeader) -> SpacingView:
    """Return what a length on the image means. Where the header leaves doubt, the weaker claim stands.

    Pixel Spacing of a projection is a calibration only where it differs from the spacing at the detector
    (PS3.3 10.7.1.3); alone it is what stations write for the detector's own.
    """
    pixel, detector = header.pixel_spacing_mm, header.imager_pixel_spacing_mm
    if header.modality in SLICES and pixel is not None:
        return SpacingView(kind="calibrated", row_mm=pixel[0], column_mm=pixel[1])
    if header.modality not in PROJECTIONS:
        return NOT_MEASURABLE
    if pixel is not None and detector is not None and not _are_same(pixel, detector):
        return SpacingView(kind="calibrated", row_mm=pixel[0], column_mm=pixel[1])
    known = detector or pixel
    return SpacingView(kind="detector", row_mm=known[0], column_mm=known[1]) if known else NOT_MEASURABLE


def is_lossy(header: InstanceHeader) -> bool:
    """Tell whether the image lost something to compression, now or earlier."""
    return header.lossy_image_compression == "01" or header.transfer_syntax_uid in LOSSY_SYNTAXES


def image_view(header: InstanceHeader, url: str) -> ImageView:
    """Return what the viewer is told of an image."""
    side = (header.image_laterality or header.laterality or "").strip().upper()
    return ImageView(
        sop_instance_uid=header.sop_instance_uid or "",
        sop_class_uid=header.sop_class_uid or "",
        transfer_syntax_uid=header.transfer_syntax_uid,
        instance_number=header.instance_number,
        frames=max(header.number_of_frames or 1, 1),
        columns=header.columns,
        rows=header.rows,
        url=url,
        photometric=header.photometric_interpretation,
        view=read_view(header).view.value,
        laterality=_LATERALITY.get(side),
        lossy=is_lossy(header),
        spacing=spacing_of(header),
        burned_in={"YES": True, "NO": False}.get((header.burned_in_annotation or "").strip().upper()),
    )


def _are_same(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= 1e-4 * max(a, b) for a, b in zip(one, other, strict=True))
