"""The switches: what they are set to, which one decides, and how they are set.

A process decides by a cached ``Board`` and names its generation to the ledger,
which refuses the mark when a switch was set meanwhile. So looking costs no
query and is never stale.
"""

from notifyguard.switchboard.blocks import Block
from notifyguard.switchboard.reading import (
    blocked_among,
    board,
    forget,
    generation_now,
    last_known,
    present_board,
)
from notifyguard.switchboard.rulings import EVERYTHING, NO_LEDGER, Board, Ruling
from notifyguard.switchboard.setting import (
    REASON_FOLLOWS,
    check_end,
    clear_switch,
    find,
    give_reason,
    record_event,
    set_switch,
    stop,
)

__all__ = [
    "EVERYTHING",
    "NO_LEDGER",
    "REASON_FOLLOWS",
    "Block",
    "Board",
    "Ruling",
    "blocked_among",
    "board",
    "check_end",
    "clear_switch",
    "find",
    "forget",
    "generation_now",
    "give_reason",
    "last_known",
    "present_board",
    "record_event",
    "set_switch",
    "stop",
]
