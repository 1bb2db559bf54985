"""Somebody hears that mail is held: once for each type and rule, at once, whatever else happens."""

from __future__ import annotations

import asyncio
import logging
import re
import shlex
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import DatabaseError, transaction
from django.db.models import F

import notifyguard
from notifyguard import alerts, checks, context, switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Decision, Sending
from notifyguard.ledger import alerts as on_record
from notifyguard.management.commands.notifyguard import Command
from notifyguard.models import Alert, Delivery
from notifyguard.signals import held
from tests.factories import DeliveryFactory
from tests.mailbox import closed_port, letter, rows, staff, states, use_backend, use_server
from tests.operators import operate
from tests.smtp import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)

ME = unrestricted("me")
OPS = "ops@example.com"
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
MINUTE, HOUR, DAY = timedelta(minutes=1, seconds=1), timedelta(hours=1), timedelta(days=1)

HOLDER = """
import sys
from django.conf import settings
import django
django.setup()
from tests.mailbox import letter, staff, use_server
settings.NOTIFYGUARD = {}
settings.ADMINS = staff("ops@example.com")
use_server(settings, int(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(5):
    letter(subject="", body="").send()
"""


@pytest.fixture(autouse=True)
def project(mailbox, settings, monkeypatch):
    """A project with somebody to tell, in a process that has told nothing yet."""
    settings.ADMINS = staff(OPS)
    monkeypatch.setattr(alerts, "_quiet_until", {})
    return mailbox


@pytest.fixture
def heard():
    """What receivers of the signal are told."""
    calls: list[dict[str, Any]] = []

    def receiver(sender, signal, **told):
        calls.append(told)

    held.connect(receiver)
    yield calls
    held.disconnect(receiver)


def blank(type="ticket.modified", **more):
    return letter("ann@example.com", subject="", body="", type=type, **more)


def told(mailbox):
    """The subjects of the alerts that arrived."""
    return [mail["subject"] for mail in mailbox.accepted() if mail["to"] == [OPS]]


def after(by):
    """Let time pass for what is on record; the process forgets that it asked."""
    Alert.objects.update(told_at=F("told_at") - by)
    Delivery.objects.update(changed_at=F("changed_at") - by)
    alerts._quiet_until.clear()


# At once


def test_the_first_one_held_is_told_at_once(project):
    assert blank().send() == 0
    (subject,) = told(project)
    assert subject.endswith("notifyguard holds mail: 1 new of ticket.modified")
    assert [(row.type, row.state) for row in rows()] == [
        ("ticket.modified", "held"),
        ("notifyguard.alerts", "sent"),
    ]


def test_a_hundred_are_told_once(project):
    for _ in range(100):
        blank().send()
    assert len(told(project)) == 1


def test_it_says_what_to_type_and_names_nobody(project, settings, caplog):
    caplog.set_level(logging.DEBUG, "notifyguard")
    use_backend(settings, LOCMEM)
    settings.NOTIFYGUARD |= {"TYPES": {"*": {"rules": {"unrendered": "hold"}}}}
    with notifyguard.notification("it's urgent"):
        message = letter("ann@example.com", subject="{{ secret }}", body="word")
        notifyguard.identify(message, "it's urgent")
        message.send()
    (alert,) = mail.outbox
    said = f"{alert.subject}{alert.body}{caplog.text}"
    for secret in ("ann@", "secret", "word"):
        assert secret not in said
    assert "deliveries that wait: 1, new since the last alert: 1, the oldest from 2" in alert.body
    assert "release 'it'\"'\"'s urgent' --rule unrendered --reason \"...\"" in alert.body


def test_what_it_says_to_type_can_be_typed(project, settings):
    use_backend(settings, LOCMEM)
    blank("it's urgent").send()
    (alert,) = mail.outbox
    parser = Command().create_parser("manage.py", "notifyguard")
    typed = re.findall(r"manage\.py notifyguard (.+)", str(alert.body))
    assert [shlex.split(line)[0] for line in typed] == ["release", "discard-held", "held"]
    for line in typed:
        parser.parse_args(shlex.split(line))


def test_the_signal_and_the_log_say_the_same(heard, caplog):
    blank().send()
    (call,) = heard
    assert call.pop("oldest") is not None
    assert call == {"type": "ticket.modified", "rule": "blank", "waiting": 1, "fresh": 1}
    assert "mail of type ticket.modified is held by rule blank: 1 wait, 1 of" in caplog.text


