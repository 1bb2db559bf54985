"""Which held messages are meant, as the pages ask for it in their address."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.core import signing
from django.http import QueryDict

from notifyguard import clock, database, patterns
from notifyguard.channels import email
from notifyguard.ledger.held.choice import Choice, Meant

AGES = (("", "any age"), ("1", "1 hour"), ("6", "6 hours"), ("24", "1 day"), ("168", "1 week"))
KILOBYTE = 1024
SALT = "notifyguard.admin.choosing"


class HeldFilter(forms.Form):
    """A choice of what is held. What cannot be read chooses nothing, and says so."""

    type = forms.CharField(label="Types", required=False, max_length=200)
    rule = forms.CharField(label="Held by", required=False, max_length=50)
    older = forms.ChoiceField(label="Older than", required=False, choices=AGES)
    younger = forms.ChoiceField(label="Younger than", required=False, choices=AGES)
    larger = forms.IntegerField(
        label="Larger than (kB)", required=False, min_value=1, max_value=10**6
    )
    people = forms.CharField(label="To (addresses, domains)", required=False, max_length=500)
    id = forms.UUIDField(required=False, widget=forms.HiddenInput)

    def __init__(self, asked: QueryDict) -> None:
        super().__init__(asked, auto_id="ng-%s")

    def clean_type(self) -> str:
        pattern: str = self.cleaned_data["type"].strip() or "*"
        if fix := patterns.fault(pattern):
            raise forms.ValidationError(fix)
        return pattern

    def clean_people(self) -> tuple[str, ...]:
        named = (each.strip() for each in self.cleaned_data["people"].split(","))
        return tuple(map(_as_in_the_ledger, filter(None, named)))

    def choice(self) -> Choice:
        """Return what is meant; nothing at all if it cannot be read."""
        if not self.is_valid():
            return Choice(ids=())
        asked = self.cleaned_data
        return Choice(
            pattern=asked["type"],
            rules=(asked["rule"],) if asked["rule"] else (),
            older_than=_ago(asked["older"]),
            newer_than=_ago(asked["younger"]),
            larger_than=asked["larger"] and asked["larger"] * KILOBYTE,
            people=asked["people"],
            ids=(asked["id"],) if asked["id"] else None,
        )


def signed(what: Meant, count: int) -> str:
    """Return what was shown, so that this and nothing else is done, however long one looks."""
    shown = {
        "choice": what.choice.as_json(),
        "types": what.types,
        "last": str(what.last),
        "at": what.at.isoformat(),
        "count": count,
    }
    return signing.dumps(shown, salt=SALT, compress=True)


def shown(text: str) -> tuple[Meant, int]:
    """Return what was shown, and how many deliveries that were.

    Raises:
        BadSignature: it was not written by ``signed``.
    """
    said: dict[str, Any] = signing.loads(text, salt=SALT)
    what = Meant(
        Choice.from_json(said["choice"]),
        tuple(said["types"]),
        UUID(said["last"]),
        datetime.fromisoformat(said["at"]),
    )
    return what, said["count"]


def _as_in_the_ledger(person: str) -> str:
    return email.normalised(person) if "@" in person else email.normalised(f"x@{person}")[2:]


def _ago(hours: str) -> datetime | None:
    return clock.now(database.connection()) - timedelta(hours=int(hours)) if hours else None
