"""Types and keys are checked where they are written, not when the mail is late."""

from __future__ import annotations

import copy
import pickle
import uuid
from datetime import timedelta

import pytest
from django.core.mail import EmailMessage

from notifyguard.notification import Notification, identified, identify, notification_of

ID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("key", "text"), [("a", "a"), (5, "5"), (0, "0"), (-1, "-1"), (ID, str(ID)), (" a ", " a ")]
)
def test_a_key_is_text_or_becomes_it(key, text):
    assert notification_of("ticket.modified", key).key == text


@pytest.mark.parametrize("key", [True, 1.5, b"a", bytearray(b"a"), (1,), {}, object(), lambda: 1])
def test_what_would_key_on_its_repr_is_refused(key):
    with pytest.raises(TypeError, match="key"):
        notification_of("ticket.modified", key)


@pytest.mark.parametrize("key", ["", "x" * 1001])
def test_an_empty_or_endless_key_is_refused(key):
    with pytest.raises(ValueError, match="key"):
        notification_of("ticket.modified", key)


@pytest.mark.parametrize(
    "type", ["", " ", "ticket.*", "ticket?", "[a]", "a\nb", "a\x00", "\ud800", "x" * 201]
)
def test_a_type_is_one_plain_name(type):
    with pytest.raises(ValueError, match="type"):
        notification_of(type)


@pytest.mark.parametrize("type", [None, 5, b"ticket", ["ticket"]])
def test_a_type_is_a_string(type):
    with pytest.raises(TypeError, match="type"):
        notification_of(type)


def test_a_type_loses_the_space_around_it():
    assert notification_of(" ticket.modified ").type == "ticket.modified"


def test_a_message_nobody_identified_has_none():
    assert identified(EmailMessage()) is None
    assert identified(object()) is None


@pytest.mark.parametrize(
    "travel", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_what_is_said_on_a_message_travels_with_it(travel):
    message = EmailMessage()
    identify(message, "ticket.modified", key=7, max_age=timedelta(minutes=90))
    assert identified(travel(message)) == Notification(
        "ticket.modified", "7", timedelta(minutes=90)
    )


@pytest.mark.parametrize("age", [60, "2h", 1.5])
def test_an_age_is_a_timedelta(age):
    with pytest.raises(TypeError, match=r"max_age is a timedelta such as timedelta\(hours=2\)"):
        notification_of("ticket.modified", max_age=age)


@pytest.mark.parametrize("age", [timedelta(0), timedelta(hours=-1), timedelta.max])
def test_an_age_is_more_than_nothing_and_within_a_century(age):
    with pytest.raises(ValueError, match="write more than 0 and at most 36500 days"):
        notification_of("ticket.modified", max_age=age)


def test_the_last_word_on_a_message_counts():
    message = EmailMessage()
    identify(message, "ticket.modified", key=7)
    identify(message, "ticket.closed")
    assert identified(message) == Notification("ticket.closed")


def test_a_refused_identification_leaves_the_message_alone():
    message = EmailMessage()
    with pytest.raises(ValueError, match="key"):
        identify(message, "ticket.modified", key="")
    assert identified(message) is None


@pytest.mark.parametrize("thing", ["text", None, EmailMessage, ["ann@example.com"], 7])
def test_what_is_no_message_is_named_with_what_is_wanted(thing):
    with pytest.raises(TypeError, match=r"was given .*; it takes a message object first"):
        identify(thing, "ticket.modified")


def test_a_message_of_any_class_can_be_identified():
    class Pigeon:
        def recipients(self):
            return ["ann@example.com"]

    message = Pigeon()
    identify(message, "ticket.modified")
    assert identified(message) == Notification("ticket.modified")