def test_nobody_to_mail_is_no_silence(project, settings, heard):
    settings.ADMINS = []
    blank().send()
    assert len(heard) == 1
    assert told(project) == []
    (found,) = checks.check_admins(None)
    assert found.id == "notifyguard.W008"


def test_the_check_is_content_with_admins_and_in_bypass(settings):
    assert checks.check_admins(None) == []
    settings.ADMINS = []
    settings.NOTIFYGUARD |= {"MODE": "bypass"}
    assert checks.check_admins(None) == []


# Window and turn


def test_whoever_tells_tells_everything(project):
    """Or of twenty types that a switch holds the last is told after twenty minutes."""
    for number in range(3):
        blank(f"ticket.type{number}").send()
    assert len(told(project)) == 1
    Alert.objects.filter(type="").update(told_at=F("told_at") - MINUTE)
    blank("ticket.type9").send()
    assert told(project)[1].endswith("notifyguard holds mail: 3 new of 3 kinds")


def test_what_is_held_while_an_alert_is_mailed_is_told_in_the_next(project, monkeypatch):
    mail_admins = alerts.mail_admins

    def slow(*args):
        mail_admins(*args)
        blank().send()

    monkeypatch.setattr(alerts, "mail_admins", slow)
    blank().send()
    monkeypatch.setattr(alerts, "mail_admins", mail_admins)
    after(HOUR)
    alerts.sum_up()
    assert told(project)[1].endswith("notifyguard holds mail: 1 new of ticket.modified")


def test_another_type_in_the_same_minute_waits_for_the_sweeper(project):
    blank().send()
    blank("invoice.sent").send()
    assert len(told(project)) == 1
    operate("sweep")
    assert len(told(project)) == 1
    after(MINUTE)
    operate("sweep")
    assert told(project)[1].endswith("1 new of invoice.sent")


def test_what_came_since_is_summed_up_after_an_hour(project, heard):
    blank().send()
    for _ in range(5):
        blank().send()
    after(HOUR / 2)
    operate("sweep")
    assert len(heard) == 1
    after(HOUR / 2)
    operate("sweep")
    assert [(call["waiting"], call["fresh"]) for call in heard] == [(1, 1), (6, 5)]
    after(HOUR)
    operate("sweep")
    assert len(heard) == 2  # nothing new


def test_the_holding_process_tells_too_when_the_window_is_over(project):
    blank().send()
    after(HOUR)
    blank().send()
    assert len(told(project)) == 2


def test_one_mail_names_all_that_came_together(project, settings):
    DeliveryFactory.create_batch(
        60, type="import.row", state="held", rule="blank", wake_at="9000-01-01T00:00Z"
    )
    for number in range(60):
        DeliveryFactory(
            type=f"type.{number}", state="held", rule="stale", wake_at="9000-01-01T00:00Z"
        )
    use_backend(settings, LOCMEM)
    operate("sweep")
    (alert,) = mail.outbox
    assert alert.subject.endswith("notifyguard holds mail: 120 new of 61 kinds")
    assert "deliveries that wait: 60, new since the last alert: 60" in alert.body
    assert "… and 11 more kinds." in alert.body
    operate("sweep")
    assert len(mail.outbox) == 1


def test_what_a_person_stopped_is_told_once_a_day(project, heard):
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="a test", actor=unrestricted("ann"))
    letter().send()
    after(HOUR * 2)
    letter().send()
    assert len(heard) == 1
    after(DAY - HOUR * 2)
    letter().send()
    assert [call["fresh"] for call in heard] == [1, 2]


def test_asking_costs_nothing_while_the_process_knows(monkeypatch):
    asked = []
    real = on_record.untold

    def untold(*pairs):
        asked.append(pairs)
        return real(*pairs)

    monkeypatch.setattr(on_record, "untold", untold)
    for _ in range(10):
        blank().send()
    assert len(asked) == 2  # before it took its turn, and in it


def test_eight_processes_that_hold_at_once_tell_once(project, process_environment):
    command = [sys.executable, "-c", HOLDER, str(project.sink.port)]
    options: dict[str, Any] = {"env": process_environment, "cwd": PROJECT, "text": True}
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
        for _ in range(8)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    assert [process.returncode for process in processes] == [0] * 8
    assert states(type="ticket.modified") == ["held"] * 40
    assert len(told(project)) == 1


