"""A pattern that was mistyped, as the command tells it."""

from __future__ import annotations

from notifyguard.ledger.looks import naming
from notifyguard.management.subcommands.terminal import Terminal


def warn_if_nobody_sends(terminal: Terminal, named: str) -> None:
    """Say when a pattern means no type that is known."""
    if doubt := naming.doubt(named, otherwise="`types` lists those seen."):
        terminal.warn(doubt)
