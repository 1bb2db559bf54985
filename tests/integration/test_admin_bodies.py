"""The text of a kept message: by a right of its own, on record before it is shown, and harmless."""

from __future__ import annotations

from email.message import MIMEPart
from email.mime.image import MIMEImage
from typing import Any

import django
import pytest
from django.core.mail import EmailMultiAlternatives
from django.urls import reverse

import notifyguard
from notifyguard import switchboard
from notifyguard.actor import unrestricted
from notifyguard.admin import bodies as pages
from notifyguard.decision import Sending
from notifyguard.ledger.held import bodies
from notifyguard.models import Event, FrozenMessage
from tests.mailbox import rows
from tests.operators import events

pytestmark = pytest.mark.django_db(transaction=True)

LOOK = ("view_delivery", "view_event")
PNG = bytes.fromhex("89504e470d0a1a0a")


@pytest.fixture
def kept(mailbox):
    """Send a message that a switch holds; return its delivery."""

    def send(type="ticket.modified", html="<p>Hello</p>", attach=(), **more):
        switchboard.set_switch(
            "*", Sending.HOLD, reason="x", actor=unrestricted("x"), everything=True
        )
        Event.objects.all().delete()
        message = EmailMultiAlternatives(
            more.get("subject", "Subject"), "The text", "me@example.com", ["ann@example.com"]
        )
        if html:
            message.attach_alternative(html, "text/html")
        for each in attach:
            message.attach(*each) if isinstance(each, tuple) else message.attach(each)
        notifyguard.identify(message, type)
        message.send()
        return rows()[-1]

    return send


def at(name, row, *more):
    return reverse(f"admin:notifyguard_delivery_{name}", args=[row.id, *more])


def told(response):
    return " ".join(str(message) for message in response.context["messages"])


def test_who_has_the_right_reads_it_and_that_is_on_record(page, kept):
    client = page(*LOOK, "read_body")
    row = kept()
    shown = client.get(at("body", row)).content.decode()
    assert "The text" in shown
    assert f'src="{at("html", row)}"' in shown
    assert client.get(at("html", row)).content.strip() == b"<p>Hello</p>"
    assert events() == [
        ("read_body", str(row.id), "", "text", None, "ann", ""),
        ("read_body", str(row.id), "", "HTML", None, "ann", ""),
    ]


@pytest.mark.parametrize("name", ["body", "html", "attachment"])
def test_nothing_is_shown_of_which_there_is_no_record(page, kept, name, monkeypatch):
    client = page(*LOOK, "read_body")
    row = kept(attach=[("a.txt", "secret", "text/plain")])

    def broken(*args, **kwargs):
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(switchboard, "record_event", broken)
    with pytest.raises(RuntimeError):
        client.get(at(name, row, *([1] if name == "attachment" else [])))


@pytest.mark.parametrize("name", ["body", "html", "attachment"])
def test_without_the_right_nothing_is_read(page, kept, name):
    client = page(*LOOK, "release_held", "resolve_uncertain")
    row = kept(attach=[("a.txt", "secret", "text/plain")])
    response = client.get(at(name, row, *([1] if name == "attachment" else [])), follow=True)
    said = told(response) if name != "html" else response.content.decode()
    assert "ann may not do this without notifyguard.read_body" in said
    assert at("body", row) not in client.get(at("change", row)).content.decode()
    assert events() == []


@pytest.mark.parametrize("name", ["body", "html"])
def test_the_text_of_critical_types_is_shown_to_nobody(root, kept, name):
    row = kept(type="auth.password_reset", html="<p>a link</p>")
    response = root.get(at(name, row), follow=True)
    said = told(response) if name == "body" else response.content.decode()
    assert bodies.REDACTED in said
    assert b"a link" not in response.content
    assert "shown to nobody" in root.get(at("change", row)).content.decode()
    assert events() == []


def test_what_is_not_kept_any_more_is_said(root, kept):
    row = kept()
    FrozenMessage.objects.all().delete()
    assert "not kept any more" in told(root.get(at("body", row), follow=True))
    assert events() == []