# Never a loop, never in the way


def test_an_alert_that_is_held_is_no_news(project, settings, heard):
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": []}
    for _ in range(3):
        letter().send()
        after(DAY)
        operate("sweep")
    assert {call["type"] for call in heard} == {"ticket.modified"}
    assert project.accepted() == []
    assert len(rows(type="notifyguard.alerts", state="held")) == len(heard) <= 4


def test_an_alert_that_was_held_is_told_again_once_it_may_leave(project):
    switchboard.set_switch("notifyguard.*", Sending.HOLD, reason="test", actor=ME)
    blank().send()
    after(MINUTE)
    operate("sweep")
    assert states(type="notifyguard.alerts") == ["held"]  # not one a minute
    switchboard.clear_switch("notifyguard.*", reason="test", actor=ME)
    after(timedelta(minutes=10))
    operate("sweep")
    assert len(told(project)) == 1
    after(MINUTE)
    operate("sweep")
    assert len(told(project)) == 1


def test_error_mail_does_not_use_its_limit_up(project, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"django.admins": {"type_limits": ["1/h"]}}}
    for number in range(3):
        mail.mail_admins(f"Error {number}", "It broke.")
    blank().send()
    assert len([subject for subject in told(project) if "holds mail" in subject]) == 1


def test_nothing_is_told_before_the_commit(project):
    with transaction.atomic():
        blank().send()
        assert told(project) == []
    assert len(told(project)) == 1


def test_what_was_rolled_back_was_not_held(project, heard):
    with transaction.atomic():
        blank().send()
        transaction.set_rollback(True)
    assert heard == []
    assert rows() == []


def test_what_is_held_on_commit_is_told(project, settings):
    with transaction.atomic():
        letter("eve@example.net", key="1").send()
        settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["example.com"]}
    assert states() == ["held", "sent"]
    assert len(told(project)) == 1


def test_a_mail_server_that_is_down_harms_nobody_and_is_tried_again(project, settings, caplog):
    use_server(settings, closed_port(), timeout=2)
    assert blank().send() == 0
    assert "could not send an alert: ConnectionRefusedError" in caplog.text
    use_server(settings, project.sink.port)
    operate("sweep")
    assert told(project) == []  # it had its turn
    after(MINUTE)
    operate("sweep")
    assert len(told(project)) == 1


def test_a_ledger_that_fails_harms_nobody(monkeypatch, caplog):
    def fails(pairs):
        raise DatabaseError("ann@example.com")

    monkeypatch.setattr(on_record, "untold", fails)
    assert blank().send() == 0
    assert states() == ["held"]
    assert "could not send an alert: DatabaseError" in caplog.text
    assert "ann@" not in caplog.text


def test_a_receiver_that_raises_harms_nobody(project):
    def fails(**told):
        raise RuntimeError("a bug of the project")

    held.connect(fails)
    try:
        assert blank().send() == 0
    finally:
        held.disconnect(fails)
    # Django mails the receiver's error by itself.
    assert len([subject for subject in told(project) if "holds mail" in subject]) == 1


def test_an_alert_is_no_part_of_what_the_code_says_of_its_own_mail(project):
    with (
        notifyguard.suppressed(reason="backfill"),
        notifyguard.unsuppressed("news", reason="tell them"),
        notifyguard.notification("news", key="1"),
        context.running_task(context.Task("project.tasks.news", "1")),
    ):
        message = letter(subject="", body="", type="news")
        assert message.send() == 0
    assert len(told(project)) == 1
    (alert,) = rows(type="notifyguard.alerts")
    assert (alert.key, alert.task_id) == (None, "")


def test_from_a_running_event_loop(project):
    async def send():
        return blank().send()

    assert asyncio.run(send()) == 0
    assert len(told(project)) == 1


def test_what_was_told_long_ago_is_forgotten(project):
    blank().send()
    after(DAY * 31)
    blank("invoice.sent").send()
    assert set(Alert.objects.values_list("type", flat=True)) == {"", "invoice.sent"}


def test_a_rule_of_the_project_is_told_by_its_own_name(heard, settings):
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [f"{__name__}.objects"]}
    letter().send()
    assert heard[0]["rule"] == "x" * 50


def objects(candidate):
    if candidate.critical:
        return None
    return Decision(Sending.HOLD, "x" * 60, "I object.")
