"""What anymail adds to messages is kept, and what it leaves unset stays unset."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.mail import EmailMessage

from notifyguard.channels.freezing import freeze, thaw

pytestmark = pytest.mark.needs("anymail")
SENT = {
    "envelope_sender": "bounce@example.com",
    "metadata": {"ticket": 17},
    "send_at": datetime(2026, 5, 1, tzinfo=UTC),
    "tags": ["a", "b"],
    "track_clicks": True,
    "track_opens": False,
    "template_id": "welcome",
    "merge_data": {"to@example.com": {"name": "Zoë"}},
    "merge_global_data": {"site": "example"},
    "merge_headers": {"to@example.com": {"List-Unsubscribe": "<https://example.com>"}},
    "merge_metadata": {"to@example.com": {"id": 1}},
    "esp_extra": {"headers": {"X": None}},
}


def sent_through_anymail(message):
    """The parameters that anymail's test backend would give to a provider."""
    from anymail.backends.test import EmailBackend

    EmailBackend().send_messages([message])
    params = dict(message.anymail_test_params)
    params["attachments"] = [seen_by_provider(attachment) for attachment in params["attachments"]]
    return params


def seen_by_provider(attachment):
    """All of it but the object that it was made from."""
    return {name: str(v) for name, v in vars(attachment).items() if name != "_attachment"}


@pytest.fixture
def anymail_message():
    from anymail.message import AnymailMessage, attach_inline_image

    from tests.compat.corpus import PIXEL

    message = AnymailMessage("s", "b", "a@example.com", ["to@example.com"], **SENT)
    message.attach_alternative("<p>b</p>", "text/html")
    attach_inline_image(message, PIXEL, "logo.png")
    return message


def test_provider_is_given_the_same(anymail_message):
    again = thaw(freeze(anymail_message))
    assert type(again) is type(anymail_message)
    anymail_message.extra_headers = dict(again.extra_headers)
    assert sent_through_anymail(again) == sent_through_anymail(anymail_message)


def test_unset_is_not_kept_and_none_is():
    from anymail.message import AnymailMessage

    message = AnymailMessage("s", "b", "a@example.com", ["to@example.com"], tags=None)
    message.from_email = None  # the template's own sender
    again = thaw(freeze(message))
    assert again.from_email is None
    assert vars(again)["tags"] is None
    assert vars(again).keys().isdisjoint({"metadata", "send_at", "anymail_status"})


def test_attributes_on_a_plain_message_are_kept():
    message = EmailMessage("s", "b", "a@example.com", ["to@example.com"])
    vars(message).update(SENT)
    assert vars(thaw(freeze(message))).items() >= SENT.items()
