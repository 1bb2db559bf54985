"""The two ways of sending that a run can put to the test.

``Guarded`` is notifyguard. ``Naive`` is what most queues do, and is here to show
that the harm is possible: a harness which finds nothing wrong with it proves nothing.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from io import StringIO
from typing import Any, Protocol

import django
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.management import execute_from_command_line

from tests.proof import naive
from tests.proof.journals import Row

TYPE = "proof.mail"
SWEEP_PACE = 0.1  # seconds


class Sending(Protocol):
    """How callers send, how the rest is swept up, and what the ledger says at the end."""

    steps: Sequence[str]
    """The modules whose functions are the steps a worker can be killed at."""

    def send(self, message: EmailMessage, key: str) -> None: ...
    def send_batch(self, messages: Sequence[EmailMessage], keys: Sequence[str]) -> None: ...
    def sweep(self, *, loop: bool = False) -> None: ...
    def hold(self, *, wait: bool) -> float:
        """Stop all mail; return when the operator was told so."""

    def resume(self) -> None: ...
    def rows(self) -> Iterator[Row]: ...


class Guarded:
    steps: Sequence[str] = (
        "notifyguard.ledger",
        "notifyguard.hold",
        "notifyguard.sweeper",
        "notifyguard.channels.transport.smtp",
    )

    def send(self, message: EmailMessage, key: str) -> None:
        import notifyguard

        context: AbstractContextManager[Any] = (
            notifyguard.notification(TYPE, key=key) if key else nullcontext()
        )
        with context:
            message.send()

    def send_batch(self, messages: Sequence[EmailMessage], keys: Sequence[str]) -> None:
        import notifyguard

        for message, key in zip(messages, keys, strict=True):
            notifyguard.identify(message, TYPE, key=key)
        mail_connection().send_messages(list(messages))

    def sweep(self, *, loop: bool = False) -> None:
        from notifyguard import sweeper

        while loop:
            # Without the pauses of ``sweep --loop``: the run is short.
            sweeper.sweep()
            pause(SWEEP_PACE)
        sweeper.sweep()

    def hold(self, *, wait: bool) -> float:
        options = ["--wait"] if wait else []
        return operate("hold", "--everything", "--reason", "proof", *options)

    def resume(self) -> None:
        operate("resume", "--everything", "--reason", "proof")

    def rows(self) -> Iterator[Row]:
        from notifyguard.models import Delivery

        for row in Delivery.objects.all().iterator():
            yield Row(
                dispatch=str(row.dispatch),
                recipient=row.recipient,
                state=row.state,
                message_id=row.message_id,
                given_up=row.rule == "crashes",
                why=f"{row.rule}: {row.reason}",
                process=int(row.instance.rpartition("/")[2]),
            )


class Naive:
    """Look whether it was sent, send, then mark it as sent; look at the switch now and then."""

    steps: Sequence[str] = ("tests.proof.naive",)

    def send(self, message: EmailMessage, key: str) -> None:
        self.send_batch([message], [key])

    def send_batch(self, messages: Sequence[EmailMessage], keys: Sequence[str]) -> None:
        if naive.stopped():
            return
        for message in messages:
            name = message.extra_headers["X-Intent"]
            if not naive.was_sent(name):
                naive.claim(name, message.recipients())
                message.send()
                naive.mark(name)

    def sweep(self, *, loop: bool = False) -> None:
        """Give up what waits; while callers are at work there is nothing to do."""
        while loop:
            signal.pause()
        naive.give_up()

    def hold(self, *, wait: bool) -> float:
        naive.stop(True)
        return time.time()

    def resume(self) -> None:
        naive.stop(False)

    def rows(self) -> Iterator[Row]:
        return naive.rows()


def pause(seconds: float) -> None:
    """Let time pass where a span is what is meant, so that there is no event to wait for."""
    threading.Event().wait(seconds)


class Heard(StringIO):
    """What a command says, and when it said the last of it."""

    at = 0.0

    def write(self, text: str) -> int:
        self.at = time.time()
        return super().write(text)


def operate(*words: str) -> float:
    """Type ``manage.py notifyguard …``; return when it said that it was done.

    A mistake or a timeout ends the process, as it does there.
    """
    with redirect_stdout(Heard()) as heard:
        execute_from_command_line(["manage.py", "notifyguard", *words])
    return heard.at


def chosen() -> Sending:
    """The protocol of this run."""
    return Naive() if settings.PROTOCOL == "naive" else Guarded()


def mail_connection() -> Any:
    """A fresh backend, as the running Django wants it asked for."""
    if django.VERSION >= (6, 1):
        from django.core.mail import mailers

        return mailers["default"]
    from django.core.mail import get_connection

    return get_connection()
