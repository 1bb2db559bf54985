"""``manage.py notifyguard`` as an operator types it, within the test's own process."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from io import StringIO
from typing import Any
from uuid import UUID

from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import reverse

from notifyguard import database
from notifyguard.actor import Actor, unrestricted
from notifyguard.ledger import held
from notifyguard.ledger.held import letting_go, releases
from notifyguard.ledger.held.choice import Choice, Meant
from notifyguard.management.commands.notifyguard import Command
from notifyguard.models import Delivery, Event
from tests.factories import UserFactory

PAGES = (
    *("", "switch/", "switch/set/", "switch/types/", "delivery/?q=ann@example.com"),
    *("delivery/uncertain/", "heldmessage/", "heldmessage/list/", "heldmessage/release/"),
    *("heldmessage/discard/", "heldmessage/discarded/", "release/", "event/"),
    *("blockedaddress/", "blockedaddress/block/"),
)
"""The admin's, under its ``notifyguard/``."""


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


@override_settings(ALLOWED_HOSTS=["*"])
def night_in_the_admin(send: Callable[[], int]) -> list[int]:
    """Stop tickets, send one, look at every page and let it go; return what ``send`` did, twice.

    By Django's test client alone, so that it works in any process that has the admin.

    Raises:
        AssertionError: a page answered with something else than a page.
    """
    client = Client()
    dana: Any = UserFactory(username="dana", is_staff=True, is_superuser=True)
    client.force_login(dana)
    home = reverse("admin:app_list", args=["notifyguard"])

    def look(path: str) -> str:
        response = client.get(f"{home}{path}")
        assert response.status_code == 200, (path, response)
        return response.content.decode()

    def do(path: str, **filled: str) -> None:
        response = client.post(f"{home}{path}", {"reason": "a flood"} | filled)
        assert response.status_code == 302, (path, response.content.decode())

    do("switch/stop/", pattern="ticket.*")
    sent = [send()]
    row = Delivery.objects.using(database.alias()).get(state="held").pk
    for path in (*PAGES, f"delivery/{row}/", f"delivery/{row}/text/"):
        look(path)
    number = re.search(r"switch/(\d+)/resume", look("switch/"))
    assert number
    do(f"switch/{number[1]}/resume/", word="resume")
    shown = re.search(r'name="shown" value="([^"]+)"', look("heldmessage/release/"))
    assert shown
    do("heldmessage/release/", shown=html.unescape(shown[1]), canary="0", word="1")
    look("release/"), look("event/")
    return [*sent, send()]
