"""A side effect by which somebody is notified, other than mail: a text message, a push, a webhook.

There is no message to look at or to keep: only its type, its key, and perhaps for whom it is.
"""

from __future__ import annotations

from dataclasses import replace

from notifyguard import context
from notifyguard.channels import inference
from notifyguard.channels.email import NOBODY, Dispatch, dispatch_of
from notifyguard.context import Ambient
from notifyguard.notification import Notification, notification_of


def describe(default: str, type: str | None, key: object, recipient: str) -> Dispatch:
    """Return the dispatch of what the running code is about to do.

    Args:
        default: its type if neither it, nor a ``notification()`` around it, nor a task names one.
        type: its own type, or ``None``.
        key: its own key, or ``None``.
        recipient: normalised; ``""`` for nobody in particular.

    Raises:
        TypeError, ValueError: type or key cannot be used.
    """
    ambient = context.current()
    said = _said(ambient, default)
    if type is not None or key is not None:
        given = notification_of(type or said.type, key)
        said = replace(said, type=given.type, key=given.key or said.key, send_at=None)
    return dispatch_of(None, said, {recipient or NOBODY: []}, ambient, inference.whence())


def _said(ambient: Ambient, default: str) -> Notification:
    named = ambient.task.name if ambient.task else default
    return ambient.notification or Notification(named)
