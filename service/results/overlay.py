"""Heat map → a picture over the film as Secondary Capture, and a transparent PNG for a viewer.

The picture is drawn from the recipe's own tensor, cropped to the image and enlarged: what the network saw is shown,
and the sender's pixels are not decoded a second time outside the decode children. The film itself is never altered.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from models.package import ModelPackage
from preprocessing.decoders import LOSSY_TRANSFER_SYNTAXES
from preprocessing.header import InstanceHeader
from preprocessing.recipes import Placement
from service.results.dicom_object import ResultKey, add_series_and_equipment, code, study_modules
from service.results.findings import Finding, Presence
from service.results.legend import NOT_FOR_DIAGNOSIS, legend
from service.results.places import image_in_tensor

OVERLAY_CLASS = SecondaryCaptureImageStorage
SERIES_NUMBER = 9902
ENLARGED = 4
"""Tensor pixels become this many picture pixels on a side: 224 → 896."""
STRONGEST_ALPHA = 0.55
"""How much of the film the strongest activation covers: the film must stay readable under it."""
TEXT_WIDTH = 480
MARGIN = 12
LINE = 22
_SCALE_LINES = 3
"""Below the words: the scale and its two ends."""
_YELLOW, _WHITE = (255, 220, 0), (235, 235, 235)
_COLOURS = np.array(
    [[0, 0, 0, 4], [0.25, 87, 16, 110], [0.5, 188, 55, 84], [0.75, 249, 142, 9], [1, 252, 255, 164]], dtype=np.float64
)
"""Stations of a scale whose lightness grows evenly (inferno), also for readers who see few colours: value, r, g, b."""


@dataclass(frozen=True, slots=True)
class Film:
    """What the network saw of one image, and what it made of it.

    Attributes:
        tensor: float32 (1, rows, columns), 0..1.
        heat_map: float32 (outputs, h, w), class activations over the tensor; None when the package has none.
        placement: Where the tensor lies in the full-resolution image.
    """

    tensor: NDArray[np.float32]
    heat_map: NDArray[np.float32] | None
    placement: Placement


def build_overlay(
    package: ModelPackage,
    header: InstanceHeader,
    findings: Sequence[Finding],
    film: Film,
    *,
    key: ResultKey,
    number: int,
    made_at: datetime,
) -> Dataset:
    """Return the Secondary Capture of one analysed image: film, activation of the strongest finding, legend.

    Args:
        package: Of kind `findings`.
        header: The analysed image's.
        findings: One for each output that readers see.
        film: What is drawn.
        key: What the UIDs derive from.
        number: Instance Number, 1 for the first analysed image.
        made_at: When the run ended, with the offset of the place where the study was made.
    """
    picture = draw(package, findings, film)
    dataset = study_modules(header)
    dataset.SOPClassUID = OVERLAY_CLASS
    dataset.SOPInstanceUID = overlay_uid(key, header)
    dataset.InstanceNumber = number
    dataset.Modality = "OT"
    add_series_and_equipment(
        dataset,
        package,
        series_uid=series_uid(key),
        series_number=SERIES_NUMBER,
        description=f"AI overlay - not for diagnosis - {package.name} {package.version}",
        made_at=made_at,
    )
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.PatientOrientation = []
    dataset.Laterality = ""
    dataset.BurnedInAnnotation = "YES"
    dataset.LossyImageCompression = "01" if _is_lossy(header) else "00"
    dataset.DerivationDescription = f"Class activation of {package.name} {package.version} over the resized image"
    dataset.DerivationCodeSequence = [code("113085", "DCM", "Spatial resampling")]
    dataset.SourceImageSequence = [_source(header)]
    _set_pixels(dataset, picture)
    return dataset


def overlay_uid(key: ResultKey, header: InstanceHeader) -> str:
    """Return the SOP Instance UID of the overlay of one image."""
    return key.uid(f"overlay/{header.sop_instance_uid}")


def series_uid(key: ResultKey) -> str:
    """Return the Series Instance UID of a package's overlays."""
    return key.uid("overlay series")


def strongest(findings: Sequence[Finding]) -> Finding | None:
    """Return the present finding that stands farthest above its threshold; validated ones first."""
    present = [finding for finding in findings if finding.presence is Presence.PRESENT]
    return max(present, key=_strength, default=None)


