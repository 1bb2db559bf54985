"""The one row that switches and marks exclude each other on."""

from __future__ import annotations

import secrets

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from notifyguard import clock
from notifyguard.ledger import statements
from notifyguard.models import Control


def change_generation(connection: BaseDatabaseWrapper) -> None:
    """Give the row a new random generation; waits for every mark that is under way."""
    # Nearly always it is there. Where another makes it just now, ours must still be new.
    while not control_row(connection).update(generation=_random_generation()):
        ensure_control(connection)


def control_row(connection: BaseDatabaseWrapper) -> QuerySet[Control, Control]:
    """Return the row, past routers."""
    return Control.objects.using(connection.alias).filter(pk=Control.ROW)


def ensure_control(connection: BaseDatabaseWrapper) -> None:
    """Make the row if it is not there."""
    # Migrations create it; the flush of a TransactionTestCase empties the table.
    at = clock.now(connection)
    statements.begin(connection, _random_generation(), secrets.token_hex(32), at)


def _random_generation() -> int:
    return secrets.randbits(62)
