"""The other programs of trial 14: they may be used, and they do not repeat our own library's faults."""

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.decoders import Layout, decode
from tests.conftest import missing
from tests.trials.decoders import ffmpeg, lossless_jpegls


@pytest.fixture(autouse=True)
def _has_ffmpeg() -> None:
    if ffmpeg.libraries() is None:
        missing(f"FFmpeg's libraries ({ffmpeg.WHEEL}, of the extra test)")


def test_the_installed_ffmpeg_is_not_under_the_gpl() -> None:
    assert ffmpeg.licence().startswith("LGPL")


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
def test_jpeg_ls_of_the_plain_encoder_is_read_by_us_and_by_ffmpeg(bits: int) -> None:
    random, top = np.random.default_rng(bits), (1 << bits) - 1
    noise, runs = random.integers(0, top + 1, (17, 31)), np.repeat(random.integers(0, top + 1, (17, 4)), 8, axis=1)
    layout = Layout(17, 31, 1, 8 if bits == 8 else 16, is_planar=False, is_big_endian=False, is_words=True)
    for wanted in (noise, runs[:, :31], np.sort(noise), np.full_like(noise, top)):
        values = np.ascontiguousarray(wanted).astype(np.uint8 if bits == 8 else np.uint16)
        stream = lossless_jpegls.encode(values, bits=bits)

        assert np.array_equal(decode(stream, transfer_syntax_uid="1.2.840.10008.1.2.4.80", layout=layout), values)
        assert np.array_equal(ffmpeg.decode("jpegls", stream), values)


def test_ffmpeg_says_when_it_does_not_take_a_stream() -> None:
    with pytest.raises(ffmpeg.NotTaken):
        ffmpeg.decode("jpegls", b"\xff\xd8\xff\xd9")
