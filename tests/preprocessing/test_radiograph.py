"""The radiograph recipe: one tensor for one picture, however it was stored; nothing stretched, borders masked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.recipes import RECIPES
from tests.preprocessing.phantoms import film, header_of, picture, save

RECIPE = RECIPES["chest_radiograph/1"]


def eight_bit(grey: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(grey * 255).astype(np.uint8)


def textured(rows: int, columns: int) -> NDArray[np.uint8]:
    """Return a picture without uniform lines, so that no line looks like a border."""
    return np.random.default_rng(rows).integers(40, 216, (rows, columns)).astype(np.uint8)


def test_the_tensor_is_what_the_contract_says() -> None:
    tensor = RECIPE.prepare_array(eight_bit(picture(300))).tensor

    assert tensor.shape == (1, 224, 224)
    assert tensor.dtype == np.float32
    assert tensor.flags["C_CONTIGUOUS"]
    assert tensor.min() == 0
    assert tensor.max() == 1


def test_monochrome1_and_its_twin_give_the_same_tensor(tmp_path: Path) -> None:
    stored = np.rint(picture(300) * 1023).astype(np.uint16)
    window = {"BitsStored": 10, "WindowCenter": 550, "WindowWidth": 1024}
    twin_window = {"BitsStored": 10, "WindowCenter": 473, "WindowWidth": 1024}
    one = save(film(stored, PhotometricInterpretation="MONOCHROME1", **window), tmp_path / "one")
    two = save(film(1023 - stored, PhotometricInterpretation="MONOCHROME2", **twin_window), tmp_path / "two")

    first, second = RECIPE.prepare(tmp_path / "one", one), RECIPE.prepare(tmp_path / "two", two)

    assert np.abs(first.tensor - second.tensor).max() <= 1e-6


def test_a_stored_eight_bit_film_gives_the_tensor_of_its_picture(tmp_path: Path) -> None:
    grey = eight_bit(picture(300))

    stored = RECIPE.prepare(tmp_path / "f", save(film(grey), tmp_path / "f"))

    assert np.array_equal(stored.tensor, RECIPE.prepare_array(grey).tensor)


@pytest.mark.parametrize("gain", [0.5, 1.0])
def test_brightness_and_contrast_of_the_display_do_not_matter(gain: float) -> None:
    grey = picture(448)

    plain = RECIPE.prepare_array(eight_bit(grey)).tensor
    dimmed = RECIPE.prepare_array(eight_bit(grey * gain * 0.9 + 0.05)).tensor

    assert np.abs(plain - dimmed).max() < 0.02


@pytest.mark.parametrize(
    ("rows", "columns"), [(2000, 1000), (1000, 2000), (224, 224), (130, 500), (3001, 2777), (128, 128)]
)
def test_a_picture_is_never_stretched_and_its_place_can_be_found_again(rows: int, columns: int) -> None:
    prepared = RECIPE.prepare_array(textured(rows, columns))

    place = prepared.placement
    lit = np.argwhere(prepared.tensor[0] > 0)
    (top, left), (bottom, right) = lit.min(axis=0), lit.max(axis=0) + 1
    assert (place.rows, place.columns) == (rows, columns)
    # The last averaged block of a side may be a partial one: less than a tensor pixel.
    assert place.scale == pytest.approx(max(rows, columns) / 224, rel=0.003)
    assert place.top + top * place.scale >= -1e-6
    assert place.left + left * place.scale >= -1e-6
    assert place.top + bottom * place.scale <= rows + place.scale
    assert place.left + right * place.scale <= columns + place.scale
    assert (bottom - top) * place.scale > rows - 2 * place.scale
    assert (right - left) * place.scale > columns - 2 * place.scale


def test_a_mark_in_the_tensor_maps_back_to_the_mark_in_the_film() -> None:
    grey = textured(1500, 1100) // 4
    grey[900:1000, 200:320] = 255

    prepared = RECIPE.prepare_array(grey)

    place = prepared.placement
    rows, columns = np.nonzero(prepared.tensor[0] > 0.9)
    assert place.top + (rows.mean() + 0.5) * place.scale == pytest.approx(950, abs=3)
    assert place.left + (columns.mean() + 0.5) * place.scale == pytest.approx(260, abs=3)


@pytest.mark.parametrize("border", [0, 255])
def test_uniform_borders_are_masked_and_the_place_says_where_the_rest_lies(border: int) -> None:
    inner = textured(900, 700)
    framed = np.full((1200, 1000), border, np.uint8)
    framed[100:1000, 200:900] = inner

    prepared = RECIPE.prepare_array(framed)

    plain = RECIPE.prepare_array(inner)
    assert "borders_masked" in prepared.notes
    assert prepared.placement.scale == pytest.approx(plain.placement.scale, rel=0.02)
    assert prepared.placement.top == pytest.approx(plain.placement.top + 100, abs=5)
    assert prepared.placement.left == pytest.approx(plain.placement.left + 200, abs=5)


def test_a_black_frame_around_a_white_frame_is_masked_whole() -> None:
    framed = np.zeros((1000, 1000), np.uint8)
    framed[100:900, 100:900] = 255
    framed[200:800, 200:800] = textured(600, 600)

    place = RECIPE.prepare_array(framed).placement

    assert place.left == pytest.approx(200, abs=5)
    assert place.scale == pytest.approx(600 / 224, rel=0.02)


def test_a_picture_that_would_be_nearly_all_border_is_left_whole() -> None:
    framed = np.zeros((1000, 1000), np.uint8)
    framed[450:550, 450:550] = textured(100, 100)

    assert "borders_masked" not in RECIPE.prepare_array(framed).notes


def test_a_blank_picture_is_noted() -> None:
    prepared = RECIPE.prepare_array(np.full((300, 300), 7, np.uint8))

    assert "blank" in prepared.notes
    assert not prepared.tensor.any()


def test_a_picture_too_small_to_read_is_refused() -> None:
    with pytest.raises(UnsupportedImage) as refusal:
        RECIPE.prepare_array(np.zeros((2000, 127), np.uint8))

    assert refusal.value.reason is Reason.TOO_SMALL


def test_the_header_rules_come_before_the_pixels(tmp_path: Path) -> None:
    dataset = film(eight_bit(picture(300)), BodyPartExamined="HIP")
    header = save(dataset, tmp_path / "f")

    with pytest.raises(UnsupportedImage) as refusal:
        RECIPE.prepare(tmp_path / "gone", header)

    assert refusal.value.reason is Reason.NOT_A_CHEST


def test_a_stored_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "f"
    header = save(film(eight_bit(picture(300))), path)
    path.write_bytes(path.read_bytes()[:-5000])

    with pytest.raises(UnsupportedImage) as refusal:
        RECIPE.prepare(path, header)

    assert refusal.value.reason is Reason.STORED_FILE_DAMAGED


# Where every line is border numpy averages nothing and says so; the picture is then left whole, which is right.
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered in divide")
@settings(max_examples=40, deadline=None)
@given(st.integers(128, 700), st.integers(128, 700), st.integers(0, 2**32 - 1))
def test_every_picture_gives_a_tensor_within_bounds(rows: int, columns: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    grey = random.integers(0, random.integers(2, 256), (rows, columns)).astype(np.uint8)
    grey[: random.integers(0, rows)] = random.integers(0, 256)

    tensor = RECIPE.prepare_array(grey).tensor

    assert np.isfinite(tensor).all()
    assert tensor.min() >= 0
    assert tensor.max() <= 1


# --- real films -------------------------------------------------------------------------------------------------------


def prepared(path: Path) -> Any:
    return RECIPE.prepare(path, header_of(path))


@pytest.mark.films
def test_the_twins_and_every_lossless_syntax_of_one_film_give_one_tensor(shared_data: Path) -> None:
    folder = shared_data / "dicom"
    original = prepared(folder / "chest" / "gdcm-CR-MONO1-10-chest.dcm").tensor
    for path in sorted((folder / "chest_derived").glob("*.dcm")):
        difference = np.abs(prepared(path).tensor - original).max()
        match path.stem:
            case "chest_jpegls_near3":
                assert difference < 0.01
            case "chest_monochrome2_twin":
                assert difference <= 1e-6
            case _:
                assert difference == 0, path.stem


@pytest.mark.films
def test_lossy_copies_of_a_real_film_stay_close_to_it(shared_data: Path) -> None:
    folder = shared_data / "dicom" / "chest"
    original = prepared(folder / "RG1_UNCR.dcm").tensor

    assert np.abs(prepared(folder / "RG1_J2KI.dcm").tensor - original).max() < 0.02
    assert np.abs(prepared(folder / "RG1_JLSN.dcm").tensor - original).max() < 0.01
    assert "lossy" in prepared(folder / "RG1_J2KI.dcm").notes


@pytest.mark.films
def test_real_films_are_bone_white(shared_data: Path) -> None:
    for name in ("966_fixed", "RG1_UNCR", "gdcm-CR-MONO1-10-chest", "nih_udacity_test1", "nih_udacity_test2"):
        tensor = prepared(shared_data / "dicom" / "chest" / f"{name}.dcm").tensor[0]
        spine, right_lung = tensor[60:180, 105:120].mean(), tensor[70:140, 55:85].mean()

        assert spine > right_lung + 0.2, name
