"""What a message says decides what becomes of it: blank is held, placeholders are reported."""

from __future__ import annotations

import logging
from contextlib import nullcontext

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.db import DatabaseError, connection, transaction

from notifyguard import ledger
from notifyguard.decision import Decision, Sending
from notifyguard.gate import reports
from notifyguard.models import Claim, FrozenMessage
from notifyguard.rules import broken
from tests.mailbox import letter, outcomes, rows, states, watched_traffic
from tests.operators import deed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch):
    monkeypatch.setattr(reports, "_said", set())


def objects(candidate):
    return Decision(Sending.DISCARD, "mine", "I object.", keeps_body=False)


def answers_yes(candidate):
    return True


def set_rules(settings, **rules):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"rules": rules}}}


def test_a_blank_message_is_held_and_a_person_may_let_it_go(mailbox):
    message = letter("ann@example.com", subject="", body="")
    assert message.send() == 0
    assert outcomes(message) == {"ann@example.com": "held"}
    (row,) = rows()
    assert (row.rule, row.reason) == ("blank", "Its subject and its body are blank.")
    deed("release", "--rule", "blank", "--yes")
    assert states() == ["sent"]
    assert len(mailbox.accepted()) == 1


def test_a_critical_blank_message_is_held_too(mailbox):
    assert letter(subject="", body=" ", type="auth.password_reset").send() == 0
    assert states() == ["held"]


def test_a_held_blank_takes_its_key(mailbox):
    for _ in range(3):
        assert letter("ann@example.com", subject="", body="", key="1").send() == 0
    assert states() == ["held"]
    assert Claim.objects.get().duplicates == 2


def test_a_list_of_visible_recipients_is_held_whole(mailbox):
    people = [f"user{number}@example.com" for number in range(51)]
    assert letter(*people).send() == 0
    assert states() == ["held"] * 51
    assert FrozenMessage.objects.count() == 1
    assert letter(*people[:50]).send() == 1


def test_a_placeholder_leaves_and_the_ledger_says_so(mailbox, caplog):
    assert letter("ann@example.com", body="Dear {{ name }},").send() == 1
    (row,) = rows()
    assert (row.state, row.rule) == ("sent", "unrendered")
    assert "the body looks like a placeholder" in row.reason
    assert "rule unrendered objects" in caplog.text


def test_a_report_is_logged_once_for_each_type_and_names_nobody(mailbox, caplog):
    caplog.set_level(logging.DEBUG, "notifyguard")
    for _ in range(3):
        letter("ann@example.com", subject="{{ secret }}", body="{{ word }}").send()
    letter("ann@example.com", body="{{ word }}", type="invoice.sent").send()
    assert caplog.text.count("objects") == 2
    assert "ann@" not in caplog.text
    assert "secret" not in caplog.text


def test_a_report_does_not_hide_what_a_later_rule_stops(mailbox, settings):
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [f"{__name__}.objects"]}
    assert letter(body="Dear {{ name }},").send() == 0
    (row,) = rows()
    assert (row.state, row.rule) == ("discarded", "mine")


def test_a_report_survives_the_queue(mailbox):
    with transaction.atomic():
        letter(body="Dear {{ name }},", key="1").send()
    (row,) = rows()
    assert (row.state, row.rule) == ("sent", "unrendered")


def test_inside_a_transaction_a_blank_message_is_held_with_it(mailbox):
    with transaction.atomic():
        assert letter(subject="", body="").send() == 0
        transaction.set_rollback(True)
    assert states() == []
    with transaction.atomic():
        assert letter(subject="", body="", key="1").send() == 0
    assert states() == ["held"]


# Switched


@pytest.mark.parametrize(
    ("action", "sent", "state", "rule"),
    [
        ("off", 1, "sent", ""),
        ("report", 1, "sent", "blank"),
        ("hold", 0, "held", "blank"),
    ],
)
def test_a_rule_is_switched_for_a_type(mailbox, settings, action, sent, state, rule):
    set_rules(settings, blank=action, empty_body="off")
    assert letter(subject="", body="").send() == sent
    (row,) = rows()
    assert (row.state, row.rule) == (state, rule)
    assert letter(subject="", body="", type="invoice.sent").send() == 0


def test_a_reporting_rule_may_hold(mailbox, settings):
    set_rules(settings, unrendered="hold")
    assert letter(body="{{ name }}").send() == 0
    assert states() == ["held"]


def test_a_disabled_rule_is_not_asked(mailbox, settings):
    settings.NOTIFYGUARD |= {"DISABLED_RULES": ["blank", "empty_body"]}
    assert letter(subject="", body="").send() == 1
    assert rows()[0].rule == ""


