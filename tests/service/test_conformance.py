"""The conformance statement is what the code says of itself, and what the statement promises is really there."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import conformance
from service.app import create_app
from service.settings import Settings


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    app = create_app(Settings(data_folder=tmp_path_factory.mktemp("conformance")))
    try:
        return conformance.page(app)
    finally:
        app.state.database.close()


def test_the_statement_is_current(page: str) -> None:
    written = Path(conformance.PAGE).read_text(encoding="utf-8")

    assert written == page, "write it again: python -m service.conformance"


@pytest.mark.parametrize(
    "words",
    [
        "| JPEG 2000 Image Compression (Lossless Only) | 1.2.840.10008.1.2.4.90 | jpeg2k |",
        "| CT Image Storage | 1.2.840.10008.5.1.4.1.1.2 |",
        "`GET /studies/{study_instance_uid}/thumbnail`",
        "RequestAttributesSequence.RequestedProcedureID | 00400275.00401001 | series | text",
        "| signed report | Encapsulated PDF Storage |",
        "`ISO 2022 IR 149`",
        "| 0xC122 | 49442 |",
        "| SCP | Storage Commitment Push Model SOP Class, Verification SOP Class, Storage (",
        "| Storage Commitment Request Complete - Failures Exist | 2 |",
        "| 0x0131 | duplicate transaction |",
        "Associations are started for the outcome of a storage commitment alone.",
        "SCP/SCU Role Selection",
        "after 30 s at most (`answer_retry_s`), then twice as long each time, up to\n3,600 s",
        "over TLS with a client certificate by that certificate too",
        "has up to 256 presentation data values",
    ],
)
def test_the_statement_says(page: str, words: str) -> None:
    assert words in page


def test_no_line_of_the_statement_names_this_machine(page: str) -> None:
    assert "/tmp" not in page
    assert "/work" not in page
