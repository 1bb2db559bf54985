"""A guarded task, which hands text messages to a gateway: the journal."""

from __future__ import annotations

from celery import shared_task

from notifyguard.contrib.celery import guarded
from tests.celery import journal
from tests.celery.tasks import wait_for_file

guarded.TRIED_AGAIN_AFTER = 1  # seconds; a test does not wait for a minute


@shared_task
@guarded.guarded(recipient=lambda phone, until="": phone)
def text(phone: str, until: str = "") -> None:
    """Send one text message; with a file, end once the test makes it."""
    journal.write("text", to=phone)
    if until:
        wait_for_file(until)
