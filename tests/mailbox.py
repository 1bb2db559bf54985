"""Guarded sending as a test sees it: what the server got, what the ledger says, what it cost."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import django
from django.core import mail
from django.core.mail import EmailMessage
from django.db import connection
from django.test.utils import CaptureQueriesContext

import notifyguard
from notifyguard import clock
from notifyguard.models import Delivery
from tests.factories import MessageFactory
from tests.smtp import Sink

SMTP = "django.core.mail.backends.smtp.EmailBackend"
WRITES = ("INSERT INTO", "UPDATE ", "DELETE FROM")


@dataclass(frozen=True)
class Mailbox:
    """What the sink accepted since this test began. It is written before the client is told."""

    sink: Sink
    before: int

    def accepted(self) -> list[dict[str, Any]]:
        return self.sink.accepted()[self.before :]

    def recipients(self) -> list[str]:
        """The envelope addresses, each as often as it was accepted."""
        return sorted(to for envelope in self.accepted() for to in envelope["to"])

    def subjects(self) -> list[str]:
        return [envelope["subject"] for envelope in self.accepted()]


def use_backend(settings: Any, backend: str = SMTP, **options: Any) -> None:
    """Have Django send through this backend for the rest of the test."""
    if django.VERSION >= (6, 1):
        settings.MAILERS = {"default": {"BACKEND": backend, "OPTIONS": options}}
        return
    settings.EMAIL_BACKEND = backend
    for name, value in options.items():
        setattr(settings, f"EMAIL_{name.upper()}", value)


def use_server(settings: Any, port: int, **options: Any) -> None:
    """Have Django's own SMTP backend send to this port."""
    use_backend(settings, host="127.0.0.1", port=port, **({"timeout": 10} | options))


def letter(*to: str, key: object = None, type: str = "ticket.modified", **more: Any) -> Any:
    """A message of a named type, keyed if there is a key."""
    message = MessageFactory(**({"to": list(to)} if to else {}), **more)
    notifyguard.identify(message, type, key=key)
    return message


def staff(address: str) -> list[Any]:
    """What ADMINS or MANAGERS hold for one person."""
    return [address] if django.VERSION >= (6, 0) else [("Staff", address)]


def batch(*messages: Any, silent: bool = False) -> Any:
    """Send the messages by one call of a backend."""
    backend = mail.mailers["default"] if django.VERSION >= (6, 1) else mail.get_connection()
    if silent:
        backend.fail_silently = True
    return backend.send_messages(list(messages))


def rows(**conditions: Any) -> list[Delivery]:
    """The ledger's rows, the oldest first."""
    return list(Delivery.objects.filter(**conditions).order_by("created_at", "id"))


def states(**conditions: Any) -> list[str]:
    """The states of the ledger's rows, sorted."""
    return sorted(row.state for row in rows(**conditions))


def come_due(**conditions: Any) -> None:
    """Let what waits for its next try, within a day, wait no longer."""
    now = clock.now(connection)
    Delivery.objects.filter(**conditions, wake_at__lt=now + timedelta(days=1)).update(wake_at=now)


def outcomes(message: EmailMessage) -> dict[str, str]:
    """What came of a message, by recipient."""
    return {each.recipient: str(each.state) for each in notifyguard.outcome(message)}


@dataclass
class Doorbell:
    """A port at which nobody answers; it tells whether somebody knocked."""

    server: socket.socket

    @property
    def port(self) -> int:
        return int(self.server.getsockname()[1])

    @property
    def rung(self) -> bool:
        # The kernel completes connections by itself, before connect() returns.
        return bool(select.select([self.server], [], [], 0)[0])

    @property
    def heard(self) -> bytes:
        """What the first who knocked has said within a moment; the door is then closed."""
        if not self.rung:
            return b""
        with self.server.accept()[0] as knocking:
            knocking.settimeout(0.2)
            try:
                return knocking.recv(1024)
            except TimeoutError:
                return b""


@contextmanager
def doorbell() -> Iterator[Doorbell]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield Doorbell(server)


def closed_port() -> int:
    """A port of this machine at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


@dataclass
class Traffic:
    """What went to the database on the test's connection while it was watched.

    ``statements`` are round trips that are not about transactions; ``commits`` are those that
    had something to write, which is what the disk has to wait for.
    """

    statements: list[str] = field(default_factory=list)
    commits: int = 0


@contextmanager
def watched_traffic() -> Iterator[Traffic]:
    traffic = Traffic()
    changed = False

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal changed
        done = execute(sql, params, many, context)
        word = sql.split(maxsplit=1)[0]
        if word in ("BEGIN", "SAVEPOINT", "RELEASE"):
            return done
        traffic.statements.append(sql)
        wrote = context["cursor"].rowcount > 0 and any(verb in sql for verb in WRITES)
        if wrote and not connection.in_atomic_block:
            traffic.commits += 1
        changed = changed or wrote
        return done

    with ExitStack() as stack:
        queries = stack.enter_context(CaptureQueriesContext(connection))
        stack.enter_context(connection.execute_wrapper(note))
        yield traffic
        committed = [query["sql"] for query in queries.captured_queries]
    traffic.commits += committed.count("COMMIT") if changed else 0
