"""The ledger: who may hand a message over, and what came of it.

    record   insert rows, claiming their keys: straight to ``in_flight`` (claim and
             mark at once), to ``claimed`` (a batch), to ``held`` or ``discarded``
    mark     point of no return: committed before the first byte of the message
    confirm  the outcome is known

Each change is one conditional UPDATE which compares state and attempt and must
hit its row. What may leave is claimed and marked under the generation its
decision was made under; when a switch was set meanwhile, ``StaleBoard`` is raised
and nothing was written.
"""

from notifyguard.ledger.claims import look, record
from notifyguard.ledger.entry import Entry, Taken, is_inferred, key_of, new_id
from notifyguard.ledger.marks import confirm, mark
from notifyguard.ledger.rows import give_up, has_row, note, withdraw
from notifyguard.ledger.takeover import StaleBoard

__all__ = [
    "Entry",
    "StaleBoard",
    "Taken",
    "confirm",
    "give_up",
    "has_row",
    "is_inferred",
    "key_of",
    "look",
    "mark",
    "new_id",
    "note",
    "record",
    "withdraw",
]
