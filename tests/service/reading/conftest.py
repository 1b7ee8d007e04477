"""Rooms for reading: children and packages start once for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.pipeline_bench import Tools, open_tools
from tests.service.reading.room import Room, open_room


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    with open_tools(tmp_path_factory.mktemp("tools")) as tools:
        yield tools


@pytest.fixture
def room(tmp_path: Path, tools: Tools) -> Iterator[Room]:
    with open_room(tmp_path, tools) as made:
        yield made
