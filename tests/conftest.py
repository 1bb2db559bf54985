"""What every test shares: the rule for what is missing, and the environment of child processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
from django.core.management.commands import flush
from django.db import connection

from tests import services

# How long examples take depends on what else the machine does; what they find does not.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say once, and not once per test, that the chosen database is not there."""
    # Started in the background, a shell has us ignore Ctrl-C, and with us all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if reason := services.missing(services.chosen_database()):
        pytest.exit(f"all skipped: {reason}", returncode=int(services.in_ci()))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or in CI fail, a test that needs what is not here."""
    for marker in item.iter_markers("needs"):
        if found := services.unmet(marker.args):
            reason, failure = found
            if failure:
                pytest.fail(reason, pytrace=False)
            # Raised here and not in the test: pytest then folds equal reasons into one line.
            pytest.skip(reason)


MADE_BY_MIGRATE = {"django_migrations", "django_content_type", "auth_permission"}


@pytest.fixture(scope="session", autouse=True)
def quick_flush() -> Iterator[None]:
    """Empty the tables behind a test in a hundredth of the time.

    PostgreSQL's TRUNCATE makes a new file for each table and waits for the disk, and what
    ``migrate`` made would be made anew each time: most of the time of most tests.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", _statements)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *given, **more: None)
        yield


def _statements(style: Any, connection: Any, **how: Any) -> list[str]:
    existing = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [table for table in existing if table not in MADE_BY_MIGRATE]
    if connection.vendor == "postgresql":  # its foreign keys are looked at when all is deleted
        return [f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables]
    statements: list[str] = connection.ops.sql_flush(style, tables)
    return statements


@pytest.fixture
def process_environment(django_db_setup: None) -> dict[str, str]:
    """The environment in which a child process uses the same database as the test.

    The test must commit what they shall see: ``django_db(transaction=True)``.
    """
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "NOTIFYGUARD_DB": services.chosen_database(),
        "NOTIFYGUARD_DB_NAME": str(connection.settings_dict["NAME"]),
    }
