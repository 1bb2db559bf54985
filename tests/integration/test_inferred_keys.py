"""What a task sends is the same message when the task is run again, though nobody gave it a key."""

from __future__ import annotations

import smtplib
from contextlib import contextmanager, nullcontext

import pytest
from django.core.mail.backends.smtp import EmailBackend
from django.db import transaction
from django.db.models import F

import notifyguard
from notifyguard import context, ledger, sweeper
from notifyguard.context import Run, Task
from notifyguard.models import Claim, Control, Delivery
from tests.factories import MessageFactory
from tests.mailbox import (
    batch,
    closed_port,
    outcomes,
    rows,
    states,
    use_backend,
    use_server,
)
from tests.operators import deed

pytestmark = pytest.mark.django_db(transaction=True)

ANN = "ann@example.com"


def task(task_id="1", name="tickets.notify"):
    """One run of a task; called again, another run of the same one."""
    return context.running_task(Task(name, task_id))


def hello(*to, **more):
    return MessageFactory(**({"to": list(to or [ANN]), "subject": "Hello"} | more))


def run(*messages, **task_of):
    """Send messages in one run of a task; return what the task was told."""
    with task(**task_of):
        return [message.send() for message in messages]


@contextmanager
def undone():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def test_a_task_that_is_run_again_sends_nothing_again(mailbox):
    told = [run(hello(), hello("bob@example.com")) for _ in range(3)]
    assert told == [[1, 1]] * 3  # it knows of no key, and must not take a duplicate for a failure
    assert mailbox.recipients() == [ANN, "bob@example.com"]
    assert states() == ["sent", "sent"]
    assert {claim.duplicates for claim in Claim.objects.all()} == {2}


def test_the_outcome_says_that_it_was_a_duplicate(mailbox):
    run(hello())
    again = hello()
    run(again)
    assert outcomes(again) == {ANN: "duplicate"}


def test_other_text_is_no_conflict_since_bodies_hold_the_time(mailbox):
    assert [run(hello(body=f"It is {n} o'clock.")) for n in range(2)] == [[1], [1]]
    assert len(mailbox.accepted()) == 1
    assert states() == ["sent"]


@pytest.mark.parametrize(
    "other",
    [{"task_id": "2"}, {"name": "tickets.other"}, {"to": ["bob@example.com"]}, {"subject": "Bye"}],
    ids=repr,
)
def test_another_task_recipient_or_subject_is_another_message(mailbox, other):
    run(hello())
    message = hello(**{name: other.pop(name) for name in ("to", "subject") if name in other})
    run(message, **other)
    assert len(mailbox.accepted()) == 2


def test_another_type_is_another_message(mailbox):
    with task(), context.notification("ticket.modified"):
        hello().send()
    with task(), context.notification("ticket.closed"):
        hello().send()
    assert len(mailbox.accepted()) == 2


def test_identical_messages_of_one_run_are_as_many_as_they_are(mailbox):
    for _ in range(2):
        run(*(hello() for _ in range(3)))
    assert len(mailbox.accepted()) == 3


def test_a_run_that_got_further_sends_the_rest(mailbox):
    run(hello(), hello())
    run(hello(), hello(), hello(), hello("bob@example.com"))
    assert mailbox.recipients() == [ANN] * 3 + ["bob@example.com"]


def test_messages_of_one_call_are_told_apart_too(mailbox):
    for _ in range(2):
        with task():
            assert batch(hello(), hello(), hello("bob@example.com")) == 3
    assert mailbox.recipients() == [ANN, ANN, "bob@example.com"]


def test_a_recipient_who_is_added_gets_it_alone(mailbox):
    run(hello())
    run(hello(ANN, "bob@example.com"))
    assert mailbox.recipients() == [ANN, "bob@example.com"]


