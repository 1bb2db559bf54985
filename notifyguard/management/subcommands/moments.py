"""Times as operators write them: ``2h``, ``3d``, ``2026-05-01``, ``2026-05-01T08:00``."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils import timezone

from notifyguard import clock, database
from notifyguard.management.subcommands.subcommand import misuse

FORMS = '"90s", "30m", "2h", "3d", "1w" or a date and time such as "2026-05-01T08:00"'

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"(\d{1,9})([smhdw])")


def until(text: str | None) -> datetime | None:
    """Read when something shall end: so long from now, or a date and time to come.

    Raises:
        CommandError: with status 2, it is no time, or over already.
    """
    at = _read(text, forwards=True)
    if at is not None and at <= clock.now(database.connection()):
        raise misuse(f"{text} is over already; name a time to come.")
    return at


def since(text: str | None) -> datetime | None:
    """Read when something was: so long ago, or a date and time gone by.

    Raises:
        CommandError: with status 2, it is no time, or yet to come.
    """
    at = _read(text, forwards=False)
    if at is not None and at > clock.now(database.connection()):
        raise misuse(f"{text} is yet to come; name a time gone by.")
    return at


def _read(text: str | None, *, forwards: bool) -> datetime | None:
    if text is None:
        return None
    try:
        if found := _DURATION.fullmatch(text.strip()):
            length = timedelta(**{_UNITS[found[2]]: int(found[1])})
            now = clock.now(database.connection())
            return now + length if forwards else now - length
        return _in_projects_form(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise misuse(f"{text!r} is not a time; write {FORMS}.") from None


def _in_projects_form(at: datetime) -> datetime:
    """Return a time in the present time zone, naive where the project's times are naive."""
    if settings.USE_TZ:
        # In UTC, as databases compare it: the first and last days of the calendar are none there.
        return (at if timezone.is_aware(at) else timezone.make_aware(at)).astimezone(UTC)
    if timezone.is_naive(at):
        return at
    return timezone.make_naive(at, timezone.get_default_timezone())
