"""FFmpeg's own coders of JPEG-LS, JPEG 2000 and JPEG: they share no code with ours.

They come in OpenCV's wheel, whose FFmpeg is built under the LGPL; PyAV's wheels bring x264 and x265, which are GPL.
Only libavcodec is called, by ctypes: OpenCV itself would turn every picture into 8 bits.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_int, c_int64, c_void_p
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WHEEL = "opencv-python-headless"


class NotTaken(Exception):
    """FFmpeg does not take this picture."""


class _Frame(ctypes.Structure):
    """The first fields of AVFrame (libavutil/frame.h)."""

    _fields_ = (
        ("data", c_void_p * 8),
        ("linesize", c_int * 8),
        ("extended_data", c_void_p),
        ("width", c_int),
        ("height", c_int),
        ("nb_samples", c_int),
        ("format", c_int),
    )


class _Packet(ctypes.Structure):
    """The first fields of AVPacket (libavcodec/packet.h)."""

    _fields_ = (("buf", c_void_p), ("pts", c_int64), ("dts", c_int64), ("data", c_void_p), ("size", c_int))


class _Libraries:
    """libavcodec, libavutil, and what is made and freed with them."""

    def __init__(self, codec: Path, util: Path) -> None:
        self.codec, self.util = ctypes.CDLL(str(codec)), ctypes.CDLL(str(util))
        for call in (
            self.codec.avcodec_find_decoder_by_name, self.codec.avcodec_find_encoder_by_name,
            self.codec.avcodec_alloc_context3, self.codec.av_packet_alloc, self.util.av_frame_alloc,
        ):  # fmt: skip
            call.restype = c_void_p
        self.codec.avcodec_license.restype = self.util.av_get_pix_fmt_name.restype = c_char_p
        self.util.av_log_set_level(-8)

    @contextmanager
    def opened(self, coder: int | None) -> Iterator[tuple[c_void_p, c_void_p, c_void_p]]:
        """Make a context, a packet and a frame, and free them."""
        assert coder, "this FFmpeg has no such coder"
        context = c_void_p(self.codec.avcodec_alloc_context3(c_void_p(coder)))
        packet, frame = c_void_p(self.codec.av_packet_alloc()), c_void_p(self.util.av_frame_alloc())
        try:
            yield context, packet, frame
        finally:
            self.util.av_frame_free(byref(frame))
            self.codec.av_packet_free(byref(packet))
            self.codec.avcodec_free_context(byref(context))


@cache
def libraries() -> _Libraries | None:
    """Return FFmpeg's libraries; None where the wheel is not installed."""
    try:
        paths = {Path(str(file)).name.partition("-")[0]: Path(str(file.locate())) for file in files(WHEEL) or ()}
        return _Libraries(paths["libavcodec"], paths["libavutil"])
    except (PackageNotFoundError, KeyError):
        return None


def licence() -> str:
    """Return under which licence the installed FFmpeg was built."""
    parts = libraries()
    return parts.codec.avcodec_license().decode() if parts else ""


def decode(codec: str, data: bytes) -> NDArray[Any]:
    """Return what FFmpeg makes of a codestream: (rows, columns), or (rows, columns, 3) in the stream's own colours.

    Raises:
        NotTaken: It refuses the stream, or gives pixels in a way that is not read here.
    """
    parts = libraries()
    assert parts
    with parts.opened(parts.codec.avcodec_find_decoder_by_name(codec.encode())) as (context, packet, frame):
        _must(parts.codec.avcodec_open2(context, None, None))
        _must(parts.codec.av_new_packet(packet, len(data)))
        ctypes.memmove(ctypes.cast(packet, POINTER(_Packet)).contents.data, data, len(data))
        _must(parts.codec.avcodec_send_packet(context, packet))
        _must(parts.codec.avcodec_receive_frame(context, frame))
        bits = c_int64()
        _must(parts.util.av_opt_get_int(context, b"bits_per_raw_sample", 0, byref(bits)))
        filled = ctypes.cast(frame, POINTER(_Frame)).contents
        return _pixels(filled, parts.util.av_get_pix_fmt_name(filled.format).decode(), bits.value)


def encode(codec: str, values: NDArray[Any], pixel_format: str, **options: str) -> bytes:
    """Return a picture as FFmpeg writes it; the options are the encoder's.

    Raises:
        NotTaken: It refuses the picture.
    """
    parts = libraries()
    assert parts
    rows, columns = values.shape[:2]
    options |= {"video_size": f"{columns}x{rows}", "pixel_format": pixel_format, "time_base": "1/1"}
    with parts.opened(parts.codec.avcodec_find_encoder_by_name(codec.encode())) as (context, packet, frame):
        for name, value in options.items():
            _must(parts.util.av_opt_set(context, name.encode(), value.encode(), 1))
        _must(parts.codec.avcodec_open2(context, None, None))
        filled = ctypes.cast(frame, POINTER(_Frame)).contents
        filled.width, filled.height = columns, rows
        filled.format = parts.util.av_get_pix_fmt(pixel_format.encode())
        _must(parts.util.av_frame_get_buffer(frame, 0))
        for row in range(rows):
            line = values[row].tobytes()
            ctypes.memmove(filled.data[0] + row * filled.linesize[0], line, len(line))
        _must(parts.codec.avcodec_send_frame(context, frame))
        _must(parts.codec.avcodec_receive_packet(context, packet))
        written = ctypes.cast(packet, POINTER(_Packet)).contents
        return ctypes.string_at(written.data, written.size)


def _must(answer: int) -> None:
    if answer < 0:
        raise NotTaken(answer)


def _pixels(frame: _Frame, name: str, bits: int) -> NDArray[Any]:
    """Return a frame's samples, of which FFmpeg may have put the significant bits to the top."""
    if name == "gray16le":
        words = _plane(frame, 0, 2 * frame.width).view("<u2")
        return words >> (16 - bits) if 8 < bits < 16 else words
    if name == "gray":
        return _plane(frame, 0, frame.width)
    if name in ("rgb24", "bgr24"):
        colours = _plane(frame, 0, 3 * frame.width).reshape(frame.height, frame.width, 3)
        return colours if name == "rgb24" else colours[..., ::-1]
    if name == "gbrp":
        return np.stack([_plane(frame, place, frame.width) for place in (2, 0, 1)], axis=-1)
    if name in ("yuvj444p", "yuv444p"):
        return np.stack([_plane(frame, place, frame.width) for place in range(3)], axis=-1)
    raise NotTaken(name)


def _plane(frame: _Frame, place: int, width_bytes: int) -> NDArray[np.uint8]:
    lines = ctypes.string_at(frame.data[place], frame.linesize[place] * frame.height)
    whole = np.frombuffer(lines, np.uint8).reshape(frame.height, frame.linesize[place])
    return np.ascontiguousarray(whole[:, :width_bytes])
