"""The tasks of a run: each does what its intents say, and does all of it again if it is run again.

Between the mails, and before a task ends, stand functions that do nothing: steps to die at.
"""

from __future__ import annotations

import os
import smtplib
from collections.abc import Sequence
from typing import Any

from celery import Task, shared_task
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from tests.proof.journals import Mode
from tests.proof.models import Intent
from tests.proof.protocols import chosen
from tests.proof.workers import FAULTS, RETRIES, RollbackError, commit, message_of, rows_of

_PORT = int(os.environ["PROOF_PORT"])
PROVEN = (smtplib.SMTPRecipientsRefused,)
"""What proves that nothing left, of all that a mail server may answer here."""


class TooEarlyError(Exception):
    """What makes a task fail after the second of its mails."""


class Settled(Task):
    """A task that is done when it has ended, whichever way; not when it was killed."""

    abstract = True

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        settle(args[0])

    def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        settle(args[0])


@shared_task(
    bind=True,
    base=Settled,
    autoretry_for=(*FAULTS, TooEarlyError),
    retry_kwargs={"countdown": 0, "max_retries": RETRIES},
)
def mail(self: Any, slot: str) -> None:
    """Send the mails of one slot, as their mode says."""
    intents = list(Intent.objects.filter(slot=slot))
    mode = Mode(intents[0].mode)
    if mode is Mode.ATOMIC:
        in_transaction(intents)
    elif mode is Mode.EFFECT:
        text(intents[0].pk)
    else:
        for number, intent in enumerate(intents, start=1):
            chosen().send(message(intent), "")
            one_is_sent()
            if mode is Mode.RETRY and number == 2 and not self.request.retries:
                raise TooEarlyError
    all_is_done()


def message(intent: Intent) -> EmailMessage:
    """Return the mail of an intent; twins look the same."""
    made = message_of(intent)
    if intent.mode == Mode.TWINS:
        made.subject = f"Ticket {intent.slot} was modified"
    return made


def settle(slot: str) -> None:
    """Note that nobody will run the task of a slot again, unless it is delivered again."""
    intents = list(Intent.objects.filter(slot=slot))
    if intents[0].mode != Mode.ATOMIC:
        commit(intents)
    rows_of(intents).update(done=True)


def in_transaction(intents: Sequence[Intent]) -> None:
    """Send inside a transaction, which some intents say is to fail."""
    try:
        with transaction.atomic():
            commit(intents)
            for intent in intents:
                chosen().send(message_of(intent), "")
            one_is_sent()
            if intents[0].rolls_back:
                raise RollbackError
    except RollbackError:
        pass


def hand_over(pk: int) -> None:
    """Notify by other means than mail: Django knows nothing of this conversation."""
    text = message_of(Intent.objects.get(pk=pk))
    with smtplib.SMTP("127.0.0.1", _PORT, timeout=30) as server:
        server.sendmail(text.from_email, text.to, text.message().as_bytes())
        one_is_sent()


def text(pk: int) -> None:
    """Do it guarded, or as most do."""
    if settings.PROTOCOL == "naive":
        hand_over(pk)
        return
    from notifyguard.contrib.celery.guarded import guarded

    (to,) = Intent.objects.get(pk=pk).recipients
    guarded(type="proof.text", recipient=to, refused=PROVEN)(hand_over)(pk)


def one_is_sent() -> None:
    """A step to die at: after a mail, and before whatever comes next."""


def all_is_done() -> None:
    """A step to die at: all has left, and the broker does not know."""
