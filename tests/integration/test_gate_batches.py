"""A batch: claimed at once, marked one by one, over one connection."""

from __future__ import annotations

import smtplib

import pytest
from django.core.mail import EmailMessage

import notifyguard
from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.decision import Sending
from notifyguard.gate.inline import CHUNK
from notifyguard.models import Claim, Delivery
from tests.mailbox import batch, closed_port, letter, rows, states, use_server

pytestmark = pytest.mark.django_db(transaction=True)


class StopsAll(EmailMessage):
    """A message at which somebody sets a switch, once: when it is built, before it is sent."""

    notifyguard_leave_out = ("pattern",)
    pattern: str | None = "*"

    def message(self, *args, **kwargs):
        pattern, self.pattern = self.pattern, None
        if pattern:
            switchboard.set_switch(pattern, Sending.HOLD, reason="stop", actor=unrestricted("me"))
        return super().message(*args, **kwargs)


def stopping(pattern, to):
    message = StopsAll("Stop", "text", "from@example.com", [to])
    message.pattern = pattern
    notifyguard.identify(message, "ticket.modified", key="1")
    return message


def by_recipient():
    return {row.recipient: row.state for row in rows()}


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_an_error_in_the_middle_ends_the_batch_as_django_does(mailbox, key):
    to = ["ann@example.com", "refuse-550@example.com", "cat@example.com", "dan@example.com"]
    messages = [letter(person, key=key) for person in to]
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        batch(*messages)
    assert mailbox.recipients() == ["ann@example.com"]
    assert by_recipient() == dict(zip(to, ["sent", "failed", "failed", "failed"], strict=True))
    assert {row.rule for row in rows(recipient__in=to[2:])} == {"batch"}
    assert Claim.objects.count() == (1 if key else 0)


def test_what_an_error_left_over_can_be_sent_again(mailbox):
    people = ["ann@example.com", "data-554@example.com", "cat@example.com"]
    messages = [letter(person, key="1", subject="Hello") for person in people]
    with pytest.raises(smtplib.SMTPDataError):
        batch(*messages)
    again = [letter(person, key="1", subject="Hello") for person in (people[0], people[2])]
    assert batch(*again) == 1
    assert mailbox.recipients() == ["ann@example.com", "cat@example.com"]


def test_a_silent_backend_goes_on_after_an_error(mailbox):
    people = ["ann@example.com", "refuse-550@example.com", "drop-after@example.com"]
    messages = [letter(person, key="1") for person in people]
    batch(*messages, silent=True)
    assert by_recipient() == dict(zip(people, ["sent", "failed", "uncertain"], strict=True))


def test_a_server_that_is_away_fails_the_whole_batch_and_frees_its_keys(mailbox, settings):
    use_server(settings, closed_port(), timeout=2)
    with pytest.raises(ConnectionRefusedError):
        batch(*(letter(key=number) for number in range(3)))
    assert set(states()) == {"failed"}
    assert not Claim.objects.exists()


def test_a_silent_backend_that_cannot_connect_says_so_in_the_ledger(mailbox, settings):
    use_server(settings, closed_port(), timeout=2)
    assert not batch(*(letter(key=number) for number in range(3)), silent=True)
    assert states() == ["failed"] * 3
    assert not Claim.objects.exists()


def test_a_switch_set_half_way_stops_the_rest(mailbox):
    people = [f"person{number}@example.com" for number in range(5)]
    messages = [letter(person, key="1") for person in people]
    messages[2] = stopping("*", people[2])
    assert batch(*messages) == 2
    assert mailbox.recipients() == people[:2]
    assert by_recipient() == dict(zip(people, ["sent"] * 2 + ["held"] * 3, strict=True))


def test_a_switch_of_another_type_set_half_way_stops_nothing(mailbox):
    people = [f"person{number}@example.com" for number in range(5)]
    messages = [letter(person, key="1") for person in people]
    messages[2] = stopping("newsletter", people[2])
    assert batch(*messages) == 5
    assert mailbox.recipients() == people
    assert states() == ["sent"] * 5


def test_what_was_taken_over_is_not_sent_again_when_a_switch_is_set(mailbox):
    class TakenOver(StopsAll):
        """The last of the batch is sent by somebody else, before the switch is set."""

        def message(self, *args, **kwargs):
            if self.pattern:
                letter("last@example.com", key="1", subject="Hello").send()
            return super().message(*args, **kwargs)

    first = TakenOver("Stop", "text", "from@example.com", ["first@example.com"])
    first.pattern = "newsletter"
    assert batch(first, letter("last@example.com", key="1", subject="Hello")) == 1
    assert mailbox.recipients() == ["first@example.com", "last@example.com"]
    assert states() == ["sent"] * 2


def test_a_message_that_cannot_be_built_is_failed_and_nothing_of_it_is_sent(mailbox):
    with pytest.raises(ValueError, match=r"(?i)newline|linefeed"):
        batch(
            letter("ann@example.com"), letter("bob@example.com", subject="a\nBcc: eve@example.com")
        )
    assert mailbox.recipients() == ["ann@example.com"]
    assert by_recipient()["bob@example.com"] == "failed"


def test_more_messages_than_are_claimed_at_once(mailbox):
    count = CHUNK + 20
    assert batch(*(letter(f"p{number}@example.com", key="1") for number in range(count))) == count
    assert len(mailbox.accepted()) == count
    assert Delivery.objects.filter(state="sent").count() == count
    assert len({envelope["peer"] for envelope in mailbox.accepted()}) == 1


def test_an_empty_batch_is_nothing(mailbox):
    assert not batch()
    assert rows() == []
