"""What a decode child does for the web process: draws a frame, unpacks one, or rewrites a file without compression."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import ExplicitVRLittleEndian

from preprocessing.display import WANTED
from preprocessing.elements import EXPLICIT_BIG_ENDIAN, Elements, find_data_set, read_elements
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import DEFLATED_LITTLE_ENDIAN, InstanceHeader, from_json
from preprocessing.pictures import View, Window, draw, with_functional_groups
from preprocessing.samples import Frame, decode_frame
from preprocessing.windows import HeaderRefused, open_window
from preprocessing.windows import Window as Bytes

Spans = Sequence[Sequence[int]]


def serve(task: Mapping[str, Any]) -> dict[str, object]:
    """Do one task of the web process and leave its result in the file `into`.

    Args:
        task: `path`, `header`, `into`, `frames` (for each frame its spans of bytes), `wish` ("picture", "frame" or
            "file"); for a picture also `number`, `view` and `typeface`.

    Raises:
        UnsupportedImage: The pixels are missing, damaged, too many, or of a kind that nobody shows.
        OSError: The result cannot be written.
    """
    path, header = Path(task["path"]), from_json(task["header"])
    try:
        content = _WISHES[task["wish"]](path, header, task)
    except HeaderRefused as error:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the file cannot be read") from error
    descriptor = os.open(task["into"], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return {"size_bytes": len(content)}


def _picture(path: Path, header: InstanceHeader, task: Mapping[str, Any]) -> bytes:
    elements, (frame,) = _decoded(path, header, task["frames"])
    dataset = dcmread(path, stop_before_pixels=True)
    elements = with_functional_groups(elements, dataset, int(task["number"]))
    typeface = Path(task["typeface"]) if task["typeface"] else None
    return draw(frame, header, elements, dataset, _view(task["view"]), typeface=typeface)


def _frame(path: Path, header: InstanceHeader, task: Mapping[str, Any]) -> bytes:
    _, (frame,) = _decoded(path, header, task["frames"])
    return _samples(frame)


def _file(path: Path, header: InstanceHeader, task: Mapping[str, Any]) -> bytes:
    """Rewrite a compressed file in Explicit VR Little Endian; what was lost stays declared as lossy."""
    _, frames = _decoded(path, header, task["frames"])
    dataset = dcmread(path)
    _describe(dataset, frames[0])
    pixels = b"".join(_samples(frame) for frame in frames)
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    dataset["PixelData"].VR = "OB" if frames[0].samples.dtype.itemsize == 1 else "OW"
    dataset["PixelData"].is_undefined_length = False
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            delattr(dataset, keyword)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.preamble = bytes(128)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()


def _describe(dataset: Dataset, frame: Frame) -> None:
    samples = frame.samples
    if dataset.BitsAllocated != 8 * samples.dtype.itemsize:
        # A codestream of 8 bits under a header of 16, or the other way round.
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the codestream has other samples than the header says")
    dataset.PhotometricInterpretation = frame.photometric
    if samples.ndim == 3:
        dataset.PlanarConfiguration = 0


def _samples(frame: Frame) -> bytes:
    return frame.samples.astype(frame.samples.dtype.newbyteorder("<"), copy=False).tobytes()


def _decoded(path: Path, header: InstanceHeader, wanted: Sequence[Spans]) -> tuple[Elements, list[Frame]]:
    with path.open("rb") as file:
        _, offset = find_data_set(file)
        length = file.seek(0, 2) - offset

        def window() -> Bytes:
            is_deflated = header.transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN
            return open_window(file, offset=offset, length=length, is_deflated=is_deflated)

        elements = read_elements(window(), transfer_syntax_uid=header.transfer_syntax_uid, wanted=WANTED)
        reading = window()  # a deflated data set can only be read forward: start again
        frames = []
        for spans in wanted:
            data = b"".join(reading.read(position, count) for position, count in spans)
            if header.transfer_syntax_uid == EXPLICIT_BIG_ENDIAN and header.bits_allocated == 16:
                data = np.frombuffer(data, ">u2").astype("<u2").tobytes()
            frames.append(decode_frame(data, header, elements))
    return elements, frames


def _view(values: Mapping[str, Any]) -> View:
    window = Window(**values["window"]) if values["window"] else None
    several = {name: tuple(values[name]) if values[name] is not None else None for name in ("size", "region")}
    return View(**{**values, **several, "window": window, "lines": tuple(values["lines"])})


_WISHES = {"picture": _picture, "frame": _frame, "file": _file}
