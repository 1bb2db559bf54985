"""What a message says and shows, for the rules that judge it: read once, and only when asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.utils import getaddresses
from functools import cached_property
from typing import Any

from django.core.mail import EmailMessage

from notifyguard.channels import markup

HTML = "text/html"

# Set by who has the provider render or fill in: what is here is not what is read.
_RENDERED_ELSEWHERE = ("template_id", "merge_data", "merge_global_data", "merge_headers")
_SENT_ONE_BY_ONE = ("merge_data", "merge_headers", "merge_metadata")

_LEFTOVER = re.compile(
    r"\{\{[ \t]*[A-Za-z_][^{}\n]{0,200}\}\}"
    r"|\{%-?[ \t]*[A-Za-z_][^{}\n]{0,200}%\}"
    r"|%\([A-Za-z_][\w.]{0,100}\)[#0+-]{0,5}\d{0,5}(?:\.\d{1,5})?[diouxXeEfFgGcrsa]"
)
_QUOTED = re.compile(r"^>.*$|```[^`]{0,10000}```|`[^`\n]{0,500}`", re.MULTILINE)


class Content:
    """What one message says.

    Args:
        message: the caller's object; nothing is written on it.
    """

    def __init__(self, message: Any) -> None:
        self._message = message

    @cached_property
    def subject_is_blank(self) -> bool:
        """Whether the subject shows nothing."""
        return markup.is_blank(_text(getattr(self._message, "subject", "")))

    @cached_property
    def body_is_blank(self) -> bool:
        """Whether nothing would be read: no text, no HTML that shows anything, no attachment.

        Never for what is put together elsewhere: by a template of the provider, or
        by a class that builds the message itself.
        """
        if self.is_rendered_elsewhere or self._attached:
            return False
        return all(
            markup.shows_nothing(text) if mimetype == HTML else markup.is_blank(text)
            for mimetype, text in self._bodies()
        )

    @cached_property
    def is_rendered_elsewhere(self) -> bool:
        """Whether the provider, or a class of its own, makes what the reader gets."""
        message = self._message
        if any(getattr(message, name, None) for name in (*_RENDERED_ELSEWHERE, "esp_extra")):
            return True
        return getattr(type(message), "message", None) is not EmailMessage.message

    @cached_property
    def visible_recipients(self) -> int:
        """How many addresses every recipient gets to read, in To and Cc.

        One for a message that the provider sends to each by itself.
        """
        message = self._message
        if any(getattr(message, name, None) is not None for name in _SENT_ONE_BY_ONE):
            return 1
        headers = getattr(message, "extra_headers", None) or {}
        instead = {str(name).lower(): _text(value) for name, value in headers.items()}
        shown = [
            [instead[name]] if name in instead else getattr(message, name, None) or []
            for name in ("to", "cc")
        ]
        written = {_text(address).lower() for addresses in shown for address in addresses}
        if not any("," in address for address in written):
            return len(written)  # parsing costs more than all other rules together
        return len({address for _, address in getaddresses(written) if address})

    @cached_property
    def leftover(self) -> str:
        """Where a placeholder was left: ``"the subject"``, ``"the body"``, or ``""`` for nowhere.

        Samples of code and quoted mail are left out; so is what the provider fills in.
        """
        if self.is_rendered_elsewhere:
            return ""
        if _holds_leftover(_text(getattr(self._message, "subject", ""))):
            return "the subject"
        found = any(
            _holds_leftover(text, html=mimetype == HTML) for mimetype, text in self._bodies()
        )
        return "the body" if found else ""

    @property
    def _attached(self) -> bool:
        return bool(getattr(self._message, "attachments", None))

    def _bodies(self) -> Iterator[tuple[str, str]]:
        """Yield type and text of everything a reader may be shown as the body."""
        message = self._message
        subtype = getattr(message, "content_subtype", "plain")
        yield f"text/{subtype}", _text(getattr(message, "body", ""))
        for alternative in getattr(message, "alternatives", None) or []:
            content, mimetype = alternative[0], alternative[1]
            yield str(mimetype).lower(), _text(content)


def _holds_leftover(text: str, *, html: bool = False) -> bool:
    text = text[: markup.LONGEST]
    # One character is found a thousand times sooner than a pattern, or even two.
    if ("{" not in text and "%" not in text) or not _LEFTOVER.search(text):
        return False
    prose = markup.prose(text) if html else _QUOTED.sub("", text)
    return bool(_LEFTOVER.search(prose))


def _text(value: object) -> str:
    """Return a value as text. What cannot be read is not blank: building it will tell."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    try:
        return "" if value is None else str(value)
    except Exception:  # a lazy string may run any code
        return repr(type(value))
