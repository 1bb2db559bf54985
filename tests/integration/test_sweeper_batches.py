"""What a sweeper takes leaves over one connection, and each message still stands for itself."""

from __future__ import annotations

import itertools
import smtplib
from datetime import timedelta
from functools import partial
from types import SimpleNamespace

import pytest
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.utils import timezone

import notifyguard
from notifyguard import hold, ledger, sweeper, switchboard
from notifyguard.decision import State
from notifyguard.ledger import queue
from notifyguard.models import Claim, Delivery, FrozenContent, FrozenMessage, Sweep
from tests.factories import DeliveryFactory, RichMessageFactory
from tests.mailbox import batch, letter, rows, states, use_server, watched_traffic

pytestmark = pytest.mark.django_db(transaction=True)


class Broken(EmailMessage):
    """A message of a class that breaks once it was queued, if so told."""

    breaks = False

    def recipients(self):
        if self.breaks:
            raise RuntimeError("nobody knows for whom")
        return super().recipients()


class Interrupted(EmailMessage):
    """A message at which somebody presses Ctrl-C again and again, if so told."""

    interrupts = False

    def message(self, *args, **kwargs):
        if self.interrupts:
            raise KeyboardInterrupt
        return super().message(*args, **kwargs)


@pytest.fixture
def connected(monkeypatch):
    """Every connection that was made to the mail server."""
    made = []
    connect = smtplib.SMTP.connect

    def connect_and_note(self, *arguments, **options):
        made.append(self)
        return connect(self, *arguments, **options)

    monkeypatch.setattr(smtplib.SMTP, "connect", connect_and_note)
    return made


def queue_up(*messages):
    """Leave queued rows that are due, whose process is gone."""
    transaction.set_autocommit(False)
    try:
        for message in messages:
            message.send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    Delivery.objects.filter(state="queued").update(wake_at=timezone.now() - timedelta(minutes=1))


def letters(count, **more):
    return [letter(f"p{number}@example.com", key=number, **more) for number in range(count)]


def of_class(cls, to):
    message = cls("Hello", "text", "from@example.com", [to])
    notifyguard.identify(message, "ticket.modified", key="1")
    return message


def test_a_batch_leaves_over_one_connection(mailbox, connected):
    queue_up(*letters(5))
    assert sweeper.sweep().delivered == 5
    assert mailbox.recipients() == [f"p{number}@example.com" for number in range(5)]
    assert states() == ["sent"] * 5
    assert len(connected) == 1


def test_one_message_more_costs_one_commit_more(mailbox):
    cost = []
    queue_up(letter(key="first"))
    sweeper.sweep()  # what a process, or the first sweep of a ledger, does once
    for count in (4, 14):
        queue_up(*[letter(key=f"{count}-{number}") for number in range(count)])
        with watched_traffic() as traffic:
            sweeper.sweep()
        cost.append((traffic.commits, len(traffic.statements)))
    (few_commits, few), (many_commits, many) = cost
    assert many_commits - few_commits == 10
    # Confirm and mark are one statement; elsewhere with the lock of the switches.
    each = {"postgresql": 1, "mysql": 3, "sqlite": 4}[connection.vendor]
    assert many - few == 10 * each


def test_what_is_refused_or_cut_stops_none_of_the_others(mailbox, connected):
    bad = ["refuse-550", "drop-before", "data-554", "drop-after"]
    queue_up(
        *[
            letter(f"{who}@example.com", key=1)
            for number, fault in enumerate(bad)
            for who in (f"p{number}", f"{fault}+{number}")
        ],
        letter("last@example.com", key=1),
    )
    sweeper.sweep()
    found = {row.recipient.partition("+")[0]: row.state for row in rows()}
    assert [found[who] for who in bad] == ["failed", "uncertain", "failed", "uncertain"]
    good = ["last@example.com", *(f"p{number}@example.com" for number in range(4))]
    assert mailbox.recipients() == sorted(["drop-after+3@example.com", *good])
    assert len(states(state="sent")) == 5
    assert len(connected) == 5  # anew after each of them
    # What has failed has given its key back; of what is uncertain nothing is kept any longer.
    assert Claim.objects.count() == 7


