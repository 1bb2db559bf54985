"""What stands above every page: what is stopped, what waits, and the way to each page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from django.http import HttpRequest
from django.urls import reverse

from notifyguard import conf, switchboard
from notifyguard.admin.switches import meant
from notifyguard.decision import State
from notifyguard.ledger.looks import report
from notifyguard.switchboard import EVERYTHING, Ruling

# Label, permission to look, address, state whose deliveries are counted beside it.
TABS = [
    ("Switches", "notifyguard.view_switch", "notifyguard_switch_changelist", None),
    ("Types", "notifyguard.view_switch", "notifyguard_switch_types", None),
    ("Deliveries", "notifyguard.view_delivery", "notifyguard_delivery_changelist", None),
    ("Held", "notifyguard.view_heldmessage", "notifyguard_heldmessage_changelist", State.HELD),
    ("Uncertain", "notifyguard.view_delivery", "notifyguard_delivery_uncertain", State.UNCERTAIN),
    ("Releases", "notifyguard.view_release", "notifyguard_release_changelist", None),
    ("Blocked", "notifyguard.view_blockedaddress", "notifyguard_blockedaddress_changelist", None),
    ("Events", "notifyguard.view_event", "notifyguard_event_changelist", None),
]


def add_tab(label: str, permission: str, address: str) -> None:
    """Show the way to a page of an integration above every page, before the events.

    Args:
        label: of the tab.
        permission: to look at the page, as ``user.has_perm`` takes it.
        address: its name among the admin's URLs.
    """
    tab = (label, permission, address, None)
    if tab not in TABS:
        TABS.insert(-1, tab)


class Tab(NamedTuple):
    """The way to a page."""

    label: str
    address: str
    current: bool
    waiting: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """Something that is stopped.

    Attributes:
        what: in words.
        ruling: by whom, why, since when and until when.
        reason: as it was given; ``""`` while it is still owed.
    """

    what: str
    ruling: Ruling
    reason: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand at this moment."""

    tabs: list[Tab]
    stopped: list[Stopped]
    mode: str
    sweeper_is_missing: bool


def standing(request: HttpRequest) -> Standing:
    """Return how things stand, for who looks."""
    waiting = {each["state"]: each["deliveries"] for each in report.waiting()}
    return Standing(
        tabs=list(_tabs(request, waiting)),
        stopped=list(map(_stopped, report.stopping())),
        mode=conf.current().mode,
        sweeper_is_missing=report.sweeper_is_missing(),
    )


def _tabs(request: HttpRequest, waiting: dict[str, int]) -> Iterator[Tab]:
    site = getattr(request, "current_app", None) or "admin"
    addresses = [
        (label, reverse(f"admin:{name}", current_app=site), waiting.get(state or "", 0))
        for label, permission, name, state in TABS
        if request.user.has_perm(permission)
    ]
    # Of addresses that begin alike the longest is meant.
    here = max((each[1] for each in addresses if request.path.startswith(each[1])), default="")
    for label, address, count in addresses:
        yield Tab(label, address, address == here, count)


def _stopped(ruling: Ruling) -> Stopped:
    owed = ruling.reason == switchboard.REASON_FOLLOWS
    what = _named(ruling.pattern) if ruling.source == "database" else ruling.pattern
    return Stopped(what, ruling, "" if owed else ruling.reason)


def _named(pattern: str) -> str:
    return (
        meant("*", everything=True) if pattern == EVERYTHING else meant(pattern, everything=False)
    )
