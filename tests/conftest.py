"""What every test shares: the rule for what is missing, and the environment of child processes."""

from __future__ import annotations

import os
import signal

import hypothesis
import pytest
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