def test_a_message_of_a_class_that_breaks_is_held_alone(mailbox, full, monkeypatch, caplog):
    full.NOTIFYGUARD |= {"FROZEN_CLASSES": [f"{__name__}.Broken"]}
    queue_up(*letters(2), of_class(Broken, "broken@example.com"), letter("z@example.com", key="1"))
    monkeypatch.setattr(Broken, "breaks", True)
    sweeper.sweep()
    assert mailbox.recipients() == ["p0@example.com", "p1@example.com", "z@example.com"]
    assert [(row.recipient, row.rule) for row in rows(state="held")] == [
        ("broken@example.com", "sweep")
    ]
    assert "RuntimeError" in caplog.text
    assert "nobody knows" not in caplog.text


def test_a_body_that_is_damaged_is_held_alone(mailbox):
    queue_up(*letters(3))
    second = rows()[1]
    FrozenMessage.objects.filter(dispatch=second.dispatch).update(payload="no JSON")
    sweeper.sweep()
    assert mailbox.recipients() == ["p0@example.com", "p2@example.com"]
    assert [(row.id, row.rule) for row in rows(state="held")] == [(second.id, "thaw")]


def test_a_backend_that_is_gone_holds_what_was_meant_for_it_alone(mailbox):
    queue_up(*letters(4))
    ids = [row.id for row in rows()]
    Delivery.objects.filter(id__in=ids[:2]).update(backend="gone.Backend")
    assert sweeper.sweep().delivered == 4
    assert mailbox.recipients() == ["p2@example.com", "p3@example.com"]
    assert {(row.id, row.rule) for row in rows(state="held")} == {(i, "backend") for i in ids[:2]}


def test_of_two_queued_messages_with_one_key_the_first_leaves(mailbox):
    twice = [letter("ann@example.com", key="1", subject="Hello") for _ in range(2)]
    other = letter("ann@example.com", key="1", subject="Something else")
    queue_up(*twice, other)
    sweeper.sweep()
    assert mailbox.subjects() == ["Hello"]
    assert [(row.state, row.rule) for row in rows()] == [
        ("sent", ""),
        ("duplicate", "once"),
        ("held", "conflict"),
    ]
    assert FrozenMessage.objects.count() == 1  # of the conflict, for a person to look at


def test_what_is_not_begun_when_a_sweep_is_stopped_is_queued_again(mailbox):
    queue_up(*letters(5))
    sweeper.sweep(lambda delivered: delivered < 2)
    assert states() == ["queued"] * 3 + ["sent"] * 2
    assert {row.crashes for row in rows()} == {0}
    assert sweeper.sweep().delivered == 3
    assert len(mailbox.accepted()) == 5


def test_what_is_not_begun_when_a_sweep_is_interrupted_is_queued_again(mailbox, full, monkeypatch):
    full.NOTIFYGUARD |= {"FROZEN_CLASSES": [f"{__name__}.Interrupted"]}
    queue_up(*letters(2), of_class(Interrupted, "z@example.com"))
    monkeypatch.setattr(Interrupted, "interrupts", True)
    with pytest.raises(KeyboardInterrupt):
        sweeper.sweep()
    # All are built before any leaves: it harms nobody, and nothing is uncertain.
    assert states() == ["queued"] * 3
    monkeypatch.setattr(Interrupted, "interrupts", False)
    assert sweeper.sweep().delivered == 3


def test_no_body_stays_behind_of_what_has_left(mailbox):
    queue_up(*[rich(number) for number in range(3)], letter("refuse-550@example.com", key="1"))
    assert FrozenContent.objects.exists()
    sweeper.sweep()
    assert not FrozenMessage.objects.exists()
    assert not FrozenContent.objects.exists()


