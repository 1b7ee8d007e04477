"""The recipe for CT volumes on a ball whose place, size and density are known, however the slices lie."""

from __future__ import annotations

import random
import shutil
import struct
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.frames import FrameFile
from preprocessing.geometry import to_patient
from preprocessing.placement import PreparedVolume
from preprocessing.recipes import RECIPES, SERIES_RECIPES, VolumeRecipe, recipe_hash
from preprocessing.series import arrange
from preprocessing.volume import VolumeParameters, prepare_series, resample
from tests.factories import part10
from tests.preprocessing.headers import header_of, headers_of
from tests.volumes import AIR_HU, BALL_HU, make_enhanced, make_mr_series, make_series

SMALL = VolumeParameters(spacing_mm=(2.0, 2.0, 2.0), shape=(40, 40, 44), window_hu=(-1000, 400))
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
LEANING = (1, 0, 0, 0, np.cos(np.radians(20)), np.sin(np.radians(20)))


def stored(folder: Path, slices: Sequence[Dataset]) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = []
    for index, one in enumerate(slices):
        path = folder / f"{index:03}.dcm"
        path.write_bytes(part10(one))
        paths.append(path)
    return paths


def middle_of(prepared: PreparedVolume) -> np.ndarray[Any, Any]:
    """Return where the middle of all that is denser than air lies, LPS, mm."""
    weights = prepared.tensor[0].astype(float)
    z, y, x = np.nonzero(weights)
    places = to_patient(prepared.placement.affine, np.stack([x, y, z], axis=1).astype(float))
    middle: np.ndarray[Any, Any] = np.average(places, axis=0, weights=weights[z, y, x])
    return middle


CASES: dict[str, dict[str, Any]] = {
    "axial": {},
    "feet first": {"cosines": (-1, 0, 0, 0, 1, 0)},
    "prone": {"cosines": (-1, 0, 0, 0, -1, 0)},
    "coronal": {"cosines": (1, 0, 0, 0, 0, -1)},
    "sagittal": {"cosines": (0, 1, 0, 0, 0, -1)},
    "oblique": {"cosines": OBLIQUE},
    "tilted": {"cosines": LEANING, "step_mm": (0, 0, 3.0)},
    "thick": {"count": 16, "distance_mm": 4.5},
    "thin": {"count": 100, "distance_mm": 0.7},
}


@pytest.mark.parametrize("name", CASES)
def test_ball_lies_where_it_was_and_is_as_large_and_dense_as_it_was(tmp_path: Path, name: str) -> None:
    ball = (14.0, -21.0, 203.0)
    options = {"count": 24, "size": (56, 60), "middle_mm": (10, -20, 200), "ball_mm": ball, **CASES[name]}
    slices = make_series(**options)
    random.Random(7).shuffle(slices)

    prepared = prepare_series(stored(tmp_path, slices), SMALL)

    tensor = prepared.tensor
    assert (tensor.dtype, tensor.shape, tensor.flags["C_CONTIGUOUS"]) == (np.float32, (1, 40, 40, 44), True)
    assert middle_of(prepared) == pytest.approx(np.array(ball), abs=0.15)
    # What is denser than halfway, in mm3, against 4/3 pi 16^3.
    halfway = (AIR_HU + BALL_HU) / 2
    volume_mm3 = float((tensor > (halfway + 1000) / 1400).sum()) * 8
    assert volume_mm3 == pytest.approx(4 / 3 * np.pi * 16**3, rel=0.04)
    assert float(tensor.max()) == pytest.approx((BALL_HU + 1000) / 1400, abs=1e-3)
    assert ("tilted" in prepared.notes) == (name == "tilted")


@pytest.mark.parametrize("name", ["axial", "prone", "coronal", "sagittal"])
def test_axes_of_the_tensor_run_to_the_head_the_back_and_the_left(tmp_path: Path, name: str) -> None:
    slices = make_series(24, size=(56, 60), **CASES[name])

    affine = np.asarray(prepare_series(stored(tmp_path, slices), SMALL).placement.affine)

    assert affine[:3, :3] == pytest.approx(np.diag([2.0, 2.0, 2.0]), abs=1e-6)


