"""The journal: what is written down of an envelope, and how it is kept."""

from __future__ import annotations

import json
import os
import time
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import Message
from pathlib import Path
from typing import Any


class Journal:
    """Append-only file of JSON lines, each on disk before ``write`` returns."""

    def __init__(self, path: Path, *, fsync: bool = True) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._fsync = fsync

    def write(self, event: str, **fields: Any) -> None:
        """Add one line, stamped with the time it is written at."""
        line = json.dumps({"event": event, "at": time.time(), **fields}) + "\n"
        os.write(self._file, line.encode())
        if self._fsync:
            os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def described(content: bytes) -> dict[str, Any]:
    """Return the journal's fields that stand in the message itself."""
    message = message_from_bytes(content)
    return {
        "message_id": readable(message.get("Message-ID", "")),
        "subject": readable(message.get("Subject", "")),
        "x": {
            name: readable(value)
            for name, value in message.items()
            if name.lower().startswith("x-")
        },
        "blank": not any(map(has_content, message.walk())),
    }


def readable(header: Any) -> str:
    """Return a header unfolded and decoded (RFC 2047)."""
    text = " ".join(str(header).split())
    return str(make_header(decode_header(text))) if "=?" in text else text


def has_content(part: Message) -> bool:
    """Tell whether a part that is not a container holds more than white space."""
    if part.is_multipart():
        return False
    payload = part.get_payload(decode=True)
    return isinstance(payload, bytes) and bool(payload.strip())
