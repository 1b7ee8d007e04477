"""MONAI Bundles: what is taken from where, what is asked, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto

from tests.training.importing.bundles import classifier, data_format, metadata, write_bundle
from training.importing import ImportRefused
from training.importing.answers import Answers, OutputAnswer
from training.importing.monai_bundle import AnswersNeeded, open_bundle, package_name

SHAPE = (1, 224, 224)
SAID = Answers(scores="logits")


def test_findings_are_named_by_the_metadata_and_an_absence_is_left_out(tmp_path: Path) -> None:
    opened = open_bundle(write_bundle(tmp_path / "b", classifier()), SAID, SHAPE)

    assert [(output.channel, output.finding) for output in opened.outputs] == [(1, "lung_opacity"), (2, "odd_shadow")]
    assert opened.fitting.channels == (1, 2)
    assert opened.fitting.value_range == (0.0, 1.0)
    assert "Left out, since it speaks of no finding: Normal." in opened.notes[0]
    assert opened.licence == "Some terms.\n"
    assert "Some films." in opened.readme


@pytest.mark.parametrize("last", ["Sigmoid", "Softmax"])
def test_a_graph_that_ends_in_probabilities_needs_no_answer(tmp_path: Path, last: str) -> None:
    opened = open_bundle(write_bundle(tmp_path / "b", classifier(last=last)), Answers(), SHAPE)

    assert opened.fitting.scores == "probabilities"


@pytest.mark.parametrize("scores", ["logits", "exclusive_logits"])
def test_an_answer_against_the_graph_is_refused(tmp_path: Path, scores: Any) -> None:
    bundle = write_bundle(tmp_path / "b", classifier(last="Sigmoid"))

    with pytest.raises(ImportRefused, match="ends in Sigmoid, so its scores are probabilities"):
        open_bundle(bundle, Answers(scores=scores), SHAPE)


def test_what_is_said_nowhere_is_asked_with_a_draft(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", classifier(), network_data_format={})

    with pytest.raises(AnswersNeeded, match="does not say: outputs, scores, value_range") as asked:
        open_bundle(bundle, Answers(), SHAPE)

    draft = json.loads(asked.value.draft)
    assert draft["outputs"][2] == {"channel": 2, "finding": "finding_2"}
    assert draft["value_range"] == [0.0, 1.0]


def test_the_answers_win_over_the_metadata(tmp_path: Path) -> None:
    answers = Answers(
        scores="logits", value_range=(0.0, 255.0), heat_map_output="map", outputs=(OutputAnswer(0, "all_clear_not"),)
    )

    fitting = open_bundle(write_bundle(tmp_path / "b", classifier()), answers, SHAPE).fitting

    assert (fitting.channels, fitting.value_range) == ((0,), (0.0, 255.0))
    assert (fitting.heat_map_output, fitting.heat_map_shape) == ("map", (7, 7))


def test_one_onnx_file_of_another_name_is_taken_and_of_several_none(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", classifier(last="Sigmoid"), name="net.onnx")

    assert open_bundle(bundle, Answers(), SHAPE).content == classifier(last="Sigmoid")
    (bundle / "models/second.onnx").write_bytes(b"")
    with pytest.raises(ImportRefused, match="several ONNX files"):
        open_bundle(bundle, Answers(), SHAPE)


@pytest.mark.parametrize(
    ("content", "changed", "words"),
    [
        (None, {}, "no ONNX file: make models/model.onnx first"),
        (b"no graph", {}, "the ONNX file: "),
        (classifier(channels=3), {}, "takes 3 channels, and the recipe makes 1"),
        (classifier(), data_format(num_channels=3), "channels, and the recipe makes 1"),
        (classifier(size=512), {}, "made for pictures of 512 x 512, and the recipe makes 224 x 224"),
        (classifier(), data_format(spatial_shape=[512, 512]), "and the recipe makes 224 x 224"),
        (classifier(), data_format(spatial_shape=["8*n", "8*n"]), "and the recipe makes 224 x 224"),
        (classifier(element=TensorProto.FLOAT16), {}, "must be float32"),
        (classifier(), {"pandok": {}}, "a package of ours already"),
        (classifier(last="Sigmoid"), data_format(value_range=[]), "does not say: value_range"),
        (classifier(last="Sigmoid"), data_format(value_range=[1, 0]), "does not say: value_range"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes | None, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(ImportRefused, match=words):
        open_bundle(
            write_bundle(tmp_path / "b", content, **changed), SAID if content == classifier() else Answers(), SHAPE
        )


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (Answers(scores="logits", scores_output="map"), "no output .batch, findings."),
        (Answers(scores="logits", heat_map_output="pred"), "cannot be the heat map"),
        (Answers(scores="logits", heat_map_output="nothing"), "cannot be the heat map"),
        (Answers(scores="logits", outputs=(OutputAnswer(3, "mass"),)), "from 0 to 2"),
        (Answers(scores="logits", outputs=()), "from 0 to 2"),
    ],
)
def test_answers_that_do_not_fit_the_network_are_refused(tmp_path: Path, answers: Answers, words: str) -> None:
    with pytest.raises(ImportRefused, match=words):
        open_bundle(write_bundle(tmp_path / "b", classifier()), answers, SHAPE)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match=r"no MONAI Bundle: configs/metadata\.json is missing"):
        open_bundle(tmp_path, Answers(), SHAPE)


def test_a_name_is_made_of_the_bundles_or_its_folders() -> None:
    assert package_name(metadata(), Path("x")) == "shadow_classifier"
    assert package_name({}, Path("/tmp/CXR-Net v2")) == "cxr_net_v2"