def test_ball_left_and_behind_shows_on_the_left_and_behind(tmp_path: Path) -> None:
    slices = make_series(24, size=(56, 60), ball_mm=(12, 12, 12), cosines=(-1, 0, 0, 0, -1, 0))

    z, y, x = np.nonzero(prepare_series(stored(tmp_path, slices), SMALL).tensor[0])

    assert (z.mean() > 20, y.mean() > 20, x.mean() > 22) == (True, True, True)


def test_same_files_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    paths = stored(tmp_path, make_series(12))

    one, other = prepare_series(paths, SMALL), prepare_series(paths[::-1], SMALL)

    assert np.array_equal(one.tensor, other.tensor)
    assert one.placement == other.placement


def test_array_gives_what_the_files_give_so_training_sees_the_same_tensor(tmp_path: Path) -> None:
    slices = make_series(12)
    stack = arrange(headers_of(slices)).volume
    assert stack is not None
    values = [one.pixel_array.astype(np.float32) - 1024 for one in slices]

    tensor, placement, _ = resample(values, stack, SMALL)
    prepared = prepare_series(stored(tmp_path, slices), SMALL)

    assert np.abs(tensor - prepared.tensor).max() <= 1e-6
    assert placement == prepared.placement


def test_enhanced_image_gives_what_its_slices_give(tmp_path: Path) -> None:
    slices = make_series(12)

    one = prepare_series(stored(tmp_path / "slices", slices), SMALL)
    other = prepare_series(stored(tmp_path / "frames", [make_enhanced(slices[::-1])]), SMALL)

    assert np.array_equal(one.tensor, other.tensor)


def test_padding_outside_the_field_of_view_is_air_and_bleeds_into_nothing(tmp_path: Path) -> None:
    plain, padded = make_series(12), make_series(12)
    for one in padded:
        pixels = one.pixel_array.copy()
        pixels[:, :6] = 3000
        one.PixelData = pixels.tobytes()
        one.add_new(0x00280120, "US", 3000)

    expected = prepare_series(stored(tmp_path / "plain", plain), SMALL)
    prepared = prepare_series(stored(tmp_path / "padded", padded), SMALL)

    assert np.abs(prepared.tensor - expected.tensor).max() < 0.02


def test_what_does_not_fit_is_cropped_and_said(tmp_path: Path) -> None:
    prepared = prepare_series(stored(tmp_path, make_series(40, size=(64, 64), distance_mm=4.0)), SMALL)

    assert "cropped" in prepared.notes


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"}, Reason.WRONG_MODALITY),
        ({"RescaleType": "US"}, Reason.OUT_OF_SCOPE),
        ({"RescaleIntercept": None}, Reason.CONTRADICTORY_HEADER),
        ({"PhotometricInterpretation": "MONOCHROME1"}, Reason.COLOUR_IMAGE),
        ({"BitsAllocated": 32}, Reason.OUT_OF_SCOPE),
        ({"PixelData": b"\0" * 100}, Reason.PIXEL_DATA_DAMAGED),
        ({"ImagePositionPatient": [0, 0, 0]}, Reason.GEOMETRY_REFUSED),
    ],
)
def test_series_that_the_recipe_is_not_made_for_is_refused(
    tmp_path: Path, attributes: dict[str, Any], reason: Reason
) -> None:
    slices = make_series(12)
    for one in slices:
        for keyword, value in attributes.items():
            setattr(one, keyword, value)
        one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID

    with pytest.raises(UnsupportedImage) as refused:
        prepare_series(stored(tmp_path, slices), SMALL)

    assert refused.value.reason is reason


@pytest.mark.parametrize(
    ("count", "distance_mm", "reason"), [(7, 3.0, Reason.TOO_SMALL), (12, 6.0, Reason.OUT_OF_SCOPE)]
)
def test_too_few_or_too_coarse_slices_are_refused(
    tmp_path: Path, count: int, distance_mm: float, reason: Reason
) -> None:
    with pytest.raises(UnsupportedImage) as refused:
        prepare_series(stored(tmp_path, make_series(count, distance_mm=distance_mm)), SMALL)

    assert refused.value.reason is reason


