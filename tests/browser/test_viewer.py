"""The viewer on real pixels: bright where the film is dense, coloured where the AI looked, honest about lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from pydicom import Dataset, dcmread

from tests.browser import films
from tests.browser.desk import NO_WEBGL, Desk, browser, sit_down, stand_up
from tests.browser.films import AIR, LUNG, NODULE
from tests.factories import make_ct_slice
from tests.service.house import House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module", params=["gpu", "cpu"])
def opened(request: pytest.FixtureRequest, chromium: str) -> Iterator[Browser]:
    """A browser that draws with WebGL, and one without: thin clients have none."""
    with browser(chromium, *([NO_WEBGL] if request.param == "cpu" else [])) as one:
        yield one


@pytest.fixture
def desk(house: House, opened: Browser) -> Iterator[Desk]:
    made = sit_down(house, opened)
    yield made
    stand_up(made)


def shipped(name: str) -> Dataset:
    with resources.as_file(resources.files("data_store") / "data" / name) as path:
        return dcmread(path)


def test_dense_is_bright_however_the_film_is_stored(desk: Desk) -> None:
    seen = []
    for dataset in (films.film(), films.inverse_film()):
        desk.open(desk.send(dataset))
        seen.append(desk.greys(NODULE, LUNG, AIR))

    for nodule, lung, air in seen:
        assert nodule > lung + 20 > air + 25
    assert seen[0] == pytest.approx(seen[1], abs=4)


@pytest.mark.parametrize("compress", [films.jpeg_2000, films.jpeg_lossless])
def test_compressed_films_show_the_same_under_the_content_policy(
    desk: Desk, compress: Callable[[Dataset], Dataset]
) -> None:
    desk.open(desk.send(films.film()))
    plain = desk.greys(NODULE, LUNG, AIR)

    desk.open(desk.send(compress(films.film())))

    assert desk.greys(NODULE, LUNG, AIR) == pytest.approx(plain, abs=3)


def test_a_real_film_with_zero_spacing_is_not_black(desk: Desk) -> None:
    for name in ("RG1_UNCR.dcm", "RG1_J2KR.dcm"):
        desk.open(desk.send(shipped(name)))
        spine, lung = desk.greys((920, 1200), (480, 700))

        assert spine > 150 > lung
        assert desk.page.locator("[data-badge=spacing_none]").is_visible()


def test_the_heat_map_lies_on_the_nodule_and_off_means_off(desk: Desk) -> None:
    desk.open(desk.send(films.film(), scored=True))
    desk.impression()
    [plain_nodule, plain_lung] = desk.colours(NODULE, LUNG)

    desk.press("h")
    desk.page.locator("[data-testid=overlay][data-shown=yes] img").wait_for()
    [warm, far] = desk.colours(NODULE, LUNG)
    desk.press("h")
    [off] = desk.colours(NODULE)

    assert tint(plain_nodule) < 2
    assert tint(warm) > 25
    assert tint(far) < 8
    assert far == pytest.approx(plain_lung, abs=10)
    assert off == pytest.approx(plain_nodule, abs=2)


def tint(colour: tuple[float, float, float]) -> float:
    """How far a colour is from grey."""
    return max(colour) - min(colour)


def test_the_heat_map_follows_a_turned_mirrored_inverted_and_enlarged_film(desk: Desk) -> None:
    desk.open(desk.send(films.film(), scored=True))
    desk.impression()
    desk.press("h")
    desk.page.locator("[data-testid=overlay][data-shown=yes] img").wait_for()

    for keys, warnings in (("r", ["turned"]), ("f", ["mirrored", "turned"]), ("i", ["mirrored", "turned"])):
        desk.press(keys)
        [nodule, air] = desk.colours(NODULE, AIR)
        assert tint(nodule) > 20 > tint(air) + 12
        assert [desk.page.locator(f"[data-badge={one}]").is_visible() for one in warnings] == [True] * len(warnings)
    desk.press(" ")
    [nodule, lung, air] = desk.greys(NODULE, LUNG, AIR)
    assert lung > air
    assert desk.page.locator("[data-badge=mirrored], [data-badge=turned]").count() == 0


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({}, "200 px (not calibrated)"),
        ({"PixelSpacing": [0, 0]}, "200 px (not calibrated)"),
        ({"ImagerPixelSpacing": [0.2, 0.2]}, "40.0 mm at the detector"),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.16, 0.16]}, "32.0 mm"),
    ],
)
def test_a_length_says_what_it_measures(desk: Desk, attributes: dict[str, Any], said: str) -> None:
    desk.open(desk.send(films.film(**attributes)))

    desk.press("d")
    desk.drag((150, 300), (350, 300))

    text = desk.pane().locator("svg text", has_text="m" if "mm" in said else "px").first
    text.wait_for()
    assert round_lengths(text.text_content() or "") == said


def round_lengths(text: str) -> str:
    """A mouse stands on whole screen pixels: a length may miss by a part of one."""
    figure, _, unit = text.partition(" ")
    return f"{round(float(figure)):d} {unit}" if unit.startswith("px") else f"{round(float(figure)):.1f} {unit}"


def test_window_keys_change_grey_levels_and_nothing_is_stored(desk: Desk) -> None:
    desk.open(desk.send(films.film(WindowCenter=2048, WindowWidth=4096)))
    expect(desk.pane()).to_have_attribute("data-window", "2048 4096")
    desk.press("4")
    expect(desk.pane()).not_to_have_attribute("data-window", "2048 4096")
    desk.press("0")
    expect(desk.pane()).to_have_attribute("data-window", "2048 4096")

    assert desk.page.locator("[data-impression]").count() == 0


def test_a_stack_of_slices_scrolls_and_keeps_its_window(desk: Desk) -> None:
    first = make_ct_slice(rows=128)
    slices = [make_ct_slice(rows=128, seed=n, ImagePositionPatient=[0, 0, 2.0 * n]) for n in range(5)]
    for number, one in enumerate(slices):
        one.StudyInstanceUID, one.SeriesInstanceUID = first.StudyInstanceUID, first.SeriesInstanceUID
        one.InstanceNumber = number + 1
    desk.open(desk.send(*slices))

    desk.press("4")
    desk.press("ArrowDown")
    desk.page.get_by_test_id("slice").get_by_text("4 / 5").wait_for()
    desk.press("ArrowUp", "ArrowUp")
    desk.page.get_by_test_id("slice").get_by_text("2 / 5").wait_for()

    expect(desk.pane()).to_have_attribute("data-window", "-600 1500")


def test_a_prior_hangs_beside_only_when_wanted_and_zooms_along(desk: Desk) -> None:
    asked: list[str] = []
    prior = films.inverse_film(StudyDate="20250301")
    desk.send(prior)
    current = desk.send(films.film(StudyDate="20260301"))
    desk.page.on("request", lambda one: asked.append(one.url) if "/frames/" in one.url else None)

    desk.open(current)
    assert not any(str(prior.SOPInstanceUID) in url for url in asked)
    desk.press("b")
    desk.wait_film(1)
    desk.page.wait_for_timeout(500)
    before = desk.matrix(1)[0]
    assert before == pytest.approx(desk.matrix(0)[0], rel=0.02)  # both films fit their halves of the screen
    desk.page.mouse.move(*desk.on_screen(NODULE))
    desk.page.mouse.wheel(0, -120)
    desk.page.wait_for_timeout(500)

    assert any(str(prior.SOPInstanceUID) in url for url in asked)
    assert desk.matrix(1)[0] == pytest.approx(desk.matrix(0)[0], rel=0.02)
    assert desk.matrix(1)[0] > before * 1.05
    [nodule, lung] = desk.greys(NODULE, LUNG, pane=1)
    assert nodule > lung


def test_places_that_the_reader_points_at_are_stored_in_film_coordinates(desk: Desk) -> None:
    public_id = desk.send(films.film())
    desk.open(public_id)

    desk.press("o")
    desk.page.mouse.click(*desk.on_screen(NODULE))
    desk.press("2")
    desk.page.locator("[data-impression=abnormal]").wait_for()

    answer = desk.page.context.request.get(f"{desk.house.address}/api/cases/{public_id}").json()
    [place] = answer["reading"]["impression"]["places"]
    assert (place["x"], place["y"]) == (pytest.approx(NODULE[0], abs=2), pytest.approx(NODULE[1], abs=2))
