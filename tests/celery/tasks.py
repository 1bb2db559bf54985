"""Tasks that send mail, as a project's would; each writes down what context it saw."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from celery import shared_task
from django.core.mail import send_mail

from notifyguard import context
from tests.celery import journal


def tell(to: str, **facts: Any) -> None:
    """Send one mail, then write down who was told and under which context."""
    ambient = context.current()
    send_mail("A ticket was modified", "Somebody changed it.", None, [to])
    journal.write(
        "told",
        to=to,
        suppressed=[each.pattern for each in ambient.suppressions if not each.lifted],
        notification=ambient.notification and ambient.notification.type,
        task=ambient.task and ambient.task.name,
        id=ambient.task and ambient.task.id,
        origin=ambient.origin,
        **facts,
    )


@shared_task
def mail(to: str) -> str:
    """Mail one person."""
    tell(to)
    return to


@shared_task
def nothing(*_: Any, **__: Any) -> None:
    """Do nothing: what an end of a queue is waited for with."""


@shared_task
def wait_for_file(path: str) -> None:
    """Keep a process of the pool until the test makes the file."""
    while not Path(path).exists():
        time.sleep(0.02)
