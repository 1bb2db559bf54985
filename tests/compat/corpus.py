"""One message for each thing that a message can hold, built alike under every Django."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from email import message_from_string
from email.charset import QP, Charset
from email.message import MIMEPart
from email.mime.image import MIMEImage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import django
from django.core.mail import EmailMessage, EmailMultiAlternatives
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000a49444154789c63000100000500010d0a2db40000000049454e44ae426082"
)
FORWARDED = "From: eve@example.com\nSubject: =?utf-8?q?J=C3=A4?=\n\nFrom here on\nall is quoted.\n"
FIXED = {"Date": "Fri, 01 May 2026 10:00:00 +0000", "Message-ID": "<17.1@example.com>"}


def plain(cls: type[EmailMessage] = EmailMessage, **attributes: Any) -> EmailMessage:
    """Return a message whose rendering holds nothing that differs from day to day."""
    message = cls(
        "Ticket 17 geändert",
        "Hallo,\n\nTicket 17 wurde geändert.\nFrom now on it is yours.\n",
        "Tickets <tickets@example.com>",
        ["Zoë <zoe@example.com>", "max@example.org"],
        cc=["cc@example.com"],
        bcc=["bcc@example.com"],
        reply_to=["reply@example.com"],
        headers={**FIXED, "X-Ticket": "17", "List-Id": "tickets.example.com"},
    )
    vars(message).update(attributes)
    return message


def lazy() -> EmailMessage:
    return plain(subject=lazystr("lazy subject"), body=mark_safe("<b>safe</b>"), from_email=None)


def odd_text() -> EmailMessage:
    return plain(body="nul \x00 and a lone byte \udce4")


def alternatives() -> EmailMessage:
    message = plain(EmailMultiAlternatives)
    message.attach_alternative("<p>geändert</p>", "text/html")
    message.attach_alternative('{"@type": "EmailMessage"}', "application/ld+json")
    return message


def attachments() -> EmailMessage:
    message = plain()
    message.attach("notes.txt", "Ä", "text/plain")
    message.attach("Übersicht.csv", b"a;b\n", "text/csv")
    message.attach("data.bin", b"\x00\xff", None)
    message.attach(None, b"unnamed", "application/pdf")
    message.attachments.append(("tuple.bin", b"tuple", "application/zip"))
    message.attachments.append(("twice.bin", b"tuple", "application/zip"))
    return message


def legacy_image() -> EmailMessage:
    """What anymail attaches under Django 5.2."""
    image = MIMEImage(PIXEL, "png")
    image.add_header("Content-Disposition", "inline")
    image.add_header("Content-ID", "<logo@inline>")
    del image["MIME-Version"]  # which the modern class does not write
    return _with_image(image)


def modern_image() -> EmailMessage:
    """What anymail attaches under Django 6; Django 5.2 can keep it but not render it."""
    image = MIMEPart()
    image.set_content(
        PIXEL, maintype="image", subtype="png", disposition="inline", cid="<logo@inline>"
    )
    return _with_image(image)


def _with_image(image: Any) -> EmailMessage:
    message = plain(EmailMultiAlternatives)
    message.attach_alternative('<img src="cid:logo@inline">', "text/html")
    message.attachments.append(image)
    return message


inline_image = modern_image if django.VERSION >= (6, 0) else legacy_image


def legacy_parts() -> EmailMessage:
    """Old classes put into the list directly, where no Django warns."""
    inner = MIMEMultipart("related", boundary="inner")
    inner.attach(MIMEText("From the start", "plain", "us-ascii"))
    inner.attach(MIMEText("geändert", "plain", "utf-8"))
    return plain(attachments=[inner])


def forwarded() -> EmailMessage:
    message = plain()
    message.attach("as-text.eml", FORWARDED, "message/rfc822")
    message.attach("as-message.eml", message_from_string(FORWARDED), "message/rfc822")
    message.attach("as-django.eml", attachments(), "message/rfc822")
    return message


def charset() -> EmailMessage:
    encoding = Charset("iso-8859-1")
    encoding.body_encoding = QP
    return plain(encoding=encoding)


def attributes() -> EmailMessage:
    """What anymail reads, and every kind of value."""
    return plain(
        template_id="welcome",
        metadata={"ticket": 17, 18: "key is a number"},
        tags=("a", "b"),
        send_at=datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        merge_global_data={
            "utc": datetime(2026, 5, 1, tzinfo=UTC),
            "naive": datetime(2026, 5, 1, 10, 30, 0, 5),  # noqa: DTZ001  naive on purpose
            "day": date(2026, 5, 1),
            "time": time(10, 30),
            "for": timedelta(days=-1, microseconds=1),
            "price": Decimal("17.50"),
            "id": UUID(int=17),
            "numbers": [0, -1, 2**53 + 1, -(2**80), 1.5, -0.0, 1e300, True, None],
            "set": {1},
            "frozenset": frozenset({"a"}),
            "bytes": b"\x00",
            "bytearray": bytearray(b"\x01"),
            "nested": ({"a": [("b",)]},),
        },
    )


CORPUS = {
    build.__name__: build
    for build in (
        plain,
        lazy,
        odd_text,
        alternatives,
        attachments,
        legacy_image,
        modern_image,
        legacy_parts,
        forwarded,
        charset,
        attributes,
    )
}
