"""What people see of the spool and do to it: never without a reason and a name."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db.models import Q

from notifyguard import clock, database
from notifyguard.actor import Actor, Permission
from notifyguard.contrib.celery import spool
from notifyguard.contrib.celery.models import SpooledTask
from notifyguard.ledger import deeds


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list ended.

    Attributes:
        publish_at: of its last row.
        number: of its last row.
    """

    publish_at: datetime
    number: int


def listed(name: str = "", behind: Place | None = None, most: int = 100) -> list[SpooledTask]:
    """Return the tasks that wait, those first that are due first, without their messages.

    Args:
        name: of the tasks that are meant; ``""`` for all.
        behind: where the page before ended.
        most: at most so many.
    """
    found = spool.rows().defer("message").order_by("publish_at", "id")
    if name:
        found = found.filter(name=name)
    if behind is not None:
        found = found.filter(publish_at__gte=behind.publish_at).exclude(
            publish_at=behind.publish_at, id__lte=behind.number
        )
    return list(found[:most])


def cancel(numbers: Collection[int], *, reason: str, actor: Actor) -> int:
    """Take tasks out for a person; what is being published at this moment is left.

    Args:
        numbers: of the rows.
        reason: why.
        actor: who.

    Returns:
        How many were taken out: these never run.

    Raises:
        NotAllowed: the reason or the permission is missing; nothing was changed.
    """
    reason = deeds.accountable(reason, actor, Permission.CANCEL_SPOOLED)
    return sum(
        database.retrying(partial(_cancel, batch, reason, actor))
        for batch in spool.batches(sorted(numbers))
    )


def hurry(*, reason: str, actor: Actor) -> int:
    """Have everything that waits be published now; the broker has to hold it until it is due.

    Args:
        reason: why.
        actor: who.

    Returns:
        How many tasks that were.

    Raises:
        NotAllowed: as ``cancel``.
    """
    reason = deeds.accountable(reason, actor, Permission.CANCEL_SPOOLED)
    return database.retrying(partial(_hurry, reason, actor))


def _cancel(numbers: Sequence[int], reason: str, actor: Actor) -> int:
    with database.short_transaction() as connection:
        now = clock.now(connection)
        free = Q(taken_by=None) | Q(publish_at__lte=now)
        found = spool.rows().filter(free, pk__in=numbers)
        named = list(found.select_for_update().order_by("id").values_list("pk", "name", "task_id"))
        count = spool.rows().filter(pk__in=[pk for pk, _, _ in named]).delete()[0]
        for _, name, task_id in named:
            deeds.record(
                "cancel",
                task_id,
                reason=reason,
                actor=actor,
                before=f"{name}: spooled"[:200],
                after="cancelled",
                count=1,
            )
    return count


def _hurry(reason: str, actor: Actor) -> int:
    with database.short_transaction() as connection:
        now = clock.now(connection)
        count = spool.rows().filter(publish_at__gt=now, taken_by=None).update(publish_at=now)
        deeds.record(
            "hurry",
            "spooled tasks",
            reason=reason,
            actor=actor,
            before="spooled",
            after="published",
            count=count,
        )
    return count
