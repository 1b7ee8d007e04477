"""The recipe for CT volumes on a ball whose place, size and density are known, however the slices lie."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Sequence
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
from tests.volumes import AIR_HU, BALL_HU, make_enhanced, make_series

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


# ------------------------------------------------------------ frames


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
    assert set(SERIES_RECIPES) == {"ct_volume/1"}
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
