"""What an address of a page asks for, read leniently: a slip in it is no error of ours."""

from __future__ import annotations

from datetime import date, datetime, time
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_date

from notifyguard.decision import State

FIRST, LAST = date(1971, 1, 1), date(9000, 1, 1)
"""Days between which times can be counted with, in every time zone; the ledger's are among them."""


def text_asked(request: HttpRequest, name: str) -> str:
    """Return a text of the query, without spaces around it and what no database can hold."""
    return request.GET.get(name, "").replace("\x00", "").strip()


def number_asked(request: HttpRequest, name: str) -> int | None:
    """Return a number of the query, if it is one that a database knows."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def id_asked(request: HttpRequest, name: str) -> UUID | None:
    """Return an id of the query, if it is one."""
    try:
        return UUID(request.GET.get(name, ""))
    except ValueError:
        return None


def state_asked(request: HttpRequest, name: str) -> State | None:
    """Return a state of the query, if it is one."""
    text = request.GET.get(name, "")
    return State(text) if text in list(State) else None


def day_asked(request: HttpRequest, name: str) -> datetime | None:
    """Return the beginning of a day of the query, in the present time zone."""
    try:
        day = parse_date(request.GET.get(name, ""))
    except ValueError:
        return None
    if day is None:
        return None
    begins = datetime.combine(min(max(day, FIRST), LAST), time())
    return timezone.make_aware(begins) if settings.USE_TZ else begins
