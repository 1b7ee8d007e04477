"""Which pictures are made for each transfer syntax, by whose encoder, and who else decodes them."""

from __future__ import annotations

import io
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import UID, RLELossless

from tests.trials.decoders import lossless_jpeg

_BASE = "1.2.840.10008.1.2"
Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is encoded: (rows, columns) or (rows, columns, 3), its bits, and a number to choose variants by."""

    values: Values
    bits: int
    variant: int


class NotDecoded(Exception):
    """The other decoder does not take this picture, or is not on this machine."""


Other = Callable[[bytes, Picture], Values]


@dataclass(frozen=True)
class Case:
    """One transfer syntax, one encoder, and the decoders that are compared."""

    name: str
    syntax: str
    encode: Callable[[Picture], bytes]
    others: Mapping[str, Other] = field(default_factory=dict)
    bits: tuple[int, ...] = (8, 10, 12, 16)
    samples: int = 1
    is_lossless: bool = True
    is_planar: bool = False
    is_big_endian: bool = False
    smallest: int = 1


def by_pydicom(syntax: str, plugin: str = "", *, photometric: str = "") -> Other:
    """Return a decoder that pydicom calls, such as GDCM."""

    def decoded(data: bytes, picture: Picture) -> Values:
        dataset = described(picture, syntax, photometric)
        is_native = UID(syntax).is_encapsulated is False
        dataset.PixelData = data + b"\0" * (len(data) % 2) if is_native else encapsulate([data])
        dataset["PixelData"].VR = "OW" if picture.values.dtype.itemsize == 2 else "OB"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                values: Values = pixel_array(dataset, decoding_plugin=plugin, raw=True)
            except RuntimeError as error:
                raise NotDecoded from error
        return values

    return decoded


def described(picture: Picture, syntax: str, photometric: str = "") -> Dataset:
    """Return a data set that describes a picture."""
    values, dataset = picture.values, Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric or ("RGB" if values.ndim == 3 else "MONOCHROME2")
    dataset.BitsAllocated, dataset.PixelRepresentation = values.dtype.itemsize * 8, 0
    dataset.BitsStored, dataset.HighBit = picture.bits, picture.bits - 1
    return dataset


def _rle(picture: Picture) -> bytes:
    dataset = described(picture, _BASE + ".1")
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", "1.2.3"
    dataset.PixelData = picture.values.tobytes() + b"\0" * (picture.values.nbytes % 2)
    dataset["PixelData"].VR = "OW"
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def _pillow(data: bytes, picture: Picture) -> Values:
    del picture
    return np.asarray(Image.open(io.BytesIO(data)))


def _dcmtk(data: bytes, picture: Picture) -> Values:
    """Decode 12-bit JPEG by DCMTK's dcmdjpeg; the only other free decoder of it here."""
    dataset = described(picture, _BASE + ".4.51")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.PixelData = encapsulate([data])
    dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
    with tempfile.TemporaryDirectory() as folder:
        packed, plain = f"{folder}/packed", f"{folder}/plain"
        dcmwrite(packed, dataset, enforce_file_format=True)
        try:
            subprocess.run(["/usr/bin/dcmdjpeg", packed, plain], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotDecoded from error
        return pixel_array(plain, raw=True)


def _jpeg8(picture: Picture) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(picture.values, level=90 + picture.variant % 10))


def _jpeg12(picture: Picture) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(picture.values, level=95, bitspersample=12))


def _lossless(picture: Picture) -> bytes:
    return bytes(
        imagecodecs.jpeg8_encode(
            picture.values, lossless=True, predictor=1 + picture.variant % 7, bitspersample=picture.bits
        )
    )


def _our_lossless(picture: Picture) -> bytes:
    return lossless_jpeg.encode(picture.values, bits=picture.bits, predictor=1 + picture.variant % 7)


def _j2k(picture: Picture) -> bytes:
    kind = "jp2" if picture.variant % 2 else "j2k"
    return bytes(imagecodecs.jpeg2k_encode(picture.values, level=0, codecformat=kind, bitspersample=picture.bits))


def _lossy_j2k(picture: Picture) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(picture.values, level=50, reversible=False, bitspersample=picture.bits))


def _native(picture: Picture) -> bytes:
    return picture.values.tobytes()


