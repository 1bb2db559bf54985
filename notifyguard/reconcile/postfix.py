"""What Postfix's log says of a message and a recipient.

The Message-ID stands on the line of ``cleanup``, the recipients on those of the
delivery agents; the queue id joins them. It is used again for other messages, so
each line is read in the light of those before it. ``cleanup`` writes its line before
the message is complete: it alone proves nothing.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Container, Iterator

from notifyguard.reconcile.word import Word

REMEMBERED = 10_000
"""Refusals whose Message-ID may still follow. A session has few, and they end."""

_LINE = re.compile(r"postfix[\w.-]*(?:/[\w.-]+)*/([\w-]+)\[\d+\]: ([0-9A-Za-z]{5,}): (.*)")
_DELIVERY = re.compile(r"to=<([^>]*)>,(?: orig_to=<([^>]*)>,)?.* status=(\w+) ?(.*)")
_REFUSAL = re.compile(
    r"(?:milter-)?reject: (?:RCPT|DATA|END-OF-MESSAGE) .*?: (\d{3} .*?); .*to=<([^>]*)>"
)
_ACCEPTED = frozenset({"sent", "deferred", "bounced"})
"""Not ``deliverable`` and ``undeliverable``: those are probes of addresses."""


class Postfix:
    """Reads lines in the order in which they were written.

    Args:
        wanted: the Message-IDs that are looked for, with their angle brackets.
    """

    def __init__(self, wanted: Container[str]) -> None:
        self._wanted = wanted
        self._message_ids: dict[str, str] = {}
        self._refused: OrderedDict[str, list[tuple[str, str]]] = OrderedDict()

    def read(self, line: str) -> Iterator[Word]:
        """Yield what the line says of wanted messages."""
        found = _LINE.search(line) if "postfix" in line else None
        if found is None:
            return
        daemon, queue_id, rest = found.groups()
        if rest.startswith("message-id="):
            yield from self._named(queue_id, rest.removeprefix("message-id=").strip())
        elif rest.startswith("to=<") and queue_id in self._message_ids:
            yield from self._delivered(self._message_ids[queue_id], rest)
        elif daemon == "qmgr" and rest.startswith("from=<") and queue_id in self._message_ids:
            yield Word(self._message_ids[queue_id], "", True, "queued")
        elif "reject: " in rest:
            yield from self._rejected(queue_id, rest)
        elif rest == "removed" or rest.startswith("client="):
            self._forget(queue_id)

    def _named(self, queue_id: str, message_id: str) -> Iterator[Word]:
        refused = self._refused.pop(queue_id, [])
        self._forget(queue_id)
        if message_id in self._wanted:
            self._message_ids[queue_id] = message_id
            for recipient, said in refused:
                yield Word(message_id, recipient, False, said)

    def _delivered(self, message_id: str, rest: str) -> Iterator[Word]:
        found = _DELIVERY.match(rest)
        if found and found[3] in _ACCEPTED:
            for recipient in filter(None, (found[1], found[2])):
                yield Word(message_id, recipient, True, f"{found[3]} {found[4]}".strip())

    def _rejected(self, queue_id: str, rest: str) -> Iterator[Word]:
        found = _REFUSAL.match(rest)
        if found is None or queue_id == "NOQUEUE":
            return
        said, recipient = found.groups()
        if queue_id in self._message_ids:
            yield Word(self._message_ids[queue_id], recipient, False, said)
            return
        self._refused.setdefault(queue_id, []).append((recipient, said))
        if len(self._refused) > REMEMBERED:
            self._refused.popitem(last=False)

    def _forget(self, queue_id: str) -> None:
        self._message_ids.pop(queue_id, None)
        self._refused.pop(queue_id, None)
