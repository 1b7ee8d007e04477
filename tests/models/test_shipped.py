"""The packages that come with the service: they load, they agree with their papers, they keep and flag real films."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from monai.bundle import ConfigParser
from PIL import Image

from models.files import CARD, INFERENCE, METADATA
from models.package import SHIPPED, find_packages
from models.session import Session
from preprocessing.errors import Reason
from tests.models.films import RECIPE, ShippedModels, tensor_of
from training.cases import ANY_FINDING, CHILD_OPACITY, load_grey, of_split
from training.drawings import drawn
from training.held_out import ANIMAL, held_out
from training.public_sets import read_cases
from training.scope_network import IN_SCOPE, NOT_A_CHEST


@pytest.fixture(scope="module")
def shipped() -> ShippedModels:
    return ShippedModels()


def test_the_shipped_packages_are_found_and_load(shipped: ShippedModels) -> None:
    assert [folder.name for folder in find_packages(SHIPPED)] == ["chest_radiograph", "chest_scope"]
    assert shipped.findings.gate == shipped.gate.name
    assert shipped.findings.has_heat_map


def test_no_output_speaks_for_ages_6_to_17(shipped: ShippedModels) -> None:
    for output in shipped.findings.outputs:
        low, high = output.min_age_years or 0.0, output.max_age_years or 200.0
        assert not any(low <= age < high for age in range(6, 18)), output.finding


@pytest.mark.parametrize("name", ["chest_radiograph", "chest_scope"])
def test_the_card_says_that_it_is_no_medical_device_and_whose_data_it_learned_from(name: str) -> None:
    card = (SHIPPED / name / CARD).read_text(encoding="utf-8")
    attributions = (SHIPPED / name / "ATTRIBUTIONS.md").read_text(encoding="utf-8")

    assert "Not a medical device" in card
    assert all(word in attributions for word in ("Kermany", "NIH Clinical Center", "CC BY 4.0"))


@pytest.mark.parametrize("name", ["chest_radiograph", "chest_scope"])
def test_monai_can_run_the_bundle_and_gets_the_same_scores(name: str, tmp_path: Path) -> None:
    grey = drawn(np.random.default_rng(3))
    Image.fromarray(grey).save(tmp_path / "film.png")
    shipped = ShippedModels()
    package = shipped.findings if name == "chest_radiograph" else shipped.gate
    parser = ConfigParser()
    parser.read_config(str(SHIPPED / name / INFERENCE))
    parser.read_meta(str(SHIPPED / name / METADATA))
    parser["bundle_root"], parser["picture"] = str(SHIPPED / name), str(tmp_path / "film.png")

    by_monai = parser.get_parsed_content("logits")

    ours = Session(package).run(RECIPE.prepare_array(grey).tensor[None]).logits
    np.testing.assert_allclose(by_monai, ours, atol=1e-4)


@pytest.mark.parametrize("name", ["chest_radiograph", "chest_scope"])
def test_no_path_of_the_machine_that_made_it_is_in_a_package(name: str) -> None:
    for path in (SHIPPED / name).rglob("*"):
        if path.is_file():
            assert b"site-packages" not in path.read_bytes(), path.name


def test_the_metadata_names_the_recipe_that_serves(shipped: ShippedModels) -> None:
    block = json.loads((SHIPPED / "chest_radiograph" / METADATA).read_text(encoding="utf-8"))["pandok"]

    assert (block["recipe"], block["recipe_sha256"]) == (RECIPE.name, RECIPE.sha256)


@pytest.mark.films
@pytest.mark.filterwarnings("ignore")  # pydicom warns of what some of these files break
def test_the_gate_keeps_films_of_other_hospitals_and_no_other_body_part(
    shipped: ShippedModels, shared_data: Path
) -> None:
    kept = {IN_SCOPE: 0, NOT_A_CHEST: 0}
    counts = {IN_SCOPE: 0, NOT_A_CHEST: 0}
    for example in held_out(shared_data, RECIPE):
        counts[example.scope_class] += 1
        kept[example.scope_class] += shipped.scope(example.image).reason is None

    assert counts[IN_SCOPE] > 500
    assert kept[IN_SCOPE] >= 0.99 * counts[IN_SCOPE]
    assert counts[NOT_A_CHEST] > 80
    assert kept[NOT_A_CHEST] == 0


@pytest.mark.films
def test_the_animal_is_refused_although_its_header_is_perfect(shipped: ShippedModels, shared_data: Path) -> None:
    judgement = shipped.scope(tensor_of(shared_data / "dicom" / ANIMAL))

    assert judgement.reason is Reason.NOT_A_CHEST


@pytest.mark.films
def test_films_turned_and_inverted_are_refused_for_what_they_are(shipped: ShippedModels, shared_data: Path) -> None:
    cases = [case for case in of_split(read_cases(shared_data), "val") if case.age_band == "adult"][:40]
    right = dict.fromkeys((None, Reason.UPSIDE_DOWN, Reason.ROTATED, Reason.INVERTED), 0)
    for grey in load_grey(cases):
        for reason, picture in (
            (None, grey),
            (Reason.UPSIDE_DOWN, grey[::-1, ::-1]),
            (Reason.ROTATED, np.rot90(grey)),
            (Reason.INVERTED, 255 - grey),
        ):
            right[reason] += shipped.scope(RECIPE.prepare_array(np.ascontiguousarray(picture)).tensor).reason is reason

    assert all(count >= 39 for count in right.values()), right


@pytest.mark.films
def test_grossly_abnormal_adult_films_are_flagged(shipped: ShippedModels, shared_data: Path) -> None:
    for file in ("chest/RG1_UNCR.dcm", "chest/966_fixed.dcm"):
        assert ANY_FINDING in shipped.present(tensor_of(shared_data / "dicom" / file)), file


@pytest.mark.films
def test_monochrome1_and_2_twins_have_the_same_scores(shipped: ShippedModels, shared_data: Path) -> None:
    original = shipped.probabilities(tensor_of(shared_data / "dicom/chest/gdcm-CR-MONO1-10-chest.dcm"))
    twin = shipped.probabilities(tensor_of(shared_data / "dicom/chest_derived/chest_monochrome2_twin.dcm"))

    assert original == pytest.approx(twin, abs=1e-4)


@pytest.mark.films
def test_childrens_films_of_val_are_flagged_as_the_outputs_record_says(
    shipped: ShippedModels, shared_data: Path
) -> None:
    cases = [case for case in of_split(read_cases(shared_data), "val") if case.data_set == "kermany_pneumonia"][::5]
    flagged = [CHILD_OPACITY in shipped.present(RECIPE.prepare_array(grey).tensor) for grey in load_grey(cases)]

    sick = [flag for flag, case in zip(flagged, cases, strict=True) if case.labels[0] == 1]
    well = [flag for flag, case in zip(flagged, cases, strict=True) if case.labels[0] == 0]
    assert np.mean(sick) > 0.85
    assert np.mean(well) < 0.2
