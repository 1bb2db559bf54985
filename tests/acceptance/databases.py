"""Databases of their own for the example project: its processes share nothing with the tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.services import SERVICES, chosen_database


@contextmanager
def database_of_its_own(name: str, patch: pytest.MonkeyPatch) -> Iterator[str | None]:
    """Create an empty database on the chosen server; yield its name, None for SQLite's file."""
    chosen = chosen_database()
    if chosen == "sqlite":
        yield None
        return
    point_the_example_at(chosen, patch)
    execute(chosen, f"CREATE DATABASE {name}")
    try:
        yield name
    finally:
        execute(chosen, f"DROP DATABASE {name}")


def point_the_example_at(chosen: str, patch: pytest.MonkeyPatch) -> None:
    """Let child processes find the server that the tests use."""
    service = SERVICES[chosen]
    for part in ("host", "port", "user", "password"):
        patch.setenv(f"EXAMPLE_DB_{part.upper()}", str(getattr(service, part)))


def execute(chosen: str, statement: str) -> None:
    """Run one statement outside of any database of ours."""
    connection = connected(chosen)
    try:
        connection.cursor().execute(statement)
    finally:
        connection.close()


def connected(chosen: str) -> Any:
    """Connect to the server itself."""
    service = SERVICES[chosen]
    if chosen == "postgresql":
        import psycopg

        return psycopg.connect(
            host=service.host,
            port=service.port,
            user=service.user,
            password=service.password,
            dbname="postgres",
            autocommit=True,
        )
    import MySQLdb

    return MySQLdb.connect(
        host=service.host, port=service.port, user=service.user, passwd=service.password
    )
