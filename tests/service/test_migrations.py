"""The steps of the tables: they end where the code expects them, and what was stored before stays readable."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from service import tables
from service.database import Database, migration_of, newest_migration
from service.inference.records import list_releases, list_runs
from service.results.records import findings_of
from service.worklist.finding_records import current_findings
from tests.conftest import ROOT

FIRST_ROWS = (
    "INSERT INTO site (id, code, name, country, language, time_zone, policy, created_at)"
    " VALUES (1, 'a', 'A', 'VN', 'vi', 'UTC', '{}', 0)",
    "INSERT INTO release (site_id, package, package_version, package_sha256, since, released_by)"
    " VALUES (1, 'chest_radiograph', '0.1.0', 'ab', 0, 'sites add')",
    "INSERT INTO study (id, site_id, public_id, study_instance_uid, modalities, series_count, instance_count, flags,"
    " state, revision, first_image_at, last_instance_at, arriving_since, settle_by, center_priority)"
    " VALUES (1, 1, 'p', '1.2', 'CR', 1, 1, '[]', 'scored', 1, 0, 0, 0, 'quiet', 3)",
    "INSERT INTO series (id, site_id, study_id, series_instance_uid, instance_count, is_result)"
    " VALUES (1, 1, 1, '1.3', 1, 0)",
    "INSERT INTO instance (id, site_id, study_id, series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid,"
    " content_sha256, size_bytes, header, revision, door, received_at, is_result)"
    " VALUES (1, 1, 1, 1, '1.4', '1', '1', 'c', 1, '{}', 1, 'dimse', 0, 0)",
    "INSERT INTO revision (id, site_id, study_id, number, state, settled_by, settled_at, attempt)"
    " VALUES (1, 1, 1, 1, 'scored', 'quiet', 0, 1)",
    "INSERT INTO run (id, site_id, study_id, revision_id, instance_id, package, package_sha256, outcome, notes,"
    " started_at, finished_at) VALUES (1, 1, 1, 1, 1, 'chest_radiograph', 'ab', 'done', '[]', 0, 1)",
    "INSERT INTO finding (site_id, study_id, revision_id, run_id, channel, finding, presence, probability,"
    " raises_priority, experimental, threshold, operating_point)"
    " VALUES (1, 1, 1, 1, 0, 'any_finding', 'present', 0.7, 1, 0, 0.5, 'p'),"
    " (1, 1, 1, 1, 1, 'opacity', 'present', 0.7, 0, 1, 0.5, 'p')",
)


def migrate(database: Database, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "service" / "migrations"))
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def test_the_steps_end_in_the_tables_that_the_code_works_with(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/pandok.db")
    database.migrate()

    with database.reading() as rx:
        differences = compare_metadata(MigrationContext.configure(rx, opts={"compare_type": True}), tables.metadata)
    database.close()

    assert differences == []


def test_the_newest_step_is_known_without_loading_what_makes_the_steps(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/pandok.db")
    with database.reading() as rx:
        before = migration_of(rx)

    database.migrate()

    with database.reading() as rx:
        assert (before, migration_of(rx)) == (None, newest_migration())
    database.close()
    assert ScriptDirectory(str(ROOT / "service" / "migrations")).get_current_head() == newest_migration()


def test_what_was_scored_before_releases_chose_stays_as_readers_saw_it(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/pandok.db")
    migrate(database, "0001")
    with database.transaction() as tx:
        for statement in FIRST_ROWS:
            tx.exec_driver_sql(statement)

    database.migrate()

    with database.reading() as rx:
        [release] = list_releases(rx, 1, now=1.0)
        [(_, run)] = list_runs(rx, 1)
        [result] = findings_of(rx, 1, 1)
        seen = [row["finding"] for row in current_findings(rx, [1])[1]]
    database.close()
    assert release.shows == ()
    assert (run.shown, run.is_shown) == (None, True)
    assert [(f.shown, f.calibrated, f.evidence) for f in result.findings] == [(True, True, None)] * 2
    assert seen == ["any_finding", "opacity"]
