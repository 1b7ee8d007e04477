"""Data sets and files → headers, as the intake reads them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

from pydicom import Dataset

from preprocessing.elements import find_data_set
from preprocessing.header import InstanceHeader, read_header
from tests.factories import part10


def header_of(dataset: Dataset | Path) -> InstanceHeader:
    file = io.BytesIO(dataset.read_bytes() if isinstance(dataset, Path) else part10(dataset))
    syntax, offset = find_data_set(file)
    return read_header(file, transfer_syntax_uid=syntax or "", offset=offset, length=file.seek(0, 2) - offset)


def headers_of(datasets: Iterable[Dataset | Path]) -> list[InstanceHeader]:
    return [header_of(dataset) for dataset in datasets]
