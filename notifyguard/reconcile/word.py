"""One thing that a mail server's log says."""

from __future__ import annotations

from typing import NamedTuple


class Word(NamedTuple):
    """A log's word on one message and one recipient.

    Attributes:
        message_id: with its angle brackets.
        recipient: as the log writes it; ``""`` for whomever the message is for.
        accepted: this server took the message for this recipient; else it refused to.
        said: in the log's words.
    """

    message_id: str
    recipient: str
    accepted: bool
    said: str
