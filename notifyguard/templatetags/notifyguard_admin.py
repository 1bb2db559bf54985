"""What the templates of the admin ask for."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from notifyguard import clock, database
from notifyguard.admin.standing import Standing
from notifyguard.admin.standing import standing as how_things_stand
from notifyguard.ledger.held import bodies
from notifyguard.ledger.held.choice import Held
from notifyguard.ledger.looks.story import moment
from notifyguard.models import Delivery

MINUTE = 60

register = template.Library()


@register.simple_tag(takes_context=True)
def standing(context: Any) -> Standing:
    """Return what stands above every page."""
    return how_things_stand(context["request"])


@register.filter
def badge(state: str) -> SafeString:
    """Return a state or position as a coloured word; its colour says nothing that it does not."""
    return format_html('<span class="ng-badge ng-{}">{}</span>', state, state.replace("_", " "))


@register.filter
def called(row: Delivery | Held) -> str:
    """Return what the message of a delivery is called."""
    return bodies.title(row.type, row.subject)


@register.filter
def ago(when: datetime) -> str:
    """Return how long ago a time was, as a person would say it."""
    seconds = (clock.now(database.connection()) - when).total_seconds()
    return f"{timesince(when)} ago" if seconds >= MINUTE else "just now"


@register.filter
def at(when: datetime | None) -> SafeString | str:
    """Return a time as people here write it, readable by machines too."""
    if when is None:
        return ""
    return format_html('<time datetime="{}">{}</time>', when.isoformat(), moment(when))
