"""MODE: observe reports what rules would do and obeys people; bypass is as if not installed."""

from __future__ import annotations

import pytest

import notifyguard
from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.context import suppressed
from notifyguard.decision import Decision, Sending
from notifyguard.models import Claim
from notifyguard.rules import broken
from tests.mailbox import batch, letter, outcomes, rows, states

pytestmark = pytest.mark.django_db(transaction=True)


def hold_all(candidate):
    return Decision(Sending.HOLD, "mine", "I hold everything.")


def breaks(candidate):
    raise RuntimeError("a bug of the project")


@pytest.fixture
def observe(mailbox, settings):
    settings.NOTIFYGUARD |= {"MODE": "observe"}
    return mailbox


def test_a_rule_of_the_project_holds(mailbox, settings):
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [f"{__name__}.hold_all"]}
    assert letter().send() == 0
    (row,) = rows()
    assert (row.state, row.rule, row.reason) == ("held", "mine", "I hold everything.")


def test_a_rule_can_be_switched_off_but_no_switch_can(mailbox, settings):
    rule = f"{__name__}.hold_all"
    settings.NOTIFYGUARD |= {
        "EXTRA_RULES": [rule],
        "DISABLED_RULES": [rule, "switch", "suppressed"],
    }
    assert letter().send() == 1
    settings.NOTIFYGUARD |= {"SENDING": "hold"}
    assert letter().send() == 0


def test_a_rule_that_breaks_holds_and_lets_critical_mail_pass(mailbox, settings, caplog):
    rule = f"{__name__}.breaks"
    broken.pop(rule, None)
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [rule]}
    assert [letter().send() for _ in range(3)] == [0, 0, 0]
    assert letter(type="auth.password_reset").send() == 1
    assert states() == ["held", "held", "held", "sent"]
    assert broken[rule] == 4
    assert caplog.text.count("the rule") == 1


def test_observed_rules_are_reported_and_not_obeyed(observe, settings):
    settings.NOTIFYGUARD |= {"EXTRA_RULES": [f"{__name__}.hold_all"]}
    assert letter().send() == 1
    (row,) = rows()
    assert (row.state, row.rule) == ("sent", "observed mine")
    assert "Would have been stopped" in row.reason


def test_observed_duplicates_leave_and_are_reported(observe):
    assert [letter("ann@example.com", key="1", subject="A").send() for _ in range(3)] == [1, 1, 1]
    assert sorted(row.rule for row in rows()) == ["", "observed duplicate", "observed duplicate"]
    assert Claim.objects.count() == 1


def test_observed_conflicts_leave_and_are_reported(observe):
    for subject in "AB":
        assert letter("ann@example.com", key="1", subject=subject).send() == 1
    assert sorted(row.rule for row in rows()) == ["", "observed conflict"]


def test_observed_duplicates_of_one_batch_leave(observe):
    twice = [letter("ann@example.com", key="1", subject="A") for _ in range(2)]
    assert batch(*twice) == 2
    assert len(observe.accepted()) == 2


def test_what_a_person_set_is_obeyed_while_observing(observe, settings):
    switchboard.set_switch("ticket.*", Sending.HOLD, reason="stop", actor=unrestricted("me"))
    assert letter().send() == 0
    with notifyguard.suppressed(reason="backfill"):
        assert letter(type="newsletter").send() == 0
    assert observe.accepted() == []


def test_our_own_suppression_is_only_observed(observe):
    with suppressed(reason="migrate", automatic=True):
        assert letter().send() == 1
    (row,) = rows()
    assert row.rule == "observed suppressed"


@pytest.mark.parametrize("source", ["SENDING", "suppressed", "switch"])
def test_bypass_is_as_if_not_installed(mailbox, settings, source, django_assert_num_queries):
    if source == "switch":
        switchboard.set_switch(
            "*", Sending.HOLD, reason="stop", actor=unrestricted("me"), everything=True
        )
    settings.NOTIFYGUARD |= {"MODE": "bypass", "SENDING": "hold" if source == "SENDING" else "open"}
    message = letter("ann@example.com", key="1")
    with django_assert_num_queries(0), notifyguard.suppressed("other", reason="backfill"):
        assert message.send() == 1
        assert message.send() == 1
    assert len(mailbox.accepted()) == 2
    assert rows() == []
    assert outcomes(message) == {}
