"""Searches are answered from indexes: a search that starts to read a whole table fails here, and not in an archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from service.database import Database
from service.results.dicomweb import qido, records
from service.results.dicomweb.attributes import Level
from service.results.dicomweb.condition_records import FEW
from service.results.dicomweb.records import Page, Place
from service.results.visibility import Rule, Scope, Sight
from tests.benchmarks import large_tables

STUDIES = FEW * 4
TELLING = (
    (Level.STUDY, "PatientID=P17", "ix_study_patient_id"),
    (Level.STUDY, "PatientID=P17&StudyDate=20200101-20301231", "ix_study_patient_id"),
    (Level.STUDY, "AccessionNumber=A17", "ix_study_accession_number"),
    (Level.STUDY, "AccessionNumber=A17*&PatientSex=M", "ix_study_accession_number"),
    (Level.STUDY, "StudyInstanceUID=1.2.3.17,1.2.3.18", "sqlite_autoindex_study"),
    (Level.STUDY, "StudyID=S17", "ix_study_study_id_text"),
    (Level.STUDY, "PatientName=nguyen van anh 17", "ix_study_patient_name_folded"),
    (Level.STUDY, "PatientName=nguyen van anh 1*", "ix_study_patient_name_folded"),
    (Level.STUDY, "ReferringPhysicianName=nguyen van anh 77", "ix_study_referring_physician_folded"),
    (Level.STUDY, "StudyDescription=Knee", "ix_study_description"),
    (Level.STUDY, "PatientBirthDate=19600412", "ix_study_birth_date"),
    (Level.STUDY, "StudyDate=20240215&PatientSex=O", "study_date>?"),
    (Level.STUDY, "ModalitiesInStudy=MG", "ix_series_modality"),
    (Level.STUDY, "ModalitiesInStudy=MG&StudyDate=20200101-20301231", "ix_series_modality"),
    (Level.SERIES, "SeriesInstanceUID=1.2.4.17", "ix_series_uid"),
    (Level.SERIES, "PatientID=P17", "ix_study_patient_id"),
    (Level.SERIES, "Modality=MG", "ix_series_modality"),
    (Level.SERIES, "RequestAttributesSequence.RequestedProcedureID=RP17", "ix_series_requested_procedure_id"),
    (Level.INSTANCE, "SOPInstanceUID=1.2.5.17.3", "sqlite_autoindex_instance"),
    (Level.INSTANCE, "SeriesInstanceUID=1.2.4.17", "ix_series_uid"),
    (Level.INSTANCE, "PatientID=P17", "ix_study_patient_id"),
    (Level.INSTANCE, "StudyDate=20240215", "ix_study_date"),
)
ANSWERS: tuple[tuple[Level, str, list[str]], ...] = (
    (Level.STUDY, "PatientID=P17&StudyDate=20200101-20301231", ["1.2.3.17"]),
    (Level.STUDY, "PatientID=P17&StudyDate=20300101-20301231", []),
    (Level.STUDY, "PatientID=P17&ModalitiesInStudy=CT", []),
    (Level.STUDY, "ModalitiesInStudy=MG", ["1.2.3.17"]),
    (Level.STUDY, "ModalitiesInStudy=MG&PatientID=P18", []),
    (Level.STUDY, "AccessionNumber=*999&StudyID=S4999", ["1.2.3.4999"]),
    (Level.SERIES, "Modality=MG&PatientID=P17", ["1.2.4.17"]),
    (Level.SERIES, "SeriesInstanceUID=1.2.4.17&Modality=CR", []),
    (Level.INSTANCE, "SeriesInstanceUID=1.2.4.17", [f"1.2.5.17.{k}" for k in range(5)]),
    (Level.INSTANCE, "ModalitiesInStudy=MG&InstanceNumber=3", ["1.2.5.17.2"]),
)
WALKS = (
    (Level.STUDY, "limit=10"),
    (Level.STUDY, "limit=10&offset=5000"),
    (Level.STUDY, "ModalitiesInStudy=CR&limit=10"),
    (Level.STUDY, "StudyDate=20220101-20251231&limit=10"),
    (Level.STUDY, "PatientSex=M&limit=10"),
    (Level.SERIES, "limit=10"),
    (Level.SERIES, "Modality=CR&limit=10"),
    (Level.INSTANCE, "limit=10"),
    (Level.INSTANCE, "InstanceNumber=3&limit=10"),
)


class Planned:
    """Tables of an archive, and how SQLite answered what was asked of them last."""

    def __init__(self, path: Path) -> None:
        self.database = Database(f"sqlite:///{path}")
        self._asked: list[tuple[str, Any]] = []
        event.listen(self.database.engine, "before_cursor_execute", self._note)
        with self.database.reading() as rx:
            self.sites = records.all_sites(rx)

    def _note(self, *words: Any) -> None:
        self._asked.append((words[2], words[3]))

    def search(
        self, level: Level, query: str, sites: int, rule: Rule = Rule.ALWAYS, *, place: Place | None = None
    ) -> Page:
        """Search for someone who sees so many sites."""
        pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]
        scope = Scope(None, self.sites[:sites], Sight(rule, 1))  # type: ignore[arg-type]  # nobody asks who
        self._asked.clear()
        with self.database.reading() as rx:
            return records.search(rx, scope, place or Place(), qido.parse_search(level, None, pairs))

    def plans(self) -> list[list[str]]:
        """Return the lines of each query's plan, in the order in which they were asked."""
        asked = [(statement, values) for statement, values in self._asked if statement.startswith("SELECT")]
        with self.database.reading() as rx:
            return [[row[3] for row in rx.exec_driver_sql(f"EXPLAIN QUERY PLAN {s}", v)] for s, v in asked]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planned]:
    path = tmp_path_factory.mktemp("tables") / "pandok.db"
    large_tables.fill(path, STUDIES)
    opened = Planned(path)
    yield opened
    opened.database.close()