def test_copy_of_a_slice_is_told_by_its_pixels(tmp_path: Path) -> None:
    slices, twin, other = make_series(10), make_series(10)[4], make_series(10, radius_mm=4)[4]
    twin.FrameOfReferenceUID = other.FrameOfReferenceUID = slices[0].FrameOfReferenceUID

    expected = prepare_series(stored(tmp_path / "plain", slices), SMALL)
    prepared = prepare_series(stored(tmp_path / "twin", [*slices, twin]), SMALL)
    with pytest.raises(UnsupportedImage) as refused:
        prepare_series(stored(tmp_path / "other", [*slices, other]), SMALL)

    assert np.array_equal(prepared.tensor, expected.tensor)
    assert refused.value.reason is Reason.GEOMETRY_REFUSED


def test_screenshot_in_colour_beside_the_slices_is_never_decoded(tmp_path: Path) -> None:
    slices = make_series(10)
    [screen] = make_series(1)
    screen.SOPClassUID = screen.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    screen.SamplesPerPixel, screen.PhotometricInterpretation = 3, "RGB"

    expected = prepare_series(stored(tmp_path / "plain", slices), SMALL)
    prepared = prepare_series(stored(tmp_path / "screen", [screen, *slices]), SMALL)

    assert np.array_equal(prepared.tensor, expected.tensor)


def test_unsigned_values_without_their_intercept_are_no_hounsfield_units(tmp_path: Path) -> None:
    slices = make_series(12)
    for one in slices:
        one.RescaleIntercept = 0

    with pytest.raises(UnsupportedImage) as refused:
        prepare_series(stored(tmp_path, slices), SMALL)

    assert refused.value.reason is Reason.CONTRADICTORY_HEADER


def test_cosines_that_are_written_unevenly_give_the_same_tensor_in_any_order(tmp_path: Path) -> None:
    slices = make_series(12)
    for index, one in enumerate(slices):
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, round(0.0004 * (index % 4), 4)]
    paths = stored(tmp_path, slices)

    tensors = {prepare_series(random.Random(seed).sample(paths, 12), SMALL).tensor.tobytes() for seed in range(6)}

    assert len(tensors) == 1


# ------------------------------------------------------------ MR

MR = replace(SMALL, modality="MR")


def test_ball_in_mr_lies_where_it_was_and_spans_the_range(tmp_path: Path) -> None:
    ball = (14.0, -21.0, 203.0)
    slices = make_mr_series(24, size=(56, 60), middle_mm=(10, -20, 200), ball_mm=ball, cosines=OBLIQUE)

    prepared = prepare_series(stored(tmp_path, slices), MR)

    assert middle_of(prepared) == pytest.approx(np.array(ball), abs=0.15)
    assert (float(prepared.tensor.min()), float(prepared.tensor.max())) == (0.0, 1.0)


@pytest.mark.parametrize(("slope", "intercept"), [(7.5, 0.0), (0.02, 4.0), (1.0, -300.0)])
def test_unit_of_the_signal_does_not_matter(tmp_path: Path, slope: float, intercept: float) -> None:
    plain, scaled = make_mr_series(12), make_mr_series(12)
    for one in scaled:
        one.RescaleSlope, one.RescaleIntercept = slope, intercept

    one = prepare_series(stored(tmp_path / "plain", plain), MR)
    other = prepare_series(stored(tmp_path / "scaled", scaled), MR)

    assert np.abs(one.tensor - other.tensor).max() < 1e-4


def test_slices_of_mr_with_their_own_slopes_are_brought_to_one_scale(tmp_path: Path) -> None:
    plain, scaled = make_mr_series(12), make_mr_series(12)
    for index, one in enumerate(scaled):
        one.RescaleSlope, one.RescaleIntercept = 1 / (1 + index % 3), 0
        one.PixelData = (one.pixel_array * np.uint16(1 + index % 3)).tobytes()
    for one in plain:
        one.RescaleSlope, one.RescaleIntercept = 1, 0

    one = prepare_series(stored(tmp_path / "plain", plain), MR)
    other = prepare_series(stored(tmp_path / "scaled", scaled), MR)

    assert np.abs(one.tensor - other.tensor).max() < 1e-3


def test_padding_in_mr_is_no_signal(tmp_path: Path) -> None:
    slices = make_mr_series(12)
    for one in slices:
        one.add_new(0x00280120, "US", 0)

    values = FrameFile(stored(tmp_path, slices)[6]).values(1)

    assert (values.min(), values.max()) == (0, 1300)


