"""Equal for what says the same, different for what does not."""

from __future__ import annotations

import os
import subprocess
import sys
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any
from uuid import UUID

import pytest
from django.core.mail import EmailMultiAlternatives
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

from notifyguard.channels.fingerprint import fingerprint
from tests.compat.corpus import CORPUS, inline_image, legacy_image, modern_image


def mail(subject="s", body="b", from_email="a@example.com", to=("b@example.com",), **attributes):
    message = EmailMultiAlternatives(subject, body, from_email, list(to))
    vars(message).update(attributes)
    return message


def test_it_is_a_uuid_that_mariadb_takes():
    assert fingerprint(mail()).version == 5


def test_it_is_the_same_in_every_release_and_process():
    known = UUID("553434c0-5fea-573b-91de-70b0c93205f9")
    assert fingerprint(mail(attachments=[("a.txt", "ä", "text/plain")])) == known


def test_recipients_and_headers_do_not_count():
    assert fingerprint(mail()) == fingerprint(
        mail(to=["c@example.com"], cc=["d@example.com"], extra_headers={"Message-ID": "<1@x>"})
    )


def test_lazy_and_safe_text_count_as_what_they_say():
    assert fingerprint(mail()) == fingerprint(mail(lazystr("s"), mark_safe("b")))
    assert fingerprint(mail(merge_data={"a": "s"})) == fingerprint(
        mail(merge_data={"a": lazystr("s")})
    )


def test_text_attachment_counts_the_same_as_its_bytes():
    text, raw = mail(attachments=[("a", "ä", "text/plain")]), mail()
    raw.attachments.append(("a", memoryview("ä".encode()), "text/plain"))
    assert fingerprint(text) == fingerprint(raw)


def test_other_content_has_another_fingerprint():
    others = [
        mail(),
        mail(subject="t"),
        mail(body="c"),
        mail(subject="sb", body=""),
        mail(from_email="c@example.com"),
        mail(from_email=None),
        mail(content_subtype="html"),
        mail(alternatives=[("<p>", "text/html")]),
        mail(alternatives=[("<b>", "text/html")]),
        mail(attachments=[("<p>", "text/html", None)]),
        mail(attachments=[("a", b"1", "image/png")]),
        mail(attachments=[("a", b"2", "image/png")]),
        mail(attachments=[("b", b"1", "image/png")]),
        mail(attachments=[("a", mail(), "message/rfc822")]),
        mail(attachments=[("a", mail("t"), "message/rfc822")]),
        mail(template_id="welcome"),
        mail(template_id="goodbye"),
        mail(merge_global_data={"code": 1}),
        mail(merge_data={"b@example.com": {"code": 1}}),
        mail(merge_data={"b@example.com": {"code": 2}}),
        inline_image(),
    ]
    assert len({fingerprint(other) for other in others}) == len(others)


@pytest.mark.parametrize("name", CORPUS)
def test_the_same_message_built_twice_has_one_fingerprint(name):
    assert fingerprint(CORPUS[name]()) == fingerprint(CORPUS[name]())


def test_mime_part_counts_by_its_content_and_not_by_its_class_or_boundary():
    assert fingerprint(legacy_image()) == fingerprint(modern_image())
    part = MIMEMultipart("related", None, [MIMEText("x")])
    message = mail(attachments=[part])
    first = fingerprint(message)
    assert part.get_boundary() is None
    part.set_boundary("chosen")
    assert fingerprint(message) == first
    part.attach(MIMEText("y"))
    assert fingerprint(message) != first


def test_strange_contents_do_not_raise():
    cycle: dict[object, object] = {"a": 1, 2: 3}
    cycle["self"] = cycle
    assert fingerprint(mail(subject=None, body=17, attachments=[object, (), None]))
    assert fingerprint(mail(body="\udce4\x00", merge_data=cycle, alternatives=None))


def test_it_does_not_depend_on_the_hash_seed():
    code = (
        "from django.conf import settings; settings.configure()\n"
        "from django.core.mail import EmailMessage\n"
        "from notifyguard.channels.fingerprint import fingerprint\n"
        "message = EmailMessage('s', 'b', 'a@example.com')\n"
        "message.merge_data = {'a': {'x', 'y', 'z'}, 'b': 1}\n"
        "print(fingerprint(message))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(seen) == 1


def test_what_only_looks_like_a_message_may_keep_its_attributes_in_slots() -> None:
    class Slotted:
        __slots__ = ("subject",)

    one: Any = Slotted()
    other: Any = Slotted()
    one.subject, other.subject = "Hello", "Good bye"
    assert fingerprint(one) != fingerprint(other)
