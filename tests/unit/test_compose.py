"""compose.yaml starts what the tests look for, where they look for it; needs no Docker to see."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests import services
from tests.settings import BASE_DIR

pytestmark = pytest.mark.needs("yaml")

# What the Compose Specification calls them; a slip would be refused only on a user's machine.
KEYS = {"image", "command", "environment", "ports", "tmpfs", "healthcheck"}
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period", "start_interval"}
NO_PASSWORD = {
    "postgresql": {"POSTGRES_HOST_AUTH_METHOD": "trust"},
    "mariadb": {"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1"},
}


@pytest.fixture(scope="module")
def compose() -> Any:
    import yaml

    return yaml.safe_load((BASE_DIR / "compose.yaml").read_text())


def test_it_has_every_service_and_no_other(compose) -> None:
    assert compose.keys() == {"services"}
    assert compose["services"].keys() == services.PORTS.keys() == services.SERVICES.keys()


@pytest.mark.parametrize("name", services.PORTS)
def test_a_service_is_spelt_right_and_named_with_its_version(compose, name) -> None:
    service = compose["services"][name]
    assert service.keys() <= KEYS
    assert service["healthcheck"].keys() <= HEALTHCHECK
    assert service["healthcheck"]["test"][0] == "CMD"
    assert re.fullmatch(r"[a-z]+:\d+(\.\d+)?", service["image"])


@pytest.mark.parametrize("name", services.PORTS)
def test_a_service_answers_where_the_tests_ask_and_nowhere_else(compose, name) -> None:
    port = services.PORTS[name]
    assert compose["services"][name]["ports"] == [f"127.0.0.1:{port}:{port}"]


@pytest.mark.parametrize("name", NO_PASSWORD)
def test_a_database_asks_for_no_password(compose, name) -> None:
    assert compose["services"][name]["environment"] == NO_PASSWORD[name]
