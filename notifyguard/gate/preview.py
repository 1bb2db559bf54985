"""What a release would do now: how many, to how many, and what would stop some of them.

Each delivery is looked at once, as a release looks at it, and nothing is changed: the first
that stops it is what is shown. However many there are, few are in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count

from notifyguard import conf, database, switchboard
from notifyguard.channels.email import Dispatch
from notifyguard.decision import Sending, State
from notifyguard.gate import digests
from notifyguard.gate.reports import stops
from notifyguard.ledger import held
from notifyguard.ledger.held import Group, Meant, Totals, folding
from notifyguard.ledger.held.choice import LATE, PAGE
from notifyguard.ledger.held.folding import Leaving
from notifyguard.notification import Notification
from notifyguard.rules import Candidate, decide_again, limits
from notifyguard.switchboard import Block


@dataclass(frozen=True, slots=True)
class Finding:
    """What a release will do with some deliveries other than to send them.

    Attributes:
        name: the rule, or what was found: ``switch``, ``stale``, ``limit``.
        deliveries: how many.
        outcome: what will be done with them.
    """

    name: str
    deliveries: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a release would do now.

    Attributes:
        meant: what would be released.
        totals: how much it is.
        groups: by type, and by the rule that held it.
        findings: what will be done with some of it other than to send it.
        at: when this was found, by the database's clock.
    """

    meant: Meant
    totals: Totals
    groups: list[Group]
    findings: list[Finding] = field(default_factory=list)

    @property
    def at(self) -> datetime:
        return self.meant.at


class _Waiting(NamedTuple):
    """What must be known of a delivery that is held."""

    id: UUID
    type: str
    recipient: str
    rule: str
    created_at: datetime
    due_at: datetime | None
    scheduled: bool
    max_age: timedelta | None
    fingerprint: UUID | None
    supersedes: UUID | None

    @property
    def leaving(self) -> Leaving:
        """It, as folding sees it."""
        return Leaving(
            *(self.id, self.type, self.recipient, self.fingerprint, self.supersedes, self.rule)
        )


def preview(what: Meant, *, keeps_repeats: bool = False) -> Preview:
    """Tell what a release of this would do now; nothing is changed.

    Args:
        what: from ``held.meant``; the same is given to ``releases.begin``.
        keeps_repeats: as in ``releases.begin``.
    """
    look = _Look(what, keeps_repeats=keeps_repeats)
    found = Counter(finding for page in _pages(what) for finding in look.at(page))
    findings = [Finding(name, count, outcome) for (name, outcome), count in found.most_common()]
    return Preview(what, held.totals(what), held.groups_of(what), findings)


_Found = tuple[str, str]
"""The name of a finding, and its outcome."""


class _Look:
    """A release that is only looked at: what it would have let go by now, and why not."""

    def __init__(self, what: Meant, *, keeps_repeats: bool) -> None:
        self._what, self._keeps_repeats = what, keeps_repeats
        self._settings, self._board = conf.current(), switchboard.board(fresh=True)
        self._stopped = held.stopped(what.types)
        self._digested = _digested(what, [type for type in what.types if type not in self._stopped])
        self._said: set[bytes] = set()  # what was let go, by its content
        self._left: Counter[tuple[str, str]] = Counter()  # by what limits count
        self._dispatch = cache(_dispatch)

    def at(self, page: Sequence[_Waiting]) -> Iterator[_Found]:
        """Yield what is found about each that will not simply leave: one finding."""
        going = [row.leaving for row in page if row.type not in self._stopped]
        told = folding.superseded(database.connection(), self._what, going)
        ends = {row.id for row, _ in told}
        blocks = switchboard.blocked_among(self._board, list({row.recipient for row in page}))
        for row in page:
            found = (
                self._stays(row)
                or self._ends(row, ends)
                or self._waits(row)
                or self._is_stopped(row, blocks.get(row.recipient))
                or self._is_too_many(row)
            )
            if found is not None:
                yield found

    def _stays(self, row: _Waiting) -> _Found | None:
        ruling = self._stopped.get(row.type)
        return None if ruling is None else ("switch", f"stays held: {ruling}")

    def _ends(self, row: _Waiting, superseded: Container[UUID]) -> _Found | None:
        """What ends in favour of another."""
        if (row.type, row.recipient) in self._digested and not self._waits(row):
            count = len(self._digested)
            return folding.DIGEST, f"told in digests to people, {count:,} in all"
        if row.id in superseded:
            return folding.SUPERSEDED, "discarded: a later one takes its place"
        content = row.leaving.content
        if content is None or self._keeps_repeats:
            return None
        if content.bytes in self._said:
            return folding.REPEAT, "discarded: one that says the same leaves"
        self._said.add(content.bytes)
        return None

    def _waits(self, row: _Waiting) -> _Found | None:
        """What has its time yet to come: a release lets it go, and not before."""
        early = row.due_at is not None and row.due_at > self._what.at
        return ("scheduled", "sent when it is due") if early else None

    def _is_stopped(self, row: _Waiting, block: Block | None) -> _Found | None:
        """What the rules say that are asked again before it leaves."""
        late = row.rule in LATE  # who releases what is shown as late makes it due now
        decision = decide_again(
            Candidate(
                self._dispatch(row.type, row.max_age),
                row.recipient,
                self._settings,
                self._board,
                self._what.at if late else row.due_at or row.created_at,
                row.scheduled and not late,
                block,
            )
        )
        if decision is None or not stops(decision, self._settings):
            return None
        again = decision.sending is Sending.HOLD
        return decision.rule, "held again" if again else str(decision.ends_as or State.DISCARDED)

    def _is_too_many(self, row: _Waiting) -> _Found | None:
        """What does not fit into its limits at once, even if nothing was sent before."""
        options = self._settings.for_type(row.type)
        rooms = [
            *(((limit.pattern, row.recipient), limit.number) for limit in options.limits),
            *(((limit.pattern, ""), limit.number) for limit in options.type_limits),
        ]
        if any(self._left[counter] >= number for counter, number in rooms):
            observed = self._settings.mode == "observe"
            return (
                None
                if observed
                else (
                    limits.NAME,
                    f"{row.type}, at once: {_OVER[options.on_limit]}",
                )
            )
        self._left.update({counter for counter, _ in rooms})
        return None


_OVER = {"hold": "held again", "delay": "sent later", "discard": "discarded"}


def _digested(what: Meant, types: Sequence[str]) -> set[tuple[str, str]]:
    """Return the types and people to whom a digest would tell of several."""
    found = what.rows().filter(type__in=digests.of_types(types)).exclude(due_at__gt=what.at)
    counted = found.order_by().values_list("type", "recipient").annotate(Count("id"))
    return {(type, recipient) for type, recipient, count in counted if count > 1}


def _pages(what: Meant) -> Iterator[list[_Waiting]]:
    ordered = what.rows().order_by("wake_at", "id").values_list(*_Waiting._fields)
    page = list(map(_Waiting._make, ordered[:PAGE]))
    while page:
        yield page
        page = list(map(_Waiting._make, ordered.filter(id__gt=page[-1].id)[:PAGE]))


def _dispatch(type: str, max_age: timedelta | None) -> Dispatch:
    """Return a message without one: the rules that are asked again look at no message."""
    return Dispatch(
        id=UUID(int=0),
        message=None,
        notification=Notification(type, max_age=max_age),
        recipients={},
        origin="",
        call_site="",
        task_id="",
        backend="",
        subject="",
    )
