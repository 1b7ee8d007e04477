"""The reading room's fixtures: what is exported was read and signed there."""

from tests.service.reading.conftest import room as room
from tests.service.reading.conftest import tools as tools
