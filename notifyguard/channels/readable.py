"""A kept message as a person reads it: its text, its HTML made harmless, its attachments."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import MIMEPart
from functools import cached_property
from typing import cast

from notifyguard.channels.freezing import thaw
from notifyguard.exceptions import CannotThaw
from notifyguard.hold import Frozen

# They ask other hosts for something, or for another page, before anything of the page is
# shown; the policy that the page is served with forbids all the rest.
_ASKING = re.compile(r"<\s*/?\s*(?:link|meta|base)\b[^>]*>?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """Something that is attached.

    Attributes:
        name: its file name, without a path and without control characters.
        mimetype: what it says that it is.
        content: its bytes.
    """

    name: str
    mimetype: str
    content: bytes


class Readable:
    """A message as its recipients would get it.

    Args:
        frozen: as it is kept.

    Raises:
        CannotThaw: it cannot be restored, or not be built.
    """

    def __init__(self, frozen: Frozen) -> None:
        message = thaw(frozen)
        try:
            built = message.message().as_bytes()
        except Exception as error:  # any: a class of the project's own may build it
            raise CannotThaw(f"The message cannot be built: {error}") from error
        # Read again from its bytes, whatever kinds of parts it was put together from.
        self._mime = message_from_bytes(built, policy=policy.default)

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that a reader sees, and those that name others."""
        shown = ("From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID")
        return [(name, str(self._mime[name])) for name in shown if self._mime[name]]

    @cached_property
    def text(self) -> str:
        """The plain text, or ``""``."""
        return self._text_of("plain")

    @cached_property
    def html(self) -> str:
        """The HTML, or ``""``: its images inside it, and nothing that asks other hosts early.

        It is still somebody else's HTML: serve it without scripts, in a frame of its own.
        """
        found = self._text_of("html")
        for part in self._mime.walk():
            content_id = str(part.get("Content-ID", "")).strip("<> ")
            if content_id and part.get_content_maintype() == "image":
                encoded = base64.b64encode(_bytes_of(part)).decode("ascii")
                uri = f"data:{part.get_content_type()};base64,{encoded}"
                found = found.replace(f"cid:{content_id}", uri)
        # Last, and with a space in its place: or what is put in, or left, would be one anew.
        return _ASKING.sub(" ", found)

    @cached_property
    def attachments(self) -> list[Attachment]:
        """All that is neither text nor HTML of the message itself."""
        bodies = [self._mime.get_body((kind,)) for kind in ("plain", "html")]
        leaves = (part for part in self._mime.walk() if not part.is_multipart())
        return [
            Attachment(_name_of(part, number), part.get_content_type(), _bytes_of(part))
            for number, part in enumerate(
                (part for part in leaves if not any(part is body for body in bodies)), start=1
            )
        ]

    def _text_of(self, kind: str) -> str:
        body = self._mime.get_body((kind,))
        if body is None:
            return ""
        try:
            return str(body.get_content())
        except (LookupError, UnicodeError):  # a charset that nobody knows
            return _bytes_of(body).decode("utf-8", "replace")


def _name_of(part: MIMEPart, number: int) -> str:
    name = (part.get_filename() or "").replace("\\", "/").rpartition("/")[2]
    printable = "".join(char for char in name if char.isprintable())
    return printable[:150] or f"attachment-{number}"


def _bytes_of(part: MIMEPart) -> bytes:
    return cast(bytes | None, part.get_payload(decode=True)) or b""
