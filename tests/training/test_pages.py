"""The evaluation page: every figure is there, nothing is loaded from elsewhere, no film where none may be."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from tests.training.evaluations import LEARNING, logits_of, some_cases, some_evaluation, some_films
from training.cases import CHILD_OPACITY, FINDINGS
from training.evaluate_intervals import Interval
from training.evaluate_record import load_evaluation, save_evaluation
from training.pages import evaluation_page, write_pages
from training.pages_films import failures
from training.pages_plots import learning_plot, strip
from training.wording import finding_title, group_title, of_100

EVALUATION, READINGS = some_evaluation()


class Text(HTMLParser):
    """Collects the words of a page and checks that every element is closed."""

    VOID = frozenset({"meta", "br", "img", "rect", "circle", "line", "path"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words, self.open, self.ids, self.links = "", [], set(), set()  # type: ignore[var-annotated]
        self.feed(page)
        self.words = re.sub(r"\s+", " ", self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids |= {value for name, value in attrs if name == "id"}
        self.links |= {value for name, value in attrs if name in {"href", "src"}}
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def brightness(images: Tensor) -> np.ndarray:
    """Heat maps that show where a film is bright, the same for every finding."""
    return images.numpy()[:, :, ::32, ::32].repeat(len(FINDINGS), axis=1)


def page(**changed: object) -> Text:
    arguments = {"gallery": (), "learning": ()} | changed
    return Text(evaluation_page(EVALUATION, READINGS, **arguments))  # type: ignore[arg-type]


def test_the_page_is_whole_and_its_links_lead_somewhere() -> None:
    text = page(learning=LEARNING)

    assert text.open == []
    assert {link for link in text.links if not link.startswith("#")} == set()
    assert {link[1:] for link in text.links} <= text.ids


def test_every_finding_and_its_figures_are_told() -> None:
    words = page().words

    for row in EVALUATION.over_all().values():
        assert finding_title(row.finding) in words
        assert f"{row.auroc.value:.3f} ({row.auroc.low:.3f}–{row.auroc.high:.3f})" in words


def test_a_miss_is_told_as_plainly_as_a_success() -> None:
    words = page(learning=LEARNING).words

    assert "not passed" in words
    assert EVALUATION.outcomes[0].reached in words
    assert LEARNING[0].reason in words


def test_a_page_on_validation_films_says_so_first() -> None:
    evaluation, readings = some_evaluation("val")

    words = Text(evaluation_page(evaluation, readings, (), ())).words

    assert words.index("These are not the final figures") < words.index("AUROC")
    assert "look number" not in words
    assert "look number 2" in page().words


def test_the_words_of_a_set_can_not_become_markup() -> None:
    evaluation, readings = some_evaluation()
    nasty = "<script>alert(1)</script>"
    object.__setattr__(evaluation, "recipe", nasty)

    assert nasty not in evaluation_page(evaluation, readings, (), ())


def test_films_are_only_on_the_runs_own_page(tmp_path: Path) -> None:
    cases = some_cases(60)
    films = failures(
        some_films(cases),
        logits_of(cases),
        READINGS,
        lambda images: images.numpy()[:, :, ::32, ::32].repeat(17, axis=1),
    )

    write_pages(tmp_path, EVALUATION, READINGS, films)

    with_films = (tmp_path / "evaluation.html").read_text(encoding="utf-8")
    without = (tmp_path / "evaluation_without_films.html").read_text(encoding="utf-8")
    assert with_films.count("data:image/jpeg;base64,") == 2 * len(films) > 0
    assert "data:image" not in without
    assert not [film for film in films if film.file_name in without]
    assert Text(with_films).open == []


def test_the_worst_errors_come_first_and_are_errors() -> None:
    cases = some_cases(150)

    films = failures(
        some_films(cases),
        logits_of(cases),
        READINGS,
        lambda images: images.numpy()[:, :, ::32, ::32].repeat(17, axis=1),
    )

    missed = [film for film in films if film.finding == CHILD_OPACITY and film.missed]
    alarms = [film for film in films if film.finding == CHILD_OPACITY and not film.missed]
    assert all(film.probability < film.threshold and film.reported == "pneumonia" for film in missed)
    assert all(film.probability >= film.threshold and film.reported == "normal" for film in alarms)
    assert [film.probability for film in alarms] == sorted((film.probability for film in alarms), reverse=True)


def test_a_val_page_does_not_take_the_final_pages_name(tmp_path: Path) -> None:
    evaluation, readings = some_evaluation("val")

    write_pages(tmp_path, evaluation, readings, ())

    assert {path.name for path in tmp_path.iterdir()} == {
        "evaluation_val.html",
        "evaluation_val_without_films.html",
    }


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_record_survives_its_file(tmp_path: Path, split: str) -> None:
    evaluation, _ = some_evaluation(split)  # type: ignore[arg-type]

    save_evaluation(tmp_path, evaluation)

    name = "evaluation.json" if split == "test" else "evaluation_val.json"
    assert load_evaluation(tmp_path / name) == evaluation


def test_a_strip_shows_a_figure_where_it_stands() -> None:
    drawn = str(strip(Interval(0.7, 0.55, 0.85), ticks=[(1.0, "paper")]))

    assert 'cx="110.0"' in drawn  # half-way from 0.4 to 1.0 over 220
    assert 'class="paper" x1="220.0"' in drawn
    assert 'x1="55.0" x2="165.0"' in drawn


def test_a_learning_curve_has_a_point_for_each_size() -> None:
    drawn = str(learning_plot(LEARNING[0].points, 0.8))

    assert drawn.count('class="point"') == 3
    assert "1,200" in drawn
    assert "target 0.8" in drawn


@pytest.mark.parametrize(
    ("share", "words"), [(1.0, "100"), (0.999, "more than 99"), (0.5, "50"), (0.001, "fewer than 1"), (0.0, "0")]
)
def test_a_share_is_never_rounded_to_all_or_none(share: float, words: str) -> None:
    assert of_100(share) == words


def test_groups_have_readable_names() -> None:
    assert group_title("nih_cxr14_more, era matched") == "NIH, fourteen-findings set, same years only"
    assert group_title("adults, 40 to 59 years") == "40 to 59 years"
    assert group_title("a_site_of_ours") == "a_site_of_ours"
    assert finding_title(FINDINGS[1]) == "Any finding (adults)"
