"""The page of events: what people did, when and why. Nothing on it can be changed."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from notifyguard.admin.asked import number_asked, text_asked
from notifyguard.admin.pages import Pages
from notifyguard.ledger.looks import events
from notifyguard.models import Event


@admin.register(Event)
class EventPages(Pages):
    """What was done to switches and messages, by whom and why."""

    routes = (("", "changelist"),)

    def changelist(self, request: HttpRequest) -> HttpResponse:
        """Show the events, the newest first."""
        asked = {name: text_asked(request, name) for name in ("action", "actor", "subject")}
        found = events.look_up(events.Wanted(**asked), number_asked(request, "behind"))
        return self.page(
            request,
            "events",
            "Events",
            asked=asked,
            events=found,
            further=found[-1].pk if len(found) == events.PAGE else None,
            actions=events.known("action"),
            actors=events.known("actor"),
        )
