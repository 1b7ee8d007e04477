"""Which pictures are made for each transfer syntax and photometric, by whose encoder, and who else decodes them."""

from __future__ import annotations

import io
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
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

from tests.trials.decoders import ffmpeg, lossless_jpeg, lossless_jpegls

DCMDJPEG = Path("/usr/bin/dcmdjpeg")
_BASE = "1.2.840.10008.1.2"
Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """What is encoded: (rows, columns) or (rows, columns, 3), its bits, what its samples mean.

    And a number to choose variants by.
    """

    values: Values
    bits: int
    variant: int
    photometric: str


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
    photometric: str = "MONOCHROME2"
    is_lossless: bool = True
    is_planar: bool = False
    is_big_endian: bool = False
    smallest: int = 1

    @property
    def samples(self) -> int:
        """Samples of a pixel."""
        return 1 if self.photometric.startswith(("MONOCHROME", "PALETTE")) else 3

    @property
    def is_halved(self) -> bool:
        """Two native pixels share their colour: YBR_FULL_422."""
        return self.photometric == "YBR_FULL_422" and not UID(self.syntax).is_encapsulated


def by_pydicom(syntax: str, plugin: str = "", *, is_planar: bool = False) -> Other:
    """Return a decoder that pydicom calls, such as GDCM."""

    def decoded(data: bytes, picture: Picture) -> Values:
        dataset = described(picture, syntax)
        if is_planar:
            dataset.PlanarConfiguration = 1
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


def described(picture: Picture, syntax: str) -> Dataset:
    """Return a data set that describes a picture."""
    values, dataset = picture.values, Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 3 if values.ndim == 3 else 1
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = picture.photometric
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
            subprocess.run([DCMDJPEG, packed, plain], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise NotDecoded from error
        return pixel_array(plain, raw=True)


def by_ffmpeg(codec: str, *, most_bits: int = 16) -> Other:
    """Return one of FFmpeg's own decoders, which takes grey of 8 to 16 bits and colour of 8."""

    def decoded(data: bytes, picture: Picture) -> Values:
        if picture.bits > most_bits:
            raise NotDecoded
        try:
            return ffmpeg.decode(codec, data)
        except ffmpeg.NotTaken as error:
            raise NotDecoded from error

    return decoded


def in_rgb(other: Other) -> Other:
    """Return a decoder that leaves YBR as it is, with its samples turned into RGB (PS3.3 C.7.6.3.1.2)."""

    def decoded(data: bytes, picture: Picture) -> Values:
        luma, blue, red = np.moveaxis(other(data, picture).astype(np.float64) - (0, 128, 128), -1, 0)
        rgb = luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue
        return np.clip(np.rint(np.stack(rgb, axis=-1)), 0, 255).astype(np.uint8)

    return decoded


def _jpeg8(picture: Picture) -> bytes:
    """Encode 8-bit JPEG; what is written as RGB keeps its colours, the rest becomes YBR."""
    ways: dict[str, dict[str, Any]] = {
        "YBR_FULL": {"subsampling": "444"}, "YBR_FULL_422": {"subsampling": "422"},
        "RGB": {"colorspace": "RGB", "outcolorspace": "RGB"},
    }  # fmt: skip
    options = ways.get(picture.photometric, {})
    return bytes(imagecodecs.jpeg8_encode(picture.values, level=90 + picture.variant % 10, **options))


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
    is_turned = picture.photometric == "YBR_RCT"
    return bytes(
        imagecodecs.jpeg2k_encode(picture.values, level=0, codecformat=kind, bitspersample=picture.bits, mct=is_turned)
    )


def _lossy_j2k(picture: Picture) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(picture.values, level=50, reversible=False, bitspersample=picture.bits))


def _jpegls(picture: Picture) -> bytes:
    # Noise in colours becomes longer than CharLS foresees.
    return bytes(imagecodecs.jpegls_encode(picture.values, out=2 * picture.values.nbytes + 1024))


def _jpegls_near(picture: Picture) -> bytes:
    return bytes(imagecodecs.jpegls_encode(picture.values, level=2))


def _our_jpegls(picture: Picture) -> bytes:
    return lossless_jpegls.encode(picture.values, bits=picture.bits)


def _ffmpeg_jpegls(picture: Picture) -> bytes:
    return ffmpeg.encode("jpegls", picture.values, _pixel_format(picture))


def _ffmpeg_j2k(picture: Picture) -> bytes:
    kind = "jp2" if picture.variant % 2 else "j2k"
    return ffmpeg.encode("jpeg2000", picture.values, _pixel_format(picture), pred="dwt53", format=kind)


def _ffmpeg_lossy_j2k(picture: Picture) -> bytes:
    return ffmpeg.encode("jpeg2000", picture.values, _pixel_format(picture), pred="dwt97int", format="j2k")


