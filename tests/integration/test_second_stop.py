"""A message that comes back from a queue: it leaves once, by its own type, or is held by us."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends import locmem
from django.core.mail.backends.base import BaseEmailBackend
from django.utils import timezone

import notifyguard
from notifyguard import alerts, blocked, clock, ledger, sweeper, switchboard
from notifyguard.actor import unrestricted
from notifyguard.channels import passes, transport
from notifyguard.decision import Sending, State
from notifyguard.ledger import came_back, handed_on, uncertain
from notifyguard.ledger import queue as waiting
from notifyguard.models import Claim, Delivery, FrozenMessage
from notifyguard.notification import PASS_HEADER
from tests.mailbox import closed_port, letter, outcomes, rows, states, use_backend, use_server
from tests.operators import release as let_go

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB, CAT = (f"{name}@example.com" for name in ("ann", "bob", "cat"))


class Queue(BaseEmailBackend):
    """Keeps messages as the real ones do, as plain data, and returns what they return."""

    kept: list[str] = []
    returned = 0

    def send_messages(self, email_messages):
        for message in email_messages:
            fields = {name: getattr(message, name) for name in FIELDS}
            self.kept.append(json.dumps(fields | {"headers": message.extra_headers}))
        return self.returned


FIELDS = ("subject", "body", "from_email", "to", "cc", "bcc")


@pytest.fixture
def queue(mailbox, monkeypatch):
    """A backend that we know to queue."""
    monkeypatch.setattr(transport, "QUEUES", {f"{__name__}.Queue"})
    monkeypatch.setattr(Queue, "kept", [])
    return Queue


@pytest.fixture
def unknown_queue(mailbox, monkeypatch):
    """A backend of which we know nothing."""
    monkeypatch.setattr(Queue, "kept", [])
    return Queue


def enqueue(message):
    return Queue().send_messages([message])


def taken(**changed):
    """The oldest message of the queue, as its worker makes it anew."""
    return EmailMessage(**{**json.loads(Queue.kept[0]), **changed})


def release():
    let_go()
    sweeper.sweep()


def worker_sends(**changed):
    return taken(**changed).send()


def stop(pattern="ticket.*"):
    switchboard.set_switch(pattern, Sending.HOLD, reason="test", actor=unrestricted("me"))


def go_on(pattern="ticket.*"):
    switchboard.clear_switch(pattern, reason="test", actor=unrestricted("me"))


def block(*addresses):
    blocked.block(addresses, reason="bounced", actor=unrestricted("me"))


def late(**conditions):
    Delivery.objects.filter(**conditions).update(wake_at=timezone.now() - timedelta(seconds=1))


# Handed on, come back, sent.


def test_what_a_queue_took_was_not_sent_and_the_ledger_says_so(queue):
    message = letter(ANN, key="1")
    assert enqueue(message) == 0
    (row,) = rows()
    assert (row.state, row.rule) == ("queued", "handed on")
    assert row.reason.startswith(f"Handed to {__name__}.Queue")
    assert outcomes(message) == {ANN: "queued"}
    assert sweeper.sweep().delivered == 0
    assert states() == ["queued"]


def test_it_is_sent_when_it_comes_back_and_counted_once(queue, mailbox):
    enqueue(letter(ANN, cc=[BOB], key="1"))
    assert worker_sends() == 1
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["sent", "sent"]
    assert {row.attempt for row in rows()} == {2}
    assert all(row.message_id for row in rows())


def test_who_is_blocked_meanwhile_gets_nothing_and_the_others_do(queue, mailbox):
    enqueue(letter(ANN, cc=[BOB], key="1"))
    block(BOB)
    assert worker_sends() == 1
    assert mailbox.recipients() == [ANN]
    (row,) = rows(recipient=BOB)
    assert (row.state, row.rule) == ("discarded", "blocked")
    assert FrozenMessage.objects.filter(dispatch=row.dispatch).exists()
    assert not Claim.objects.filter(delivery=row.id).exists()


def test_when_all_are_blocked_meanwhile_nothing_leaves(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    block(ANN)
    assert worker_sends() == 0
    assert worker_sends() == 0
    assert mailbox.accepted() == []
    assert states() == ["discarded"]


def test_a_queue_that_was_copied_to_a_staging_site_sends_nothing_to_others(
    queue, mailbox, settings
):
    enqueue(letter(ANN, cc=[BOB], key="1"))
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": [ANN]}
    assert worker_sends() == 1
    assert mailbox.recipients() == [ANN]
    (row,) = rows(recipient=BOB)
    assert (row.state, row.rule) == ("held", "allow_recipients")


def test_it_leaves_by_the_type_it_was_sent_with(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    stop("ticket.*")
    assert worker_sends() == 0
    assert states() == ["held"]


def test_somebody_is_told_at_once_by_the_worker_that_holds_it(queue, monkeypatch, caplog):
    monkeypatch.setattr(alerts, "_quiet_until", {})
    enqueue(letter(ANN, key="1"))
    stop("ticket.*")
    worker_sends()
    assert "mail of type ticket.modified is held by rule switch: 1 wait" in caplog.text


def test_a_switch_for_others_does_not_hold_it(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    stop("tests.*")  # where the worker stands
    assert worker_sends() == 1
    assert states() == ["sent"]


def test_what_is_critical_stays_critical(queue, mailbox, settings):
    settings.NOTIFYGUARD = {"IN_TESTS": "full", "TYPES": {"ticket.*": {"critical": True}}}
    enqueue(letter(ANN))
    stop("*")
    assert worker_sends() == 1
    assert states() == ["sent"]


@pytest.mark.parametrize("key", ["1", None])
def test_the_same_again_leaves_nothing(queue, mailbox, key):
    enqueue(letter(ANN, key=key))
    assert [worker_sends(), worker_sends(), worker_sends()] == [1, 0, 0]
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


def test_the_key_stays_taken_while_the_queue_has_it(queue, mailbox):
    enqueue(letter(ANN, key="1", subject="s"))
    assert outcomes_of_another() == {ANN: "duplicate"}
    worker_sends()
    assert outcomes_of_another() == {ANN: "duplicate"}
    assert mailbox.recipients() == [ANN]


def outcomes_of_another():
    another = letter(ANN, key="1", subject="s")
    another.send()
    return outcomes(another)


# A queue of which nothing is known: its word is taken until the message comes back.


def test_a_queue_nobody_knows_is_found_out_by_what_comes_back(unknown_queue, mailbox):
    enqueue(letter(ANN, key="1"))
    assert states() == ["uncertain"]  # it returned 0
    assert [worker_sends(), worker_sends()] == [1, 0]
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


def test_so_is_one_that_says_it_has_sent(unknown_queue, mailbox, monkeypatch):
    monkeypatch.setattr(Queue, "returned", 1)
    message = letter(ANN, key="1")
    enqueue(message)
    assert outcomes(message) == {ANN: "sent"}
    stop()
    assert worker_sends() == 0
    assert states() == ["held"]


def test_what_was_released_into_such_a_queue_leaves_as_well(unknown_queue, mailbox, monkeypatch):
    monkeypatch.setattr(Queue, "returned", 1)
    stop()
    enqueue(letter(ANN, key="1"))
    go_on()
    release()
    assert [(row.state, row.rule) for row in rows()] == [("sent", "released")]
    assert [worker_sends(), worker_sends()] == [1, 0]
    assert mailbox.recipients() == [ANN]


def test_a_backend_that_sends_a_copy_itself_is_confirmed_by_what_the_copy_did(
    mailbox, monkeypatch, caplog
):
    class Wrapper(BaseEmailBackend):
        def send_messages(self, email_messages):
            return sum(copy.deepcopy(message).send() for message in email_messages)

    message = letter(ANN, key="1")
    assert Wrapper().send_messages([message]) == 1
    assert (states(), outcomes(message)) == (["sent"], {ANN: "sent"})
    refused = letter("refuse-550@example.com", key="1")
    with pytest.raises(Exception, match="550"):
        Wrapper().send_messages([refused])
    assert states() == ["failed", "sent"]
    assert Claim.objects.count() == 1
    assert caplog.records == []


# Failures at the second stop.


def test_after_a_proven_failure_the_queue_may_try_again(queue, mailbox, settings):
    enqueue(letter(ANN, key="1"))
    use_server(settings, closed_port())
    for _ in range(2):
        with pytest.raises(ConnectionRefusedError):
            worker_sends()
        assert [(row.state, row.rule) for row in rows()] == [("failed", "connect")]
        assert Claim.objects.count() == 0
    use_server(settings, mailbox.sink.port)
    assert [worker_sends(), worker_sends()] == [1, 0]
    assert mailbox.recipients() == [ANN]
    assert (states(), Claim.objects.count()) == (["sent"], 1)


def test_but_not_if_somebody_else_has_sent_it_meanwhile(queue, mailbox, settings):
    enqueue(letter(ANN, key="1", subject="s"))
    use_server(settings, closed_port())
    with pytest.raises(ConnectionRefusedError):
        worker_sends()
    use_server(settings, mailbox.sink.port)
    assert letter(ANN, key="1", subject="s").send() == 1
    assert worker_sends() == 0
    assert mailbox.recipients() == [ANN]
    assert states() == ["failed", "sent"]


def test_one_of_two_refused_is_tried_again_alone(queue, mailbox):
    refused = "refuse-550@example.com"
    enqueue(letter(ANN, refused, key="1"))
    assert worker_sends() == 1
    assert states() == ["failed", "sent"]
    with pytest.raises(Exception, match="550"):
        worker_sends()
    assert mailbox.recipients() == [ANN]
    assert states() == ["failed", "sent"]


def test_an_unknown_outcome_is_uncertain_and_not_sent_again(queue, mailbox, monkeypatch):
    enqueue(letter(ANN, key="1"))
    monkeypatch.setattr(Worker, "failure", TimeoutError())
    with pytest.raises(TimeoutError):
        Worker().send_messages([taken()])
    assert states() == ["uncertain"]
    monkeypatch.setattr(Worker, "failure", None)
    assert Worker().send_messages([taken()]) == 0
    assert states() == ["uncertain"]


class Worker(BaseEmailBackend):
    """The backend of the project at the end of the queue; shows what it was given."""

    __module__ = "project.mail"  # another one than the queue's
    failure: Exception | None = None
    given: list[dict[str, str]] = []

    def send_messages(self, email_messages):
        if self.failure:
            raise self.failure
        self.given.extend(dict(message.extra_headers) for message in email_messages)
        return len(email_messages)


# Held at the second stop.


def test_what_is_held_then_is_kept_by_us_and_released_past_the_queue(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    stop()
    assert [worker_sends(), worker_sends()] == [0, 0]
    (row,) = rows()
    assert (row.state, row.rule, row.backend) == ("held", "switch", label_of_default())
    assert FrozenMessage.objects.count() == 1
    go_on()
    assert worker_sends() == 0  # the queue tries again, but it is ours now
    release()
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]
    assert FrozenMessage.objects.count() == 0
    assert len(Queue.kept) == 1
    assert worker_sends() == 0


def label_of_default():
    return "default" if hasattr(mail, "mailers") else "django.core.mail.backends.smtp.EmailBackend"


def test_a_switch_set_while_the_worker_connects_stops_it(queue, mailbox, monkeypatch):
    enqueue(letter(ANN, key="1"))
    opened = transport.SMTPTransport.open

    def open_then_stop(self):
        done = opened(self)
        if not rows(state="held"):
            stop()
        return done

    monkeypatch.setattr(transport.SMTPTransport, "open", open_then_stop)
    assert worker_sends() == 0
    assert mailbox.accepted() == []
    assert states() == ["held"]


def test_a_switch_to_discard_discards_and_keeps_the_body(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    until = timezone.now() + timedelta(hours=1)
    switchboard.set_switch(
        "ticket.*", Sending.DISCARD, reason="test", actor=unrestricted("me"), expires_at=until
    )
    assert worker_sends() == 0
    assert states() == ["discarded"]
    assert FrozenMessage.objects.count() == 1
    go_on()
    assert worker_sends() == 0


def test_of_a_failed_message_the_switch_takes_the_key_again(queue, mailbox, settings):
    enqueue(letter(ANN, key="1", subject="s"))
    use_server(settings, closed_port())
    with pytest.raises(ConnectionRefusedError):
        worker_sends()
    use_server(settings, mailbox.sink.port)
    stop()
    assert worker_sends() == 0
    assert (states(), Claim.objects.count()) == (["held"], 1)


# Queues that take messages apart, or send them to others.


def test_parts_of_a_message_are_held_and_released_each_with_its_own_text(queue, mailbox):
    enqueue(letter(ANN, BOB, CAT, key="1"))
    stop()
    for name in (ANN, BOB):
        worker_sends(to=[name], subject=f"For {name}")
    assert states() == ["held", "held", "queued"]
    go_on()
    assert worker_sends(to=[BOB]) == 0
    release()
    assert sorted(mailbox.subjects()) == [f"For {ANN}", f"For {BOB}"]
    assert mailbox.recipients() == [ANN, BOB]
    assert [worker_sends(to=[name]) for name in (ANN, BOB, CAT)] == [0, 0, 1]
    assert states() == ["sent"] * 3


def test_part_of_the_recipients_was_held_before_and_part_after(queue, mailbox):
    letter(BOB, key="1", subject="s", body="other").send()
    enqueue(letter(ANN, BOB, key="1", subject="s"))  # for Bob it is a conflict
    assert states() == ["held", "queued", "sent"]
    stop()
    assert worker_sends() == 0
    go_on()
    release()
    assert mailbox.recipients() == [ANN, BOB]
    assert states() == ["queued", "sent", "sent"]  # what was held before goes through the queue
    assert worker_sends(**json.loads(Queue.kept[1])) == 1
    assert mailbox.recipients() == [ANN, BOB, BOB]


def test_whom_the_queue_added_is_judged_like_any_other(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    with notifyguard.suppressed("ticket.*", reason="test"):
        assert worker_sends(cc=[BOB]) == 1
    assert mailbox.recipients() == [ANN]
    assert [(row.recipient, row.state) for row in rows()] == [(ANN, "sent"), (BOB, "discarded")]
    assert {row.type for row in rows()} == {"ticket.modified"}


def test_a_pass_sends_nothing_to_people_it_was_not_given_for(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    assert worker_sends(to=[CAT]) == 1
    assert [(row.recipient, row.state) for row in rows()] == [(ANN, "queued"), (CAT, "sent")]
    assert len({row.dispatch for row in rows()}) == 2


# A queue that keeps silent.


def test_a_slow_queue_is_waited_for_and_then_somebody_should_look(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    Delivery.objects.update(created_at=timezone.now() - timedelta(hours=5))
    assert sweeper.sweep().uncertain == 0
    assert states() == ["queued"]
    late()
    assert waiting.take(10) == []  # ours has nothing to send: the queue has the message
    assert sweeper.sweep().uncertain == 1
    (row,) = uncertain.uncertain()
    assert (row.rule, row.wake_at) == ("handed on", clock.never())
    assert worker_sends() == 1  # late, and for the first time
    assert states() == ["sent"]


def test_what_a_person_has_resolved_does_not_leave_any_more(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    late()
    sweeper.sweep()
    (row,) = rows()
    uncertain.resolve(
        [row.id], uncertain.Finding.SENT, reason="Ann has it", actor=unrestricted("me")
    )
    assert worker_sends() == 0
    assert mailbox.accepted() == []


def test_a_worker_that_dies_leaves_it_uncertain_after_the_lease(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    entry = ledger.rows.entry_of(rows()[0])
    came_back.mark([entry], 1, switchboard.board(fresh=True).generation)
    assert ledger.leases.in_the_air() == 1
    late(state="in_flight")
    assert sweeper.sweep().uncertain == 1
    assert worker_sends() == 0
    assert mailbox.accepted() == []


# Rows that cannot be seen.


def test_what_comes_back_before_its_rows_is_recorded_once(queue, mailbox):
    given = passes.Pass(ledger.new_id(), 1, "ticket.modified")
    early = passes.with_pass(letter(ANN), given, switchboard.board().salt)
    assert [early.send(), early.send()] == [1, 0]
    entry = ledger.Entry(given.dispatch, given.type, ANN, state=State.IN_FLIGHT)
    ledger.note([entry])
    handed_on.hand_on([entry], "queue")
    assert states() == ["queued", "sent"]
    handed_on.fold(given.dispatch)
    assert states() == ["sent"]


def test_what_is_older_than_the_ledger_remembers_is_held(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    old = timezone.now() - timedelta(days=91)
    dispatch = ledger.new_id()
    ms = int(old.timestamp() * 1000)
    dispatch = type(dispatch)(int=dispatch.int & ((1 << 80) - 1) | ms << 80)
    given = passes.Pass(dispatch, 1, "ticket.modified")
    assert passes.with_pass(letter(BOB), given, switchboard.board().salt).send() == 0
    assert [(row.state, row.rule) for row in rows(recipient=BOB)] == [("held", "pass")]


def test_in_observe_mode_the_same_again_is_reported_and_leaves(queue, mailbox, settings):
    settings.NOTIFYGUARD = {"IN_TESTS": "full", "MODE": "observe"}
    enqueue(letter(ANN))
    assert [worker_sends(), worker_sends()] == [1, 1]
    assert [(row.state, row.rule) for row in rows()] == [
        ("sent", ""),
        ("sent", "observed duplicate"),
    ]


# The wire.


@pytest.fixture
def wire(monkeypatch):
    monkeypatch.setattr(Worker, "given", [])
    return Worker


@pytest.mark.parametrize(
    "options",
    [
        {"IN_TESTS": "full"},
        {"IN_TESTS": "full", "MODE": "bypass"},
        {"IN_TESTS": "full", "MODE": "observe"},
        {"IN_TESTS": "light"},
        {"IN_TESTS": "full", "TYPES": {"ticket.*": {"sendng": "hold"}}},
    ],
)
def test_the_pass_never_reaches_the_last_backend(queue, mailbox, wire, settings, options):
    enqueue(letter(ANN, headers={"X-Kept": "1"}))
    settings.NOTIFYGUARD = options
    message = taken()
    Worker().send_messages([message])
    for headers in wire.given:
        assert headers == {"X-Kept": "1"}
    assert PASS_HEADER in message.extra_headers  # the queue may try again


def test_what_the_last_backend_writes_is_left_for_the_queue_to_see(queue, mailbox, monkeypatch):
    class Reporting(Worker):
        __module__ = Worker.__module__

        def send_messages(self, email_messages):
            for message in email_messages:
                message.extra_headers["X-Sent-By"] = "provider"
                message.anymail_status = "sent"
            return len(email_messages)

    enqueue(letter(ANN))
    message = taken()
    assert Reporting().send_messages([message]) == 1
    assert message.anymail_status == "sent"
    assert message.extra_headers["X-Sent-By"] == "provider"


def test_a_backend_that_extends_one_that_has_sent_at_once_takes_it_off(mailbox, settings):
    class Extended(locmem.EmailBackend):
        def send_messages(self, messages):
            return super().send_messages(messages)

    assert Extended().send_messages([letter(ANN)]) == 1
    assert [sent.extra_headers for sent in mail.outbox] == [{}]
    assert states() == ["sent"]


def test_a_backend_that_extends_one_that_may_queue_keeps_it(unknown_queue, mailbox):
    class Extended(Queue):
        def send_messages(self, email_messages):
            return super().send_messages(email_messages)

    class Around(BaseEmailBackend):
        def send_messages(self, email_messages):
            return Queue().send_messages(email_messages)

    Extended().send_messages([letter(ANN, key="0")])
    Around().send_messages([letter(ANN, key="1")])
    for number, kept in enumerate(Queue.kept):
        message = EmailMessage(**json.loads(kept))
        # As from a queue that pickles, which keeps what was said on the message too.
        notifyguard.identify(message, "ticket.modified", key=str(number))
        assert message.send() == 1
    assert mailbox.recipients() == [ANN, ANN]
    assert states() == ["sent", "sent"]


def test_a_backend_that_extends_a_queue_keeps_it(queue, mailbox):
    class Extended(Queue):
        def send_messages(self, email_messages):
            return super().send_messages(email_messages)

    Extended().send_messages([letter(ANN)])
    assert states() == ["queued"]
    assert worker_sends() == 1
    assert states() == ["sent"]


def test_a_queue_behind_a_queue_passes_it_on(queue, mailbox):
    enqueue(letter(ANN, key="1"))
    Queue().send_messages([taken()])
    assert Queue.kept[0] == Queue.kept[1]
    assert states() == ["queued"]
    assert [worker_sends(), worker_sends()] == [1, 0]


def test_a_forged_pass_is_judged_and_taken_off(queue, mailbox, settings):
    use_backend(settings, "django.core.mail.backends.locmem.EmailBackend")
    mail.outbox = []
    enqueue(letter(ANN))
    forged = taken()
    forged.extra_headers[PASS_HEADER] = forged.extra_headers[PASS_HEADER].replace("2:", "2:0", 1)
    with notifyguard.suppressed(reason="test"):
        assert forged.send() == 0
    assert forged.send() == 1
    assert [message.extra_headers for message in mail.outbox] == [{}]


@pytest.mark.parametrize("type", ["ticket.modified", "ä" * 200, "📨" * 200, "a:b c%20"])
def test_a_pass_survives_pickle_json_and_folding(mailbox, type):
    salt = switchboard.board().salt
    given = passes.Pass(ledger.new_id(), 3, type)
    carrying = passes.with_pass(letter(ANN), given, salt)
    value = carrying.extra_headers[PASS_HEADER]
    assert value.isascii()
    assert max(map(len, value.split())) <= 60
    for again in (pickle.loads(pickle.dumps(carrying)), copy.deepcopy(carrying)):
        assert passes.read(again, salt) == given
    folded = EmailMessage(headers={PASS_HEADER: value.replace(" ", "\r\n\t")})
    assert passes.read(folded, salt) == given
    assert passes.read(folded, "") is None


@pytest.mark.parametrize("value", ["", "2", "2:::", "2:x:1:t:", "\ud800", "ä:ä:ä:ä:ä", "1." * 500])
def test_a_header_that_is_no_pass_is_none(mailbox, value):
    message = EmailMessage(headers={PASS_HEADER: value})
    assert passes.read(message, switchboard.board().salt) is None


# Limits


def test_what_a_queue_took_counts_under_its_limits(queue, settings):
    settings.NOTIFYGUARD = {"IN_TESTS": "full", "TYPES": {"ticket.*": {"limits": ["1/hour"]}}}
    enqueue(letter(ANN))
    enqueue(letter(ANN))
    assert len(Queue.kept) == 1
    assert sorted((row.state, row.rule) for row in rows()) == [
        ("held", "limit"),
        ("queued", "handed on"),
    ]
