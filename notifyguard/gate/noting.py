"""What a queue takes by functions of its own, which ask nobody: noted there, judged when it comes.

``post_office.mail.send()`` returns the row that it stored. To judge there could only mean to
store none, or one that is smaller than its caller thinks; so the message carries what is said
of it, as a task of Celery's does, and is judged by that when the queue's worker brings it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID, uuid4, uuid5

from django.core.mail import EmailMessage

from notifyguard import conf, context
from notifyguard.channels import email, inference, notes
from notifyguard.channels.notes import Note
from notifyguard.context import Ambient, Task, travelling
from notifyguard.context.travelling import Said
from notifyguard.gate import handover, inferred, light
from notifyguard.notification import PASS_HEADER, Notification

_NAMESPACE = UUID("5b0a3f1e-8f0c-4f5c-9d52-2f1f6c1c7a10")


def noted(
    headers: Mapping[str, Any] | None,
    *,
    queue: str,
    recipients: Sequence[object],
    about: str,
    notification: Notification | None = None,
    due_at: datetime | None = None,
) -> dict[str, Any] | None:
    """Return the headers of a message that is queued, with a note of what is said here.

    What carries a pass or a note keeps it where nothing is said; else what is said goes too,
    for it may be another message, with the headers of that one. In tests nothing is noted
    where nothing is said.

    Args:
        headers: as they were given.
        queue: the package that queues.
        recipients: addresses, as the message writes them.
        about: the subject, or what else tells the message from others to the same people.
        notification: said of this message itself.
        due_at: when it is to leave, with its time zone; ``None`` for at once.
    """
    given = None if headers is None else dict(headers)
    settings, ambient = conf.current(), context.current()
    if settings.mode == "bypass" or _says_all(given, ambient):
        return given
    is_said = notification or ambient.notification or ambient.suppressions
    if not is_said and light.applies(settings):
        return given
    found = inference.whence(through=queue)
    meant = notification or email.notification_of(ambient, found)
    now = datetime.now(UTC)
    late_since = ambient.task.now_due_at if ambient.task else None
    said = replace(
        travelling.said_by(ambient, ambient.origin or found.origin, now),
        notification=meant,
        due_at=due_at or late_since or now,
    )
    note = _carried(given, said, ambient) or Note(
        _id(ambient.task, meant.type, *map(str, recipients), about), said
    )
    return {**(given or {}), PASS_HEADER: notes.written(note)}


def _says_all(given: Mapping[str, Any] | None, ambient: Ambient) -> bool:
    """Tell whether the headers say all there is to say; what is handed over was judged here."""
    is_said = ambient.suppressions or ambient.notification
    return PASS_HEADER in (given or {}) and (handover.is_under_way() or not is_said)


def _carried(given: Mapping[str, Any] | None, here: Said, ambient: Ambient) -> Note | None:
    """Return the note among the headers, with what is said here added to it."""
    note = notes.read(EmailMessage(headers=dict(given or {})))
    if note is None:
        return None
    said = travelling.joined(note.said, here)
    notification = ambient.notification or said.notification
    due_at = note.said.due_at or here.due_at
    return Note(note.id, replace(said, notification=notification, due_at=due_at))


def _id(task: Task | None, *looks: str) -> str:
    """Return the same for what the same task queues when it is run again; else a new one."""
    if task is None or not task.id or task.run is None:
        return uuid4().hex
    place = task.run.count(*looks)
    inferred.undo_on_rollback([partial(task.run.give_back, place, *looks)])
    return uuid5(_NAMESPACE, json.dumps([task.name, task.id, *looks, place])).hex
