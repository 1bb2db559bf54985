"""Several recipients: each is decided on, and recorded, on its own."""

from __future__ import annotations

import copy
import smtplib

import pytest

from notifyguard.models import Claim
from tests.mailbox import batch, letter, outcomes, rows, use_backend

pytestmark = pytest.mark.django_db(transaction=True)

ANN, BOB, CAT, DAN = (f"{name}@example.com" for name in ("ann", "bob", "cat", "dan"))


def hello(*to, **more):
    return letter(*to, key="1", subject="Hello", **more)


def told(message):
    """What the caller wrote on a message; Django itself adds the connection."""
    attributes = {name: copy.copy(value) for name, value in vars(message).items()}
    attributes.pop("connection", None)
    return attributes


def test_each_recipient_has_a_row_of_one_dispatch(mailbox):
    letter(ANN, cc=[BOB], bcc=[CAT]).send()
    assert {row.recipient for row in rows()} == {ANN, BOB, CAT}
    assert len({row.dispatch for row in rows()}) == 1


def test_the_visible_recipients_are_those_it_was_sent_to(mailbox, settings):
    hello(ANN).send()
    hello(BOB).send()
    use_backend(settings, "django.core.mail.backends.locmem.EmailBackend")
    from django.core import mail

    mail.outbox = []
    hello(ANN, CAT, cc=[f"Bob <{BOB}>", DAN], bcc=["eve@example.com"]).send()
    (sent,) = mail.outbox
    assert (sent.to, sent.cc, sent.bcc) == ([CAT], [DAN], ["eve@example.com"])
    assert ANN not in str(sent.message())
    assert BOB not in str(sent.message())


def test_the_callers_object_is_not_changed(mailbox):
    hello(ANN).send()
    message = hello(ANN, BOB, cc=[CAT], headers={"X-One": "1"})
    before = told(message)
    lists = message.to, message.cc, message.extra_headers
    message.send()
    assert told(message) == before
    assert all(
        a is b for a, b in zip(lists, (message.to, message.cc, message.extra_headers), strict=True)
    )


def test_a_recipient_the_server_refuses_is_failed_and_the_others_are_sent(mailbox):
    message = hello(ANN, "refuse-550@example.com", BOB)
    assert message.send() == 1  # as Django has it, which says no more
    assert outcomes(message) == {ANN: "sent", BOB: "sent", "refuse-550@example.com": "failed"}
    (refused,) = rows(state="failed")
    assert (refused.rule, refused.reason) == ("refused", "550 5.1.1 No such mailbox here")


def test_only_the_refused_one_can_be_sent_again(mailbox):
    hello(ANN, "refuse-550@example.com").send()
    again = hello(ANN, "refuse-550@example.com")
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        again.send()
    assert outcomes(again) == {ANN: "duplicate", "refuse-550@example.com": "failed"}
    assert mailbox.recipients() == [ANN]
    assert Claim.objects.count() == 1


def test_a_refused_recipient_written_with_a_name_or_in_unicode_is_recognised(mailbox):
    message = hello(ANN, "Gone <refuse-550@bücher.example>")
    message.send()
    assert outcomes(message) == {ANN: "sent", "refuse-550@xn--bcher-kva.example": "failed"}


def test_in_a_batch_too_each_recipient_is_on_its_own(mailbox):
    hello(ANN).send()
    first = letter(ANN, BOB, key="1", subject="Hello")
    second = letter(CAT, "refuse-550@example.com", key="2")
    assert batch(first, second) == 2
    assert outcomes(first) == {ANN: "duplicate", BOB: "sent"}
    assert outcomes(second) == {CAT: "sent", "refuse-550@example.com": "failed"}
    assert mailbox.recipients() == [ANN, BOB, CAT]