def test_empty_mr_series_is_all_nothing(tmp_path: Path) -> None:
    prepared = prepare_series(stored(tmp_path, make_mr_series(12, ball_mm=(500, 0, 0))), MR)

    assert not prepared.tensor.any()


def test_mr_slices_of_which_some_have_a_rescale_are_refused(tmp_path: Path) -> None:
    slices = make_mr_series(12)
    slices[4].RescaleSlope, slices[4].RescaleIntercept = 2, 0

    with pytest.raises(UnsupportedImage) as refused:
        prepare_series(stored(tmp_path, slices), MR)

    assert refused.value.reason is Reason.CONTRADICTORY_HEADER


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}, Reason.OUT_OF_SCOPE),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, Reason.WRONG_MODALITY),
    ],
)
def test_series_that_shows_no_magnitude_of_mr_is_refused(
    tmp_path: Path, attributes: dict[str, Any], reason: Reason
) -> None:
    slices = make_mr_series(12)
    for one in slices:
        for keyword, value in attributes.items():
            setattr(one, keyword, value)

    with pytest.raises(UnsupportedImage) as refused:
        prepare_series(stored(tmp_path, slices), MR)

    assert refused.value.reason is reason


def test_shared_brain_series_becomes_a_tensor(shared_data: Path) -> None:
    paths = sorted((shared_data / "dicom" / "mr_series").glob("*.dcm"))

    prepared = SERIES_RECIPES["mr_volume/1"].prepare_series(paths)

    # Its padding value is 0, the value of the background: no voxel may be less than nothing.
    values = FrameFile(paths[9]).values(1)
    assert np.array_equal(values, dcmread(paths[9]).pixel_array.astype(np.float32))
    assert (prepared.tensor.shape, float(prepared.tensor.max())) == ((1, 128, 160, 160), 1.0)
    assert 0.1 < float(prepared.tensor[0, 40:90, 60:100, 60:100].mean()) < 0.9


# ------------------------------------------------------------ frames


@pytest.mark.parametrize(
    ("bits", "is_signed", "words", "padding", "limit", "expected"),
    [
        (12, 1, [0x0830, 0x0010], 0xF830, None, [-1024, 16 - 1024]),  # -2000, its sign not written into the high bits
        (12, 1, [0xF830, 0x0010], 0xF830, None, [-1024, 16 - 1024]),
        (12, 0, [0xF830, 0x0830], 0xF830, None, [-1024, 2096 - 1024]),  # more than 12 bits hold: the whole word
        (12, 0, [0x7005, 0x0006], 5, None, [-1024, 6 - 1024]),  # junk above the stored bits
        (16, 1, [0xF060, 0xF830], 0xF060, 0xF830, [-1024, -1024]),  # a range, -4000 to -2000
        (16, 1, [0xFC00, 0x0BB8], 0xF830, 0xF060, [-2048, 3000 - 1024]),
        (12, 0, [3000, 4095], 3000, 4095, [-1024, -1024]),
    ],
)
def test_padding_is_told_from_values_by_what_is_stored(
    tmp_path: Path, bits: int, is_signed: int, words: list[int], padding: int, limit: int | None, expected: list[float]
) -> None:
    [one] = make_series(1, size=(1, 2))
    one.BitsStored, one.HighBit, one.PixelRepresentation = bits, bits - 1, is_signed
    one.RescaleIntercept, one.RescaleSlope = -1024, 1
    one.PixelData = np.array(words, "<u2").tobytes()
    one.add_new(0x00280120, "US", padding)
    if limit is not None:
        one.add_new(0x00280121, "US", limit)

    assert FrameFile(stored(tmp_path, [one])[0]).values(1).tolist() == [expected]


