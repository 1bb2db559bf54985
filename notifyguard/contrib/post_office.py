"""django-post_office: what ``mail.send()`` and ``mail.send_many()`` queue is noted.

Both make each message by ``mail.create()``, as does its backend, whose messages carry a
pass already.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone
from post_office import mail

from notifyguard.gate import noting
from notifyguard.hooks import patching

_ENVELOPE = ("recipients", "cc", "bcc")


def install() -> None:
    """Note what is queued; to call it again changes nothing."""
    if not patching.is_ours(mail.create):
        patching.replace(mail, "create", _noting)


def _noting(original: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def create(*args: Any, **kwargs: Any) -> Any:
        if not patching.installed():
            return original(*args, **kwargs)
        given = signature.bind(*args, **kwargs)
        told = given.arguments
        told["headers"] = noting.noted(
            told.get("headers"),
            queue="post_office",
            recipients=[
                each for name in ("recipients", "cc", "bcc") for each in told.get(name) or ()
            ],
            about=str(told.get("subject") or getattr(told.get("template"), "name", "")),
            due_at=_aware(told.get("scheduled_time")),
        )
        return original(*given.args, **given.kwargs)

    return create


def _aware(scheduled: object) -> datetime | None:
    if not isinstance(scheduled, datetime):
        return None
    return timezone.make_aware(scheduled) if timezone.is_naive(scheduled) else scheduled
