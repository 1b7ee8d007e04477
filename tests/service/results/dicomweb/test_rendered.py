"""Rendered pictures and thumbnails over HTTP, against pydicom's own reading of the same files (DWB-25, DWB-26)."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import imagecodecs
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_windowing, pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import (
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    UltrasoundImageStorage,
)
from sqlalchemy import insert

from service import tables
from service.roles import Role
from tests.factories import make_ct_slice, make_radiograph, phantom
from tests.service.house import House, open_house
from tests.service.results.dicomweb.conftest import Web
from tests.service.results.dicomweb.test_retrieve import address, bytes_of, get, parts_of, published  # noqa: F401

ROWS, COLUMNS = 64, 48


def colours() -> NDArray[np.uint8]:
    """Return a picture whose channels cannot be mistaken for one another."""
    ramp = np.linspace(0, 255, COLUMNS, dtype=np.uint8)[None, :].repeat(ROWS, 0)
    down = np.linspace(0, 255, ROWS, dtype=np.uint8)[:, None].repeat(COLUMNS, 1)
    return np.stack([ramp, down, np.full_like(ramp, 60)], axis=-1)


def coloured(photometric: str, data: bytes, *, syntax: str | None = None, **attributes: Any) -> Dataset:
    """Return an 8-bit colour picture of three samples."""
    dataset = make_radiograph(phantom(ROWS, COLUMNS), SOPClassUID=UltrasoundImageStorage, Modality="US", **attributes)
    dataset.SamplesPerPixel, dataset.PlanarConfiguration, dataset.PhotometricInterpretation = 3, 0, photometric
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PixelData = data if syntax is None else encapsulate([data])
    if syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    return dataset


def ybr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(rgb).convert("YCbCr"))


def half_colour() -> Dataset:
    whole = ybr(colours())
    pairs = np.empty((ROWS, COLUMNS // 2, 4), np.uint8)
    pairs[..., 0], pairs[..., 1] = whole[:, 0::2, 0], whole[:, 1::2, 0]
    pairs[..., 2:] = whole[:, 0::2, 1:]
    return coloured("YBR_FULL_422", pairs.tobytes())


def planar() -> Dataset:
    dataset = coloured("RGB", colours().transpose(2, 0, 1).tobytes())
    dataset.PlanarConfiguration = 1
    return dataset


def palette() -> Dataset:
    dataset = make_radiograph(phantom(ROWS, COLUMNS, bits=8), bits_stored=8)
    dataset.BitsAllocated, dataset.PhotometricInterpretation = 8, "PALETTE COLOR"
    dataset.PixelData = phantom(ROWS, COLUMNS, bits=8).astype(np.uint8).tobytes()
    for index, colour in enumerate(("Red", "Green", "Blue")):
        entries = (np.roll(np.arange(256), 80 * index).astype(np.uint16) << 8).tobytes()
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", entries)
    return dataset


def compressed(dataset: Dataset, syntax: str) -> Dataset:
    dataset.compress(syntax, generate_instance_uid=False)
    return dataset


def jpeg_lossless() -> Dataset:
    dataset = make_radiograph(phantom(bits=12))
    dataset.PixelData = encapsulate([imagecodecs.jpeg8_encode(phantom(bits=12), lossless=True, bitspersample=12)])
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset["PixelData"].is_undefined_length = True
    return dataset


GREY: dict[str, Callable[[], Dataset]] = {
    "a window": lambda: make_radiograph(WindowCenter=2000, WindowWidth=3000),
    "white is low": lambda: make_radiograph(
        photometric_interpretation="MONOCHROME1", WindowCenter=2000, WindowWidth=3000
    ),
    "rescaled": lambda: make_ct_slice(WindowCenter=400, WindowWidth=2500),
    "a sigmoid": lambda: make_radiograph(WindowCenter=2000, WindowWidth=1500, VOILUTFunction="SIGMOID"),
    "RLE": lambda: compressed(make_radiograph(WindowCenter=2000, WindowWidth=3000), RLELossless),
    "JPEG 2000": lambda: compressed(make_radiograph(WindowCenter=2000, WindowWidth=3000), JPEG2000Lossless),
    "JPEG-LS": lambda: compressed(make_radiograph(WindowCenter=2000, WindowWidth=3000), JPEGLSLossless),
}
COLOUR: dict[str, Callable[[], Dataset]] = {
    "RGB": lambda: coloured("RGB", colours().tobytes()),
    "RGB in planes": planar,
    "RGB in RLE": lambda: compressed(coloured("RGB", colours().tobytes()), RLELossless),
    "YBR_FULL": lambda: coloured("YBR_FULL", ybr(colours()).tobytes()),
    "YBR_FULL_422": half_colour,
    "JPEG of YBR": lambda: coloured(
        "YBR_FULL_422", imagecodecs.jpeg8_encode(colours(), level=98), syntax=JPEGBaseline8Bit
    ),
    "JPEG of RGB": lambda: coloured(
        "RGB", imagecodecs.jpeg8_encode(colours(), level=98, colorspace="RGB", outcolorspace="RGB"),
        syntax=JPEGBaseline8Bit,
    ),
    "JPEG 2000 of RGB": lambda: coloured("YBR_RCT", imagecodecs.jpeg2k_encode(colours(), level=0, mct=True,
                                                                            codecformat="j2k"),
                                         syntax=JPEG2000Lossless),
}  # fmt: skip


def picture(web: Web, dataset: Dataset, query: str = "", accept: str = "image/png") -> NDArray[np.uint8]:
    answer = get(web, f"{address(dataset)}/rendered{query}", accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == accept
    return np.asarray(Image.open(io.BytesIO(answer.content)))


@pytest.mark.parametrize("kind", GREY)
def test_grey_is_drawn_as_pydicom_windows_it(web: Web, kind: str) -> None:
    dataset = web.send(GREY[kind]())

    drawn = picture(web, dataset)

    plain = dcmread(io.BytesIO(stored(web, dataset)))
    expected = apply_windowing(apply_modality_lut(pixel_array(plain), plain), plain).astype(float)
    low, high = (0.0, 4095.0) if "CT" not in plain.Modality else (-1024.0, 4095.0 - 1024)
    expected = (expected - low) / (high - low) * 255
    if plain.PhotometricInterpretation == "MONOCHROME1":
        expected = 255 - expected
    assert np.abs(drawn.astype(float) - expected).max() <= 1.5


def stored(web: Web, dataset: Dataset) -> bytes:
    return get(web, address(dataset), "application/dicom; transfer-syntax=*").content


@pytest.mark.parametrize("kind", COLOUR)
def test_colours_are_drawn_as_they_are(web: Web, kind: str) -> None:
    dataset = web.send(COLOUR[kind]())

    assert np.abs(picture(web, dataset).astype(int) - colours().astype(int)).max() <= 10


def test_a_palette_is_applied(web: Web) -> None:
    dataset = web.send(palette())

    expected = (apply_color_lut(dataset.pixel_array, dataset) >> 8).astype(np.uint8)
    np.testing.assert_array_equal(picture(web, dataset), expected)


def test_one_bit_is_black_and_white(web: Web) -> None:
    dataset = make_radiograph(phantom(ROWS, COLUMNS))
    mask = phantom(ROWS, COLUMNS) > 2000
    dataset.BitsAllocated = dataset.BitsStored = 1
    dataset.HighBit = 0
    dataset.PixelData = np.packbits(mask, bitorder="little").tobytes()
    web.send(dataset)

    np.testing.assert_array_equal(picture(web, dataset), np.where(mask, 255, 0))


def many_frames() -> Dataset:
    pixels = np.concatenate([phantom(seed=1), phantom(seed=2)[::-1]])
    dataset = make_radiograph(pixels, NumberOfFrames=2, WindowCenter=2000, WindowWidth=3000)
    dataset.Rows = 96
    return dataset


def test_each_frame_can_be_drawn(web: Web) -> None:
    dataset = web.send(many_frames())

    first = get(web, f"{address(dataset)}/frames/1/rendered", "image/png").content
    second = get(web, f"{address(dataset)}/frames/2/rendered", "image/png").content
    both = parts_of(get(web, f"{address(dataset)}/frames/2,1/rendered", 'multipart/related; type="image/png"'))
    every = parts_of(get(web, f"{address(dataset)}/rendered", 'multipart/related; type="image/png"'))

    assert first != second
    assert [bytes_of(part) for part in both] == [second, first]
    assert [bytes_of(part) for part in every] == [first, second]
    assert get(web, f"{address(dataset)}/rendered", "image/png").content == first
    assert get(web, f"{address(dataset)}/frames/3/rendered", "image/png").status_code == 404


def test_a_frame_of_an_enhanced_image_has_its_own_window(web: Web) -> None:
    dataset = many_frames()
    del dataset.WindowCenter, dataset.WindowWidth
    per_frame = []
    for center in (1000, 3000):
        voi, group = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = center, 500
        group.FrameVOILUTSequence = Sequence([voi])
        per_frame.append(group)
    dataset.PerFrameFunctionalGroupsSequence = Sequence(per_frame)
    web.send(dataset)

    own = get(web, f"{address(dataset)}/frames/2/rendered", "image/png").content
    asked = get(web, f"{address(dataset)}/frames/2/rendered?window=3000,500,linear", "image/png").content

    assert own == asked


@pytest.mark.parametrize("function", ["linear", "linear-exact", "sigmoid"])
def test_the_callers_window_wins(web: Web, function: str) -> None:
    dataset = web.send(make_ct_slice(WindowCenter=400, WindowWidth=2500))
    windowed = make_ct_slice(WindowCenter=40, WindowWidth=350, VOILUTFunction=function.upper().replace("-", "_"))
    web.send(windowed)

    np.testing.assert_array_equal(picture(web, dataset, f"?window=40,350,{function}"), picture(web, windowed))


def test_a_window_that_shows_nothing_shows_nothing(web: Web) -> None:
    dataset = web.send(make_ct_slice(WindowCenter=400, WindowWidth=2500))

    assert picture(web, dataset, "?window=30000,2,linear").max() == 0


@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("?viewport=40,40", (40, 33)),
        ("?viewport=160,400", (192, 160)),
        ("?viewport=80,96,20,24,40,48", (96, 80)),
        ("?viewport=80,96,,,-80,-96", (96, 80)),
    ],
)
def test_a_viewport_is_filled_without_distortion(web: Web, query: str, shape: tuple[int, int]) -> None:
    dataset = web.send(make_radiograph(WindowCenter=2000, WindowWidth=3000))

    whole, part = picture(web, dataset), picture(web, dataset, query)

    assert part.shape == shape
    if "-80" in query:
        np.testing.assert_array_equal(part, whole[::-1, ::-1])


@pytest.mark.parametrize(
    ("viewport", "part"),
    [
        ("40,48,20,24,40,48", np.s_[24:72, 20:60]),
        ("40,48,,,40,48", np.s_[:48, :40]),
        ("40,48,40,48,,", np.s_[48:, 40:]),
        ("40,96,40,,,", np.s_[:, 40:]),
        ("30,48,10,48,30,", np.s_[48:, 10:40]),
        ("80,96,,,-80,", np.s_[:, ::-1]),
        ("40,48,20,24,-40,48", np.s_[24:72, 59:19:-1]),
        ("40,48,20,24,40,-48", np.s_[71:23:-1, 20:60]),
        ("80,96,,,-80,96", np.s_[:, ::-1]),
        ("80,96,,,80,-96", np.s_[::-1, :]),
    ],
)
def test_a_viewport_shows_the_part_that_was_named_and_turns_one_axis_alone(
    web: Web, viewport: str, part: tuple[slice, slice]
) -> None:
    dataset = web.send(make_radiograph(WindowCenter=2000, WindowWidth=3000))

    whole, shown = picture(web, dataset), picture(web, dataset, f"?viewport={viewport}")

    np.testing.assert_array_equal(shown, whole[part])


def test_a_part_is_made_larger_from_its_own_pixels(web: Web) -> None:
    dataset = web.send(make_radiograph(WindowCenter=2000, WindowWidth=3000))

    whole, shown = picture(web, dataset), picture(web, dataset, "?viewport=80,96,20,24,40,48")

    expected = Image.fromarray(whole[24:72, 20:60]).resize((80, 96), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(shown, np.asarray(expected))


def test_quality_is_of_jpeg(web: Web) -> None:
    dataset = web.send(make_radiograph(WindowCenter=2000, WindowWidth=3000))

    sizes = [len(get(web, f"{address(dataset)}/rendered?quality={q}", "image/jpeg").content) for q in (5, 95)]

    assert sizes[0] < sizes[1] / 2


def test_words_are_written_only_when_asked_for(web: Web) -> None:
    dataset = make_radiograph(phantom(400, 400), PatientName="Kim^Minjun=김^민준", WindowCenter=9000, WindowWidth=100)
    web.send(dataset)

    plain = picture(web, dataset, "?window=9000,100,linear")
    named = picture(web, dataset, "?window=9000,100,linear&annotation=patient")
    both = picture(web, dataset, "?window=9000,100,linear&annotation=patient,technique")

    assert plain.max() == 0
    assert 0 < (named > 128).sum() < (both > 128).sum()
    assert get(web, f"{address(dataset)}/rendered?annotation=everything").status_code == 400


@pytest.mark.parametrize("accept", ["image/jpeg", "image/png", "image/gif", "*/*", "text/html, image/*;q=0.5"])
def test_a_picture_comes_in_the_type_that_is_taken(web: Web, accept: str) -> None:
    dataset = web.send(make_radiograph(WindowCenter=2000, WindowWidth=3000))

    answer = get(web, f"{address(dataset)}/rendered", accept)

    assert answer.headers["Content-Type"] == (accept if accept.startswith("image/") else "image/jpeg")
    assert Image.open(io.BytesIO(answer.content)).size == (80, 96)


def test_a_study_and_a_series_are_drawn_whole_or_said_to_be_a_part(web: Web) -> None:
    first, second, silent = make_ct_slice(seed=1), make_ct_slice(seed=2), make_ct_slice(seed=3)
    del silent.PixelData
    for dataset in (second, silent):
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = first.StudyInstanceUID, first.SeriesInstanceUID
    for dataset in (first, second, silent):
        web.send(dataset)
    study = f"/studies/{first.StudyInstanceUID}"

    whole = get(web, f"{study}/rendered", 'multipart/related; type="image/jpeg"')
    series = get(web, f"{study}/series/{first.SeriesInstanceUID}/rendered", 'multipart/related; type="image/jpeg"')

    assert (whole.status_code, series.status_code) == (206, 206)
    assert len(parts_of(whole)) == len(parts_of(series)) == 2
    assert get(web, f"{study}/rendered", "image/jpeg").status_code == 406


DAMAGED = {
    "garbage": lambda: broken(b"\xff\x4f\xff\x51" + b"\x00" * 200),
    "a codestream of another size": lambda: broken(imagecodecs.jpeg2k_encode(phantom(32, 32), level=0)),
    "32 bits": lambda: make_radiograph(BitsAllocated=32, BitsStored=32),
}


def broken(codestream: bytes) -> Dataset:
    dataset = make_radiograph()
    dataset.PixelData = encapsulate([codestream])
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize("kind", DAMAGED)
def test_what_cannot_be_decoded_is_406_and_has_a_card_for_thumbnail(web: Web, kind: str) -> None:
    dataset = web.send(DAMAGED[kind]())

    assert get(web, f"{address(dataset)}/rendered").status_code in (404, 406)
    thumbnail = get(web, f"{address(dataset)}/thumbnail")
    assert thumbnail.status_code == 200
    assert len(np.unique(np.asarray(Image.open(io.BytesIO(thumbnail.content))))) == 1


def test_a_full_line_is_told_to_come_back(web: Web) -> None:
    dataset = web.send(make_radiograph())
    pictures, settings = web.app.state.pictures, web.settings

    with ExitStack() as seats:
        for _ in range(settings.picture_processes + settings.picture_queue):
            seats.enter_context(pictures.seat())
        answer = get(web, f"{address(dataset)}/rendered")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert get(web, f"{address(dataset)}/rendered").status_code == 200


@pytest.mark.parametrize("level", ["", "/series", "/instances", "/frames"])
def test_a_thumbnail_is_small_and_single(web: Web, level: str) -> None:
    dataset = web.send(make_radiograph(phantom(600, 500)))
    study, series, instance = (
        address(dataset).split("/series/")[0],
        address(dataset).split("/instances/")[0],
        address(dataset),
    )
    path = {"": study, "/series": series, "/instances": instance, "/frames": f"{instance}/frames/1"}[level]

    answer = get(web, f"{path}/thumbnail")

    assert answer.headers["Content-Type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (213, 256)
    assert Image.open(io.BytesIO(get(web, f"{path}/thumbnail?viewport=64,64").content)).size == (53, 64)
    assert get(web, f"{path}/thumbnail?viewport=9,9,0,0,5,5").status_code == 400


@pytest.mark.parametrize(
    ("attributes", "is_shown"),
    [({}, True), ({"BurnedInAnnotation": "YES"}, False), ({"Modality": "US"}, False),
     ({"Modality": "US", "BurnedInAnnotation": "NO"}, True)],
)  # fmt: skip
def test_a_thumbnail_shows_no_pixels_that_may_name_the_patient(
    web: Web, attributes: dict[str, str], is_shown: bool
) -> None:
    dataset = web.send(make_radiograph(**attributes))

    content = get(web, f"{address(dataset)}/thumbnail", "image/png").content

    assert (len(np.unique(np.asarray(Image.open(io.BytesIO(content))))) > 1) == is_shown
    assert b"Test" not in content


@pytest.mark.parametrize("suffix", ["/rendered", "/thumbnail", "/frames/1/rendered", "/frames/1/thumbnail"])
def test_another_sites_pictures_do_not_exist(web: Web, suffix: str) -> None:
    dataset = web.send(make_radiograph())

    assert get(web, address(dataset) + suffix, code="south").status_code == 404


def test_the_preferred_syntax_is_given_by_unpacking(web: Web) -> None:
    pixels = phantom()
    dataset = web.send(compressed(make_radiograph(pixels), JPEGLSLossless))

    [default] = parts_of(get(web, address(dataset)))
    [own] = parts_of(get(web, address(dataset), 'multipart/related; type="application/dicom"; transfer-syntax=*'))
    [frame] = parts_of(get(web, f"{address(dataset)}/frames/1", 'multipart/related; type="application/octet-stream"'))

    assert default["Content-Type"].endswith("1.2.840.10008.1.2.1")
    given = dcmread(io.BytesIO(bytes_of(default)))
    np.testing.assert_array_equal(given.pixel_array, pixels)
    assert given.PatientName == dataset.PatientName
    assert dcmread(io.BytesIO(bytes_of(own))).file_meta.TransferSyntaxUID == JPEGLSLossless
    assert bytes_of(frame) == pixels.tobytes()


def test_lossy_images_are_given_as_they_are_unless_asked_for_otherwise(web: Web) -> None:
    dataset = web.send(COLOUR["JPEG of YBR"]())

    default = get(web, address(dataset), "application/dicom")
    asked = get(web, address(dataset), "application/dicom; transfer-syntax=1.2.840.10008.1.2.1")

    assert default.headers["Content-Type"].endswith(JPEGBaseline8Bit)
    given = dcmread(io.BytesIO(asked.content))
    assert given.PhotometricInterpretation == "RGB"
    assert np.abs(given.pixel_array.astype(int) - colours().astype(int)).max() <= 10


def test_lossless_jpeg_is_unpacked(web: Web) -> None:
    dataset = web.send(jpeg_lossless())

    given = dcmread(io.BytesIO(get(web, address(dataset), "application/dicom").content))

    np.testing.assert_array_equal(given.pixel_array, phantom(bits=12))


def test_a_reader_before_his_impression_sees_no_picture_of_the_ai(tmp_path: Any) -> None:
    with open_house(tmp_path) as house:
        overlay, study = published_overlay(house)
        blind, reader_id = house.account(Role.RADIOLOGIST)
        seen = house.signed_in(Role.ADMINISTRATOR)

        before = [
            blind.get(overlay + suffix).status_code for suffix in ("/rendered", "/thumbnail", "/frames/1/rendered")
        ]
        whole = blind.get(
            f"/dicomweb/studies/{study}/rendered", headers={"Accept": 'multipart/related; type="image/png"'}
        )
        judge(house, reader_id)
        after = blind.get(f"{overlay}/rendered")

        assert before == [404, 404, 404]
        assert len(parts_of(whole)) == 1
        assert after.status_code == seen.get(f"{overlay}/rendered").status_code == 200


def published_overlay(house: House) -> tuple[str, str]:
    """Put a film and our own overlay of it into a house; return the overlay's address and the study's UID."""
    film = make_radiograph()
    key = house.with_key()
    overlay = make_radiograph(seed=5)
    overlay.StudyInstanceUID = film.StudyInstanceUID
    with create_session() as session:
        client = DICOMwebClient(url=f"{house.address}/dicomweb", headers=dict(key.headers), session=session)
        client.store_instances([film, overlay])
    with house.database.transaction() as tx:
        own = tables.instance.c.sop_instance_uid == overlay.SOPInstanceUID
        tx.execute(tables.instance.update().where(own).values(is_result=True))
        mine = tables.series.c.series_instance_uid == overlay.SeriesInstanceUID
        tx.execute(tables.series.update().where(mine).values(is_result=True))
    return f"/dicomweb{address(overlay)}", str(film.StudyInstanceUID)


def judge(house: House, account_id: int) -> None:
    with house.database.transaction() as tx:
        study_id, site_id = tx.exec_driver_sql("SELECT id, site_id FROM study").one()
        row = {
            "site_id": site_id, "study_id": study_id, "account_id": account_id, "revision": 1, "impression": "normal",
            "places": [], "policy": "blind", "made_at": house.clock(),
        }  # fmt: skip
        tx.execute(insert(tables.first_impression).values(row))
