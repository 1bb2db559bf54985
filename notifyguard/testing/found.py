"""The ledger as tests look at it: which deliveries there are, and how they are shown."""

from __future__ import annotations

from collections.abc import Collection

from notifyguard import conf, database, patterns
from notifyguard.channels.email import normalised
from notifyguard.models import Delivery

SHOWN = 20
"""Deliveries that the message of a failed assertion lists."""


def deliveries() -> list[Delivery]:
    """Return all rows of the ledger, the oldest first."""
    return list(Delivery.objects.using(database.alias()).order_by("created_at", "id"))


def check_real_path() -> None:
    """Raise if nothing is recorded: an assertion that finds nothing would prove nothing.

    Raises:
        AssertionError: the settings switch the real path off.
    """
    __tracebackhide__ = True
    found = conf.current()
    if found.in_tests != "full" or found.mode == "bypass":
        raise AssertionError(
            "notifyguard records nothing here: the test has set NOTIFYGUARD without "
            f'"IN_TESTS": "full", or MODE is "bypass" (it is {found.mode!r}). Add to the dict '
            "that is there: {**settings.NOTIFYGUARD, ...}."
        )


def fits(row: Delivery, type: str, to: str | None = None, rule: str | None = None) -> bool:
    """Return whether a row is of the type (a glob), to the address, and by the rule."""
    return (
        patterns.matches(type, row.type)
        and (to is None or row.recipient == normalised(to))
        and (rule is None or row.rule == rule)
    )


def listed(rows: Collection[Delivery]) -> str:
    """Return the rows in lines, for the message of a failed assertion."""
    lines = [
        f"  {row.state:<10} {row.type} to {row.recipient}"
        + (f" ({row.rule}: {row.reason})" if row.rule else "")
        for row in list(rows)[:SHOWN]
    ]
    if len(rows) > SHOWN:
        lines.append(f"  and {len(rows) - SHOWN:,} more")
    return "\n".join(lines) or "  nothing"
