"""What a database lacks of the tables that this release works with."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model


def missing(connection: BaseDatabaseWrapper, models: Iterable[type[Model]]) -> set[str]:
    """Return the tables that are missing, and the columns (``table.column``) of those there.

    Args:
        connection: to the database that is asked.
        models: whose tables are looked for.

    Raises:
        DatabaseError: it cannot be asked.
    """
    introspection, lacking = connection.introspection, set()
    with connection.cursor() as cursor:
        present = set(introspection.table_names(cursor))
        for model in models:
            table = model._meta.db_table
            if table not in present:
                lacking.add(table)
                continue
            columns = {each.name for each in introspection.get_table_description(cursor, table)}
            lacking |= {
                f"{table}.{field.column}"
                for field in model._meta.concrete_fields
                if field.column not in columns
            }
    return lacking
