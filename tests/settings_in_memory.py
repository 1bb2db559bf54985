"""Settings of the tests with the database in memory, as Django's runner has SQLite's by default."""

from __future__ import annotations

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["TEST"] = {}