@pytest.mark.parametrize(("action", "state"), [("report", "sent"), ("hold", "held")])
def test_a_rule_of_the_project_is_switched_by_its_path(mailbox, settings, action, state):
    path = f"{__name__}.objects"
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [path], "TYPES": {"*": {"rules": {path: action}}}}
    letter().send()
    (row,) = rows()
    assert (row.state, row.rule) == (state, "mine")
    if action == "hold":
        deed(
            "release", "--rule", "mine", "--yes"
        )  # the rule had thrown the body away; what is held is kept
        assert states() == ["sent"]


def test_what_somebody_set_cannot_be_switched_off(mailbox, settings):
    settings.NOTIFYGUARD |= {
        "ALLOW_RECIPIENTS": [],
        "DISABLED_RULES": ["allow_recipients", "switch"],
    }
    assert letter().send() == 0
    assert states() == ["held"]


def test_observed_content_rules_only_report(mailbox, settings):
    settings.NOTIFYGUARD |= {"MODE": "observe"}
    assert letter(subject="", body="").send() == 1
    (row,) = rows()
    assert (row.state, row.rule) == ("sent", "observed blank")


# Broken


def test_a_rule_that_answers_nonsense_is_a_broken_rule(mailbox, settings, caplog):
    path = f"{__name__}.answers_yes"
    broken.pop(path, None)
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [path]}
    assert letter().send() == 0
    (row,) = rows()
    assert row.rule == path[:50]
    assert "broke; on error it says hold_but_critical: TypeError" in caplog.text
    assert broken[path] == 1
    assert letter(type="auth.password_reset").send() == 1


def test_a_broken_rule_that_only_reports_does_not_hold(mailbox, settings):
    path = f"{__name__}.answers_yes"
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [path], "TYPES": {"*": {"rules": {path: "report"}}}}
    assert letter().send() == 1
    (row,) = rows()
    assert (row.state, row.reason) == ("sent", f"The rule {path} broke; see the log.")


# No place to keep it in


def test_without_a_ledger_what_nobody_set_is_not_stopped(mailbox, monkeypatch, settings):
    """There is nothing to hold it in: critical mail that a rule would hold leaves."""

    def fails(*_):
        raise DatabaseError("no disk")

    monkeypatch.setattr(ledger, "record", fails)
    assert letter(subject="", body="", type="auth.password_reset").send() == 1
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": []}
    assert letter(type="auth.password_reset").send() == 0


@pytest.mark.parametrize("inside", [False, True], ids=["autocommit", "atomic"])
def test_the_rest_of_a_message_is_judged_when_the_held_part_cannot_be_kept(
    mailbox, monkeypatch, settings, inside
):
    def fails(*_):
        raise DatabaseError("no disk")

    monkeypatch.setattr(ledger, "record", fails)
    monkeypatch.setattr(ledger, "note", fails)
    settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["example.com"]}
    message = letter("ann@example.com", "eve@example.net", type="auth.password_reset")
    with transaction.atomic() if inside else nullcontext():
        assert message.send() == 1
    assert mailbox.recipients() == ["ann@example.com"]
    assert outcomes(message) == {"ann@example.com": "sent", "eve@example.net": "failed"}


# Nothing that is meant is stopped


def real_messages():
    invitation = EmailMultiAlternatives("", "", to=["ann@example.com"])
    invitation.attach_alternative("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "text/calendar")
    html_only = EmailMultiAlternatives("News", "", to=["ann@example.com"])
    html_only.attach_alternative("<h1>News</h1>", "text/html")
    attached = EmailMessage("", "", to=["ann@example.com"])
    attached.attach("scan.pdf", b"%PDF", "application/pdf")
    code = EmailMessage("How to", "int a[1][2] = {{1, 2}};\n", to=["ann@example.com"])
    many = EmailMessage("News", "Text", bcc=[f"user{n}@example.com" for n in range(200)])
    return [invitation, html_only, attached, code, many]


@pytest.mark.parametrize("number", range(5))
def test_what_is_meant_leaves_without_a_word(mailbox, number):
    assert real_messages()[number].send() == 1
    assert {(row.state, row.rule) for row in rows()} == {("sent", "")}


def test_the_rules_cost_no_query(mailbox):
    letter().send()
    with watched_traffic() as traffic:
        letter(body="Dear {{ name }},").send()
    assert len(traffic.statements) == {"postgresql": 2, "mysql": 3}.get(connection.vendor, 4)
