"""One contender of ``sweeping``, in a process of its own: it fills its queue, or empties it.

``python -m tests.benchmarks.contenders fill|deliver|drop COUNT``, the name of the contender being
in the environment. Each has a database of its own on the same server.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from tempfile import gettempdir

import django
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.db import connection, transaction

BODY = "Your ticket was modified. Somebody has answered, please have a look at it.\n" * 12
CONTENDER = os.environ["BENCHMARK_CONTENDER"]
COMMITTED = 500
"""Messages of one transaction while a queue is filled."""

WHY = ("--reason", "a benchmark", "--actor", "a benchmark")


def fill(count: int) -> None:
    """Create the database and queue messages in it; say how many there are by now."""
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    _refuse_if_not_durable()
    if CONTENDER == "released":
        call_command("notifyguard", "hold", *WHY, stdout=StringIO())
    queue = mail.mailers.default if hasattr(settings, "MAILERS") else mail.get_connection()
    # So that on commit nobody delivers: what is queued is for the sweeper.
    transaction.set_autocommit(False)
    for first in range(0, count, COMMITTED):
        messages = [_message(number) for number in range(first, min(first + COMMITTED, count))]
        queue.send_messages(messages)
        transaction.commit()
        print(first + len(messages), flush=True)
    transaction.set_autocommit(True)
    _make_ready()


def deliver(count: int) -> None:
    """Wait for a word, then empty the queue."""
    print("ready", flush=True)
    sys.stdin.readline()
    DELIVER[CONTENDER]()


def drop(count: int) -> None:
    """Delete the database."""
    connection.creation.destroy_test_db(os.environ["BENCHMARK_DATABASE"], verbosity=0)


def _release() -> None:
    call_command("notifyguard", "release", "--yes", *WHY, stdout=sys.stderr)


def _sweep() -> None:
    call_command("notifyguard", "sweep", stdout=sys.stderr)


def _send_queued_mail() -> None:
    lock = Path(gettempdir(), os.environ["BENCHMARK_DATABASE"])
    call_command("send_queued_mail", lockfile=str(lock), verbosity=0)


def _send_mail() -> None:
    call_command("send_mail", verbosity=0)


DELIVER: dict[str, Callable[[], None]] = {
    "released": _release,
    "swept": _sweep,
    "post_office": _send_queued_mail,
    "mailer": _send_mail,
}


def _message(number: int) -> EmailMessage:
    message = EmailMessage(
        "A ticket was modified",
        BODY,
        f"{CONTENDER}@example.com",
        [f"person{number}@example.com"],
    )
    if CONTENDER in ("released", "swept"):
        import notifyguard

        notifyguard.identify(message, "ticket.modified", key=number)
    return message


def _make_ready() -> None:
    """Let go, and do what the database would have done by itself by then."""
    if CONTENDER == "released":
        call_command("notifyguard", "resume", *WHY, stdout=StringIO())
    if CONTENDER == "swept":
        from django.utils import timezone

        from notifyguard.models import Delivery

        Delivery.objects.update(wake_at=timezone.now())
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def _refuse_if_not_durable() -> None:
    from tests.benchmarks import report

    report.surroundings(0)


if __name__ == "__main__":
    django.setup()
    {"fill": fill, "deliver": deliver, "drop": drop}[sys.argv[1]](int(sys.argv[2]))
