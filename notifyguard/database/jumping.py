"""The different values of a column: one jump in its index for each, however many rows there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Model

from notifyguard.database.standing import connection


def last_of_each(model: type[Model], field: str) -> dict[str, Any]:
    """Return the different values of a column, sorted, each with the key of its last row.

    A loose index scan, which no database here does by itself: ``SELECT DISTINCT`` reads every
    row. One statement; another where it ended too early (MariaDB stops after 1,000 jumps).

    Args:
        model: of the ledger.
        field: of text, never NULL; an index begins with it, and best goes on with the key.
    """
    found = [*_jumps(model, field)]
    while (reached := found[-1][0]) is not None:
        found += _jumps(model, field, reached)
    key = model._meta.pk.to_python
    return {value: key(last) for value, last in found if value is not None}


def _jumps(model: type[Model], field: str, *behind: str) -> Iterator[tuple[str | None, Any]]:
    """Yield the values behind one; ``None`` is the last, if there are no more."""
    options: Any = model._meta
    names = options.db_table, options.pk.column, options.get_field(field).column
    table, key, column = map(connection().ops.quote_name, names)
    start = f"WHERE {column} > %s" if behind else ""
    with connection().cursor() as cursor:
        cursor.execute(
            f"""WITH RECURSIVE jump (value) AS (
                SELECT min({column}) FROM {table} {start}
                UNION ALL
                SELECT (SELECT min({column}) FROM {table} WHERE {column} > jump.value)
                FROM jump WHERE jump.value IS NOT NULL)
            SELECT value, (SELECT {key} FROM {table} WHERE {column} = jump.value
                ORDER BY {key} DESC LIMIT 1)
            FROM jump""",
            behind,
        )
        yield from cursor.fetchall()
