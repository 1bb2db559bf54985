"""Did Ann get it, and why not? Looking deliveries up, and the story of each."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from notifyguard import blocked, conf, database, hold
from notifyguard.admin.asked import day_asked, id_asked, state_asked, text_asked
from notifyguard.admin.bodies import BodyPages, find
from notifyguard.admin.uncertain import UncertainPages
from notifyguard.channels import email
from notifyguard.decision import State
from notifyguard.ledger import rows
from notifyguard.ledger.held import bodies
from notifyguard.ledger.looks import events, lookup, search
from notifyguard.ledger.looks.story import story
from notifyguard.models import Claim, Delivery

FELLOWS = 100
"""Other recipients of a message that are shown."""


@admin.register(Delivery)
class DeliveryPages(UncertainPages, BodyPages):
    """The ledger: who was sent what, when, and what came of it. Nothing on it can be changed."""

    routes = (
        ("", "changelist"),
        ("<uuid:delivery>/", "change"),
        *BodyPages.body_routes,
        *UncertainPages.uncertain_routes,
    )

    def changelist(self, request: HttpRequest) -> HttpResponse:
        """Show what is looked for, the newest first, each with its story."""
        term = text_asked(request, "q")
        wanted = _wanted(request, term)
        answer = lookup.look_up(wanted, id_asked(request, "behind"))
        query = request.GET.copy()
        query["behind"] = str(answer.further)
        return self.page(
            request,
            "deliveries",
            "Deliveries",
            term=term,
            asked=request.GET,
            answer=answer,
            told=told(answer.deliveries),
            further=query.urlencode() if answer.further else "",
            states=list(State),
            blocked=blocked.among([wanted.term]) if "@" in wanted.term else (),
            similar=_similar(wanted.term, answer),
            days=conf.current().retention.deliveries.days,
        )

    def change(self, request: HttpRequest, delivery: UUID) -> HttpResponse:
        """Show one delivery: its story, its message's other recipients, what people did to it."""
        row = find(delivery)
        fellows = rows.deliveries(database.connection()).filter(dispatch=row.dispatch)
        ((_, words),) = told([row])
        return self.page(
            request,
            "delivery",
            bodies.title(row.type, row.subject),
            row=row,
            story=words,
            fellows=fellows.exclude(id=row.id).order_by("id")[:FELLOWS],
            events=events.look_up(events.Wanted(subject=str(row.id))),
            claim=_claim(row),
            kept=hold.has(row.dispatch),
            redacted=bodies.is_redacted(row.type),
        )


def told(deliveries: list[Delivery]) -> list[tuple[Delivery, str]]:
    """Return each delivery with its story."""
    duplicates = search.duplicates_of(deliveries)
    return [(each, story(each, duplicates.get(each.id, 0))) for each in deliveries]


def _wanted(request: HttpRequest, term: str) -> lookup.Wanted:
    until = day_asked(request, "until")
    return lookup.Wanted(
        term=email.normalised(term) if "@" in term else term[:320],
        state=state_asked(request, "state"),
        since=day_asked(request, "since"),
        until=until and until + timedelta(days=1),  # the day that is named is meant too
    )


def _similar(term: str, answer: lookup.Answer) -> list[str]:
    return search.similar(term) if "@" in term and not answer.looked_at else []


def _claim(row: Delivery) -> Any:
    if row.key is None:
        return None
    return Claim.objects.using(database.alias()).filter(key=row.key).first()
