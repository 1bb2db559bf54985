"""The results in words and tables."""

from __future__ import annotations

import textwrap
from typing import Generic, NamedTuple, TypeVar

from example_project.demo.incident_a import IncidentA
from example_project.demo.incident_c import IncidentC
from example_project.demo.screen import Row, table

Result = TypeVar("Result", bound=IncidentA | IncidentC)

HEADING = ("mails that the mail server accepted", "without", "with notifyguard")


class Both(NamedTuple, Generic[Result]):
    """The same replay without notifyguard in ``INSTALLED_APPS`` and with it."""

    without: Result
    guarded: Result

    def row(self, label: str, field: str) -> Row:
        """Return the figures of one field beside each other."""
        return label, *(f"{getattr(result, field):,}" for result in self)


def table_of_a(both: Both[IncidentA], encoding: str | None) -> str:
    """Return the figures of incident A."""
    tickets, owners = both.without.tickets, both.without.owners
    rows = [
        both.row(f"sent by migrating {tickets:,} tickets", "changed_mails"),
        both.row("password reset asked for meanwhile", "resets"),
        both.row(f"owners told on purpose (of {owners:,})", "told_by_upgrade"),
        both.row("owners told again by a second run", "told_again"),
    ]
    return table(HEADING, rows, encoding)


def table_of_c(both: Both[IncidentC], encoding: str | None) -> str:
    """Return the figures of incident C."""
    rows = [
        both.row("mails in all", "mails"),
        both.row(f"subscribers who got it (of {both.without.newsletters:,})", "reached"),
        both.row("subscribers who got it more than once", "mailed_again"),
    ]
    return table(HEADING, rows, encoding)


def what_you_saw(a: Both[IncidentA], c: Both[IncidentC]) -> str:
    """Return one paragraph; every figure in it comes from the journals."""
    text = (
        "What you saw: the same upgrade and the same newsletter, twice. The runs differ in one "
        "line of INSTALLED_APPS. "
        f"Without it, a data migration that saved {a.without.tickets:,} tickets sent "
        f"{a.without.changed_mails:,} mails that nobody wanted; with it, "
        f"{a.guarded.changed_mails:,}. The password reset that a person asked for while the "
        f"migration ran arrived {times(a.guarded.resets)}. The upgrade told "
        f"{a.guarded.told_by_upgrade:,} of {a.guarded.owners:,} owners on purpose, and that step "
        f"was run a second time by hand: without notifyguard {a.without.told_again:,} of them were "
        f"told again; with it, {a.guarded.told_again:,}, because those mails carry a key. "
        f"Then {c.without.servers} servers sent one newsletter from one database. Without "
        f"notifyguard {c.without.mailed_again:,} of {c.without.newsletters:,} subscribers got it "
        f"more than once; with it, {c.guarded.mailed_again:,}. All figures were counted in the "
        "mail server's own journal, not in notifyguard's ledger."
    )
    return textwrap.fill(text, 78)


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
