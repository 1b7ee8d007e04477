"""Tables of a large installation, written straight into SQLite: what searching an archive of years has to bear.

Names of four scripts, dates of four years without an order, ten sites of which the first has seven tenths of all
studies, six modalities of which mammography is one study in 50,000. Each study has one series of five instances. Their
stored headers hold what is set and not what is not, so that five million of them do not fill a small disk.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from service.database import Database
from service.intake.studies import fold
from tests.factories import add_site

FAMILIES = ("Kim=김", "Lee=이", "Park=박", "Nguyễn", "Trần", "Lê", "Иванов", "Петрова", "Смирнов", "Phạm", "Choi=최")
GIVEN = ("Minjun", "Seoyeon", "Văn Anh", "Thị Bích", "Анна", "Сергей", "Jiwoo", "Hà", "Ольга", "Đức")
DESCRIPTIONS = ("Chest PA", "Chest PA and lateral", "Chest AP portable", "Thorax nativ", "흉부 정면", "X-quang ngực")
SITES = 10
INSTANCES = 5
RARE = "MG"
RARE_EVERY = 50_000
DOCTORS = 5_000
PER_STATEMENT = 20_000

_INSTANCES = f"""
    WITH RECURSIVE number(k) AS (SELECT 0 UNION ALL SELECT k + 1 FROM number WHERE k + 1 < {INSTANCES})
    INSERT INTO instance (id, site_id, study_id, series_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid,
                          instance_number, content_sha256, size_bytes, header, revision, door, received_at, is_result)
    SELECT series.id * {INSTANCES} + k, site_id, study_id, series.id, '1.2.5.' || series.id || '.' || k,
           '1.2.840.10008.5.1.4.1.1.1', '1.2.840.10008.1.2.1', k + 1, printf('%032x%032x', series.id, k), 12000000,
           '{{"rows": 2400, "columns": 2500, "bits_allocated": 16, "bits_stored": 12, "samples_per_pixel": 1,'
           || ' "photometric_interpretation": "MONOCHROME2", "view_position": "PA", "modality": "' || modality
           || '", "study_instance_uid": "1.2.3.' || series.id || '", "sop_instance_uid": "1.2.5.' || series.id || '"}}',
           1, 'stow', series.id, 0
    FROM series, number
"""


def fill(path: Path, studies: int) -> None:
    """Make the tables in a new file: first the rows, then the indexes, which sorts each once."""
    making = path.with_suffix(".making")
    database = Database(f"sqlite:///{making}")
    database.migrate()
    site_ids = [add_site(database, f"site{number}") for number in range(SITES)]
    database.close()
    with sqlite3.connect(making, isolation_level=None) as raw:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000", "temp_store=FILE"):
            raw.execute(f"PRAGMA {pragma}")
        indexes = _drop_indexes(raw)
        raw.execute("BEGIN")
        _insert(raw, "study", study_rows(site_ids, studies))
        _insert(raw, "series", series_rows(site_ids, studies))
        raw.execute(_INSTANCES)
        for sql in indexes:
            raw.execute(sql)
        raw.execute("COMMIT")
        raw.execute("PRAGMA journal_mode=WAL")
    raw.close()
    making.rename(path)


def _drop_indexes(raw: sqlite3.Connection) -> list[str]:
    """Drop the indexes of the large tables that are no constraints; return how they are made."""
    large = "type = 'index' AND sql IS NOT NULL AND tbl_name IN ('study', 'series', 'instance')"
    found = raw.execute(f"SELECT name, sql FROM sqlite_master WHERE {large}").fetchall()
    for name, _ in found:
        raw.execute(f'DROP INDEX "{name}"')
    return [sql for _, sql in found]


def _insert(raw: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    while batch := list(islice(rows, PER_STATEMENT)):
        names, marks = ", ".join(batch[0]), ", ".join(f":{name}" for name in batch[0])
        raw.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", batch)


def _site(site_ids: list[int], n: int) -> int:
    return site_ids[0] if n % 10 < 7 else site_ids[n // 10 % len(site_ids)]


def modality_of(n: int) -> str:
    """Return the modality of a study by its number."""
    if n % RARE_EVERY == 17:
        return RARE
    return ("CR", "DX", "CR", "DX", "CR", "CT", "CR", "DX", "MR", "CR", "CR", "DX", "CR", "DX", "CR", "PT")[n % 16]


def study_rows(site_ids: list[int], studies: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(7)
    for n in range(1, studies + 1):
        name = f"{dice.choice(FAMILIES)}^{dice.choice(GIVEN)} {n}"
        doctor = f"{dice.choice(FAMILIES)}^{dice.choice(GIVEN)} {n % DOCTORS}"
        born = f"19{dice.randrange(30, 99)}{dice.randrange(1, 13):02}{dice.randrange(1, 29):02}"
        yield {
            "id": n, "site_id": _site(site_ids, n), "public_id": f"{n:032x}", "study_instance_uid": f"1.2.3.{n}",
            "patient_id": f"P{n}", "patient_name": name, "patient_name_folded": fold(name),
            "patient_birth_date": born, "patient_sex": dice.choice("MF"),
            "study_date": f"202{dice.randrange(2, 6)}{dice.randrange(1, 13):02}{dice.randrange(1, 29):02}",
            "study_time": f"{dice.randrange(24):02}{dice.randrange(60):02}00", "accession_number": f"A{n}",
            "study_id_text": f"S{n}", "referring_physician_name": doctor, "referring_physician_folded": fold(doctor),
            "study_description": dice.choice(DESCRIPTIONS), "modalities": modality_of(n), "series_count": 1,
            "instance_count": INSTANCES, "flags": "[]", "state": "scored", "revision": 1, "first_image_at": n,
            "last_instance_at": n, "arriving_since": n, "settle_by": "quiet", "center_priority": 3,
        }  # fmt: skip


def series_rows(site_ids: list[int], studies: int) -> Iterator[dict[str, Any]]:
    for n in range(1, studies + 1):
        yield {
            "id": n, "site_id": _site(site_ids, n), "study_id": n, "series_instance_uid": f"1.2.4.{n}",
            "modality": modality_of(n), "series_number": 1, "series_description": "PA", "body_part_examined": "CHEST",
            "requested_procedure_id": f"RP{n}", "instance_count": INSTANCES, "is_result": 0,
        }  # fmt: skip
