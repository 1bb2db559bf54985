"""django-mailer: what ``send_mail()``, ``send_html_mail()`` and the rest of it queue is noted.

Every message that it stores, by whatever function, is pickled by ``email_to_db()``. Those
of its backend carry a pass already.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

from mailer import models

from notifyguard.gate import noting
from notifyguard.hooks import patching
from notifyguard.notification import identified


def install() -> None:
    """Note what is queued; to call it again changes nothing."""
    if not patching.is_ours(models.email_to_db):
        patching.replace(models, "email_to_db", _noting)


def _noting(original: Callable[[Any], str]) -> Callable[[Any], str]:
    @functools.wraps(original)
    def email_to_db(email: Any) -> str:
        is_message = callable(getattr(email, "recipients", None))
        return original(_noted(email) if is_message and patching.installed() else email)

    return email_to_db


def _noted(message: Any) -> Any:
    """Return a copy that carries a note; the caller's message is not changed."""
    carrying = copy.copy(message)
    carrying.extra_headers = noting.noted(
        getattr(message, "extra_headers", None) or {},
        queue="mailer",
        recipients=message.recipients(),
        about=str(message.subject),
        notification=identified(message),
    )
    return carrying
