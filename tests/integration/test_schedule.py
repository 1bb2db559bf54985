"""What is sent with ``send_at`` waits in the ledger, leaves once, and can be taken back."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.utils import timezone

import notifyguard
from notifyguard import sweeper
from notifyguard.decision import State
from notifyguard.exceptions import CannotFreeze, InTransaction, LedgerUnavailable
from notifyguard.gate import failures, taken
from notifyguard.ledger.looks import report, types_found
from notifyguard.ledger.looks.story import moment
from notifyguard.models import Claim, Delivery, FrozenMessage
from tests.factories import MessageFactory
from tests.mailbox import batch, letter, outcomes, rows, states, use_backend
from tests.operators import deed, facts, operate, release
from tests.smtp import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)

TYPE = "appointment.reminder"
DAY = timedelta(days=1)


def reminder(*to, key="42", at=None, **more):
    message = MessageFactory(to=list(to or ["ann@example.com"]), **({"subject": "Soon"} | more))
    notifyguard.identify(message, TYPE, key=key, send_at=at or timezone.now() + DAY)
    return message


def come_due(late=timedelta(seconds=1), **conditions):
    """Let the time come for what waits for it."""
    then = timezone.now() - late
    waiting = Delivery.objects.filter(**conditions, due_at__isnull=False)
    # A scheduled row was made before it was due, whatever the test's clock says.
    waiting.update(created_at=then - DAY, due_at=then)
    waiting.filter(state=State.QUEUED).update(wake_at=then)


def option(settings, **options):
    settings.NOTIFYGUARD |= {"TYPES": {TYPE: options}}


def test_it_waits_and_leaves_when_it_is_due(mailbox):
    at = timezone.now() + DAY
    message = reminder(at=at)
    assert message.send() == 1
    assert outcomes(message) == {"ann@example.com": "queued"}
    (row,) = rows()
    assert (row.state, row.due_at, row.wake_at) == ("queued", at, at)
    assert sweeper.sweep().delivered == 0
    assert mailbox.accepted() == []
    come_due()
    assert sweeper.sweep().delivered == 1
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]
    assert not FrozenMessage.objects.exists()


def test_a_block_schedules_what_is_sent_inside(mailbox):
    with notifyguard.notification(TYPE, key="1", send_at=timezone.now() + DAY):
        mail.send_mail("Soon", "text", None, ["ann@example.com", "bob@example.com"])
    assert states() == ["queued", "queued"]
    assert mailbox.accepted() == []
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]
    assert len(mailbox.accepted()) == 1


def test_a_time_gone_by_is_now(mailbox):
    assert reminder(at=timezone.now() - timedelta(minutes=1)).send() == 1
    assert mailbox.recipients() == ["ann@example.com"]


def test_it_is_dated_when_it_leaves_and_not_when_it_was_scheduled(mailbox, settings):
    settings.EMAIL_USE_LOCALTIME = False
    at = datetime(2030, 6, 1, 9, tzinfo=UTC)
    reminder(at=at).send()
    assert "Sat, 01 Jun 2030 09:00:00 +0000" in FrozenMessage.objects.get().payload


def test_scheduling_twice_is_once(mailbox):
    assert reminder().send() == 1
    again = reminder()
    assert again.send() == 0
    assert outcomes(again) == {"ann@example.com": "duplicate"}
    assert states() == ["queued"]


def test_a_batch_is_scheduled_and_what_is_not_for_later_leaves(mailbox):
    both = [reminder(), letter("now@example.com", key="1"), reminder("bob@example.com")]
    assert batch(*both, reminder()) == 3
    assert mailbox.recipients() == ["now@example.com"]
    assert states() == ["queued", "queued", "sent"]


def test_without_a_key_it_is_scheduled_too(mailbox):
    reminder(key=None).send()
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com"]
    assert not Claim.objects.exists()


def test_what_cannot_be_kept_is_refused_at_once(mailbox):
    message = reminder()
    message.unstorable = object()
    with pytest.raises(CannotFreeze):
        message.send()
    assert mailbox.accepted() == []


# Inside atomic()


def test_inside_atomic_it_commits_with_the_callers_work(mailbox):
    with transaction.atomic():
        assert reminder().send() == 1
        assert reminder().send() == 1  # nobody can know yet which of them commits
    assert mailbox.accepted() == []
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["duplicate", "sent"]


def test_a_rollback_takes_it_back(mailbox):
    with transaction.atomic():
        reminder().send()
        transaction.set_rollback(True)
    assert states() == []


@pytest.mark.parametrize("key", ["1", None])
def test_now_is_not_now_for_what_is_for_later(mailbox, settings, key):
    option(settings, in_transaction="now")
    with transaction.atomic():
        reminder(key=key).send()
    assert mailbox.accepted() == []
    assert states() == ["queued"]


def test_a_type_that_refuses_transactions_refuses_this_one_too(mailbox, settings):
    option(settings, in_transaction="error")
    with pytest.raises(InTransaction), transaction.atomic():
        reminder().send()


def test_some_recipients_held_inside_atomic_and_the_others_queued(mailbox, settings):
    settings.NOTIFYGUARD |= {"EXTRA_RULES": ["tests.integration.rules_for_schedule.hold_bob"]}
    with transaction.atomic():
        reminder("ann@example.com", "bob@example.com").send()
    assert states() == ["held", "queued"]


# Taking it back


def test_cancel_takes_back_every_recipient_and_frees_the_key(mailbox):
    reminder("ann@example.com", "bob@example.com").send()
    reminder(key="43").send()
    assert notifyguard.cancel(type=TYPE, key="42") == 2
    assert states() == ["discarded", "discarded", "queued"]
    assert FrozenMessage.objects.count() == Claim.objects.count() == 1
    assert {row.rule for row in rows(state="discarded")} == {"cancelled"}
    assert notifyguard.cancel(type=TYPE, key=42) == 0
    assert reminder("ann@example.com", "bob@example.com").send() == 1  # scheduled anew
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com", "ann@example.com", "bob@example.com"]


def test_cancel_finds_what_was_scheduled_inside_atomic(mailbox):
    with transaction.atomic():
        reminder().send()
    assert notifyguard.cancel(type=TYPE, key="42") == 1
    with transaction.atomic():
        reminder(key="43").send()
        assert notifyguard.cancel(type=TYPE, key="43") == 1
    come_due()
    assert sweeper.sweep().delivered == 0


def test_a_cancel_that_is_rolled_back_was_none(mailbox):
    reminder().send()
    with transaction.atomic():
        assert notifyguard.cancel(type=TYPE, key="42") == 1
        transaction.set_rollback(True)
    assert states() == ["queued"]
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com"]


def test_cancel_wins_over_a_sweeper_that_has_taken_it(mailbox):
    reminder().send()
    come_due()
    in_hand = notifyguard.ledger.queue.take(10)
    assert notifyguard.cancel(type=TYPE, key="42") == 1
    list(taken.deliver(in_hand))
    assert mailbox.accepted() == []
    assert states() == ["discarded"]


def test_what_has_left_is_not_taken_back(mailbox):
    reminder(at=timezone.now() - timedelta(seconds=1)).send()  # by the database's clock
    assert notifyguard.cancel(type=TYPE, key="42") == 0
    assert states() == ["sent"]


def test_cancel_is_for_one_namespace(mailbox, settings):
    settings.NOTIFYGUARD |= {"NAMESPACE": lambda: "tenant-a"}
    reminder().send()
    settings.NOTIFYGUARD |= {"NAMESPACE": lambda: "tenant-b"}
    assert notifyguard.cancel(type=TYPE, key="42") == 0


def test_cancel_looks_at_indexed_columns_only(mailbox, django_assert_max_num_queries):
    reminder().send()
    with django_assert_max_num_queries(12):
        notifyguard.cancel(type=TYPE, key="42")
    with django_assert_max_num_queries(1):
        notifyguard.cancel(type=TYPE, key="unknown")


def test_cancel_needs_a_key(mailbox):
    with pytest.raises(TypeError, match="by its key"):
        notifyguard.cancel(type=TYPE, key=None)


# Switches: what is for later is asked about when it is due


def test_a_switch_of_today_does_not_stop_next_week(mailbox):
    deed("hold", TYPE)
    reminder().send()
    assert states() == ["queued"]
    deed("resume", TYPE)
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com"]


def test_a_schedule_that_was_held_does_not_fire_its_backlog_when_resumed(mailbox):
    for number in range(3):
        reminder(key=number, subject=f"Soon: {number}").send()
    deed("hold", TYPE)
    come_due()
    sweeper.sweep()
    assert states() == ["held"] * 3
    deed("resume", TYPE)
    sweeper.sweep()
    assert mailbox.accepted() == []
    deed("release", "--yes")
    sweeper.sweep()
    assert len(mailbox.accepted()) == 3


def test_cancel_takes_back_what_is_held(mailbox):
    reminder().send()
    deed("hold", TYPE)
    come_due()
    sweeper.sweep()
    assert notifyguard.cancel(type=TYPE, key="42") == 1
    assert states() == ["discarded"]


def test_limits_count_what_leaves_and_not_what_is_scheduled(mailbox, settings):
    option(settings, limits=["1/hour"])
    for number in range(2):
        assert reminder(key=number).send() == 1
    assert states() == ["queued", "queued"]
    come_due()
    sweeper.sweep()
    assert [(row.state, row.rule) for row in rows(state="held")] == [("held", "limit")]
    assert mailbox.recipients() == ["ann@example.com"]


def test_suppressed_code_schedules_nothing(mailbox):
    with notifyguard.suppressed(reason="backfill"):
        reminder().send()
    assert states() == ["discarded"]


def test_who_releases_before_the_time_has_it_leave_in_time(mailbox):
    blank = reminder(subject="", body="")
    blank.send()
    assert states() == ["held"]
    notifyguard.ledger.rows.deliveries(connection).update(state="queued", wake_at=timezone.now())
    assert sweeper.sweep().delivered == 0
    (row,) = rows()
    assert (row.state, row.wake_at) == ("queued", row.due_at)


def test_what_is_released_before_its_time_does_not_keep_others_waiting(mailbox, monkeypatch):
    monkeypatch.setattr(sweeper, "BATCH", 2)
    for number in range(5):
        reminder(key=number).send()
    reminder("bob@example.com").send()
    come_due(recipient="bob@example.com")
    released = timezone.now() - timedelta(minutes=1)
    Delivery.objects.filter(recipient="ann@example.com").update(wake_at=released)
    assert sweeper.sweep().delivered == 1
    assert mailbox.recipients() == ["bob@example.com"]


# Nobody was there when it was due


def test_what_was_missed_is_sent_by_default(mailbox):
    reminder().send()
    come_due(timedelta(hours=3))
    sweeper.sweep()
    assert states() == ["sent"]


def test_after_a_day_it_is_stale(mailbox):
    reminder().send()
    come_due(timedelta(hours=25))
    sweeper.sweep()
    assert [(row.state, row.rule) for row in rows()] == [("held", "stale")]


def test_what_was_missed_is_held_if_its_type_says_so(mailbox, settings):
    option(settings, on_missed="hold")
    reminder(key="late").send()
    come_due(timedelta(minutes=11))
    reminder(key="in time").send()
    come_due(timedelta(minutes=9), state="queued", wake_at__gt=timezone.now())
    sweeper.sweep()
    assert [(row.state, row.rule) for row in rows()] == [("held", "missed"), ("sent", "")]


def test_who_releases_what_was_missed_has_it_leave(mailbox, settings):
    option(settings, on_missed="hold")
    reminder().send()
    come_due(timedelta(hours=3))
    sweeper.sweep()
    deed("release", "--rule", "missed", "--yes")
    sweeper.sweep()
    assert states() == ["sent"]


def test_of_what_was_missed_only_the_latest_leaves(mailbox, settings):
    option(settings, on_missed="latest")
    for hours in (3, 2, 1):
        reminder("ann@example.com", key=f"ann {hours}", subject=f"{hours} h ago").send()
        reminder("bob@example.com", key=f"bob {hours}").send()
        come_due(timedelta(hours=hours), wake_at__gt=timezone.now())
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]
    assert mailbox.subjects().count("1 h ago") == 1
    assert states() == ["expired"] * 4 + ["sent"] * 2
    assert {row.rule for row in rows(state="expired")} == {"missed"}


def test_of_two_that_were_missed_at_the_same_moment_one_leaves(mailbox, settings):
    option(settings, on_missed="latest")
    for subject in ("first", "last"):
        reminder(key=subject, subject=subject).send()
    come_due(timedelta(hours=1))
    sweeper.sweep()
    assert mailbox.subjects() == ["last"]
    assert states() == ["expired", "sent"]


def test_why_it_was_missed_is_said_in_local_time(mailbox, settings):
    settings.TIME_ZONE = "Asia/Kolkata"
    option(settings, on_missed="hold")
    reminder().send()
    come_due(timedelta(hours=1))
    sweeper.sweep()
    (row,) = rows()
    assert row.reason == f"It was due at {moment(row.due_at)} and was missed."
    assert "IST" in row.reason


def test_an_older_one_that_comes_after_the_latest_has_left_is_not_sent(mailbox, settings):
    option(settings, on_missed="latest")
    for hours in (1, 3):
        reminder(key=hours).send()
        come_due(timedelta(hours=hours), wake_at__gt=timezone.now())
        sweeper.sweep()
    assert states() == ["expired", "sent"]


@pytest.mark.parametrize("policy", ["hold", "latest"])
def test_what_is_released_though_it_is_stale_was_never_scheduled(mailbox, settings, policy):
    """A release makes it due now; a sweeper that comes late has missed nothing."""
    option(settings, on_missed=policy, max_age=DAY)
    deed("hold", TYPE)
    for key in ("1", "2"):
        letter("ann@example.com", key=key, type=TYPE).send()
    deed("resume", TYPE)
    Delivery.objects.update(created_at=F("created_at") - 2 * DAY)
    release()
    sweeper.sweep()
    assert [(row.state, row.rule) for row in rows()] == [("held", "stale")] * 2
    release()
    then = timezone.now() - timedelta(minutes=20)
    Delivery.objects.update(due_at=then, wake_at=then)
    sweeper.sweep()
    assert states() == ["sent"] * 2


def test_what_is_merely_queued_was_not_missed(mailbox, settings):
    option(settings, on_missed="hold")
    transaction.set_autocommit(False)
    try:
        letter("ann@example.com", key="1", type=TYPE).send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    then = timezone.now() - timedelta(hours=1)
    Delivery.objects.update(created_at=then, due_at=then, wake_at=then)
    sweeper.sweep()
    assert states() == ["sent"]


# Failures


def test_without_the_ledger_it_is_refused_and_not_sent_early(mailbox, settings, monkeypatch):
    """Critical mail leaves unrecorded when the ledger is down; what is for later must not."""
    option(settings, critical=True)

    def down(*args):
        raise DatabaseError("down")

    monkeypatch.setattr("notifyguard.ledger.record", down)
    for missing in (False, True):
        monkeypatch.setattr(failures, "tables_are_missing", lambda missing=missing: missing)
        with pytest.raises(LedgerUnavailable):
            reminder().send()
    assert mailbox.accepted() == []


SCHEDULES_AND_DIES = """
import os, sys, django
django.setup()
from datetime import timedelta
from django.conf import settings
from django.utils import timezone
from tests.mailbox import use_server
from tests.integration.test_schedule import reminder
settings.NOTIFYGUARD = {}
use_server(settings, int(sys.argv[1]))
reminder(at=timezone.now() + timedelta(seconds=1)).send()
os._exit(9)
"""


def test_it_outlives_its_process(mailbox, mail_server, process_environment):
    command = [sys.executable, "-W", "error", "-c", SCHEDULES_AND_DIES, str(mail_server.port)]
    died = subprocess.run(command, env=process_environment, cwd=PROJECT, timeout=60)
    assert died.returncode == 9
    come_due()
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com"]


# What an operator sees


def test_status_and_scheduled_show_who_waits_for_when(mailbox):
    at = timezone.now() + DAY
    reminder(at=at).send()
    reminder("bob@example.com", key="2", at=at + DAY).send()
    said = facts("status")
    assert said["waiting"] == []
    (planned,) = said["scheduled"]
    assert (planned["type"], planned["count"]) == (TYPE, 2)
    assert planned["first"] < planned["last"]
    assert not said["sweeper_is_missing"]
    assert "Scheduled" in operate("status")
    assert [each["recipient"] for each in facts("scheduled")] == [
        "ann@example.com",
        "bob@example.com",
    ]
    assert "bob@example.com" in operate("scheduled", "appointment.*")
    assert "the first 1" in operate("scheduled", "--limit", "1")
    assert "Nothing waits" in operate("scheduled", "other.*")


def test_why_tells_when_it_will_leave_and_that_it_was_taken_back(mailbox):
    at = timezone.now() + DAY
    reminder(at=at).send()
    assert f"It is scheduled for {timezone.localtime(at):%Y-%m-%d %H:%M}" in operate(
        "why", "ann@example.com"
    )
    notifyguard.cancel(type=TYPE, key="42")
    assert "taken back" in operate("why", "ann@example.com")


def test_why_does_not_call_scheduled_what_is_overdue(mailbox):
    reminder().send()
    come_due(timedelta(hours=3))
    told = operate("why", "ann@example.com")
    assert "It has been due since" in told
    assert "It is scheduled" not in told


def test_a_project_without_time_zones(mailbox, settings):
    settings.USE_TZ = False
    reminder(at=timezone.now().astimezone() + DAY).send()
    assert sweeper.sweep().delivered == 0
    now = datetime.now()  # noqa: DTZ005
    Delivery.objects.update(created_at=now - DAY, due_at=now, wake_at=now)
    sweeper.sweep()
    assert mailbox.recipients() == ["ann@example.com"]


def test_what_is_planned_is_told_apart_row_by_row(mailbox, django_assert_num_queries):
    """Out of a list, PostgreSQL would read it anew for each row: status and every page hang."""
    reminder().send()
    with django_assert_num_queries(1) as asked:
        assert report.waiting() == []
    assert asked.captured_queries[0]["sql"].count("SELECT") == 1
    assert types_found.waiting() == {}


def test_what_is_due_is_shown_as_queued(mailbox):
    reminder().send()
    come_due()
    said = facts("status")
    assert [each["state"] for each in said["waiting"]] == ["queued"]
    assert said["scheduled"] == []


def test_in_the_light_mode_of_tests_everything_leaves_at_once(settings):
    settings.NOTIFYGUARD = {}
    use_backend(settings, "django.core.mail.backends.locmem.EmailBackend")
    reminder().send()
    assert len(mail.outbox) == 1
    assert notifyguard.cancel(type=TYPE, key="42") == 0