def test_what_failed_is_sent_by_the_next_run_and_by_none_after_it(mailbox, full):
    use_server(full, closed_port())
    with pytest.raises(ConnectionRefusedError):
        run(hello())
    use_server(full, mailbox.sink.port)
    run(hello())
    run(hello())
    assert len(mailbox.accepted()) == 1
    assert states() == ["failed", "sent"]


def test_what_is_tried_again_in_the_same_run_is_the_same_message(mailbox, full):
    with task():
        use_server(full, closed_port())
        with pytest.raises(ConnectionRefusedError):
            hello().send()
        use_server(full, mailbox.sink.port)
        hello().send()
    run(hello())
    assert len(mailbox.accepted()) == 1


def test_what_may_have_left_is_not_sent_by_a_second_try_in_the_same_run(mailbox):
    message = hello("drop-after@example.com")
    with task():
        with pytest.raises(smtplib.SMTPServerDisconnected):
            message.send()
        assert hello("drop-after@example.com").send() == 1
    assert len(mailbox.accepted()) == 1
    assert states() == ["uncertain"]


def test_a_batch_that_breaks_off_counts_what_did_not_leave_as_never_sent(mailbox):
    with task(), pytest.raises(smtplib.SMTPDataError):
        batch(hello(), hello("data-554@example.com"), hello())
    run(hello(), hello())
    assert mailbox.recipients() == [ANN, ANN]


@pytest.mark.parametrize("task", [Task("web.view", ""), Task("handed.over", "1", run=None)])
def test_without_an_id_or_a_run_nothing_is_inferred(mailbox, task):
    for _ in range(2):
        with context.running_task(task):
            hello().send()
    assert len(mailbox.accepted()) == 2
    assert not Claim.objects.exists()


def test_a_key_that_was_given_is_the_key(mailbox):
    for task_id in ("1", "2"):
        with task(task_id), context.notification("ticket.modified", key="T1"):
            hello().send()
    assert len(mailbox.accepted()) == 1
    (claim,) = Claim.objects.all()
    assert not ledger.is_inferred(claim.key)


def test_the_namespace_enters(mailbox, full):
    for tenant in ("a", "b", "a"):
        full.NOTIFYGUARD |= {"NAMESPACE": lambda tenant=tenant: tenant}
        run(hello())
    assert len(mailbox.accepted()) == 2


def test_every_report_to_the_admins_is_one(mailbox):
    for _ in range(2):
        with task(), context.notification("django.admins"):
            hello().send()
    assert len(mailbox.accepted()) == 2


def test_what_is_only_observed_leaves_and_is_reported(mailbox, full):
    full.NOTIFYGUARD |= {"MODE": "observe"}
    run(hello())
    run(hello())
    with task(), transaction.atomic():
        hello().send()
        assert len(mailbox.accepted()) == 3  # at once, as without notifyguard
    assert [row.rule for row in rows()][:2] == ["", "observed duplicate"]


class Copying(EmailBackend):
    """Sends a copy of what it is given, as backends do that add a footer."""

    def send_messages(self, email_messages):
        return super().send_messages([hello(*each.to) for each in email_messages])


def test_what_a_backend_sends_on_is_no_message_of_the_task(mailbox, full):
    use_backend(full, f"{__name__}.Copying", host="127.0.0.1", port=mailbox.sink.port)
    run(hello())  # and then it was killed
    run(hello(), hello())
    assert len(mailbox.accepted()) == 2


def test_a_message_that_is_judged_again_is_still_one(mailbox):
    run(hello("bob@example.com"))
    Control.objects.update(generation=F("generation") + 1)  # somebody sets a switch
    run(hello())
    run(hello())
    assert mailbox.recipients() == [ANN, "bob@example.com"]


# Held.


def test_a_task_that_is_run_again_while_held_is_held_once(mailbox):
    deed("hold", "*")
    for n in range(3):
        run(hello(body=str(n)))
    assert states() == ["held"]
    (row,) = rows()
    assert row.fingerprint is not None  # what says the same is folded all the same


