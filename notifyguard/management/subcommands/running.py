"""What runs beside the project, as ``status`` shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from notifyguard.management.subcommands.terminal import Terminal, age


def show_heard(terminal: Terminal, heard: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Show who was heard when, and who is silent."""
    if not heard:
        return
    terminal.say()
    terminal.heading("Workers, beat and sweepers")
    for each in heard:
        terminal.say(f"  {each['kind']} {each['name']}: {_last(each, now)}")


def _last(heard: Mapping[str, Any], now: datetime) -> str:
    if heard["state"] == "ended":
        return f"ended {age(heard['ended_at'], now)} ago, as it was told to"
    last = f"last heard {age(heard['heard_at'], now)} ago"
    if heard["state"] == "silent":
        return f"SILENT, {last}; it should be heard every {heard['every']} s"
    return last