def _pixel_format(picture: Picture) -> str:
    return "rgb24" if picture.values.ndim == 3 else "gray" if picture.bits == 8 else f"gray{picture.bits}le"


def _native(picture: Picture) -> bytes:
    return picture.values.tobytes()


def _halved(picture: Picture) -> bytes:
    pairs = picture.values.reshape(picture.values.shape[0], -1, 2, 3)
    return np.concatenate([pairs[:, :, :, 0], pairs[:, :, 0, 1:]], axis=-1).tobytes()


def _planar(picture: Picture) -> bytes:
    return np.ascontiguousarray(picture.values.transpose(2, 0, 1)).tobytes()


def _big_endian(picture: Picture) -> bytes:
    return picture.values.astype(picture.values.dtype.newbyteorder(">")).tobytes()


def _gdcm(last: str) -> Mapping[str, Other]:
    return {"gdcm": by_pydicom(_BASE + last, "gdcm")}


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
_JPEG: Mapping[str, Other] = {"FFmpeg": by_ffmpeg("mjpeg", most_bits=12)}
"""At 16 bits it reads further bits after a difference of 32,768, which has none (T.81 table H.2)."""
_JPEGLS: Mapping[str, Other] = {"FFmpeg": by_ffmpeg("jpegls")}
_J2K: Mapping[str, Other] = {"FFmpeg": by_ffmpeg("jpeg2000")}
_OPENJPEG: Mapping[str, Other] = {"pylibjpeg": by_pydicom(_BASE + ".4.90", "pylibjpeg")}
_PYDICOM: Mapping[str, Other] = {"pydicom": by_pydicom(_BASE + ".1")}
_YBR_JPEG: Mapping[str, Other] = {"Pillow": _pillow, "gdcm": in_rgb(by_pydicom(_BASE + ".4.50", "gdcm"))}
_RLE: Mapping[str, Other] = {name: by_pydicom(_BASE + ".5", name) for name in ("pydicom", "pylibjpeg")}

SAME_LIBRARY: Mapping[str, Collection[str]] = {
    _BASE + ".4.50": ("Pillow",),
    _BASE + ".4.80": ("gdcm",),
    _BASE + ".4.81": ("gdcm",),
    _BASE + ".4.90": ("gdcm", "pylibjpeg"),
    _BASE + ".4.91": ("gdcm", "pylibjpeg"),
}
"""Decoders that are made of the same library as ours: libjpeg-turbo, CharLS, OpenJPEG. They find a wrong call, not a
wrong library."""