def test_a_batch_of_large_messages_is_fetched_in_portions(mailbox, monkeypatch):
    queue_up(*[rich(number) for number in range(5)])
    size = FrozenMessage.objects.values_list("size", flat=True)[0]
    monkeypatch.setattr(hold, "PORTION", 2 * size + size // 2)
    dispatches = [row.dispatch for row in rows()]
    portions = [list(portion) for portion in hold.fetch_each(dispatches)]
    assert portions == [dispatches[:2], dispatches[2:4], dispatches[4:]]
    sweeper.sweep()
    assert len(mailbox.accepted()) == 5


def test_past_half_of_its_lease_a_sweeper_takes_the_rest_anew(mailbox, monkeypatch):
    """Or others would take it for dead, and count that against the messages."""
    seconds = itertools.count(0, 301)  # of a lease of 600
    monkeypatch.setattr(sweeper, "time", SimpleNamespace(monotonic=partial(next, seconds)))
    queue_up(*letters(3))
    sweeper.sweep()
    assert states() == ["sent"] * 3
    assert [row.attempt for row in rows()] == [2, 4, 6]
    assert {row.crashes for row in rows()} == {0}


def test_a_long_sweep_ends_leases_meanwhile_and_is_not_taken_for_missing(mailbox, monkeypatch):
    monkeypatch.setattr(sweeper, "BATCH", 1)
    seconds = itertools.count(0, sweeper.LOOK + 1)
    monkeypatch.setattr(sweeper, "time", SimpleNamespace(monotonic=partial(next, seconds)))
    queue_up(*letters(3))
    long_ago = timezone.now() - timedelta(hours=1)

    def go_on(delivered):
        if delivered == 1 and not rows(state=State.IN_FLIGHT):
            Sweep.objects.update(ran_at=long_ago)
            DeliveryFactory(state=State.IN_FLIGHT, wake_at=long_ago)
        return True

    swept = sweeper.sweep(go_on)
    assert (swept.delivered, swept.uncertain) == (3, 1)
    assert Sweep.objects.get().ran_at > long_ago + timedelta(minutes=50)


def test_the_lease_of_what_was_kept_runs_from_its_mark(mailbox):
    queue_up(*letters(1))
    entries = [ledger.rows.entry_of(row) for row in queue.take(1)]
    Delivery.objects.update(wake_at=timezone.now() + timedelta(seconds=1))
    assert ledger.mark(entries, switchboard.board().generation) == entries
    (row,) = rows(state=State.IN_FLIGHT)
    assert row.wake_at is not None
    assert row.wake_at > timezone.now() + timedelta(minutes=9)


def rich(number):
    message = RichMessageFactory(to=[f"p{number}@example.com"])
    message.attach("image.png", b"\x89PNG" + bytes(50), "image/png")
    notifyguard.identify(message, "ticket.modified", key=number)
    return message


def test_a_server_that_is_not_there_is_asked_once_for_a_batch(mailbox, full, connected):
    queue_up(*letters(5))
    use_server(full, 1)
    sweeper.sweep()
    assert states() == ["queued"] * 5
    assert len(connected) == 1


def test_a_server_that_is_not_there_is_asked_once_in_silence(mailbox, full, connected):
    use_server(full, 1)
    assert not batch(*letters(5), silent=True)
    assert states() == ["failed"] * 5
    assert len(connected) == 1


def test_what_may_have_left_and_cannot_be_built_again_stops_none_of_the_others(mailbox, full):
    queue_up(letter("ann@example.com", key=1), *letters(2))
    first = FrozenMessage.objects.earliest("dispatch")
    Delivery.objects.filter(dispatch=first.dispatch).update(doubtful=True, rule="resend")
    first.payload = first.payload.replace("ann@example.com", "ann@example.com\\nBcc: x")
    first.save()
    sweeper.sweep()
    assert sorted(states()) == ["sent", "sent", "uncertain"]
