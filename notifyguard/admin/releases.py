"""The pages of releases: how far each is, what became of it, and the word that it waits for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse

from notifyguard.admin import working
from notifyguard.admin.actors import actor_of
from notifyguard.admin.deliveries import told
from notifyguard.admin.forms import ReasonForm
from notifyguard.admin.pages import Pages
from notifyguard.decision import ENDED, ReleaseState
from notifyguard.exceptions import NotAllowed
from notifyguard.ledger import leases
from notifyguard.ledger.held import releases
from notifyguard.models import Release

LISTED = 50
SHOWN = 20
"""Deliveries of the canary that are told one by one."""

REFRESH = 3
"""Seconds after which a browser asks again how far it is."""

DEEDS: dict[str, Callable[..., Release]] = {
    "continue": releases.continue_,
    "pause": releases.pause,
    "stop": releases.stop,
}


class NextForm(ReasonForm):
    """What becomes of a release from now on."""

    deed = forms.ChoiceField(choices=[(name, name) for name in DEEDS], widget=forms.HiddenInput)


@admin.register(Release)
class ReleasePages(Pages):
    """What is let go, in small steps."""

    routes = (("", "changelist"), ("<int:number>/", "change"))

    def changelist(self, request: HttpRequest) -> HttpResponse:
        """Show the releases, the newest first."""
        found = [(each, releases.standing(each)) for each in releases.recent()[:LISTED]]
        return self.page(request, "releases", "Releases", found=found)

    def change(self, request: HttpRequest, number: int) -> HttpResponse:
        """Show how far one is; let it go on, rest or end."""
        release = _find(number)
        form = NextForm(request.POST or None)
        if form.is_valid():
            self._go_on(request, number, **form.cleaned_data)
            return self.to("change", number)
        running = release.state == ReleaseState.RUNNING
        response = self.page(
            request,
            "release",
            f"Release {number}: {release.subject}",
            form=form,
            release=release,
            standing=releases.standing(release),
            outcomes=releases.outcomes(release),
            waiting=releases.meant(release).rows().count(),
            told=self._told(request, release),
            ended=release.state in ENDED,
            resting=release.state in (ReleaseState.CANARY, ReleaseState.PAUSED),
            in_canary=release.state == ReleaseState.CANARY,
            swept=leases.last_sweep(),
        )
        if running and not request.POST:
            response["Refresh"] = str(REFRESH)
        return response

    def _told(self, request: HttpRequest, release: Release) -> list[Any]:
        """Tell the first of them, to whom it was sent and what about, if the user may know."""
        if not request.user.has_perm("notifyguard.view_delivery"):
            return []
        return told(list(releases.let_go(release)[:SHOWN]))

    def _go_on(self, request: HttpRequest, number: int, deed: str, reason: str) -> None:
        def change() -> str:
            more: dict[str, Any] = {"by_sweepers": True} if deed == "continue" else {}
            release = DEEDS[deed](number, reason=reason, actor=actor_of(request), **more)
            if deed == "continue":
                working.send_a_few(release)
            return f"Release {number}: {releases.find(number).state}."

        self.done(request, change)


def _find(number: int) -> Release:
    try:
        return releases.find(number)
    except NotAllowed as unknown:
        raise Http404(str(unknown)) from None
