"""A release whose types name a digest: one message to each person in the place of several."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from notifyguard import clock, conf, database, ledger, switchboard
from notifyguard.channels import digest, email
from notifyguard.channels.fingerprint import fingerprint
from notifyguard.channels.freezing import freeze
from notifyguard.decision import ReleaseState, State
from notifyguard.exceptions import DigestFailed
from notifyguard.ledger import Entry
from notifyguard.ledger.held import digests, letting_go, releases
from notifyguard.ledger.held.digests import Digest, Plan, StalePlan, Told
from notifyguard.ledger.held.letting_go import Step
from notifyguard.models import Release

logger = logging.getLogger("notifyguard")


def advance(number: int) -> Step:
    """Let the next deliveries of a release go, as ``letting_go.advance`` does.

    What is to be told in a digest is rendered before anything is locked. Where that
    fails the release rests, says why, and everything stays held.

    Args:
        number: of the release.
    """
    step = _try_to_advance(number)
    while step is None or (step.goes_on and not step.let_go and not step.wait):
        step = _try_to_advance(number)
    return step


def advance_for_sweepers() -> int:
    """Let the next deliveries of every release go that sweepers work off; return how many."""
    return sum(advance(number).let_go for number in letting_go.due_for_sweepers())


def _try_to_advance(number: int) -> Step | None:
    """Do one step; ``None`` if another went first, and it must be planned anew."""
    release = releases.find(number)
    types = [type for type in of_types(release.types) if type not in release.stopped_types]
    if not types or release.state != ReleaseState.RUNNING:
        return letting_go.advance(number)
    if (wait := release.next_at - clock.now(database.connection())) > timedelta(0):
        letting_go.still_at_work(number)
        return Step(wait=wait)
    try:
        return letting_go.advance(number, _plan(release, types))
    except StalePlan:
        return None
    except DigestFailed as error:
        logger.error("notifyguard: release %d rests: a digest cannot be made", number)
        letting_go.rest(number, str(error))
        return Step(goes_on=False)


def of_types(types: Sequence[str]) -> list[str]:
    """Return those of the types that name a digest."""
    settings = conf.current()
    return [type for type in types if settings.for_type(type).digest]


def _plan(release: Release, types: Sequence[str]) -> Plan:
    groups = digests.groups(release, types, letting_go.size_of_step(release))
    return Plan(release.cursor, tuple(_made(group, release) for group in groups))


def _made(group: Sequence[Told], release: Release) -> Digest:
    last = group[-1]
    told = list(_once(group) if not release.keeps_repeats else group)
    held = [(each.dispatch, each.created_at) for each in told]
    message = digest.compose(last.type, last.recipient, held)
    salt = switchboard.board().salt
    entry = Entry(
        dispatch=ledger.new_id(),
        type=last.type,
        recipient=last.recipient,
        # Of what it tells and of the release: what was had back from a digest and is
        # released again is told again, and each release makes it only once.
        key=ledger.key_of(salt, "digest", str(release.pk), *(str(each.id) for each in group)),
        fingerprint=fingerprint(message),
        backend=last.backend,
        subject=email.storable(message.subject, 200),
        state=State.QUEUED,
        rule="digest",
        reason=f"It tells of {len(group)} held messages, released by {release.actor}.",
        frozen=True,
    )
    frozen = replace(freeze(message), type=last.type)
    return Digest(entry, frozen, tuple(each.id for each in group))


def _once(group: Sequence[Told]) -> Iterator[Told]:
    """Yield the first of those that say the same."""
    known = set()
    for each in group:
        if each.fingerprint is None or each.fingerprint not in known:
            known.add(each.fingerprint)
            yield each
