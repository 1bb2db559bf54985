"""The results in words and tables."""

from __future__ import annotations

import textwrap
from typing import Generic, NamedTuple, Protocol, TypeVar

from example_project.demo.incident_a import IncidentA
from example_project.demo.incident_c import IncidentC
from example_project.demo.incident_d import CANARY, IncidentD
from example_project.demo.runaway_loop import LIMIT, RunawayLoop
from example_project.demo.screen import Row, table


class Harmful(Protocol):
    """What one replay counted."""

    @property
    def harm(self) -> int: ...


Result = TypeVar("Result", bound=Harmful, covariant=True)

HEADING = ("mails that the mail server accepted", "without", "with notifyguard")


class Both(NamedTuple, Generic[Result]):
    """The same replay without notifyguard in ``INSTALLED_APPS`` and with it."""

    without: Result
    guarded: Result

    @property
    def proven(self) -> bool:
        """Whether the harm happened without the guard, and none with it."""
        return self.without.harm > 0 and self.guarded.harm == 0

    def row(self, label: str, field: str) -> Row:
        """Return the figures of one field beside each other."""
        return label, *(f"{getattr(result, field):,}" for result in self)


def rows_of_a(both: Both[IncidentA]) -> list[Row]:
    """Return the figures of incident A."""
    tickets, owners = both.without.tickets, both.without.owners
    return [
        both.row(f"sent by migrating {tickets:,} tickets", "changed_mails"),
        both.row("password reset asked for meanwhile", "resets"),
        both.row(f"owners told on purpose (of {owners:,})", "told_by_upgrade"),
        both.row("owners told again by a second run", "told_again"),
    ]


def rows_of_c(both: Both[IncidentC]) -> list[Row]:
    """Return the figures of incident C."""
    return [
        both.row("mails in all", "mails"),
        both.row(f"subscribers who got it (of {both.without.newsletters:,})", "reached"),
        both.row("subscribers who got it more than once", "mailed_again"),
        both.row(f"blank ones of the next issue (of {both.without.next_readers:,})", "blank_mails"),
    ]


def rows_of_loop(both: Both[RunawayLoop]) -> list[Row]:
    """Return the figures of the runaway loop."""
    return [
        both.row(f"reminders to {both.without.people:,} people", "mails"),
        both.row(f"most to one person (limit: {LIMIT} a day)", "most_to_one"),
        both.row("mails that tell the administrators", "alerts"),
    ]


def rows_of_d(both: Both[IncidentD]) -> list[Row]:
    """Return the figures of incident D; what no journal can hold is the ledger's."""
    return [
        both.row(f"slips that arrived (of {both.without.slips:,})", "reached"),
        both.row("slips that arrived more than once", "repeated"),
        both.row("sent while the type was held", "while_held"),
        both.row(f"sent by a canary of {CANARY}", "canary"),
        both.row("uncertain after kill -9, shown to a person", "uncertain"),
    ]


def drawn(rows: list[Row], encoding: str | None) -> str:
    """Return the table of one incident."""
    return table(HEADING, rows, encoding)


def what_you_saw(*paragraphs: str) -> str:
    """Return what was told of each act as text for a terminal; every figure was counted."""
    first, *others = (*paragraphs, COUNTED)
    return "\n\n".join(textwrap.fill(text, 78) for text in (f"What you saw: {first}", *others))


def words_of_a(a: Both[IncidentA]) -> str:
    """Tell what incident A has shown."""
    return (
        "the same code, twice. The runs differ in one line of INSTALLED_APPS. "
        f"Without it, a data migration that saved {a.without.tickets:,} tickets sent "
        f"{a.without.changed_mails:,} mails that nobody wanted; with it, "
        f"{a.guarded.changed_mails:,}. The password reset that a person asked for while the "
        f"migration ran arrived {times(a.guarded.resets)}. The upgrade told "
        f"{a.guarded.told_by_upgrade:,} of {a.guarded.owners:,} owners on purpose, and that step "
        f"was run a second time by hand: without notifyguard {a.without.told_again:,} of them were "
        f"told again; with it, {a.guarded.told_again:,}, because those mails carry a key."
    )


def words_of_c(c: Both[IncidentC]) -> str:
    """Tell what incident C has shown."""
    return (
        f"Then {c.without.servers} servers sent one newsletter from one database. Without "
        f"notifyguard {c.without.mailed_again:,} of {c.without.newsletters:,} subscribers got it "
        f"more than once; with it, {c.guarded.mailed_again:,}. The hurried fix of the day after "
        f"sent {c.without.blank_mails:,} newsletters without a word in them; with notifyguard "
        f"{c.guarded.blank_mails:,}, they are held."
    )


def words_of_loop(loop: Both[RunawayLoop]) -> str:
    """Tell what the runaway loop has shown."""
    return (
        f"A send call that slipped into a loop mailed {loop.without.people:,} people "
        f"{loop.without.mails:,} times. With a limit in the settings it was {loop.guarded.mails:,} "
        f"times, nobody got more than {loop.guarded.most_to_one:,}, and the administrators were "
        f"told {times(loop.guarded.alerts)}, not once for each mail."
    )


def words_of_d(d: Both[IncidentD]) -> str:
    """Tell what incident D has shown."""
    return (
        f"At last {d.without.slips:,} school slips were published three times each. The team "
        "stopped the workers, cleaned the queue and started them again: "
        f"{d.without.repeated:,} slips still arrived more than once. With notifyguard one command "
        f"held the type while the workers went on: {d.guarded.while_held:,} left meanwhile, then a "
        f"canary of {d.guarded.canary:,}, then the rest; {d.guarded.repeated:,} arrived twice."
    )


COUNTED = (
    "All figures of mails were counted in the mail server's own journal, not in notifyguard's "
    "ledger; only what did not leave, or may have, no journal can tell."
)


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