@pytest.mark.parametrize(
    ("name", "lossy"),
    [
        ("ct/CTImage_LittleEndianExplicit__1.2.1.dcm", False),
        ("ct/CTImage_LittleEndianImplicit__1.2.dcm", False),
        ("ct/CTImage_BigEndianExplicit__1.2.2.dcm", False),
        ("ct/CTImage_DeflatedExplicitVRLittleEndian__1.2.1.99.dcm", False),
        ("ct/CTImage_RLELossless__1.2.5.dcm", False),
        ("ct/CTImage_JPEGProcess14SV1__1.2.4.70.dcm", False),
        ("ct/CTImage_JPEGLSLossless__1.2.4.80.dcm", False),
        ("ct/CTImage_JPEG2000LosslessOnly__1.2.4.90.dcm", False),
        ("ct/CTImage_JPEG2000__1.2.4.91.dcm", True),
    ],
)
def test_one_real_slice_has_the_same_hounsfield_units_in_every_transfer_syntax(
    shared_data: Path, name: str, lossy: bool
) -> None:
    native = shared_data / "dicom" / "ct/CTImage_LittleEndianExplicit__1.2.1.dcm"
    dataset = dcmread(native)
    stored_values = dataset.pixel_array.astype(np.float32)
    expected = stored_values * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)

    values = FrameFile(shared_data / "dicom" / name).values(1)

    inside = stored_values > -2000
    assert np.abs(values - expected)[inside].max() <= (40 if lossy else 0)
    if not lossy:
        # This writer's padding value (32768) is not what its padding holds: the recipe clips it to air.
        assert np.clip(values, -1024, 3071)[~inside].max() == -1024


@pytest.mark.parametrize(
    "name",
    ["ct/eCT_Supplemental.dcm", "mr/mr_brucker.dcm"],
)
def test_frames_of_real_enhanced_images_are_those_of_an_independent_reader(shared_data: Path, name: str) -> None:
    path = shared_data / "dicom" / name
    file, expected = FrameFile(path), dcmread(path).pixel_array

    for frame, plane in enumerate(file.header.planes, start=1):
        assert plane.rescale is not None
        wanted = expected[frame - 1].astype(np.float32) * plane.rescale[0] + plane.rescale[1]
        assert np.array_equal(file.values(frame), wanted)


@pytest.mark.parametrize("name", ["axial", "feet first", "coronal", "sagittal", "oblique", "tilted"])
def test_voxels_and_affine_are_those_that_monai_reads(tmp_path: Path, name: str) -> None:
    from monai.data import PydicomReader

    slices = make_series(14, ball_mm=(8, -5, 3), radius_mm=10, **CASES[name])
    agrees_with_monai(PydicomReader(affine_lps_to_ras=False), stored(tmp_path / "series", slices[::-1]), tmp_path)


@pytest.mark.parametrize("files", ["ct/ct3slice_*.dcm", "mr_series/*.dcm"])
def test_voxels_and_affine_of_real_series_are_those_that_monai_reads(
    shared_data: Path, tmp_path: Path, files: str
) -> None:
    from monai.data import PydicomReader

    (tmp_path / "series").mkdir()
    paths = [Path(shutil.copy(path, tmp_path / "series")) for path in (shared_data / "dicom").glob(files)]
    agrees_with_monai(PydicomReader(affine_lps_to_ras=False), paths, tmp_path)


def agrees_with_monai(reader: Any, paths: Sequence[Path], folder: Path) -> None:
    """Compare with a volume of (columns, rows, slices), whose slices MONAI may count from the other end."""
    data, described = reader.get_data(reader.read(folder / "series"))
    files = [FrameFile(path) for path in paths]
    stack = arrange([file.header for file in files]).volume
    assert stack is not None
    ours = np.stack([files[one.image].values(one.frame) for one in stack.order])
    theirs, affine = np.asarray(data).transpose(2, 1, 0), np.asarray(described["affine"])
    if float(affine[:3, 2] @ np.asarray(stack.affine)[:3, 2]) < 0:
        theirs, affine = (
            theirs[::-1],
            affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, len(ours) - 1], [0, 0, 0, 1]]),
        )

    assert np.array_equal(np.maximum(theirs, -1024), ours)  # padding of -3024 is air to us
    assert affine == pytest.approx(np.asarray(stack.affine), abs=1e-4)


def test_fragmented_frames_without_an_offset_table_are_put_together(shared_data: Path) -> None:
    file = FrameFile(shared_data / "dicom" / "ct" / "CT0012.fragmented_no_bot_jpeg_baseline.51.dcm")

    frames = [file.values(1) + 1024, file.values(2) + 1024]

    # Least and largest stored value, as the data's own index has them.
    assert (min(f.min() for f in frames), max(f.max() for f in frames)) == (1010, 2223)
    assert not np.array_equal(frames[0], frames[1])


