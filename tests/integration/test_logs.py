"""Logs carry ids, never addresses or subjects: not in what a server or database says, either."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from notifyguard import ledger, rules, sweeper
from notifyguard.decision import State
from notifyguard.gate import late
from notifyguard.models import Delivery, FrozenMessage
from tests.factories import DeliveryFactory
from tests.mailbox import batch, letter, rows
from tests.refusals import refusing
from tests.smtp import PROJECT

pytestmark = pytest.mark.django_db(transaction=True)

NAME = "ann.marple"
ANN = f"{NAME}@example.com"
SUBJECT = "Your diagnosis"
ROW = f"Failing row contains ({ANN}, {SUBJECT})"  # as PostgreSQL shows it
refuses = partial(refusing, saying=ROW, detail=ROW)


def to_ann(fault="", **more):
    return letter(f"{fault}+{ANN}" if fault else ANN, subject=SUBJECT, **{"key": "1"} | more)


def queue_up(*messages):
    transaction.set_autocommit(False)
    try:
        for message in messages:
            message.send()
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    Delivery.objects.update(wake_at=timezone.now())


def indiscreet(candidate):
    """A rule that breaks with more words than it should."""
    raise ValueError(f"cannot judge {candidate.recipient}: {candidate.dispatch.subject}")


@pytest.fixture
def logged(mailbox, caplog):
    """Return what was logged, in every form in which a handler could show it; begin anew."""

    def words():
        formatter = logging.Formatter()
        shown = [(formatter.format(each), repr(vars(each))) for each in caplog.records]
        caplog.clear()
        return "\n".join(text for texts in shown for text in texts)

    with caplog.at_level(logging.DEBUG):
        yield words


def names_nobody(text):
    return NAME not in text and SUBJECT not in text


def the_server_refuses_what_the_sweeper_sends(settings):
    queue_up(to_ann("refuse-550"))
    sweeper.sweep()


def the_database_refuses_what_the_sweeper_marks(settings):
    queue_up(to_ann())
    with refuses("update", "NEW.state = 'in_flight'"):
        sweeper.sweep()


def a_stored_message_is_damaged(settings):
    queue_up(to_ann())
    payload = json.loads(FrozenMessage.objects.get().payload)
    payload["state"]["due"] = {"$": "date", "v": ANN}  # the parser's error repeats it
    FrozenMessage.objects.update(payload=json.dumps(payload))
    sweeper.sweep()
    assert ANN in rows()[0].reason


def the_server_refuses_what_is_sent_on_commit(settings):
    with transaction.atomic():
        to_ann("refuse-550").send()


def the_database_refuses_what_is_sent_on_commit(settings):
    with refuses("update", "NEW.state = 'in_flight'"), transaction.atomic():
        to_ann().send()


def the_database_refuses_the_confirm(settings):
    with refuses("update", "NEW.state = 'sent'"):
        to_ann().send()


def the_database_refuses_the_record_of_a_failure(settings):
    with (
        refuses("insert", "NEW.state = 'failed'"),
        pytest.raises(ValueError, match=r"(?i)newline|linefeed"),
    ):
        letter(ANN, subject=f"{SUBJECT}\nBcc: eve@example.com").send()


def the_database_refuses_to_take_claims_back(settings):
    messages = to_ann("refuse-550"), letter(ANN, key="2", subject=SUBJECT)
    with refuses("update", "NEW.rule = 'batch'"), pytest.raises(OSError, match="550"):
        batch(*messages)


def the_database_refuses_what_a_silent_backend_sends(settings):
    with refuses("insert", "NEW.state = 'in_flight'"):
        batch(to_ann(), silent=True)


def the_database_refuses_critical_mail_and_its_late_record(settings):
    settings.NOTIFYGUARD |= {"TYPES": {"critical": {"critical": True}}}
    with refuses("insert", f"NEW.recipient = '{ANN}'"):
        to_ann(type="critical").send()
        letter("bob@example.com").send()
    assert len(late.unrecorded) == 1


def without_a_ledger_critical_mail_meets_a_hold(settings):
    settings.NOTIFYGUARD |= {"TYPES": {"critical": {"critical": True}}, "SENDING": "hold"}
    with refuses("insert", f"NEW.recipient = '{ANN}'"):
        to_ann(type="critical").send()


def a_key_is_used_for_other_content(settings):
    to_ann().send()
    to_ann(body="other").send()


def a_mail_is_sent_inside_a_transaction(settings):
    with transaction.atomic():
        to_ann(key=None).send()


def an_outcome_comes_too_late(settings):
    to_ann().send()
    entry = ledger.rows.entry_of(rows()[0])
    entry.state = State.SENT
    ledger.confirm([entry])


def the_server_says_goodbye_badly(settings):
    to_ann("longquit").send()


def a_rule_breaks(settings):
    rules.broken.clear()
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [f"{indiscreet.__module__}.indiscreet"]}
    to_ann().send()


LINES = {
    the_server_refuses_what_the_sweeper_sends: "could not deliver dispatch",
    the_database_refuses_what_the_sweeper_marks: "could not deliver dispatch",
    a_stored_message_is_damaged: "cannot be delivered",
    the_server_refuses_what_is_sent_on_commit: "SMTPRecipientsRefused",
    the_database_refuses_what_is_sent_on_commit: "failed: ",
    the_database_refuses_the_confirm: "could not confirm",
    the_database_refuses_the_record_of_a_failure: "could not record a failure",
    the_database_refuses_to_take_claims_back: "could not give back claims",
    the_database_refuses_what_a_silent_backend_sends: "cannot be written",
    the_database_refuses_critical_mail_and_its_late_record: "sent without a record",
    without_a_ledger_critical_mail_meets_a_hold: "not sent and not kept",
    a_key_is_used_for_other_content: "conflict",
    a_mail_is_sent_inside_a_transaction: "sent inside a transaction",
    an_outcome_comes_too_late: "too late",
    the_server_says_goodbye_badly: "closing the backend failed",
    a_rule_breaks: "ValueError",
}


@pytest.mark.parametrize("happens", LINES, ids=lambda happens: happens.__name__)
def test_no_log_line_names_a_person_or_a_subject(happens, logged, settings, capfd):
    happens(settings)
    text = logged()
    assert LINES[happens] in text
    assert names_nobody(text)
    said = capfd.readouterr()
    assert names_nobody(said.out + said.err)


def test_a_sweeper_in_a_loop_names_nobody_when_the_database_refuses_it(
    mailbox, process_environment
):
    long_ago = timezone.now() - timedelta(hours=1)
    DeliveryFactory(state=State.IN_FLIGHT, recipient=ANN, subject=SUBJECT, created_at=long_ago)
    command = [sys.executable, "-m", "django", "notifyguard", "sweep", "--loop", "--every", "1"]
    refused = refusing("update", "NEW.state = 'uncertain'", saying="refused", detail=ROW)
    with (
        refused,
        subprocess.Popen(
            command, env=process_environment, cwd=PROJECT, stderr=subprocess.PIPE, text=True
        ) as run,
    ):
        assert run.stderr is not None
        said = run.stderr.readline()
        run.terminate()
        said += run.stderr.read()
    assert run.returncode == 0
    assert "refused" in said
    assert names_nobody(said)
