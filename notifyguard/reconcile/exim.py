"""What Exim's main log says of a message and a recipient.

``<=`` is written when the message is accepted, with its Message-ID; the lines of its
recipients follow under the same message id of Exim: ``=>`` and ``->`` delivered,
``**`` failed, ``==`` deferred. After each of these this server has had it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from notifyguard.reconcile.word import Word

_LINE = re.compile(
    r"(?:^|\s)([0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4}) "
    r"(<=|=>|->|>>|\*\*|==|Completed)(?: (.*)|$)"
)
_MESSAGE_ID = re.compile(r" id=(\S+)")
_ADDRESSES = re.compile(r"(\S+)(?: \([^)]*\))?(?: <([^>]+)>)?")
_MEANING = {
    "=>": "delivered",
    "->": "delivered",
    ">>": "delivered",
    "**": "failed",
    "==": "deferred",
}


class Exim:
    """Reads lines in the order in which they were written.

    Args:
        wanted: the Message-IDs that are looked for, with their angle brackets.
    """

    def __init__(self, wanted: Container[str]) -> None:
        self._wanted = wanted
        self._message_ids: dict[str, str] = {}

    def read(self, line: str) -> Iterator[Word]:
        """Yield what the line says of wanted messages."""
        found = _LINE.search(line)
        if found is None:
            return
        exim_id, sign, rest = found.groups()
        if sign == "<=":
            yield from self._received(exim_id, rest or "")
        elif sign == "Completed":
            self._message_ids.pop(exim_id, None)
        elif exim_id in self._message_ids and (written := _ADDRESSES.match(rest or "")):
            for recipient in filter(None, written.groups()):
                said = f"{_MEANING[sign]}: {rest}"
                yield Word(self._message_ids[exim_id], recipient, True, said)

    def _received(self, exim_id: str, rest: str) -> Iterator[Word]:
        found = _MESSAGE_ID.search(rest)
        message_id = f"<{found[1]}>" if found else ""
        if message_id in self._wanted:
            self._message_ids[exim_id] = message_id
            yield Word(message_id, "", True, "received")