CASES: tuple[Case, ...] = (
    Case("implicit", _BASE, _native, {"pydicom": by_pydicom(_BASE)}),
    Case("explicit", _BASE + ".1", _native, _PYDICOM),
    Case("explicit inverse", _BASE + ".1", _native, _PYDICOM, photometric="MONOCHROME1"),
    Case("explicit palette", _BASE + ".1", _native, _PYDICOM, (8, 16), "PALETTE COLOR"),
    Case("explicit RGB", _BASE + ".1", _native, _PYDICOM, (8,), "RGB"),
    Case(
        "explicit RGB planes", _BASE + ".1", _planar, {"pydicom": by_pydicom(_BASE + ".1", is_planar=True)}, (8,),
        "RGB", is_planar=True,
    ),
    Case("explicit YBR", _BASE + ".1", _native, _PYDICOM, (8,), "YBR_FULL"),
    Case("explicit YBR 422", _BASE + ".1", _halved, _PYDICOM, (8,), "YBR_FULL_422"),
    Case("deflated", _BASE + ".1.99", _native, {"pydicom": by_pydicom(_BASE + ".1.99")}),
    Case(
        "big endian", _BASE + ".2", _big_endian, {"pydicom": by_pydicom(_BASE + ".2")}, (10, 12, 16),
        is_big_endian=True,
    ),
    Case(
        "JPEG 8", _BASE + ".4.50", _jpeg8, {"Pillow": _pillow, **_gdcm(".4.50"), **_JPEG}, (8,), is_lossless=False,
        smallest=8,
    ),
    Case(
        "JPEG 8 RGB", _BASE + ".4.50", _jpeg8, {"Pillow": _pillow, **_gdcm(".4.50"), **_JPEG}, (8,), "RGB",
        is_lossless=False, smallest=8,
    ),
    Case("JPEG 8 YBR", _BASE + ".4.50", _jpeg8, _YBR_JPEG, (8,), "YBR_FULL", is_lossless=False, smallest=8),
    Case("JPEG 8 YBR 422", _BASE + ".4.50", _jpeg8, _YBR_JPEG, (8,), "YBR_FULL_422", is_lossless=False, smallest=8),
    Case("JPEG 12", _BASE + ".4.51", _jpeg12, {"DCMTK": _dcmtk}, (12,), is_lossless=False, smallest=8),
    Case("JPEG lossless", _BASE + ".4.57", _lossless, {**_gdcm(".4.57"), **_JPEG}),
    Case("JPEG lossless 1", _BASE + ".4.70", _lossless, {**_gdcm(".4.70"), **_JPEG}),
    Case("JPEG lossless inverse", _BASE + ".4.70", _lossless, {**_gdcm(".4.70"), **_JPEG}, photometric="MONOCHROME1"),
    Case("JPEG lossless RGB", _BASE + ".4.70", _lossless, {**_gdcm(".4.70"), **_JPEG}, (8,), "RGB"),
    Case("JPEG lossless, wrapped", _BASE + ".4.70", _our_lossless, {**_gdcm(".4.70"), **_SOF3}, (16,)),
    Case("JPEG-LS", _BASE + ".4.80", _jpegls, {**_gdcm(".4.80"), **_JPEGLS}, (8, 16)),
    Case("JPEG-LS by us", _BASE + ".4.80", _our_jpegls, {**_gdcm(".4.80"), **_JPEGLS}),
    Case("JPEG-LS inverse", _BASE + ".4.80", _our_jpegls, {**_gdcm(".4.80"), **_JPEGLS}, photometric="MONOCHROME1"),
    Case("JPEG-LS by FFmpeg", _BASE + ".4.80", _ffmpeg_jpegls, {**_gdcm(".4.80"), **_JPEGLS}, (8, 16)),
    Case("JPEG-LS RGB", _BASE + ".4.80", _jpegls, _gdcm(".4.80"), (8,), "RGB"),
    Case("JPEG-LS RGB by FFmpeg", _BASE + ".4.80", _ffmpeg_jpegls, {**_gdcm(".4.80"), **_JPEGLS}, (8,), "RGB"),
    Case(
        "JPEG-LS near", _BASE + ".4.81", _jpegls_near, {**_gdcm(".4.81"), **_JPEGLS}, (8, 16), is_lossless=False,
    ),
    Case("JPEG 2000", _BASE + ".4.90", _j2k, {**_gdcm(".4.90"), **_OPENJPEG, **_J2K}, smallest=8),
    Case("JPEG 2000 by FFmpeg", _BASE + ".4.90", _ffmpeg_j2k, {**_gdcm(".4.90"), **_OPENJPEG, **_J2K}, smallest=8),
    Case("JPEG 2000 RGB", _BASE + ".4.90", _j2k, {**_OPENJPEG, **_J2K}, (8,), "RGB", smallest=8),
    Case("JPEG 2000 RCT", _BASE + ".4.90", _j2k, {**_OPENJPEG, **_J2K}, (8,), "YBR_RCT", smallest=8),
    Case("JPEG 2000 RCT by FFmpeg", _BASE + ".4.90", _ffmpeg_j2k, {**_OPENJPEG, **_J2K}, (8,), "YBR_RCT", smallest=8),
    Case(
        "JPEG 2000 lossy", _BASE + ".4.91", _lossy_j2k, {**_gdcm(".4.91"), **_J2K}, (8, 12, 16), is_lossless=False,
        smallest=16,
    ),
    Case(
        "JPEG 2000 lossy by FFmpeg", _BASE + ".4.91", _ffmpeg_lossy_j2k, {**_gdcm(".4.91"), **_J2K}, (8, 12, 16),
        is_lossless=False, smallest=16,
    ),
    *(
        Case(
            f"JPEG 2000 ICT{by}", _BASE + ".4.91", encode, {**_gdcm(".4.91"), **_J2K}, (8,), "YBR_ICT",
            is_lossless=False, smallest=16,
        )
        for by, encode in (("", _lossy_j2k), (" by FFmpeg", _ffmpeg_lossy_j2k))
    ),
    *(
        Case(
            f"HTJ2K {last}", _BASE + last, lambda p: bytes(imagecodecs.htj2k_encode(p.values)),
            {"OpenJPH": lambda data, _: imagecodecs.htj2k_decode(data)}, (8, 16), smallest=8,
        )
        for last in (".4.201", ".4.202", ".4.203")
    ),
    Case("RLE", _BASE + ".5", _rle, _RLE),
    Case("RLE inverse", _BASE + ".5", _rle, _RLE, photometric="MONOCHROME1"),
    Case("RLE palette", _BASE + ".5", _rle, _RLE, (8,), "PALETTE COLOR"),
    Case("RLE RGB", _BASE + ".5", _rle, {"pydicom": by_pydicom(_BASE + ".5", "pydicom")}, (8,), "RGB"),
    Case("RLE YBR", _BASE + ".5", _rle, {"pydicom": by_pydicom(_BASE + ".5", "pydicom")}, (8,), "YBR_FULL"),
)  # fmt: skip