def draw(package: ModelPackage, findings: Sequence[Finding], film: Film) -> Image.Image:
    """Return the RGB picture: the film with the activation of the strongest finding, beside it words and scale."""
    shown = strongest(findings)
    grey = _film(film)
    scale: float | None = None
    if shown is not None and film.heat_map is not None:
        colours, scale = _coloured(film.heat_map[shown.channel], film)
        grey.paste(colours, mask=colours.getchannel("A"))
    words = legend(package, findings, shown)
    height = max(grey.height, 2 * MARGIN + LINE * (len(words) + _SCALE_LINES))
    canvas = Image.new("RGB", (grey.width + TEXT_WIDTH, height))
    canvas.paste(grey)
    # On the film too: a viewer may show only that part.
    ImageDraw.Draw(canvas).text(
        (MARGIN, MARGIN), NOT_FOR_DIAGNOSIS, fill=_YELLOW, font=_font(), stroke_width=2, stroke_fill="black"
    )
    _write(canvas, grey.width + MARGIN, words, scale)
    return canvas


def heat_map_png(heat_map: NDArray[np.float32], placement: Placement, tensor_shape: tuple[int, int]) -> bytes:
    """Return one output's activation as a transparent PNG that covers exactly the image, at any size of it.

    Args:
        heat_map: float32 (h, w), over the whole tensor.
        placement: Where the tensor lies in the image.
        tensor_shape: (rows, columns) of the tensor.
    """
    film = Film(np.zeros((1, *tensor_shape), np.float32), heat_map[None], placement)
    colours, _scale = _coloured(heat_map, film)
    buffer = io.BytesIO()
    colours.save(buffer, format="PNG")
    return buffer.getvalue()


def _film(film: Film) -> Image.Image:
    grey = np.round(np.clip(film.tensor[0], 0.0, 1.0) * 255.0).astype(np.uint8)
    return _enlarged(Image.fromarray(grey), film).convert("RGB")


def _coloured(activation: NDArray[np.float32], film: Film) -> tuple[Image.Image, float]:
    """Return the activation as RGBA over the image, and the value that the strongest colour stands for."""
    rows, columns = film.tensor.shape[1:]
    positive = Image.fromarray(np.maximum(activation, 0.0).astype(np.float32))
    # Over the whole tensor first, then the same crop as the film: cells must not shift against it.
    spread = positive.resize((columns, rows), Image.Resampling.BILINEAR)
    values = np.asarray(_enlarged(spread, film), dtype=np.float64)
    strongest_value = float(values.max(initial=0.0))
    share = values / strongest_value if strongest_value > 0 else np.zeros_like(values)
    rgba = np.empty((*share.shape, 4), np.uint8)
    for channel in range(3):
        rgba[..., channel] = np.round(np.interp(share, _COLOURS[:, 0], _COLOURS[:, channel + 1]))
    rgba[..., 3] = np.round(share * STRONGEST_ALPHA * 255.0)
    return Image.fromarray(rgba), strongest_value


def _enlarged(picture: Image.Image, film: Film) -> Image.Image:
    """Crop a picture of the whole tensor to the image and enlarge it; the proportions stay the image's."""
    box = image_in_tensor(film.placement, (picture.height, picture.width))
    size = (max(1, round((box[2] - box[0]) * ENLARGED)), max(1, round((box[3] - box[1]) * ENLARGED)))
    return picture.resize(size, Image.Resampling.BILINEAR, box=box)


def _strength(finding: Finding) -> tuple[bool, float]:
    return (not finding.experimental, (finding.probability or 0.0) - finding.threshold)


def _write(canvas: Image.Image, left: int, lines: Sequence[str], scale: float | None) -> None:
    pen, font = ImageDraw.Draw(canvas), _font()
    top = MARGIN
    for index, line in enumerate(lines):
        pen.text((left, top), line, fill=_YELLOW if index == 0 else _WHITE, font=font)
        top += LINE
    if scale is None:
        return
    steps = 256
    for step in range(steps):
        share = step / (steps - 1)
        colour = tuple(round(float(np.interp(share, _COLOURS[:, 0], _COLOURS[:, c]))) for c in (1, 2, 3))
        pen.line([(left + step, top), (left + step, top + LINE - 4)], fill=colour)
    pen.text((left, top + LINE), "0", fill=_WHITE, font=font)
    pen.text((left + steps, top + LINE), f"{scale:.2f} (raw score)", fill=_WHITE, font=font)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: the same letters on every machine."""
    return ImageFont.load_default(size=17)


def _is_lossy(header: InstanceHeader) -> bool:
    """Once lossy, always lossy (PS3.3 C.7.6.1.1.5); some senders compress without a word about it."""
    return header.lossy_image_compression == "01" or header.transfer_syntax_uid in LOSSY_TRANSFER_SYNTAXES


def _source(header: InstanceHeader) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.sop_class_uid
    item.ReferencedSOPInstanceUID = header.sop_instance_uid
    item.PurposeOfReferenceCodeSequence = [code("121322", "DCM", "Source image for image processing operation")]
    return item


def _set_pixels(dataset: Dataset, picture: Image.Image) -> None:
    pixels = picture.tobytes()
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = picture.height, picture.width
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