def test_the_html_can_do_nothing(root, kept):
    row = kept(html="<script>1</script><p>Hello</p>")
    response = root.get(at("html", row))
    assert response["Content-Security-Policy"] == pages.HARMLESS
    assert pages.HARMLESS.startswith("sandbox; default-src 'none'")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "SAMEORIGIN"
    assert "no-store" in response["Cache-Control"]
    outer = root.get(at("body", row))
    assert 'sandbox=""' in outer.content.decode()
    assert outer["Content-Security-Policy"] == "frame-src 'self'"


def test_what_asks_other_hosts_early_is_taken_out(root, kept):
    asking = (
        '<link rel="preconnect" href="https://track.example"><META http-equiv=refresh content=0>'
        '<base href="https://track.example"><p>Hello</p><link rel=dns-prefetch'
    )
    assert root.get(at("html", kept(html=asking))).content.strip() == b"<p>Hello</p>"


@pytest.mark.parametrize(
    "asking",
    [
        '<li<link>nk rel="preconnect" href="https://track.example">',
        '<l<base>ink rel="preconnect" href="https://track.example">',
        "<<meta>meta http-equiv=refresh content='0;url=https://track.example'>",
    ],
)
def test_what_is_taken_out_leaves_nothing_that_asks(root, kept, asking):
    shown = root.get(at("html", kept(html=asking))).content.lower()
    assert not any(tag in shown for tag in (b"<link", b"<base", b"<meta"))


def test_images_that_came_with_it_are_shown(root, kept):
    if django.VERSION >= (6, 0):
        image: Any = MIMEPart()
        image.set_content(PNG, "image", "png", cid="<logo>")
    else:
        image = MIMEImage(PNG, "png")
        image["Content-ID"] = "<logo>"
    row = kept(html='<img src="cid:logo">', attach=[image])
    shown = root.get(at("html", row)).content.strip()
    assert shown == b'<img src="data:image/png;base64,iVBORw0KGgo=">'


def test_attachments_are_saved_and_never_shown_by_the_browser(root, kept):
    row = kept(attach=[("evil.html", "<script>1</script>", "text/html")])
    assert "evil.html" in root.get(at("body", row)).content.decode()
    response = root.get(at("attachment", row, 1))
    assert response.content.strip() == b"<script>1</script>"
    assert response["Content-Type"] == "application/octet-stream"
    assert response["Content-Disposition"] == 'attachment; filename="evil.html"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert events()[-1][3] == "attachment 1"
    assert root.get(at("attachment", row, 2)).status_code == 404


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ('a".txt', "a%22.txt"),
        ("\u00fcber.txt", "%C3%BCber.txt"),
        ("", "attachment-1"),
    ],
)
def test_a_name_of_an_attachment_leads_nowhere(root, kept, name, saved):
    row = kept(attach=[(name, "1", "text/plain")])
    disposition = root.get(at("attachment", row, 1))["Content-Disposition"]
    assert saved in disposition or saved.replace("%22", '\\"') in disposition
    assert "/" not in disposition.replace("utf-8''", "")


def test_a_message_that_cannot_be_built_says_so(root, kept):
    row = kept(subject="one\ntwo")
    assert "cannot be built" in told(root.get(at("body", row), follow=True))


@pytest.mark.parametrize("type", ["auth.password_reset", "ticket.modified"])
def test_the_subject_of_a_critical_type_is_shown_nowhere_for_a_code_may_stand_in_it(
    root, kept, type
):
    row = kept(type, subject="482910 is your code")
    addresses = [
        reverse("admin:notifyguard_delivery_changelist") + "?q=ann@example.com",
        at("change", row),
        reverse("admin:notifyguard_heldmessage_list"),
    ]
    shown = [root.get(address).content.decode() for address in addresses]
    assert ["482910" in each for each in shown] == [type == "ticket.modified"] * 3
    assert all(type in each for each in shown)