def test_what_was_held_is_not_sent_by_a_later_run(mailbox):
    deed("hold", "*")
    run(hello())
    deed("resume")
    run(hello(body="Now it is later."))
    assert mailbox.accepted() == []
    assert states() == ["held"]


# Inside a transaction.


def test_it_waits_for_the_commit_and_another_run_finds_it_sent(mailbox):
    for n in range(2):
        with task(), transaction.atomic():
            assert hello(body=str(n)).send() == 1
            assert states(state="queued") == ["queued"]
            assert len(mailbox.accepted()) == n
    assert len(mailbox.accepted()) == 1
    assert states() == ["duplicate", "sent"]


def test_what_is_rolled_back_does_not_leave_and_the_next_run_sends_it(mailbox):
    with task(), undone():
        hello().send()
    with task(), transaction.atomic():
        hello().send()
    assert len(mailbox.accepted()) == 1


@pytest.mark.parametrize("around", [transaction.atomic, nullcontext])
def test_what_was_rolled_back_and_sent_in_the_same_run_is_the_same_message(mailbox, around):
    with task(), around():
        with undone():
            hello().send()
        with transaction.atomic():
            hello().send()
    run(hello())
    assert len(mailbox.accepted()) == 1


def test_two_in_two_transactions_are_two(mailbox):
    for _ in range(2):
        with task():
            for _ in range(2):
                with transaction.atomic():
                    hello().send()
    assert len(mailbox.accepted()) == 2


def test_two_of_one_transaction_are_two(mailbox):
    for _ in range(2):
        with task(), transaction.atomic():
            hello().send()
            hello().send()
    assert len(mailbox.accepted()) == 2


def test_what_a_dead_process_left_queued_is_no_conflict_to_the_sweeper(mailbox):
    with task(), transaction.atomic():
        hello(body="It is one o'clock.").send()
        # The process dies at the commit: nothing of it is left but the row.
        transaction.get_connection().run_on_commit = []
    run(hello(body="It is two o'clock."))
    Delivery.objects.filter(state="queued").update(wake_at="2020-01-01T00:00Z")
    sweeper.sweep()
    assert len(mailbox.accepted()) == 1
    assert states() == ["duplicate", "sent"]


def test_what_is_refused_for_now_on_commit_is_tried_again_by_the_sweeper(mailbox, full):
    use_server(full, closed_port())
    with task(), transaction.atomic():
        assert hello().send() == 1
    (row,) = rows()
    assert (row.state, row.rule, row.retries) == ("queued", "retries", 1)
    use_server(full, mailbox.sink.port)
    Delivery.objects.filter(state="queued").update(wake_at="2020-01-01T00:00Z")
    sweeper.sweep()
    run(hello())
    assert mailbox.recipients() == [ANN]


def test_what_a_caller_without_a_task_deferred_is_tried_again_too(mailbox, full):
    use_server(full, closed_port())
    with transaction.atomic(), context.notification("ticket.modified", key="1"):
        hello().send()
    assert states() == ["queued"]


def test_outside_of_a_transaction_the_task_is_told_and_nobody_else_tries(mailbox, full):
    use_server(full, closed_port())
    with pytest.raises(ConnectionRefusedError):
        run(hello())
    assert states() == ["failed"]


# The numbers themselves.


def test_the_lowest_number_that_is_free_comes_first():
    run = Run()
    assert [run.count("a") for _ in range(3)] == [0, 1, 2]
    run.give_back(2, "a")
    run.give_back(0, "a")
    assert [run.count("a") for _ in range(3)] == [0, 2, 3]
    assert run.count("b") == 0


def test_the_form_of_a_key_says_that_nobody_gave_it():
    salt = "00" * 32
    given, inferred = ledger.key_of(salt, "a"), ledger.key_of(salt, "a", inferred=True)
    assert [ledger.is_inferred(key) for key in (given, inferred, None)] == [False, True, False]
    assert notifyguard.ledger.key_of(salt, "a") == given
