"""One key and one recipient: once, whatever is retried."""

from __future__ import annotations

import logging
import smtplib
import uuid

import pytest

import notifyguard
from notifyguard.decision import State
from notifyguard.models import Claim, Delivery
from tests.factories import ClaimFactory, DeliveryFactory
from tests.mailbox import batch, letter, outcomes, rows, states, use_server

pytestmark = pytest.mark.django_db(transaction=True)


def hello(*to, key="1", **more):
    """The same content each time, so that nothing is a conflict."""
    return letter(*(to or ["ann@example.com"]), key=key, **({"subject": "Hello"} | more))


def test_a_keyed_message_leaves_once_however_often_it_is_sent(mailbox):
    assert [hello().send() for _ in range(5)] == [1, 0, 0, 0, 0]
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent"]


def test_duplicates_are_counted_on_the_winner(mailbox):
    for _ in range(4):
        hello().send()
    assert Claim.objects.get().duplicates == 3


def test_the_caller_is_told_that_it_was_a_duplicate(mailbox):
    hello().send()
    again = hello()
    again.send()
    (told,) = notifyguard.outcome(again)
    assert (told.state, told.rule) == (State.DUPLICATE, "once")


def test_a_message_without_a_key_is_never_a_duplicate(mailbox):
    assert [hello(key=None).send() for _ in range(3)] == [1, 1, 1]
    assert len(mailbox.recipients()) == 3


@pytest.mark.parametrize(
    "again",
    [
        "ANN@EXAMPLE.COM",
        "Ann <ann@example.com>",
        '"Ann of Example" <Ann@Example.Com>',
        "<ann@example.com>",
    ],
)
def test_an_address_is_the_same_however_it_is_written(mailbox, again):
    assert [hello().send(), hello(again).send()] == [1, 0]


def test_a_domain_is_the_same_in_unicode_and_in_idna(mailbox):
    assert [hello("ann@bücher.example").send(), hello("ann@xn--bcher-kva.example").send()] == [1, 0]


@pytest.mark.parametrize(
    "other",
    [
        {"key": "2"},
        {"key": "1 "},
        {"type": "ticket.closed"},
        {"to": ["bob@example.com"]},
        {"to": ["ann+tag@example.com"]},
    ],
    ids=repr,
)
def test_another_key_type_or_recipient_is_another_message(mailbox, other):
    hello().send()
    to = other.pop("to", ["ann@example.com"])
    assert hello(*to, **other).send() == 1
    assert len(mailbox.recipients()) == 2


def test_another_namespace_is_another_message(mailbox, settings):
    for tenant in ("one", "two", "one"):
        settings.NOTIFYGUARD = {"IN_TESTS": "full", "NAMESPACE": lambda tenant=tenant: tenant}
        hello().send()
    assert len(mailbox.recipients()) == 2


def test_the_parts_of_a_key_do_not_run_into_each_other(mailbox):
    hello(type="ticket.a", key="bc").send()
    assert hello(type="ticket.ab", key="c").send() == 1


def test_a_key_in_a_batch_twice_leaves_once(mailbox):
    assert batch(hello(), hello(), letter("bob@example.com", key="1")) == 2
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]


def test_a_batch_leaves_out_what_was_sent_before(mailbox):
    batch(*(hello(key=number) for number in range(3)))
    assert batch(*(hello(key=number) for number in range(5))) == 2
    assert len(mailbox.recipients()) == 5


def test_a_person_who_is_named_twice_gets_it_once(mailbox):
    hello("ann@example.com", cc=["Ann <ANN@example.com>"]).send()
    assert states() == ["sent"]


def test_other_content_under_the_same_key_is_held_and_alarmed(mailbox, caplog):
    hello().send()
    with caplog.at_level(logging.ERROR, "notifyguard"):
        assert hello(subject="Something else").send() == 0
    (conflict,) = rows(state=State.HELD)
    assert conflict.rule == "conflict"
    assert "conflict" in caplog.text
    assert "ann@example.com" not in caplog.text
    assert mailbox.subjects() == ["Hello"]


def test_the_same_conflict_again_is_a_duplicate_of_the_held_one(mailbox):
    hello().send()
    for _ in range(3):
        hello(subject="Something else").send()
    assert states() == ["held", "sent"]
    hello(subject="Something else again").send()
    assert states() == ["held", "held", "sent"]


def test_other_content_under_the_same_key_in_one_batch_is_held_too(mailbox):
    assert batch(hello(), hello(subject="Something else"), hello()) == 1
    assert mailbox.subjects() == ["Hello"]
    assert states() == ["held", "sent"]


def test_a_proven_failure_frees_the_key(mailbox):
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        hello("refuse-550@example.com").send()
    assert states() == ["failed"]
    assert not Claim.objects.exists()


def test_a_server_that_is_away_frees_the_key(mailbox, settings, mail_server):
    use_server(settings, 1, timeout=2)
    with pytest.raises(OSError, match="refused"):
        hello().send()
    assert states() == ["failed"]
    use_server(settings, mail_server.port)
    assert hello().send() == 1


def test_a_message_whose_fate_is_unknown_is_not_sent_again(mailbox):
    for address in ("drop-after@example.com", "drop-before@example.com"):
        with pytest.raises(smtplib.SMTPServerDisconnected):
            hello(address).send()
        assert hello(address).send() == 0
    assert states() == ["uncertain", "uncertain"]


@pytest.mark.parametrize("state", ["in_flight", "sent", "uncertain", "held", "queued"])
@pytest.mark.parametrize("together", [False, True], ids=["alone", "batch"])
def test_who_meets_a_key_in_use_is_a_duplicate(mailbox, state, together):
    hello().send()
    Delivery.objects.update(state=state)
    if together:
        assert batch(hello(), letter("bob@example.com")) == 1
    else:
        assert hello().send() == 0
    assert mailbox.recipients().count("ann@example.com") == 1
    assert Claim.objects.get().duplicates == 1


def test_a_claim_stands_when_its_delivery_was_pruned(mailbox):
    hello().send()
    Delivery.objects.all().delete()
    assert hello().send() == 0


def test_the_ledger_says_who_sent_what(mailbox):
    hello().send()
    (row,) = rows()
    assert row.type == "ticket.modified"
    assert row.origin == "script"
    assert row.call_site == f"{__name__}.test_the_ledger_says_who_sent_what"
    assert row.instance.count("/") == 2
    assert row.subject == "Hello"
    assert row.key == Claim.objects.get(delivery=row.id).key


def test_other_rows_are_left_alone(mailbox):
    other = DeliveryFactory(state=State.CLAIMED)
    ClaimFactory(key=uuid.UUID(int=5 << 76 | 1 << 127), delivery=other.id)
    hello().send()
    other.refresh_from_db()
    assert other.state == State.CLAIMED


def test_a_partly_new_audience_gets_it_and_nobody_twice(mailbox):
    hello("ann@example.com").send()
    both = hello("ann@example.com", "bob@example.com")
    assert both.send() == 1
    assert mailbox.recipients() == ["ann@example.com", "bob@example.com"]
    assert outcomes(both) == {"ann@example.com": "duplicate", "bob@example.com": "sent"}
