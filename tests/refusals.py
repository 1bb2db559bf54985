"""A database that really refuses: triggers of its own, and locks that others hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

DELIVERY = "notifyguard_delivery"

_MADE = {
    "postgresql": """
        CREATE FUNCTION refuse_{on}() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE EXCEPTION '{saying}' USING DETAIL = '{detail}'; END$$;
        CREATE TRIGGER refuse_{on} BEFORE {on} ON {table} FOR EACH ROW
            WHEN ({when}) EXECUTE FUNCTION refuse_{on}()""",
    "mysql": """
        CREATE TRIGGER refuse_{on} BEFORE {on} ON {table} FOR EACH ROW
            IF {when} THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{saying}'; END IF""",
    "sqlite": """
        CREATE TRIGGER refuse_{on} BEFORE {on} ON {table} WHEN {when}
            BEGIN SELECT RAISE(ABORT, '{saying}'); END""",
}
_GONE = {
    "postgresql": "DROP TRIGGER refuse_{on} ON {table}; DROP FUNCTION refuse_{on}()",
    "mysql": "DROP TRIGGER refuse_{on}",
    "sqlite": "DROP TRIGGER refuse_{on}",
}


@contextmanager
def refusing(
    on: str, when: str, *, saying: str = "refused", detail: str = "", table: str = DELIVERY
) -> Iterator[None]:
    """Have the database refuse rows, by a trigger.

    Args:
        on: ``insert`` or ``update``.
        when: the rows meant, as SQL about ``NEW``.
        saying: what the error says.
        detail: what PostgreSQL adds to it, where it shows the failing row.
        table: whose rows.
    """
    parts = {"on": on, "when": when, "saying": saying, "detail": detail, "table": table}
    _run(_MADE[connection.vendor].format(**parts))
    try:
        yield
    finally:
        _run(_GONE[connection.vendor].format(**parts))


def _run(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@contextmanager
def gone(table: str) -> Iterator[None]:
    """Have a table away, as before the first ``migrate``."""

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    rename(table, f"{table}_gone")
    try:
        yield
    finally:
        rename(f"{table}_gone", table)