def test_encapsulated_frames_are_found_with_and_without_an_offset_table(tmp_path: Path) -> None:
    slices = make_series(3)
    image = make_enhanced(slices)
    expected = [FrameFile(stored(tmp_path / "native", [image])[0]).values(n) for n in (1, 2, 3)]
    codestreams = [rle_of(one.pixel_array) for one in slices]

    for has_table in (True, False):
        image.PixelData = encapsulate(codestreams, has_bot=has_table)
        image["PixelData"].is_undefined_length = True
        image.file_meta.TransferSyntaxUID = RLELossless
        file = FrameFile(stored(tmp_path / str(has_table), [image])[0])
        for n in (1, 2, 3):
            assert np.array_equal(file.values(n), expected[n - 1])


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (0, 0, 1), (1, 0, 2)], ids=str)
def test_offset_table_is_believed_only_where_it_goes_forward(tmp_path: Path, order: tuple[int, ...]) -> None:
    slices = make_series(3)
    image = make_enhanced(slices)
    native = FrameFile(stored(tmp_path / "native", [image])[0])
    expected = [native.values(n) for n in (1, 2, 3)]
    value = encapsulate([rle_of(one.pixel_array) for one in slices], fragments_per_frame=2)
    starts = struct.unpack_from("<3I", value, 8)
    image.PixelData = value[:8] + struct.pack("<3I", *(starts[n] for n in order)) + value[20:]
    image["PixelData"].is_undefined_length = True
    image.file_meta.TransferSyntaxUID = RLELossless
    file = FrameFile(stored(tmp_path / "packed", [image])[0])

    if order == (0, 1, 2):
        assert all(np.array_equal(file.values(n), expected[n - 1]) for n in (1, 2, 3))
    else:
        with pytest.raises(UnsupportedImage) as refused:
            file.values(1)
        assert refused.value.reason is Reason.PIXEL_DATA_DAMAGED


def test_header_that_claims_millions_of_frames_costs_no_memory(tmp_path: Path) -> None:
    [image] = make_series(1)
    image.Rows = image.Columns = 1
    image.NumberOfFrames = 2_000_000
    image.PixelData = bytes(4_000_000)
    file = FrameFile(stored(tmp_path, [image])[0])

    tracemalloc.start()
    try:
        file.digest(1)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 4 << 20


def rle_of(pixels: np.ndarray[Any, Any]) -> bytes:
    from pydicom.pixels.encoders.base import EncodeRunner
    from pydicom.pixels.encoders.native import _encode_frame

    runner = EncodeRunner(RLELossless)
    runner.set_options(rows=pixels.shape[0], columns=pixels.shape[1], samples_per_pixel=1, bits_allocated=16,
                       bits_stored=16, pixel_representation=0, photometric_interpretation="MONOCHROME2",
                       number_of_frames=1, byteorder="<")  # fmt: skip
    return bytes(_encode_frame(pixels.tobytes(), runner))


def test_frame_behind_the_last_is_refused(tmp_path: Path) -> None:
    image = make_enhanced(make_series(3))
    image.PixelData = image.PixelData[: len(image.PixelData) // 2]
    file = FrameFile(stored(tmp_path, [image])[0])

    assert file.values(1).shape == (48, 40)
    with pytest.raises(UnsupportedImage) as refused:
        file.values(3)
    assert refused.value.reason is Reason.PIXEL_DATA_DAMAGED


# ------------------------------------------------------------ the recipe's name and hash


def test_recipe_for_volumes_stands_beside_those_for_images() -> None:
    assert set(SERIES_RECIPES) == {"ct_volume/1", "mr_volume/1"}
    assert not set(SERIES_RECIPES) & set(RECIPES)
    assert SERIES_RECIPES["ct_volume/1"].sha256 == VolumeRecipe("ct_volume/1", VolumeParameters()).sha256


def test_other_parameters_or_another_name_are_another_recipe() -> None:
    hashes = {
        VolumeRecipe("ct_volume/1", VolumeParameters()).sha256,
        VolumeRecipe("ct_volume/2", VolumeParameters()).sha256,
        VolumeRecipe("ct_volume/1", SMALL).sha256,
        recipe_hash("ct_volume/1", repr(VolumeParameters())),
    }

    assert len(hashes) == 4


def test_headers_of_radiographs_carry_no_planes() -> None:
    [slice_] = make_series(1)
    assert len(header_of(slice_).planes) == 1
    slice_.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    assert header_of(slice_).planes == ()
