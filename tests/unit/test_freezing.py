"""A message that was frozen and thawed is the message it was."""

from __future__ import annotations

import copy
import json
import random
import re
from email.headerregistry import Address

import pytest
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.core.mail.backends.locmem import EmailBackend
from django.test import override_settings
from django.utils import translation
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st

from notifyguard.channels.freezing import Frozen, freeze, thaw
from notifyguard.exceptions import CannotFreeze
from notifyguard.notification import PASS_HEADER, identified, identify
from tests.compat.corpus import CORPUS, attachments, inline_image
from tests.compat.rendering import wire

# Every character, also the ones that no database stores inside JSON.
texts = st.text(st.characters(exclude_categories=()), max_size=60)
long_texts = texts | st.text(max_size=60).map(lambda text: text * 2_000)
names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20)
addresses = st.emails() | texts
contents = st.binary(max_size=200) | texts
mimetypes = st.sampled_from(["text/plain", "text/csv", "application/pdf", "image/png", None])
messages = st.builds(
    EmailMultiAlternatives,
    subject=texts,
    body=long_texts,
    from_email=addresses,
    to=st.lists(addresses, max_size=4),
    cc=st.lists(addresses, max_size=2),
    bcc=st.lists(addresses, max_size=2),
    reply_to=st.lists(addresses, max_size=2),
    headers=st.dictionaries(names.map("X-{}".format), texts, max_size=4),
    alternatives=st.lists(st.tuples(texts, st.just("text/html")), max_size=2),
)
attached = st.lists(st.tuples(texts | st.none(), contents, mimetypes), max_size=3)
encodings = st.sampled_from([None, "utf-8", "iso-8859-1", "utf-16"])
values = st.recursive(
    texts
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.binary(max_size=20)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(texts | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def through_storage(frozen: Frozen) -> Frozen:
    """What a database gives back: parsed JSON, checked for what PostgreSQL refuses in it."""
    text = json.dumps(frozen.payload, allow_nan=False)
    assert not re.search(r"(?<!\\)(\\\\)*\\u0000", text)
    text.encode("ascii")
    json.dumps(frozen.payload, ensure_ascii=False).encode("utf-8")  # fails on a lone surrogate
    return Frozen(json.loads(text), dict(frozen.blobs))


def thawed(message):
    return thaw(through_storage(freeze(message)))


def with_headers_of(message, other):
    twin = copy.copy(message)
    twin.extra_headers = other.extra_headers
    return twin


def described(message):
    return {k: v for k, v in vars(message).items() if k not in {"extra_headers", "attachments"}}


@given(messages, attached, encodings)
def test_any_message_renders_to_the_same_bytes_or_fails_alike(message, files, encoding):
    message.attachments, message.encoding = files, encoding
    again = thawed(message)
    assert vars(again).keys() == vars(message).keys()
    assert described(again) == described(message)
    assert again.attachments == files
    # Where rendering picks something at random (a boundary in a text), it picks the same.
    random.seed(17)
    before = wire(with_headers_of(message, again))
    random.seed(17)
    assert wire(again) == before


@given(values)
def test_any_data_on_a_message_comes_back_equal_and_of_the_same_type(value):
    message = EmailMessage()
    message.merge_global_data = value
    again = thawed(message)
    assert again.merge_global_data == value
    assert type(again.merge_global_data) is type(value)


@pytest.mark.parametrize("name", CORPUS)
def test_freezing_does_not_change_the_message(name):
    message, untouched = CORPUS[name](), CORPUS[name]()
    freeze(message, recipients=[])
    assert vars(message).keys() == vars(untouched).keys()
    assert message.extra_headers == untouched.extra_headers
    assert message.recipients() == untouched.recipients()
    assert [repr_of(a) for a in message.attachments] == [repr_of(a) for a in untouched.attachments]


def repr_of(attachment):
    return attachment.items() if hasattr(attachment, "items") else str(attachment)[:20]


def test_every_later_hand_over_is_the_same_message():
    message = EmailMessage("s", "b", to=["a@example.com"])
    frozen = freeze(message)
    first, second = thaw(frozen), thaw(frozen)
    assert first.message()["Message-ID"] == second.message()["Message-ID"]
    assert first.message()["Date"] == second.message()["Date"]
    assert frozen.payload["message_id"] == first.message()["Message-ID"]
    assert message.extra_headers == {}


def test_headers_of_the_caller_are_not_replaced_whatever_their_case():
    headers = {"message-id": "<mine@example.com>", "DATE": "Fri, 01 May 2026 10:00:00 +0000"}
    frozen = freeze(EmailMessage("s", "b", to=["a@example.com"], headers=headers))
    assert thaw(frozen).extra_headers == headers
    assert frozen.payload["message_id"] == "<mine@example.com>"


def test_added_headers_stand_where_django_renders_them():
    message = EmailMessage("s", "b", to=["a@example.com"], headers={"X-Last": "1"})
    assert thaw(freeze(message)).message().keys() == message.message().keys()


@override_settings(EMAIL_USE_LOCALTIME=True, TIME_ZONE="Asia/Kolkata")
def test_date_is_local_where_the_project_wants_it_so():
    assert thaw(freeze(EmailMessage())).extra_headers["Date"].endswith("+0530")


def test_lazy_text_is_resolved_in_the_language_of_the_hold():
    message = EmailMessage(gettext_lazy("Yes"))
    vars(message)["body"] = SimpleLazyObject(lambda: "body")
    with translation.override("de"):
        frozen = freeze(message)
    with translation.override("fr"):
        again = thaw(frozen)
    assert (again.subject, type(again.subject)) == ("Ja", str)
    assert (again.body, type(again.body)) == ("body", str)


def test_identified_message_stays_identified():
    message = EmailMessage()
    identify(message, "ticket.modified", key="ticket:1")
    assert identified(thaw(freeze(message))) == identified(message)


def test_pass_connection_and_outcome_are_not_content():
    message = EmailMessage(headers={PASS_HEADER: "signed", "X-Kept": "1"})
    vars(message)["_connection"] = vars(message)["connection"] = EmailBackend()
    message.anymail_status = object()
    again = thaw(freeze(message))
    assert again.extra_headers.keys() == {"Date", "Message-ID", "X-Kept"}
    assert "anymail_status" not in vars(again)
    assert vars(again).get("connection") is vars(again).get("_connection") is None


def test_thawed_message_leaves_through_a_connection(mailoutbox):
    assert EmailBackend().send_messages([thaw(freeze(inline_image()))]) == 1
    assert mailoutbox[0].subject == inline_image().subject


def test_equal_contents_are_stored_once():
    assert sorted(freeze(attachments()).blobs.values()) == [b"\x00\xff", b"tuple", b"unnamed"]


def test_message_attached_to_a_message_keeps_its_class_and_identity():
    inner = EmailMultiAlternatives("inner", "body", to=["b@example.com"])
    outer = EmailMessage("outer", "body", attachments=[("m.eml", inner, "message/rfc822")])
    again = thaw(freeze(outer))
    assert type(again.attachments[0].content) is EmailMultiAlternatives
    assert "Message-ID" in again.attachments[0].content.extra_headers


def test_what_cannot_be_kept_is_named_with_its_type_and_the_fix():
    message = EmailMessage()
    message.metadata = {"who": [Address("Zoë", "zoe", "example.com")]}
    with pytest.raises(CannotFreeze) as refusal:
        freeze(message)
    assert "'metadata'" in str(refusal.value)
    assert "email.headerregistry.Address" in str(refusal.value)
    assert "notifyguard_leave_out" in str(refusal.value)


class Counted(dict):
    pass


@pytest.mark.parametrize(
    "value",
    [object(), Counted(), lambda: None, iter([]), {1: {2: [object()]}}, EmailMessage, open],
    ids=lambda value: type(value).__name__,
)
def test_unknown_types_are_refused_however_deep(value):
    message = EmailMessage()
    message.anything = value
    with pytest.raises(CannotFreeze, match="'anything'"):
        freeze(message)


def test_message_that_contains_itself_is_refused():
    message = EmailMessage()
    message.attachments.append(("me.eml", message, "message/rfc822"))
    with pytest.raises(CannotFreeze, match="contains itself"):
        freeze(message)


def test_attribute_with_an_unstorable_name_is_refused():
    message = EmailMessage()
    setattr(message, "nul\x00", 1)
    with pytest.raises(CannotFreeze, match=re.escape(repr("nul\x00"))):
        freeze(message)
