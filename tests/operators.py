"""``manage.py notifyguard`` as an operator types it, within the test's own process."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any
from uuid import UUID

from django.core.management import call_command

from notifyguard.actor import Actor, unrestricted
from notifyguard.ledger import held
from notifyguard.ledger.held import letting_go, releases
from notifyguard.ledger.held.choice import Choice, Meant
from notifyguard.management.commands.notifyguard import Command
from notifyguard.models import Event


class Tty(StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def operate(*words: str, terminal: bool = False) -> str:
    """Run a subcommand; return what it wrote, warnings and progress too."""
    written = Tty() if terminal else StringIO()
    call_command("notifyguard", *words, stdout=written, stderr=written)
    return written.getvalue()


def facts(*words: str) -> Any:
    """Run a subcommand with ``--json``; return what it says."""
    written = StringIO()
    call_command("notifyguard", *words, "--json", stdout=written, stderr=StringIO())
    return json.loads(written.getvalue())


def status(*words: str) -> int:
    """Run a subcommand as ``manage.py`` does; return its exit status."""
    try:
        Command().run_from_argv(["manage.py", "notifyguard", *words])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def deed(*words: str) -> str:
    """Run a subcommand that asks for a reason and an actor."""
    return operate(*words, "--reason", "a test", "--actor", "ann")


def what_waits(*ids: UUID, limit: int | None = None) -> Meant:
    """What is held: all of it, or these."""
    what = held.meant(Choice(ids=ids or None, limit=limit))
    assert what is not None
    return what


def release(*ids: UUID, actor: Actor | None = None) -> None:
    """Let held deliveries go, all or these; they are queued and not yet sent."""
    begun = releases.begin(what_waits(*ids), reason="a test", actor=actor or unrestricted("me"))
    while letting_go.advance(begun.pk).goes_on:
        pass


def events() -> list[tuple[Any, ...]]:
    """What is on record: action, subject, before, after, count, actor, reason; the oldest first."""
    columns = ("action", "subject", "before", "after", "count", "actor", "reason")
    return list(Event.objects.order_by("id").values_list(*columns))
