"""The database's clock, as last compared with this host's.

Leases and windows use it, so that a host whose clock is wrong does no harm. The
difference is measured, not the time itself, so that telling the time costs no
query; a jump of the host's clock (or a suspended machine) is noticed and measured anew.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

_JUMP = 1.0
"""Seconds by which wall clock and monotonic clock may part before we measure anew."""

# Seconds since 1970, whatever the session's time zone is.
_SECONDS = {
    "postgresql": "SELECT extract(epoch FROM clock_timestamp())",
    "mysql": "SELECT timestampdiff(MICROSECOND, '1970-01-01', utc_timestamp(6)) / 1000000",
}


@dataclass(frozen=True, slots=True)
class _Comparison:
    ahead: float
    apart: float


_compared: dict[str, _Comparison] = {}


def now(connection: BaseDatabaseWrapper) -> datetime:
    """Return the time by the database's clock, aware if ``USE_TZ``, else naive local."""
    compared = _compared.get(connection.alias)
    if compared is None or abs(_apart() - compared.apart) > _JUMP:
        compared = compare(connection)
    return stored(datetime.fromtimestamp(time.time() + compared.ahead, tz=UTC))


def stored(at: datetime) -> datetime:
    """Return an aware time as the ledger stores it: aware if ``USE_TZ``, else naive local."""
    return at if settings.USE_TZ else timezone.make_naive(at, timezone.get_default_timezone())


def later(connection: BaseDatabaseWrapper, seconds: float) -> datetime:
    """Return the time ``seconds`` from now by the database's clock."""
    return now(connection) + timedelta(seconds=seconds)


def never() -> datetime:
    """Return ``wake_at`` of what waits for a person and not for the sweeper.

    A date and not NULL, so that the index over what waits holds it.
    """
    return datetime(9000, 1, 1, tzinfo=UTC if settings.USE_TZ else None)


def compare(connection: BaseDatabaseWrapper) -> _Comparison:
    """Measure how far the database's clock is ahead of this host's, in one query."""
    query = _SECONDS.get(connection.vendor)
    ahead = 0.0
    if query is not None:
        with connection.cursor() as cursor:
            before = time.time()  # with the connection open: to open it takes its time
            cursor.execute(query)
            ahead = float(cursor.fetchone()[0]) - (before + time.time()) / 2
    compared = _Comparison(ahead=ahead, apart=_apart())
    _compared[connection.alias] = compared
    return compared


def _apart() -> float:
    return time.time() - time.monotonic()
