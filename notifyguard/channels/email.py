"""Email: what a message says about itself, translated once into values of our own."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from notifyguard import clock, context
from notifyguard.addresses import normalised as normalised
from notifyguard.addresses import storable as storable
from notifyguard.channels import inference
from notifyguard.channels.content import Content
from notifyguard.channels.freezing.envelope import narrowed
from notifyguard.channels.inference import Whence
from notifyguard.context import Ambient, Task
from notifyguard.ledger import new_id
from notifyguard.notification import Notification, identified

NOBODY = ""
"""The recipient of a message that names none; a backend may still know where to send it."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """One message on its way out, as the gate sees it.

    Attributes:
        id: shared by the rows of all its recipients.
        message: the caller's object; only transports look inside.
        notification: its type and key.
        recipients: normalised address to the addresses as they are written.
        origin: ``web``, ``command``, ``task``, ``shell`` or ``script``.
        call_site: module and function that sent it.
        task_id: of the background task that sent it, or ``""``.
        task: that is sending it; ``None`` where none is, or for what was sent before.
        backend: alias or dotted path of the backend, enough to connect again.
        subject: for people, cut.
        content: what the message says and shows.
    """

    id: UUID
    message: Any
    notification: Notification
    recipients: dict[str, list[str]]
    origin: str
    call_site: str
    task_id: str
    backend: str
    subject: str
    task: Task | None = None
    content: Content = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "content", Content(self.message))


def describe(message: Any, backend: Any) -> Dispatch:
    """Translate a message into a ``Dispatch``, with its type found if nobody named it."""
    ambient = context.current()
    found = inference.whence()
    return dispatch_of(
        message,
        identified(message) or notification_of(ambient, found),
        recipients_of(message),
        ambient,
        found,
        backend=label_of(backend),
        subject=storable(getattr(message, "subject", ""), 200),
    )


def notification_of(ambient: Ambient, found: Whence) -> Notification:
    """Return what the running code said of its messages, or the type by which it is known."""
    task = ambient.task
    inferred = found.known or (task.name if task else found.type)
    return ambient.notification or Notification(storable(inferred, 200))


def dispatch_of(
    message: Any,
    notification: Notification,
    recipients: dict[str, list[str]],
    ambient: Ambient,
    found: Whence,
    *,
    backend: str = "",
    subject: str = "",
) -> Dispatch:
    """Return a new ``Dispatch``, with what the running code and its call stack say.

    Args:
        message, notification, recipients, backend, subject: as in ``Dispatch``.
        ambient: what the running code says.
        found: what the call stack tells.
    """
    task = ambient.task
    due_at = notification.send_at or (task.now_due_at if task else None)
    if due_at and not notification.due_at:
        notification = replace(notification, due_at=clock.stored(due_at))
    return Dispatch(
        id=new_id(),
        message=message,
        notification=notification,
        recipients=recipients,
        origin=(ambient.origin or "task") if task else found.origin,
        call_site=storable(found.call_site, 200),
        task_id=storable(task.id, 155) if task else "",
        backend=backend,
        subject=subject,
        task=task,
    )


def recipients_of(message: Any) -> dict[str, list[str]]:
    """Return the envelope: each recipient once, with every way it is written."""
    recipients: dict[str, list[str]] = {}
    for written in message.recipients():
        recipients.setdefault(normalised(str(written)), []).append(written)
    return recipients or {NOBODY: []}


def reduced(message: Any, written: Collection[str]) -> Any:
    """Return a copy of the message that goes to these addresses alone.

    The visible To and Cc stay true to what is sent; the caller's object is unchanged.

    Args:
        message: the caller's object.
        written: addresses as the message writes them.
    """
    reduced_copy = copy.copy(message)
    state = {name: getattr(message, name, None) for name in ("to", "cc", "bcc", "extra_headers")}
    for name, value in narrowed(state, written).items():
        setattr(reduced_copy, name, value)
    if _sorted(reduced_copy.recipients()) != _sorted(written):
        # The class has its own recipients(). A partial and no closure: queues pickle messages.
        reduced_copy.recipients = partial(list, list(written))
    return reduced_copy


def _sorted(addresses: Iterable[object]) -> list[str]:
    return sorted(map(str, addresses))


def label_of(backend: Any) -> str:
    """Return the alias of a backend, or the dotted path of its class."""
    alias = getattr(backend, "alias", None)
    if isinstance(alias, str) and alias:
        return alias[:200]
    cls = type(backend)
    return f"{cls.__module__}.{cls.__qualname__}"[:200]