@pytest.mark.parametrize("sites", [1, large_tables.SITES])
@pytest.mark.parametrize(("level", "query", "index"), TELLING)
def test_a_telling_condition_is_answered_by_its_index(
    planned: Planned, level: Level, query: str, index: str, sites: int
) -> None:
    planned.search(level, query, sites)

    first, *others = planned.plans()
    assert any(index in line for line in first), first
    tables = ("SCAN study", "SCAN series", "SCAN instance")
    assert not [line for plan in [first, *others] for line in plan if line.startswith(tables)], [first, *others]


@pytest.mark.parametrize("rule", [Rule.ALWAYS, Rule.AFTER_IMPRESSION])
@pytest.mark.parametrize("sites", [1, large_tables.SITES])
@pytest.mark.parametrize(
    ("level", "place", "count"),
    [
        (Level.SERIES, Place("1.2.3.10"), 1),
        (Level.INSTANCE, Place("1.2.3.10"), 5),
        (Level.INSTANCE, Place("1.2.3.10", "1.2.4.10"), 5),
        (Level.INSTANCE, Place("1.2.3.10", "1.2.4.11"), 0),
    ],
)
def test_what_an_address_names_is_found_by_its_study(
    planned: Planned, level: Level, place: Place, count: int, sites: int, rule: Rule
) -> None:
    page = planned.search(level, "", sites, rule, place=place)

    assert len(page.rows) == count
    assert any("sqlite_autoindex_study" in line for line in planned.plans()[0]), planned.plans()
    walks = ("SCAN study", "SCAN series", "SCAN instance")
    assert not [line for plan in planned.plans() for line in plan if line.startswith(walks)], planned.plans()


@pytest.mark.parametrize("sites", [1, large_tables.SITES])
@pytest.mark.parametrize(("level", "query"), WALKS)
def test_a_page_of_many_is_walked_in_its_order_and_never_sorted(
    planned: Planned, level: Level, query: str, sites: int
) -> None:
    page = planned.search(level, query, sites)

    assert len(page.rows) == 10
    assert not [line for plan in planned.plans() for line in plan if "FOR ORDER BY" in line], planned.plans()


@pytest.mark.parametrize("rule", [Rule.ALWAYS, Rule.AFTER_IMPRESSION])
@pytest.mark.parametrize(("level", "query", "uids"), ANSWERS)
def test_what_is_asked_first_does_not_change_what_is_found(
    planned: Planned, level: Level, query: str, uids: list[str], rule: Rule
) -> None:
    key = {Level.STUDY: "study_instance_uid", Level.SERIES: "series_instance_uid", Level.INSTANCE: "sop_instance_uid"}

    page = planned.search(level, query, large_tables.SITES, rule)

    assert [row[key[level]] for row in page.rows] == uids


def test_a_site_does_not_find_what_another_site_has_whatever_is_asked_first(planned: Planned) -> None:
    theirs = next(n for n in range(1, 100) if n % 10 >= 7 and n // 10 % large_tables.SITES)

    for level, query in (
        (Level.STUDY, f"PatientID=P{theirs}"),
        (Level.SERIES, f"SeriesInstanceUID=1.2.4.{theirs}"),
        (Level.INSTANCE, f"SOPInstanceUID=1.2.5.{theirs}.3"),
    ):
        assert planned.search(level, query, large_tables.SITES).rows
        assert planned.search(level, query, 1).rows == []
