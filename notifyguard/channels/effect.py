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


def describe(site: str, type: str | None, key: object, recipient: str) -> Dispatch:
    """Return the dispatch of what the running code is about to do.

    Args:
        site: the function that does it, as ``inference.site`` names it; its type too if neither
            it, nor a ``notification()`` around it, nor a task names one.
        type: its own type, or ``None``.
        key: its own key, or ``None``.
        recipient: normalised; ``""`` for nobody in particular.

    Raises:
        TypeError, ValueError: type or key cannot be used.
    """
    ambient = context.current()
    said = _said(ambient, site)
    if type is not None or key is not None:
        given = notification_of(type or said.type, key)
        said = replace(said, type=given.type, key=given.key or said.key, send_at=None)
    # It is not on the stack yet: only what runs it is.
    whence = replace(inference.whence(), call_site=site)
    return dispatch_of(None, said, {recipient or NOBODY: []}, ambient, whence)


def _said(ambient: Ambient, site: str) -> Notification:
    named = ambient.task.name if ambient.task else site
    return ambient.notification or Notification(named)
