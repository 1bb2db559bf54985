"""ALLOW_RECIPIENTS: whom a staging site may write to; everybody else is held, never rewritten."""

from __future__ import annotations

import pytest
from django.core import mail
from django.db import transaction

from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.conf import problem
from notifyguard.decision import Sending
from notifyguard.models import FrozenMessage
from tests.mailbox import letter, outcomes, rows, staff, states
from tests.operators import deed, operate

pytestmark = pytest.mark.django_db(transaction=True)

INVALID = ["example.com", [""], ["Ann <ann@example.com>"], {"example.com": True}, [7], 7, [["a.b"]]]


@pytest.fixture
def allow(mailbox, settings):
    def set_to(value):
        settings.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": value}
        return mailbox

    return set_to


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("ann@example.com", "ann@example.com"),
        ("Ann@Example.COM", "ANN@example.com"),
        ("example.com", "Bob <bob@Example.com>"),
        ("*@example.com", "bob@example.com"),
        ("*.example.com", "bob@mail.example.com"),
        ("*+test@gmail.com", "eve+test@gmail.com"),
        ("bücher.example", "ann@xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "ann@BÜCHER.example"),
        ("localhost", "root@localhost"),
        ("*", "anybody@example.net"),
    ],
)
def test_who_is_allowed_is_written_to(allow, entry, address):
    allow([entry])
    assert letter(address).send() == 1


@pytest.mark.parametrize(
    ("entry", "address"),
    [
        ("ann@example.com", "joann@example.com"),
        ("ann@example.com", "ann@example.com.evil.net"),
        ("example.com", "ann@mail.example.com"),
        ("example.com", "ann@notexample.com"),
        ("example.com", "ann@example.com.evil.net"),
        ("*.example.com", "ann@example.com"),
        ("*@example.com", '"x@example.com" <eve@example.net>'),
        ("example.com", "x@example.com <eve@example.net>"),
        ("example.com", '"eve@example.net, x"@example.com'),
        ("example.com", "eve@example.net@example.com"),
        ("example.com", "@example.com:eve@example.net"),
    ],
)
def test_who_is_not_allowed_is_held(allow, entry, address):
    mailbox = allow([entry])
    message = letter(address)
    assert message.send() == 0
    (row,) = rows()
    assert (row.state, row.rule) == ("held", "allow_recipients")
    assert "@" not in row.reason
    assert mailbox.accepted() == []


def test_two_addresses_in_one_are_not_taken_for_the_allowed_one(allow):
    """A provider's API would read both."""
    mailbox = allow(["example.com"])
    assert letter("eve@example.net, ann@example.com").send() == 0
    assert states() == ["held"]
    assert mailbox.accepted() == []


@pytest.mark.parametrize("field", ["to", "cc", "bcc"])
def test_to_cc_and_bcc_alike(allow, field):
    mailbox = allow(["example.com"])
    message = letter("ann@example.com")
    getattr(message, field).append("eve@example.net")
    before = (list(message.to), list(message.cc), list(message.bcc))
    assert message.send() == 1
    assert outcomes(message) == {"ann@example.com": "sent", "eve@example.net": "held"}
    assert mailbox.recipients() == ["ann@example.com"]
    assert (message.to, message.cc, message.bcc) == before
    kept = FrozenMessage.objects.get().payload
    assert "eve@example.net" in kept  # held as it was, not rewritten


def test_critical_mail_and_error_mail_are_held_too(allow, settings):
    allow(["example.com"])
    settings.MANAGERS = staff("ops@example.net")
    mail.mail_managers("Broken link", "/nowhere")
    assert letter("eve@example.net", type="auth.password_reset").send() == 0
    assert states() == ["held", "held"]


def test_observe_obeys_it_and_bypass_does_not(allow, settings):
    allow([])
    settings.NOTIFYGUARD |= {"MODE": "observe"}
    assert letter().send() == 0
    settings.NOTIFYGUARD |= {"MODE": "bypass"}
    assert letter().send() == 1


@pytest.mark.parametrize("value", INVALID, ids=repr)
def test_what_cannot_be_read_allows_nobody_and_says_so(allow, value, caplog, monkeypatch):
    monkeypatch.setattr(problem, "_logged", set())
    mailbox = allow(value)
    assert letter("ann@example.com").send() == 0
    assert letter("ann@example.com", type="auth.password_reset").send() == 0
    assert states() == ["held", "held"]
    assert mailbox.accepted() == []
    assert 'NOTIFYGUARD["ALLOW_RECIPIENTS"] is' in caplog.text


def test_release_is_no_way_around_it(allow):
    mailbox = allow(["example.com"])
    letter("eve@example.net").send()
    deed("release", "--yes", "--later", "--rule", "allow_recipients")
    operate("sweep")
    (row,) = rows()
    assert (row.state, row.rule) == ("held", "allow_recipients")
    allow(["example.com", "eve@example.net"])
    deed("release", "--yes", "--rule", "allow_recipients")
    assert mailbox.recipients() == ["eve@example.net"]


def test_a_queue_that_was_copied_with_the_database_sends_nothing_to_others(allow):
    """Held in production, delivered by the sweeper of a copy."""
    mailbox = allow(None)
    switchboard.set_switch("*", Sending.HOLD, reason="a test", actor=unrestricted("ann"))
    letter("ann@example.com", "eve@example.net").send()
    switchboard.clear_switch("*", reason="a test", actor=unrestricted("ann"))
    allow(["example.com"])
    deed("release", "--yes", "--later")
    operate("sweep")
    assert mailbox.recipients() == ["ann@example.com"]
    assert {row.recipient: row.state for row in rows()} == {
        "ann@example.com": "sent",
        "eve@example.net": "held",
    }


def test_it_is_asked_again_on_commit(allow):
    mailbox = allow(None)
    with transaction.atomic():
        letter("eve@example.net", key="1").send()
        allow([])
    assert states() == ["held"]
    assert mailbox.accepted() == []
