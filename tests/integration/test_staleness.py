"""What comes too late: held or expired, asked at the hand-over, whoever makes it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

import notifyguard
from notifyguard import clock, context, switchboard
from notifyguard.actor import unrestricted
from notifyguard.context import Task
from notifyguard.decision import Sending
from notifyguard.models import Claim, Delivery, FrozenMessage
from tests.factories import MessageFactory
from tests.mailbox import letter, outcomes, rows, states
from tests.operators import deed, operate, release

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


def late_task(by: timedelta) -> Task:
    """A task that was meant to run so long ago."""
    return Task("project.tasks.notify", "17", datetime.now(UTC) - by)


def task_sends(message, by=25 * HOUR):
    with context.running_task(late_task(by)):
        return message.send()


def grow_older(by: timedelta) -> None:
    Delivery.objects.update(created_at=F("created_at") - by)
    Delivery.objects.filter(due_at__isnull=False).update(due_at=F("due_at") - by)


def held_by_a_switch(*messages):
    switchboard.set_switch("*", Sending.HOLD, reason="a test", actor=unrestricted("ann"))
    for message in messages:
        message.send()
    switchboard.clear_switch("*", reason="a test", actor=unrestricted("ann"))


@pytest.fixture
def types(mailbox, settings):
    def options(**written):
        settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": written}}

    return options


# At once


@pytest.mark.parametrize(("by", "state"), [(23 * HOUR, "sent"), (25 * HOUR, "held")])
def test_a_task_that_comes_a_day_late_is_held(mailbox, by, state):
    message = letter("ann@example.com", key="1")
    task_sends(message, by)
    (row,) = rows()
    assert row.state == state
    assert outcomes(message) == {"ann@example.com": state}
    if state == "held":
        assert row.rule == "stale"
        assert "may leave no later than 24 hours after" in row.reason
        assert row.due_at is not None


def test_mail_that_leaves_when_it_is_sent_is_never_stale(mailbox):
    letter().send()
    with context.running_task(Task("project.tasks.notify", "17")):
        letter().send()
    assert states() == ["sent", "sent"]


def test_a_message_nobody_named_is_as_late_as_its_task(mailbox):
    assert task_sends(MessageFactory()) == 0
    (row,) = rows()
    assert (row.type, row.rule) == ("project.tasks.notify", "stale")


def test_critical_mail_that_is_late_is_held_too(mailbox):
    assert task_sends(letter(type="auth.password_reset")) == 0


def test_a_type_says_how_late(types):
    types(max_age=2 * HOUR)
    assert task_sends(letter(), 3 * HOUR) == 0
    assert task_sends(letter(), HOUR) == 1
    assert task_sends(letter(type="invoice.sent"), 3 * HOUR) == 1
    types(max_age=None)
    assert task_sends(letter(), 24 * 365 * HOUR) == 1


def test_a_message_says_how_late_over_its_type(types):
    types(max_age=2 * HOUR)
    message = MessageFactory()
    notifyguard.identify(message, "ticket.modified", max_age=5 * HOUR)
    assert task_sends(message, 3 * HOUR) == 1
    with notifyguard.notification("ticket.modified", max_age=HOUR / 2):
        assert task_sends(MessageFactory(), HOUR) == 0


def test_what_two_rules_hold_knows_for_each_how_late_it_is(mailbox, settings):
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["ann@example.com"]}
    message = MessageFactory(to=["eve@example.net", "ann@example.com"])
    notifyguard.identify(message, "ticket.modified", max_age=2 * HOUR)
    task_sends(message)
    assert sorted(row.rule for row in rows(type="ticket.modified")) == ["allow_recipients", "stale"]
    for row in rows(type="ticket.modified"):
        assert row.max_age == 2 * HOUR
        assert row.due_at is not None
        assert row.created_at - row.due_at > 24 * HOUR


def test_what_expires_is_never_sent_and_its_key_stays_taken(types, mailbox):
    types(on_stale="expire")
    message = letter("ann@example.com", key="1", subject="A")
    assert task_sends(message) == 0
    assert outcomes(message) == {"ann@example.com": "expired"}
    (row,) = rows()
    assert (row.state, row.rule, row.wake_at) == ("expired", "stale", None)
    assert letter("ann@example.com", key="1", subject="A").send() == 0
    assert Claim.objects.get().duplicates == 1
    assert mailbox.accepted() == []


def test_the_body_of_what_expired_goes_with_prune(types, settings):
    types(on_stale="expire")
    task_sends(letter())
    assert FrozenMessage.objects.exists()
    FrozenMessage.objects.update(frozen_at=timezone.now() - 90 * HOUR)
    Delivery.objects.update(changed_at=timezone.now() - 90 * HOUR)
    operate("prune")
    assert not FrozenMessage.objects.exists()
    assert states() == ["expired"]


def test_a_project_without_time_zones(mailbox, settings):
    settings.USE_TZ = False
    assert task_sends(letter(), 23 * HOUR) == 1
    assert task_sends(letter(), 25 * HOUR) == 0
    assert states() == ["held", "sent"]


def test_observed_late_mail_is_reported(mailbox, settings):
    settings.NOTIFYGUARD |= {"MODE": "observe"}
    assert task_sends(letter()) == 1
    (row,) = rows()
    assert row.rule == "observed stale"


def test_the_rule_can_be_switched(types):
    types(rules={"stale": "report"})
    assert task_sends(letter()) == 1
    assert rows()[0].rule == "stale"
    types(rules={"stale": "off"}, on_stale="expire")
    assert task_sends(letter()) == 1


# On commit


def test_a_commit_that_comes_too_late_holds(mailbox, monkeypatch):
    now = clock.now
    with transaction.atomic():
        assert letter(key="1").send() == 1
        monkeypatch.setattr(clock, "now", lambda connection: now(connection) + 25 * HOUR)
    (row,) = rows()
    assert (row.state, row.rule) == ("held", "stale")
    assert mailbox.accepted() == []


def test_late_already_when_queued_is_held_in_the_transaction(mailbox):
    with transaction.atomic():
        assert task_sends(letter(key="1")) == 0
        transaction.set_rollback(True)
    assert states() == []


# By the sweeper


@pytest.mark.parametrize(
    ("options", "state"), [({}, "held"), ({"on_stale": "expire"}, "expired"), (None, "sent")]
)
def test_a_queue_that_was_repaired_does_not_send_old_mail(types, mailbox, options, state):
    """Queued by a process that died; the sweeper comes a day later."""
    types(**({"max_age": None} if options is None else options))
    held_by_a_switch(letter("ann@example.com", key="1"))
    Delivery.objects.update(state="queued", wake_at=timezone.now() - HOUR)
    grow_older(25 * HOUR)
    operate("sweep")
    assert states() == [state]
    assert len(mailbox.accepted()) == (state == "sent")


def test_what_a_message_said_of_its_age_is_kept_with_it(mailbox):
    message = MessageFactory()
    notifyguard.identify(message, "ticket.modified", max_age=2 * HOUR)
    held_by_a_switch(message, letter(type="ticket.new"))
    grow_older(3 * HOUR)
    deed("release", "--yes", "--later")
    operate("sweep")
    assert {row.type: row.state for row in rows()} == {
        "ticket.modified": "held",
        "ticket.new": "sent",
    }


def test_released_from_a_switch_and_late_by_now_is_held_as_stale(mailbox):
    held_by_a_switch(letter("ann@example.com"))
    grow_older(25 * HOUR)
    deed("release", "--yes", "--later")
    operate("sweep")
    (row,) = rows()
    assert (row.state, row.rule) == ("held", "stale")
    assert mailbox.accepted() == []


def test_release_fails_by_name_when_what_it_meant_came_too_late(mailbox):
    held_by_a_switch(letter())
    grow_older(25 * HOUR)
    with pytest.raises(CommandError, match="1 delivery did not leave"):
        deed("release", "--yes")
    assert rows()[0].rule == "stale"


def test_who_releases_what_is_shown_as_stale_sends_it(mailbox):
    held_by_a_switch(letter("ann@example.com"))
    grow_older(25 * HOUR)
    deed("release", "--yes", "--later")
    operate("sweep")
    deed("release", "--rule", "stale", "--yes")
    assert states() == ["sent"]
    assert mailbox.recipients() == ["ann@example.com"]


def test_released_as_stale_it_is_due_from_then_on(mailbox):
    """Not for ever: if the sweeper is away for another day, it is stale again."""
    task_sends(letter("ann@example.com"))
    release(rows()[0].id)
    grow_older(25 * HOUR)
    operate("sweep")
    assert states() == ["held"]


def test_each_recipient_of_a_message_is_as_late_as_its_own_row(mailbox):
    task_sends(letter("ann@example.com", "bob@example.com"))
    deed(
        "release", "--rule", "stale", "--id", str(rows(recipient="ann@example.com")[0].id), "--yes"
    )
    Delivery.objects.filter(recipient="bob@example.com").update(
        state="queued", wake_at=timezone.now() - HOUR
    )
    operate("sweep")
    assert mailbox.recipients() == ["ann@example.com"]
    assert {row.recipient: row.state for row in rows()} == {
        "ann@example.com": "sent",
        "bob@example.com": "held",
    }


def test_old_jobs_leave_nothing_but_what_their_type_says(types, mailbox):
    """Incident E, in small: workers stopped for twelve hours, max_age two hours."""
    types(max_age=2 * HOUR, on_stale="expire")
    held_by_a_switch(*(letter() for _ in range(30)), *(letter(type="news") for _ in range(30)))
    Delivery.objects.update(state="queued", wake_at=timezone.now() - HOUR)
    grow_older(12 * HOUR)
    operate("sweep")
    found = {(row.type, row.state) for row in rows()}
    assert found == {("ticket.modified", "expired"), ("news", "sent")}
    assert len(mailbox.accepted()) == 30
