"""Real queue backends: judged once, when queued; sent once, or held by us at the end."""

from __future__ import annotations

import pytest
from django.core.mail import EmailMultiAlternatives, send_mail
from django.db import transaction

import notifyguard
from notifyguard import sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from tests.compat import peers
from tests.mailbox import closed_port, letter, rows, states
from tests.operators import deed, release

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # Their own: old names of Django's.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]

ANN, BOB = "ann@example.com", "bob@example.com"


@pytest.fixture(
    params=[
        pytest.param(peers.PostOffice, marks=pytest.mark.needs("post_office"), id="post_office"),
        pytest.param(peers.Mailer, marks=pytest.mark.needs("mailer"), id="mailer"),
    ]
)
def peer(request, mailbox, settings):
    with peers.installed(settings, request.param.app):
        chosen = request.param()
        chosen.configure(settings, mailbox.sink.port)
        yield chosen


def stop(pattern="ticket.*"):
    switchboard.set_switch(pattern, Sending.HOLD, reason="test", actor=unrestricted("me"))


def go_on(pattern="ticket.*"):
    switchboard.clear_switch(pattern, reason="test", actor=unrestricted("me"))


def test_a_message_is_counted_once_and_sent_once(peer, mailbox):
    letter(ANN, cc=[BOB], key="1").send()
    assert [(row.state, row.rule) for row in rows()] == [("queued", "handed on")] * 2
    assert mailbox.accepted() == []
    peer.work()
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["sent", "sent"]
    assert {row.type for row in rows()} == {"ticket.modified"}
    peer.queue_again()
    peer.work()
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["sent", "sent"]


def test_the_pass_does_not_reach_the_wire(peer, mailbox):
    message = EmailMultiAlternatives("s", "b", "a@example.com", [ANN], headers={"X-Kept": "yes"})
    message.attach_alternative("<p>b</p>", "text/html")
    message.send()
    peer.work()
    (envelope,) = mailbox.accepted()
    assert envelope["x"] == {"X-Kept": "yes"}


def test_what_is_held_when_queued_never_gets_there(peer, mailbox):
    stop()
    letter(ANN, key="1").send()
    assert states() == ["held"]
    assert peer.statuses() == []


def test_what_is_released_into_a_queue_is_not_said_to_wait_for_a_sweeper(peer, mailbox):
    stop()
    letter(ANN).send()
    go_on()
    said = deed("release", "--yes")
    assert "1 in a queue, whose worker sends them" in said
    assert "sweeper" not in said
    assert states(rule="handed on") == ["queued"]
    peer.work()
    assert mailbox.recipients() == [ANN]


def test_what_is_held_at_the_end_is_ours_whatever_its_queue_says(peer, mailbox):
    letter(ANN, key="1").send()
    stop()
    peer.work()
    assert mailbox.accepted() == []
    (row,) = rows()
    assert (row.state, row.rule) == ("held", "switch")
    assert peer.statuses() in (["sent"], ["success"])  # as they take a 0
    go_on()
    peer.queue_again()
    peer.work()
    assert mailbox.accepted() == []
    queued = len(peer.statuses())
    release(row.id)
    sweeper.sweep()
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]
    assert len(peer.statuses()) == queued  # not back into the queue


def test_the_type_is_where_it_was_sent_and_not_where_the_worker_stands(peer, mailbox):
    send_mail("s", "b", "a@example.com", [ANN])
    (row,) = rows()
    stop(row.type)
    peer.work()
    assert states() == ["held"]
    assert row.type.endswith("test_the_type_is_where_it_was_sent_and_not_where_the_worker_stands")


def test_after_a_failure_the_queue_tries_again(peer, mailbox, settings):
    letter(ANN, key="1").send()
    peer.configure(settings, closed_port())
    peer.work()
    # post_office connects by itself, so that nobody came to the second stop.
    assert states() == (["failed"] if peer.app == "mailer" else ["queued"])
    peer.configure(settings, mailbox.sink.port)
    peer.try_again()
    peer.work()
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


def test_a_recipient_the_server_refuses_is_failed_each_time(peer, mailbox):
    letter("refuse-550@example.com", key="1").send()
    for _ in range(2):
        peer.work()
        assert [(row.state, row.rule) for row in rows()] == [("failed", "refused")]
        peer.try_again()
    assert mailbox.accepted() == []


def test_in_a_transaction_that_is_rolled_back_nothing_is_queued_and_nothing_recorded(peer, mailbox):
    with transaction.atomic():
        letter(ANN).send()
        transaction.set_rollback(True)
    peer.work()
    assert (states(), peer.statuses(), mailbox.accepted()) == ([], [], [])


@pytest.mark.parametrize("key", ["1", None])
def test_in_a_transaction_it_is_queued_and_sent_once(peer, mailbox, key):
    with transaction.atomic():
        letter(ANN, key=key).send()
    assert states() == ["queued"]
    peer.work()
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


def test_a_refused_recipient_stays_refused(peer, mailbox):
    letter(BOB, key="1", subject="s").send()
    peer.work()
    letter(ANN, BOB, key="1", subject="s").send()
    peer.work()
    assert mailbox.recipients() == [ANN, BOB]


@pytest.mark.needs("post_office")
def test_post_office_that_sends_at_once_is_marked_and_confirmed(mailbox, settings):
    with peers.installed(settings, "post_office"):
        peers.PostOffice().configure(settings, mailbox.sink.port)
        settings.POST_OFFICE |= {"DEFAULT_PRIORITY": "now"}
        message = letter(ANN, key="1")
        assert message.send() == 1
        (row,) = rows()
        assert (row.state, row.attempt) == ("sent", 2)
        assert [each.state for each in notifyguard.outcome(message)] == ["sent"]