def _planar(picture: Picture) -> bytes:
    return np.ascontiguousarray(picture.values.transpose(2, 0, 1)).tobytes()


def _big_endian(picture: Picture) -> bytes:
    return picture.values.astype(picture.values.dtype.newbyteorder(">")).tobytes()


def _gdcm(last: str, photometric: str = "") -> Mapping[str, Other]:
    return {"gdcm": by_pydicom(_BASE + last, "gdcm", photometric=photometric)}


def _lj92(data: bytes, _picture: Picture) -> NDArray[Any]:
    """Made for cameras' raw pictures: some streams that the standard allows are too much for it."""
    try:
        return np.asarray(imagecodecs.ljpeg_decode(data))
    except imagecodecs.LjpegError as error:
        raise NotDecoded from error


_SOF3: Mapping[str, Other] = {
    "lj92": _lj92,
    "jpegsof3": lambda data, _: imagecodecs.jpegsof3_decode(data),
}
_OPENJPEG: Mapping[str, Other] = {"pylibjpeg": by_pydicom(_BASE + ".4.90", "pylibjpeg")}

CASES: tuple[Case, ...] = (
    Case("implicit", _BASE, _native, {"pydicom": by_pydicom(_BASE)}),
    Case("explicit", _BASE + ".1", _native, {"pydicom": by_pydicom(_BASE + ".1")}),
    Case("explicit RGB", _BASE + ".1", _native, {"pydicom": by_pydicom(_BASE + ".1")}, bits=(8,), samples=3),
    Case("explicit RGB planes", _BASE + ".1", _planar, bits=(8,), samples=3, is_planar=True),
    Case("deflated", _BASE + ".1.99", _native, {"pydicom": by_pydicom(_BASE + ".1.99")}),
    Case(
        "big endian", _BASE + ".2", _big_endian, {"pydicom": by_pydicom(_BASE + ".2")}, (10, 12, 16),
        is_big_endian=True,
    ),
    Case("JPEG 8", _BASE + ".4.50", _jpeg8, {"Pillow": _pillow, **_gdcm(".4.50")}, (8,), is_lossless=False, smallest=8),
    Case("JPEG 12", _BASE + ".4.51", _jpeg12, {"DCMTK": _dcmtk}, (12,), is_lossless=False, smallest=8),
    Case("JPEG lossless", _BASE + ".4.57", _lossless, _gdcm(".4.57")),
    Case("JPEG lossless 1", _BASE + ".4.70", _lossless, _gdcm(".4.70")),
    Case("JPEG lossless RGB", _BASE + ".4.70", _lossless, _gdcm(".4.70"), (8,), samples=3),
    Case("JPEG lossless, wrapped", _BASE + ".4.70", _our_lossless, {**_gdcm(".4.70"), **_SOF3}, (16,)),
    Case("JPEG-LS", _BASE + ".4.80", lambda p: bytes(imagecodecs.jpegls_encode(p.values)), _gdcm(".4.80"), (8, 16)),
    Case(
        "JPEG-LS near", _BASE + ".4.81", lambda p: bytes(imagecodecs.jpegls_encode(p.values, level=2)), _gdcm(".4.81"),
        (8, 16), is_lossless=False,
    ),
    Case("JPEG 2000", _BASE + ".4.90", _j2k, {**_gdcm(".4.90"), **_OPENJPEG}, smallest=8),
    Case("JPEG 2000 RGB", _BASE + ".4.90", _j2k, _OPENJPEG, (8,), samples=3, smallest=8),
    Case("JPEG 2000 lossy", _BASE + ".4.91", _lossy_j2k, _gdcm(".4.91"), (8, 12, 16), is_lossless=False, smallest=16),
    *(
        Case(
            f"HTJ2K {last}", _BASE + last, lambda p: bytes(imagecodecs.htj2k_encode(p.values)),
            {"OpenJPH": lambda data, _: imagecodecs.htj2k_decode(data)}, (8, 16), smallest=8,
        )
        for last in (".4.201", ".4.202", ".4.203")
    ),
    Case("RLE", _BASE + ".5", _rle, {name: by_pydicom(_BASE + ".5", name) for name in ("pydicom", "pylibjpeg")}),
    Case("RLE RGB", _BASE + ".5", _rle, {"pydicom": by_pydicom(_BASE + ".5", "pydicom")}, (8,), samples=3),
)  # fmt: skip
