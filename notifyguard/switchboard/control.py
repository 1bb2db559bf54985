"""The one row that switches and marks exclude each other on."""

from __future__ import annotations

import secrets

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from notifyguard import clock
from notifyguard.models import Control


def change_generation(connection: BaseDatabaseWrapper) -> None:
    """Give the row a new random generation; waits for every mark that is under way."""
    ensure_control(connection)
    control_row(connection).update(generation=_random_generation())


def control_row(connection: BaseDatabaseWrapper) -> QuerySet[Control, Control]:
    """Return the row, past routers."""
    return Control.objects.using(connection.alias).filter(pk=Control.ROW)


def ensure_control(connection: BaseDatabaseWrapper) -> None:
    """Make the row if it is not there."""
    # Migrations create it; the flush of a TransactionTestCase empties the table.
    Control.objects.using(connection.alias).get_or_create(
        pk=Control.ROW,
        defaults={
            "generation": _random_generation(),
            "salt": secrets.token_hex(32),
            "created_at": clock.now(connection),
        },
    )


def _random_generation() -> int:
    return secrets.randbits(62)
