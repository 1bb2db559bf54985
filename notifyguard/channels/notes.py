"""The note: the signed header of a message that a queue took without asking the gate.

It carries what was said where the message was queued, so that the message is judged by that
when its queue brings it, in another process and perhaps hours later. It stands under the
name of the pass, which says that a message *was* judged: who takes passes off takes notes
off as well. Signed with ``SECRET_KEY``, so that queueing costs no query and needs no ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.core import signing

from notifyguard import context
from notifyguard.channels import inference, passes
from notifyguard.context import Task, Travelled, travelling
from notifyguard.context.travelling import Said

_BEGINNING = "note:"
_SALT = "notifyguard.note"


@dataclass(frozen=True, slots=True)
class Note:
    """What a queue was told of a message.

    Attributes:
        id: of the message; the same when its queue brings it again.
        said: where it was queued.
    """

    id: str
    said: Said


def written(note: Note) -> str:
    """Return the text of the header."""
    told = {"id": note.id, "said": travelling.written(note.said)}
    return passes.foldable(_BEGINNING + signing.dumps(told, salt=_SALT, compress=True))


def read(message: Any) -> Note | None:
    """Return the note of a message; ``None`` if there is none.

    One that we did not sign, or that cannot be read, may have said anything.
    """
    text = passes.carried(message)
    if not text.startswith(_BEGINNING):
        return None
    try:
        told = signing.loads(text.removeprefix(_BEGINNING), salt=_SALT)
        return Note(str(told["id"]), travelling.read(told["said"]))
    except Exception:  # any: this is input, of whatever was signed with this key
        same = sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return Note(same, travelling.IN_DOUBT)


@contextmanager
def obeyed(message: Any) -> Iterator[None]:
    """Say inside what the message's note says; nothing if it has none.

    What waits in a queue is work like a task: brought again it is the same, and late when
    its worker was down.
    """
    note = read(message)
    if note is None:
        yield
        return
    said = note.said
    type = said.notification.type if said.notification else inference.UNKNOWN
    task = Task(type, note.id, said.due_at)
    with context.queued(Travelled(said.suppressions, said.notification, task, said.origin)):
        yield
