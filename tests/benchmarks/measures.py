"""What is compared with what."""

from __future__ import annotations

import itertools
import timeit
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import django
from django.core import mail
from django.core.mail import EmailMessage
from django.db import transaction

import notifyguard
from notifyguard import conf, hooks, switchboard
from notifyguard.decision import State
from notifyguard.models import Delivery
from tests.benchmarks.by_hand import ByHand
from tests.benchmarks.settings import BACKENDS
from tests.benchmarks.timing import Measure, Side, Timed

TYPE = "ticket.modified"
BODY = "Your ticket was modified. Somebody has answered, please have a look at it.\n" * 12
BULK = 1000
_numbers = itertools.count(1)


def measures(by_hand: ByHand, connected: Any, bulk: int = BULK) -> list[Measure]:
    """All comparisons, in the order of the documentation.

    Args:
        by_hand: claims and confirms without notifyguard.
        connected: an SMTP backend that was opened.
        bulk: messages of one call.
    """
    keep_connected = _over_smtp(lambda message: connected.send_messages([message]))
    connect = _over_smtp(lambda message: _send(message, "smtp"))
    hand = _by_hand(by_hand)
    return [
        Measure("single send", "claim and confirm by hand", 1.4, single, hand, 60),
        Measure("over SMTP, connecting", "plain Django", 1.5, *connect, 20),
        Measure("over SMTP, connected", "plain Django, connected", 1.5, *keep_connected, 40),
        Measure(f"bulk of {bulk}", "plain send_messages", 1.25, *_in_bulk(bulk), 1),
        Measure("duplicate", "SELECT 1", 1.8, _duplicate(), lambda: by_hand.select_one, 100),
        Measure("deferred in atomic()", "single send", 3.0, deferred, single, 40),
    ]


def switch_check() -> float:
    """Seconds to learn that a type is open, from the settings to the ruling."""

    def check() -> object:
        return switchboard.board().ruling(TYPE, conf.current())

    loops = 20_000
    return median(timeit.repeat(check, number=loops, repeat=15)) / loops


def check_all_left() -> None:
    """Look whether every message has left, those too that were deferred.

    Raises:
        RuntimeError: some have not, so the figures say nothing.
    """
    stuck = Delivery.objects.exclude(state=State.SENT).count()
    if stuck:
        raise RuntimeError(f"{stuck} deliveries were not sent")


def commit(by_hand: ByHand) -> float:
    """Seconds of one small insert with its commit: what the disk takes, and a round trip."""

    def insert() -> object:
        return by_hand.claim(uuid.uuid4(), "ann@example.com")

    return median(timeit.repeat(insert, number=1, repeat=200))


@contextmanager
def connected() -> Iterator[Any]:
    """Yield an SMTP backend that stays open from message to message."""
    backend = _backend("smtp")
    backend.open()
    try:
        yield backend
    finally:
        backend.close()


def single() -> Timed:
    """Send one keyed message through everything but a mail server."""
    message = _guarded(next(_numbers))
    return lambda: _send(message, "dummy") == 1


def deferred() -> Timed:
    """Send one inside a transaction of the caller, from its beginning to after its commit."""
    message = _guarded(next(_numbers))

    def send() -> bool:
        with transaction.atomic():
            return bool(_send(message, "dummy") == 1)

    return send


def _duplicate() -> Side:
    _send(_guarded("the same"), "dummy")

    def send() -> Timed:
        again = _guarded("the same")
        return lambda: _send(again, "smtp") == 0

    return send


def _by_hand(by_hand: ByHand) -> Side:
    def claim_and_confirm() -> Timed:
        key = uuid.uuid4()
        return lambda: by_hand.claim_and_confirm(key, "ann@example.com")

    return claim_and_confirm


def _over_smtp(send: Callable[[EmailMessage], Any]) -> tuple[Side, Side]:
    def timed(message: EmailMessage) -> Timed:
        return lambda: send(message) == 1

    return lambda: timed(_guarded(next(_numbers))), lambda: timed(_plain())


def _in_bulk(count: int) -> tuple[Side, Side]:
    def timed(messages: list[EmailMessage]) -> Timed:
        return lambda: _backend("smtp").send_messages(messages) == count

    return (
        lambda: timed([_guarded(next(_numbers)) for _ in range(count)]),
        lambda: timed([_plain() for _ in range(count)]),
    )


def _guarded(key: object) -> EmailMessage:
    """Return a message with a key, and have it guarded."""
    hooks.install()
    message = _message()
    notifyguard.identify(message, TYPE, key=key)
    return message


def _plain() -> EmailMessage:
    """Return a message as if notifyguard were not installed."""
    hooks.uninstall()
    return _message()


def _message() -> EmailMessage:
    return EmailMessage("A ticket was modified", BODY, "tickets@example.com", ["ann@example.com"])


def _send(message: EmailMessage, way: str) -> Any:
    if django.VERSION >= (6, 1):
        return message.send(using=way)
    message.connection = _backend(way)
    return message.send()


def _backend(way: str) -> Any:
    return mail.mailers[way] if django.VERSION >= (6, 1) else mail.get_connection(BACKENDS[way])
