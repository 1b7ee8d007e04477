"""Pixels: every decoder against golden values, every way to say the same grey against the same grey."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.encaps import encapsulate

from preprocessing.decoders import SUPPORTED_TRANSFER_SYNTAXES, Layout, decode
from preprocessing.display import stored_values
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.pixels import read_frame, read_grey
from tests.preprocessing.phantoms import film, header_of, lut_item, picture, save

GREY_LEVEL = 1 / 255


def rendered(tmp_path: Path, stored: NDArray[Any], **attributes: Any) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    path = tmp_path / "film.dcm"
    grey = read_grey(path, save(film(stored, **attributes), path))
    return grey.values, grey.notes


# --- the same picture, written in every way (STANDARDS 8.2) ---------------------------------------------------------

DEPTHS = [
    (8, np.uint8),
    (10, np.uint16),
    (12, np.uint16),
    (16, np.uint16),
    (8, np.int8),
    (12, np.int16),
    (16, np.int16),
]
RESCALES = [None, (2.0, -1000.0), (-1.0, 300.0), (0.5, 0.0)]
VOIS = ["none", "LINEAR", "LINEAR_EXACT", "SIGMOID", "lut"]


@pytest.mark.parametrize("voi", VOIS)
@pytest.mark.parametrize(("bits", "dtype"), DEPTHS)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_one_picture_renders_the_same_however_it_is_written(
    tmp_path: Path, photometric: str, bits: int, dtype: type, voi: str
) -> None:
    for rescale in RESCALES:
        if voi == "lut" and rescale is not None and (rescale[0] == 0.5 or bits == 16):
            continue  # a VOI LUT maps whole numbers, 65,536 at most, and its first value has 16 bits
        wanted = picture() * 0.7 + 0.15 if voi == "SIGMOID" else picture()
        stored, attributes = written(wanted, photometric, bits, dtype, voi, rescale)

        grey, notes = rendered(tmp_path, stored, **attributes)

        assert np.abs(grey - wanted).max() <= GREY_LEVEL, (rescale, notes)


def written(
    wanted: NDArray[np.float64],
    photometric: str,
    bits: int,
    dtype: type,
    voi: str,
    rescale: tuple[float, float] | None,
) -> tuple[NDArray[Any], dict[str, Any]]:
    """Return stored values and attributes that a correct reader shows as `wanted`."""
    is_signed = np.dtype(dtype).kind == "i"
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if is_signed else (0, (1 << bits) - 1)
    slope, intercept = rescale or (1.0, 0.0)
    ends = sorted((low * slope + intercept, high * slope + intercept))
    attributes: dict[str, Any] = {"PhotometricInterpretation": photometric, "BitsStored": bits}
    if rescale is not None:
        attributes |= {"RescaleSlope": slope, "RescaleIntercept": intercept}
    target = 1 - wanted if photometric == "MONOCHROME1" else wanted
    centre, span = sum(ends) / 2, ends[1] - ends[0]
    if voi == "SIGMOID":
        modality = centre - span / 4 * np.log(1 / target - 1)
        attributes |= {"WindowCenter": centre, "WindowWidth": span, "VOILUTFunction": "SIGMOID"}
    elif voi == "lut":
        modality = ends[0] + span * target**0.5
        entries = np.rint(((np.arange(int(span) + 1) / span) ** 2) * 65535)
        attributes["VOILUTSequence"] = [lut_item(entries, int(ends[0]), is_signed=ends[0] < 0)]
    else:
        modality = ends[0] + span * target
    if voi == "LINEAR":
        attributes |= {"WindowCenter": centre + 0.5, "WindowWidth": span + 1}
    elif voi == "LINEAR_EXACT":
        attributes |= {"WindowCenter": centre, "WindowWidth": span, "VOILUTFunction": "LINEAR_EXACT"}
    return np.clip(np.rint((modality - intercept) / slope), low, high).astype(dtype), attributes


# --- what the field sends ------------------------------------------------------------------------------------------


def ramp(largest: int = 4095, dtype: type = np.uint16) -> NDArray[Any]:
    return np.rint(picture() * largest).astype(dtype)


def test_inversion_happens_once_when_both_attributes_ask_for_it(tmp_path: Path) -> None:
    window = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    stored = ramp()

    grey, _ = rendered(
        tmp_path, stored, PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE", **window
    )

    assert np.abs(grey - (1 - picture())).max() <= GREY_LEVEL


def test_padding_is_black_and_does_not_stretch_the_range(tmp_path: Path) -> None:
    stored = (ramp(1000) + 1000).astype(np.uint16)
    stored[:60] = 65535
    attributes = {"PixelPaddingValue": 65535, "PhotometricInterpretation": "MONOCHROME1"}

    grey, notes = rendered(tmp_path, stored, **attributes)

    assert "padding_masked" in notes
    assert not grey[:60].any()
    assert np.abs(grey[60:] - (1 - picture()[60:])).max() < 0.04


def test_padding_range_covers_all_its_values(tmp_path: Path) -> None:
    stored = (ramp(1000) - 500).astype(np.int16)
    stored[:60:2], stored[1:60:2] = -2000, -1990
    dataset = film(stored)
    dataset.add_new(0x00280120, "SS", -2000)
    dataset.add_new(0x00280121, "SS", -1990)

    grey = read_grey(tmp_path / "f", save(dataset, tmp_path / "f"))

    assert not grey.values[:60].any()
    assert grey.values[60:].mean() > 0.4


def test_wrong_bits_stored_is_noticed_and_costs_no_value(tmp_path: Path) -> None:
    grey, notes = rendered(tmp_path, ramp(4095), BitsStored=10, WindowCenter=2048, WindowWidth=4096)

    assert "bits_stored_wrong" in notes
    assert np.abs(grey - picture()).max() <= GREY_LEVEL


def test_overlay_in_the_unused_bits_is_masked_away(tmp_path: Path) -> None:
    stored = ramp(4095)
    stored[100:120] |= 1 << 12
    attributes = {"BitsStored": 12, "WindowCenter": 2048, "WindowWidth": 4096}
    dataset = film(stored, **attributes)
    dataset.add_new(0x60000100, "US", 16)

    grey = read_grey(tmp_path / "f", save(dataset, tmp_path / "f"))

    assert np.abs(grey.values - picture()).max() <= GREY_LEVEL


def test_values_in_the_high_bits_are_shifted_down(tmp_path: Path) -> None:
    grey, _ = rendered(tmp_path, ramp(4095) << 4, BitsStored=12, HighBit=15, WindowCenter=2048, WindowWidth=4096)

    assert np.abs(grey - picture()).max() <= GREY_LEVEL


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 128, "WindowWidth": 256},  # meant for 8 bits
        {"WindowCenter": 30000, "WindowWidth": 100},
        {"WindowCenter": 2048, "WindowWidth": 0},
        {"WindowCenter": "1e300", "WindowWidth": "1e300"},
    ],
)
def test_a_window_that_shows_nothing_is_left_aside(tmp_path: Path, window: dict[str, Any]) -> None:
    grey, notes = rendered(tmp_path, ramp(4095) // 2 + 2000, BitsStored=13, **window)

    assert "percentile_window" in notes
    assert np.abs(grey - picture()).max() < 0.03


def test_nan_in_a_window_is_left_aside(tmp_path: Path) -> None:
    dataset = film(ramp())
    path = tmp_path / "f"
    dataset.add_new(0x00281050, "LO", "NaN")
    dataset.add_new(0x00281051, "LO", "NaN")

    assert "percentile_window" in read_grey(path, save(dataset, path)).notes


def test_the_first_of_several_windows_counts(tmp_path: Path) -> None:
    grey, _ = rendered(tmp_path, ramp(), BitsStored=12, WindowCenter=[2048, 10], WindowWidth=[4096, 5])

    assert np.abs(grey - picture()).max() <= GREY_LEVEL


@pytest.mark.parametrize(("count", "bits"), [(0, 16), (65535, 16), (4096, 16), (4096, 8), (4096, 0), (9, 99)])
def test_a_wrong_lut_descriptor_is_tolerated(tmp_path: Path, count: int, bits: int) -> None:
    entries = np.rint(np.arange(4096) / 4095 * 65535)
    item = lut_item(entries, 0, bits=bits)
    item["LUTDescriptor"].value = [count, 0, bits]
    attributes = {"BitsStored": 12, "VOILUTSequence": [item]}

    grey, notes = rendered(tmp_path, ramp(), **attributes)

    if count != 9:
        assert "voi_lut" in notes
        assert np.abs(grey - picture()).max() <= GREY_LEVEL
    assert grey.min() >= 0
    assert grey.max() <= 1


def test_eight_bit_entries_in_sixteen_bit_words_use_the_whole_range(tmp_path: Path) -> None:
    entries = np.arange(4096) // 16

    grey, notes = rendered(tmp_path, ramp(), BitsStored=12, VOILUTSequence=[lut_item(entries, 0, bits=8)])

    assert "voi_lut" in notes
    assert np.abs(grey - picture()).max() <= GREY_LEVEL


def test_a_modality_lut_replaces_the_rescale(tmp_path: Path) -> None:
    entries = np.arange(4096)[::-1]
    attributes = {"ModalityLUTSequence": [lut_item(entries, 0)], "WindowCenter": 2048, "WindowWidth": 4096}

    grey, notes = rendered(tmp_path, ramp(), BitsStored=12, **attributes)

    assert "modality_lut" in notes
    assert np.abs(grey - (1 - picture())).max() <= GREY_LEVEL


def test_a_screenshot_without_colour_is_grey_and_one_with_colour_is_refused(tmp_path: Path) -> None:
    grey8 = ramp(255, np.uint8)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}

    grey, notes = rendered(tmp_path, np.stack([grey8] * 3, axis=2), **colour)

    assert "grey_from_colour" in notes
    assert np.abs(grey - picture()).max() <= GREY_LEVEL
    with pytest.raises(UnsupportedImage) as refusal:
        rendered(tmp_path, np.stack([grey8, grey8, grey8[::-1]], axis=2), **colour)
    assert refusal.value.reason is Reason.COLOUR_IMAGE


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR"}, Reason.COLOUR_IMAGE),
        ({"PhotometricInterpretation": "RGB"}, Reason.COLOUR_IMAGE),
        ({"PhotometricInterpretation": ""}, Reason.PIXEL_DATA_DAMAGED),
        ({"PhotometricInterpretation": "YBR_FULL_422", "SamplesPerPixel": 3}, Reason.COLOUR_IMAGE),
    ],
)
def test_an_index_into_a_palette_is_not_taken_for_grey(
    tmp_path: Path, attributes: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(UnsupportedImage) as refusal:
        rendered(tmp_path, ramp(), **attributes)

    assert refusal.value.reason is reason


def test_eight_bit_words_in_big_endian_are_unswapped() -> None:
    layout = Layout(1, 4, 1, 8, is_planar=False, is_big_endian=True, is_words=True)

    assert decode(b"\x02\x01\x04\x03", transfer_syntax_uid="1.2.840.10008.1.2.2", layout=layout).tolist() == [
        [1, 2, 3, 4]
    ]


# --- decoders --------------------------------------------------------------------------------------------------------

LAYOUT = Layout(64, 80, 1, 16, is_planar=False, is_big_endian=False, is_words=True)
CODECS = {
    "1.2.840.10008.1.2.4.70": lambda a: imagecodecs.jpeg8_encode(a, lossless=True),
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_encode,
    "1.2.840.10008.1.2.4.90": lambda a: imagecodecs.jpeg2k_encode(a, level=0, codecformat="j2k"),
    "1.2.840.10008.1.2.4.201": imagecodecs.htj2k_encode,
}


def noise(rows: int = 64, columns: int = 80) -> NDArray[np.uint16]:
    return np.random.default_rng(3).integers(0, 65536, (rows, columns)).astype(np.uint16)


@pytest.mark.parametrize("transfer_syntax_uid", CODECS)
def test_lossless_codestreams_give_back_every_value(transfer_syntax_uid: str) -> None:
    data = CODECS[transfer_syntax_uid](noise())

    assert np.array_equal(decode(data, transfer_syntax_uid=transfer_syntax_uid, layout=LAYOUT), noise())


@pytest.mark.parametrize("transfer_syntax_uid", CODECS)
def test_a_codestream_cut_short_is_damaged_not_grey(transfer_syntax_uid: str) -> None:
    data = CODECS[transfer_syntax_uid](noise())

    for end in (len(data) // 2, len(data) - 30, 40, 3, 0):
        with pytest.raises(UnsupportedImage) as refusal:
            decode(data[:end], transfer_syntax_uid=transfer_syntax_uid, layout=LAYOUT)
        assert refusal.value.reason is Reason.PIXEL_DATA_DAMAGED


@pytest.mark.parametrize("transfer_syntax_uid", CODECS)
def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(transfer_syntax_uid: str) -> None:
    data = CODECS[transfer_syntax_uid](noise(80, 64))

    with pytest.raises(UnsupportedImage, match="another size"):
        decode(data, transfer_syntax_uid=transfer_syntax_uid, layout=LAYOUT)


def test_run_length_with_the_wrong_segments_is_damaged() -> None:
    for data in (b"", bytes(64), b"\x01" + bytes(63), b"\x02\0\0\0\xff\xff\xff\xff" + bytes(56), b"\x02" + bytes(200)):
        with pytest.raises(UnsupportedImage) as refusal:
            decode(data, transfer_syntax_uid="1.2.840.10008.1.2.5", layout=LAYOUT)
        assert refusal.value.reason is Reason.PIXEL_DATA_DAMAGED


def test_lossless_jpeg_agrees_with_an_independent_decoder_on_values_that_wrap_around() -> None:
    """ITU T.81 H.2.1: differences of 16-bit values are modulo 65,536; decoders have been wrong here."""
    values = noise(32, 32)
    values[:, ::2] = 32768
    values[5::7, 1::3] = 65535
    for predictor in range(1, 8):
        data = imagecodecs.jpeg8_encode(values, lossless=True, predictor=predictor)
        layout = Layout(32, 32, 1, 16, is_planar=False, is_big_endian=False, is_words=True)

        ours = decode(data, transfer_syntax_uid="1.2.840.10008.1.2.4.70", layout=layout)

        assert np.array_equal(ours, imagecodecs.ljpeg_decode(data))
        assert np.array_equal(ours, by_gdcm(data, 32, 32))


def by_gdcm(data: bytes, rows: int, columns: int) -> NDArray[np.uint16]:
    dataset = film(np.zeros((rows, columns), np.uint16))
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
    dataset.PixelData = encapsulate([data])
    dataset.pixel_array_options(decoding_plugin="gdcm")
    decoded: NDArray[np.uint16] = dataset.pixel_array
    return decoded


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, Reason.LIMIT_EXCEEDED),
        ({"Rows": 0}, Reason.PIXEL_DATA_DAMAGED),
        ({"Rows": 4000}, Reason.PIXEL_DATA_DAMAGED),
        ({"NumberOfFrames": 1_000_000_000}, Reason.MULTI_FRAME),
        ({"BitsAllocated": 32}, Reason.OUT_OF_SCOPE),
        ({"BitsAllocated": 1}, Reason.OUT_OF_SCOPE),
        ({"SamplesPerPixel": 4}, Reason.COLOUR_IMAGE),
    ],
)
def test_a_header_that_the_pixels_contradict_is_refused(
    tmp_path: Path, attributes: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(UnsupportedImage) as refusal:
        rendered(tmp_path, ramp(), **attributes)

    assert refusal.value.reason is reason


@pytest.mark.parametrize("last", ["4.53", "4.110", "8.1", "4.204"])
def test_unknown_transfer_syntaxes_are_refused_not_guessed(tmp_path: Path, last: str) -> None:
    uid = f"1.2.840.10008.1.2.{last}"
    header = replace(save(film(ramp()), tmp_path / "f"), transfer_syntax_uid=uid)

    with pytest.raises(UnsupportedImage) as refusal:
        read_grey(tmp_path / "f", header)

    assert refusal.value.reason is Reason.TRANSFER_SYNTAX_UNSUPPORTED
    assert uid not in SUPPORTED_TRANSFER_SYNTAXES


# --- real films -------------------------------------------------------------------------------------------------------

COLOUR_BY_ANOTHER_RULE = {"other/SC_jpeg_no_color_transform.dcm", "us/YBR_FULL-RLE.dcm"}
"""Colour that pydicom converts otherwise; only whether there is colour at all matters here."""


def index_of(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "dicom" / "index.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.films
def test_every_real_single_frame_file_decodes_to_its_golden_values(shared_data: Path) -> None:
    compared = 0
    for row in index_of(shared_data):
        if not row["pydicom_3_0_decode"].startswith("ok") or row["frames"] not in ("", "1"):
            continue
        if row["bits_allocated"] not in ("8", "16") or row["photometric"] == "YBR_FULL_422":
            continue
        path = shared_data / "dicom" / row["file"]
        header = header_of(path)
        with path.open("rb") as file:
            patterns, elements = read_frame(file, header)
        values = stored_values(patterns, int(patterns.max()), header, elements, [])[patterns]
        stored = values.astype(f"{'i' if header.pixel_representation == 1 else 'u'}{patterns.dtype.itemsize}")
        if hashlib.sha256(stored.tobytes()).hexdigest() != row["pixel_sha256"]:
            # 12-bit lossy has no second free decoder here; its range is known from a third one.
            assert row["transfer_syntax"].endswith(".51") or row["file"] in COLOUR_BY_ANOTHER_RULE, row["file"]
            if row["file"] not in COLOUR_BY_ANOTHER_RULE:
                assert abs(int(stored.min()) - int(row["pixel_min"])) <= 2
                assert abs(int(stored.max()) - int(row["pixel_max"])) <= 2
        compared += 1
    assert compared >= 120
