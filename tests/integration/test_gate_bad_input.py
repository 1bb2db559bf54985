"""Hostile, malformed and enormous messages: refused, or treated as Django treats them."""

from __future__ import annotations

import sqlite3

import pytest
from django.core.mail import EmailMessage
from django.db import connection

import notifyguard
from notifyguard.models import Delivery, FrozenMessage
from tests.mailbox import batch, letter, outcomes, rows, states, use_backend

pytestmark = pytest.mark.django_db(transaction=True)

LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
INJECTED = "Hello\r\nBcc: eve@example.com"


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
@pytest.mark.parametrize(
    "hostile",
    [
        {"subject": INJECTED},
        {"subject": "Hello\nX-Evil: 1"},
        {"headers": {"X-One": INJECTED}},
        {"from_email": f"a@example.com{INJECTED}"},
        {"cc": [f"a@example.com{INJECTED}"]},
        {"to": [f"a@example.com{INJECTED}"]},
        {"to": ["a@example.com\n"]},
        {"reply_to": [INJECTED]},
    ],
    ids=repr,
)
def test_an_injected_header_is_refused_before_anything_leaves(mailbox, hostile, key):
    message = letter(key=key, **hostile)
    with pytest.raises(ValueError, match=r"(?i)newline|linefeed|header|address"):
        message.send()
    assert mailbox.accepted() == []
    assert set(states()) <= {"failed"}
    assert not FrozenMessage.objects.exists()


ADDRESSES = [
    "",
    " ",
    "no at sign",
    "@example.com",
    "a@",
    "a@b@c",
    "a b@example.com",
    "<a@example.com",
    "a@example.com, b@example.com",
    "a@" + "x" * 400 + ".com",
    "x" * 5000 + "@example.com",
    "a@exa\x00mple.com",
    "a@ex\ud800mple.com",
    "jürgen@example.com",
    "用户@例え.jp",
    '"a\\"b"@example.com',
    "=?utf-8?q?a?=@example.com",
]


def tried(message):
    """What the caller sees: what ``send()`` returns, or the kind of error it raises."""
    try:
        return message.send()
    except Exception as error:  # any: to be compared
        return type(error)


def plainly(settings, message):
    """The same with notifyguard bypassed."""
    guarded, settings.NOTIFYGUARD = settings.NOTIFYGUARD, {"MODE": "bypass"}
    try:
        return tried(message)
    finally:
        settings.NOTIFYGUARD = guarded


@pytest.mark.parametrize("address", ADDRESSES, ids=ascii)
def test_an_odd_address_is_treated_as_django_does_and_recorded(mailbox, settings, address):
    expected = plainly(settings, letter(address))
    accepted = len(mailbox.accepted())
    assert tried(letter(address, key="1")) == expected
    assert len(mailbox.accepted()) == 2 * accepted
    assert len(rows()) == 1 or expected == 0
    assert set(states()) <= ({"sent"} if accepted else {"failed"})


def by_class(value):
    """A test's name by what it is about; a repr with an address would differ in each process."""
    return type(value).__name__


TEXTS = {
    "NUL": "a\x00b",
    "surrogate": "a\ud800b",
    "controls": "a\x01\x02\x7f\x85b",
    "emoji": "\N{PILE OF POO}" * 300,
    "right to left": "\u202eevil",
    "long": "x" * 100_000,
}


@pytest.mark.parametrize("where", ["subject", "body"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_odd_text_is_treated_as_django_does_and_recorded(mailbox, settings, where, text, key):
    expected = plainly(settings, letter("a@example.com", **{where: text}))
    assert tried(letter("a@example.com", key=key, **{where: text})) == expected
    assert states() == ["sent" if expected == 1 else "failed"]


@pytest.mark.parametrize("where", ["subject", "body"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_odd_text_can_be_held(mailbox, settings, where, text):
    settings.NOTIFYGUARD |= {"SENDING": "hold"}
    assert letter("a@example.com", key="1", **{where: text}).send() == 0
    assert states() == ["held"]
    assert FrozenMessage.objects.count() == 1


@pytest.mark.parametrize("key", ["\x00", "\x1b[31m", "\ud800", "x" * 1000, "\n", "'; DROP--", "é"])
def test_any_text_can_be_a_key(mailbox, key):
    assert [letter("a@example.com", key=key, subject="A").send() for _ in range(2)] == [1, 0]


@pytest.mark.parametrize(
    "key", ["", "x" * 1001, b"bytes", 1.5, True, ("a", 1), object()], ids=by_class
)
def test_what_can_be_no_key_is_refused_where_it_is_written(key):
    with pytest.raises((TypeError, ValueError), match="key"):
        notifyguard.identify(EmailMessage(), "ticket.modified", key=key)


@pytest.mark.parametrize("key", [None, "1"], ids=["unkeyed", "keyed"])
def test_ten_thousand_recipients(mailbox, settings, key):
    use_backend(settings, LOCMEM)
    if connection.vendor == "sqlite":
        # As SQLite is built by default; Debian's takes more.
        connection.ensure_connection()
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 32_766)
    people = [f"person{number}@example.com" for number in range(10_000)]
    message = letter(bcc=people, to=[], key=key)
    assert message.send() == 1
    assert Delivery.objects.filter(state="sent").count() == 10_000
    assert set(outcomes(message).values()) == {"sent"}
    if key:
        assert letter(bcc=people[:-1], to=[], key=key, subject=message.subject).send() == 0


@pytest.mark.parametrize("inside", [False, True], ids=["autocommit", "atomic"])
def test_ten_thousand_recipients_held_or_queued(mailbox, settings, inside):
    from django.db import transaction

    people = [f"person{number}@example.com" for number in range(10_000)]
    message = letter(bcc=people, to=[], key="1")
    use_backend(settings, LOCMEM)
    if inside:
        with transaction.atomic():
            message.send()
        assert Delivery.objects.filter(state="sent").count() == 10_000
    else:
        settings.NOTIFYGUARD |= {"SENDING": "hold"}
        assert message.send() == 0
        assert Delivery.objects.filter(state="held").count() == 10_000


def test_a_message_to_nobody_is_treated_as_django_does(mailbox):
    assert letter(to=[]).send() == 0
    assert mailbox.accepted() == []


class Duck:
    """Looks like a message just enough for a backend of the project."""

    def __init__(self, *people):
        self.people = people

    def recipients(self):
        return list(self.people)


class Stranger:
    """Not even that."""


def test_a_message_that_only_looks_like_one_is_recorded(mailbox, settings):
    use_backend(settings, "tests.duck_backends.Duck")
    assert batch(Duck("ann@example.com")) == 1
    (row,) = rows()
    assert (row.recipient, row.subject) == ("ann@example.com", "")


@pytest.mark.parametrize("thing", [Stranger(), "text", 5, None], ids=by_class)
def test_what_is_no_message_at_all_is_refused_as_django_refuses_it(mailbox, thing):
    with pytest.raises(AttributeError, match="recipients"):
        batch(thing)
    assert mailbox.accepted() == []


def test_a_message_that_only_looks_like_one_can_be_held(mailbox, settings):
    use_backend(settings, "tests.duck_backends.Duck")
    settings.NOTIFYGUARD |= {"SENDING": "hold"}
    assert batch(Duck("ann@example.com")) == 0
    assert states() == ["held"]
    assert FrozenMessage.objects.count() == 1
