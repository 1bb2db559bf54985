"""What a release would do now: how many, to how many, and what would stop some of them.

Each delivery is judged as it will be when it is about to leave, and nothing is
changed. However many there are, few are in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import UUID

from django.db.models import Count

from notifyguard import conf, switchboard
from notifyguard.channels.email import Dispatch
from notifyguard.conf import Settings
from notifyguard.decision import Decision, Sending, State
from notifyguard.gate import digests
from notifyguard.gate.reports import stops
from notifyguard.ledger import held
from notifyguard.ledger.held import Group, Meant, Totals, folding
from notifyguard.ledger.held.choice import LATE, PAGE
from notifyguard.notification import Notification
from notifyguard.rules import Candidate, decide_again, limits
from notifyguard.switchboard import Block, Board


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
    """What the rules that time changes look at, of a delivery that is held."""

    id: UUID
    type: str
    recipient: str
    rule: str
    created_at: datetime
    due_at: datetime | None
    scheduled: bool
    max_age: timedelta | None


Finder = Callable[[Meant], Iterator[Finding]]


def preview(what: Meant, *, keeps_repeats: bool = False) -> Preview:
    """Tell what a release of this would do now; nothing is changed.

    Args:
        what: from ``held.meant``; the same is given to ``releases.begin``.
        keeps_repeats: as in ``releases.begin``.
    """
    found = [finding for find in FINDERS for finding in find(what)]
    if keeps_repeats:
        found = [finding for finding in found if finding.name != folding.REPEAT]
    return Preview(what, held.totals(what), held.groups_of(what), found)


def _by_rules(what: Meant) -> Iterator[Finding]:
    """What the rules say that are asked again before it leaves."""
    settings, board = conf.current(), switchboard.board(fresh=True)
    counts: Counter[tuple[str, str]] = Counter()
    dispatch = cache(_dispatch)
    for row, block in _blocked(what, board):
        # Who releases what is shown as late makes it due now.
        late = row.rule in LATE
        due_at = what.at if late else row.due_at or row.created_at
        scheduled = row.scheduled and not late
        judged = dispatch(row.type, row.max_age), row.recipient, settings, board, due_at, scheduled
        decision = decide_again(Candidate(*judged, block))
        if decision is not None and stops(decision, settings):
            counts[decision.rule, _outcome(decision)] += 1
    for (rule, outcome), count in counts.most_common():
        yield Finding(rule, count, outcome)


def _by_schedule(what: Meant) -> Iterator[Finding]:
    """What has its time yet to come: a release lets it go, and not before."""
    if early := what.rows().filter(due_at__gt=what.at).count():
        yield Finding("scheduled", early, "sent when it is due")


def _by_limits(what: Meant) -> Iterator[Finding]:
    """What cannot fit into its limits at once, even if nothing was sent before."""
    settings = conf.current()
    outcomes = {"hold": "held again", "delay": "sent later", "discard": "discarded"}
    for type in what.types:
        options = settings.for_type(type)
        over = _over_limits(what, type, settings)
        if over:
            yield Finding(limits.NAME, over, f"{type}, at once: {outcomes[options.on_limit]}")


def _over_limits(what: Meant, type: str, settings: Settings) -> int:
    options, found = settings.for_type(type), what.rows().filter(type=type)
    over = [0]
    if options.type_limits:
        over.append(found.count() - min(limit.number for limit in options.type_limits))
    if options.limits:
        room = min(limit.number for limit in options.limits)
        counted = found.values("recipient").annotate(deliveries=Count("id"))
        many = counted.filter(deliveries__gt=room).values_list("deliveries", flat=True)
        over.append(sum(count - room for count in many.iterator()))
    return max(over)


def _by_folding(what: Meant) -> Iterator[Finding]:
    """What ends in favour of another."""
    told = _digested(what)
    if count := sum(told):
        yield Finding(folding.DIGEST, count, f"told in digests to people, {len(told):,} in all")
    found = what.rows().exclude(type__in=digests.of_types(what.types))
    superseded = folding.superseded_among(found)
    if count := superseded.count():
        yield Finding(folding.SUPERSEDED, count, "discarded: a later one takes its place")
    others = found.exclude(id__in=superseded.values("id"))
    if count := folding.repeats_among(others):
        yield Finding(folding.REPEAT, count, "discarded: one that says the same leaves")


def _digested(what: Meant) -> list[int]:
    """Return of how many held deliveries each digest would tell."""
    found = what.rows().filter(type__in=digests.of_types(what.types)).order_by()
    counted = found.values_list("type", "recipient").annotate(Count("id"))
    return [count for _, _, count in counted if count > 1]


FINDERS: Sequence[Finder] = (_by_folding, _by_rules, _by_schedule, _by_limits)
"""What is looked for, in the order in which it is shown."""


def _blocked(what: Meant, board: Board) -> Iterator[tuple[_Waiting, Block | None]]:
    """Yield each row with the block on its recipient."""
    for page in _pages(what):
        blocks = switchboard.blocked_among(board, list({row.recipient for row in page}))
        yield from ((row, blocks.get(row.recipient)) for row in page)


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


def _outcome(decision: Decision) -> str:
    if decision.rule == "switch":
        return f"stays held: {decision.reason}"
    if decision.sending is Sending.HOLD:
        return "held again"
    return str(decision.ends_as or State.DISCARDED)
