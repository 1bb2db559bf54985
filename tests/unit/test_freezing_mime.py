"""MIME parts and whole mails, among them the message files of Python's own tests."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage as ModernMessage
from email.message import Message, MIMEPart
from email.mime.base import MIMEBase
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from importlib.util import find_spec
from pathlib import Path

import django
import pytest
from django.core.mail import EmailMessage

from notifyguard.channels.freezing import freeze, thaw
from notifyguard.exceptions import CannotFreeze
from tests.compat.corpus import FIXED, inline_image, legacy_parts
from tests.compat.rendering import outline, wire

MODERN = django.VERSION >= (6, 0)


def message_files():
    if not (find_spec("test") and (found := find_spec("test.test_email")) and found.origin):
        return []
    return sorted((Path(found.origin).parent / "data").glob("msg_*.txt"))


FILES = message_files()
each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def carrying(**attributes):
    message = EmailMessage("s", "b", "a@example.com", ["b@example.com"], headers=dict(FIXED))
    vars(message).update(attributes)
    return message


def test_message_files_are_there():
    if not FILES:
        pytest.skip("this Python was built without test.test_email: its message files are missing")
    assert len(FILES) > 40


@each_file
def test_message_file_as_a_body(file):
    text = file.read_bytes().decode("utf-8", "surrogateescape")
    message = carrying(body=text)
    assert wire(thaw(freeze(message))) == wire(message)


@each_file
@pytest.mark.parametrize("mimetype", ["message/rfc822", "application/octet-stream", "text/plain"])
def test_message_file_as_an_attachment(file, mimetype):
    message = carrying(attachments=[("file.eml", file.read_bytes(), mimetype)])
    assert wire(thaw(freeze(message))) == wire(message)


@each_file
@pytest.mark.parametrize("cls", [Message, ModernMessage])
def test_message_file_as_a_parsed_mail(file, cls):
    rules = policy.default if cls is ModernMessage else policy.compat32
    parsed = message_from_bytes(file.read_bytes(), cls, policy=rules)
    message = carrying(attachments=[("file.eml", parsed, "message/rfc822")])
    again = thaw(freeze(message))
    if isinstance(before := wire(message), bytes):
        assert visible(again) == visible(message)
    else:
        assert isinstance(wire(again), bytes) or wire(again) == before


def visible(message):
    """The mail's lines, but for blank ones after boundaries that were never closed."""
    return [line for line in wire(message).splitlines() if line.strip()]


def test_inline_image_is_of_the_class_that_this_django_takes():
    (image,) = thaw(freeze(inline_image())).attachments
    assert isinstance(image, MIMEPart if MODERN else MIMEBase)
    assert image.get_content_disposition() == "inline"
    assert image["Content-ID"] == "<logo@inline>"


def test_old_part_is_thawed_without_a_deprecated_class():
    (part,) = thaw(freeze(legacy_parts())).attachments
    assert isinstance(part, MIMEBase) is not MODERN
    assert outline(thaw(freeze(legacy_parts()))) == outline(legacy_parts())


def test_line_that_begins_with_from_is_not_mangled():
    part = MIMEText("From the start\n", "plain", "us-ascii")
    (again,) = thaw(freeze(carrying(attachments=[part]))).attachments
    assert again.get_payload() == "From the start\n"


def test_multipart_of_the_caller_gets_no_boundary_from_us():
    part = MIMEMultipart("related", None, [MIMEText("x")])
    freeze(carrying(attachments=[part]))
    assert part.get_boundary() is None


def test_part_that_cannot_be_rendered_is_refused():
    part = MIMEPart()
    part["Content-Type"] = "multipart/mixed"
    vars(part)["_payload"] = 17
    with pytest.raises(CannotFreeze, match=r"MIMEPart.*cannot be rendered"):
        freeze(carrying(attachments=[part]))
