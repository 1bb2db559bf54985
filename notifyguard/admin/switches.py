"""The page of switches: what decides now and why; stopping by one click, the reason after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_POST

from notifyguard import conf, database, patterns, switchboard
from notifyguard.admin.actors import actor_of
from notifyguard.admin.forms import ReasonForm, SwitchForm, TypedWordForm
from notifyguard.admin.pages import Pages
from notifyguard.decision import Sending
from notifyguard.ledger import held
from notifyguard.ledger.looks import events, naming, report, types_found
from notifyguard.models import Switch
from notifyguard.switchboard import EVERYTHING

RESUME = "resume"
HISTORY = 20
SUGGESTED = 200
"""Types that the browser may offer while a name is typed."""


@admin.register(Switch)
class SwitchPages(Pages):
    """Switches are set through the switchboard, so that every process obeys at once."""

    routes = (
        ("", "changelist"),
        ("set/", "set"),
        ("stop/", "stop"),
        ("types/", "types"),
        ("<int:number>/reason/", "reason"),
        ("<int:number>/change/", "change"),
        ("<int:number>/resume/", "resume"),
    )

    def changelist(self, request: HttpRequest) -> HttpResponse:
        """Show what decides now, and what was done to it."""
        return self.page(
            request,
            "switches",
            "Switches",
            switches=report.switches(),
            stopping=report.stopping(),
            reason_follows=switchboard.REASON_FOLLOWS,
            mode=conf.current().mode,
            types=types_found.names()[:SUGGESTED],
            history=events.look_up(events.Wanted(action="switch"), most=HISTORY),
        )

    def stop(self, request: HttpRequest) -> HttpResponse:
        """Stop at once; then ask why."""
        return require_POST(self._stop)(request)

    def _stop(self, request: HttpRequest) -> HttpResponse:
        everything = request.POST.get("pattern") == EVERYTHING
        pattern = "*" if everything else request.POST.get("pattern", "").strip()

        def stop() -> str:
            if switchboard.stop(pattern, actor=actor_of(request), everything=everything):
                said = f"Stopped: {meant(pattern, everything)}."
                return said + " Nothing of it leaves any more." * (not _is_bypassed())
            return f"{meant(pattern, everything).capitalize()} was stopped already."

        if not self.done(request, stop):
            return self.to("changelist")
        _say_what_is_not_stopped(request, pattern)
        switch = switchboard.find(pattern, everything=everything)
        # Who comes second must not write their words over the reason that stands.
        owed = switch is not None and switch.reason == switchboard.REASON_FOLLOWS
        return self.to("reason", switch.pk) if switch and owed else self.to("changelist")

    def reason(self, request: HttpRequest, number: int) -> HttpResponse:
        """Ask why a switch was set, now that it stands."""
        switch = _find(number)
        form = ReasonForm(request.POST or None)
        if form.is_valid():

            def say() -> str:
                switchboard.give_reason(
                    switch.pattern,
                    reason=form.cleaned_data["reason"],
                    actor=actor_of(request),
                    everything=switch.everything,
                )
                return "The reason is on record."

            self.done(request, say)
            return self.to("changelist")
        title = f"Stopped: {meant(switch.pattern, switch.everything)}"
        return self.page(request, "switch_reason", title, form=form, switch=switch)

    def set(self, request: HttpRequest) -> HttpResponse:
        """Set a switch to any position, for any pattern."""
        wanted = {"pattern": request.GET.get("pattern", "*"), "sending": Sending.HOLD}
        form = SwitchForm(request.POST or None, initial=wanted)
        return self._set(request, form, "Set a switch")

    def change(self, request: HttpRequest, number: int) -> HttpResponse:
        """Set a switch that is there to another position, or another end."""
        form = SwitchForm(request.POST or None, instance=_find(number))
        switch = form.instance
        return self._set(request, form, f"Change: {meant(switch.pattern, switch.everything)}")

    def _set(self, request: HttpRequest, form: SwitchForm, title: str) -> HttpResponse:
        if not form.is_valid():
            return self.page(request, "switch_set", title, form=form)
        switch: Switch = form.instance

        def set_switch() -> str:
            switchboard.set_switch(
                switch.pattern,
                Sending(switch.sending),
                reason=switch.reason,
                actor=actor_of(request),
                everything=switch.everything,
                expires_at=switch.expires_at,
            )
            return f"Set: {meant(switch.pattern, switch.everything)} to {switch.sending}."

        if self.done(request, set_switch):
            _say_what_is_not_stopped(request, switch.pattern)
        return self.to("changelist")

    def resume(self, request: HttpRequest, number: int) -> HttpResponse:
        """Take a switch away, when a word was typed for it."""
        switch = _find(number)
        what = meant(switch.pattern, switch.everything)
        form = TypedWordForm(request.POST or None, word=RESUME)
        if form.is_valid():

            def clear() -> str:
                switchboard.clear_switch(
                    switch.pattern,
                    reason=form.cleaned_data["reason"],
                    actor=actor_of(request),
                    everything=switch.everything,
                )
                return f"Open again: {what}. What is held stays held until it is released."

            self.done(request, clear)
            _say_what_still_stops(request)
            return self.to("changelist")
        choice = held.Choice(pattern=switch.pattern)
        waiting = sum(group.deliveries for group in held.groups(choice))
        title = f"Open again: {what}"
        return self.page(request, "switch_resume", title, form=form, switch=switch, waiting=waiting)

    def types(self, request: HttpRequest) -> HttpResponse:
        """Show the types that were found, each with its switch and what waits of it."""
        wanted = request.GET.get("q", "").strip()
        seen = {name: at for name, at in types_found.last_seen().items() if wanted in name}
        return self.page(request, "types", "Types found", wanted=wanted, types=_described(seen))


def meant(pattern: str, everything: bool) -> str:
    """Return what a switch is for, in words."""
    if everything:
        return "everything, critical types too"
    return "all types but critical ones" if patterns.names_nothing(pattern) else pattern


def _described(seen: Mapping[str, datetime]) -> list[dict[str, Any]]:
    board, settings = switchboard.board(fresh=True), conf.current()
    waiting = types_found.waiting()
    return [
        {
            "name": name,
            "ruling": board.ruling(name, settings),
            "critical": settings.for_type(name).critical,
            "waiting": {state.value: count for state, count in waiting.get(name, {}).items()},
            "last_seen": at,
        }
        for name, at in seen.items()
    ]


def _is_bypassed() -> bool:
    return conf.current().mode == "bypass"


def _say_what_is_not_stopped(request: HttpRequest, pattern: str) -> None:
    if _is_bypassed():
        messages.warning(
            request, "MODE is “bypass”: mail leaves unguarded and no switch is obeyed."
        )
    if doubt := naming.doubt(pattern, otherwise="Types lists those seen."):
        messages.warning(request, doubt)


def _say_what_still_stops(request: HttpRequest) -> None:
    for ruling in report.stopping():
        messages.warning(request, f"This still stops mail: {ruling}")


def _find(number: int) -> Switch:
    switch = _switches().filter(pk=number).first()
    if switch is None:
        raise Http404("There is no such switch any more.")
    return switch


def _switches() -> QuerySet[Switch, Switch]:
    return Switch.objects.using(database.alias())
