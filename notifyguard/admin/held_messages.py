"""The pages of what is held: to look at, and to let go or to discard when its number was typed."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.signing import BadSignature
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from notifyguard.admin import working
from notifyguard.admin.actors import actor_of
from notifyguard.admin.choosing import HeldFilter, shown, signed
from notifyguard.admin.forms import TypedWordForm
from notifyguard.admin.undoing import UndoingPages
from notifyguard.exceptions import NotAllowed
from notifyguard.gate.preview import preview
from notifyguard.ledger import held
from notifyguard.ledger.held import releases
from notifyguard.ledger.held.choice import Meant
from notifyguard.models import HeldMessage

LISTED = 100
"""Deliveries that are listed, the oldest first."""

CANARY = 5
"""Deliveries that are let go first, unless the operator names another number."""


class DeedForm(TypedWordForm):
    """What is done to what was shown, and to nothing that came later.

    Args:
        count: deliveries that were shown.
    """

    shown = forms.CharField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, count: int, **kwargs: Any) -> None:
        super().__init__(*args, word=f"{count:,}", **kwargs)


class ReleaseForm(DeedForm):
    """How it is let go."""

    field_order = ("canary", "rate", "reason", "word")
    canary = forms.IntegerField(
        label="First, as a canary",
        min_value=0,
        max_value=releases.MOST_IN_CANARY,
        initial=CANARY,
        help_text="So many leave and are shown; the rest waits for your word. 0 for no canary.",
    )
    rate = forms.IntegerField(
        label="At most, a minute",
        min_value=1,
        max_value=10**6,
        required=False,
        help_text="Deliveries; empty for as fast as they go.",
    )


@admin.register(HeldMessage)
class HeldPages(UndoingPages):
    """What is held: to look at, to release, to discard."""

    routes = (
        ("", "changelist"),
        ("list/", "list"),
        ("release/", "release"),
        ("discard/", "discard"),
        *UndoingPages.undoing_routes,
    )

    def changelist(self, request: HttpRequest) -> HttpResponse:
        """Show what is held by type and rule."""
        asked = HeldFilter(request.GET)
        groups = held.groups(asked.choice())
        return self.page(
            request,
            "held",
            "Held",
            asked=asked,
            groups=groups,
            count=sum(group.deliveries for group in groups),
            query=request.GET.urlencode(),
        )

    def list(self, request: HttpRequest) -> HttpResponse:
        """Show each delivery that is meant, the oldest first."""
        asked = HeldFilter(request.GET)
        found = [*islice(held.chosen(asked.choice()), LISTED)]
        return self.page(
            request,
            "held_list",
            "Held, one by one",
            asked=asked,
            found=found,
            most=LISTED,
            query=request.GET.urlencode(),
        )

    def release(self, request: HttpRequest) -> HttpResponse:
        """Show what a release would do; begin it when the number was typed."""
        return self._deed(request, ReleaseForm, "Release", "held_release")

    def discard(self, request: HttpRequest) -> HttpResponse:
        """Show what would be discarded; do it when the number was typed."""
        return self._deed(request, DeedForm, "Discard", "held_discard")

    def _deed(
        self, request: HttpRequest, form_class: type[DeedForm], title: str, template: str
    ) -> HttpResponse:
        seen = _shown(request)
        found = seen or _chosen(request)
        if found is None:
            messages.warning(request, "Nothing is held of what was asked for.")
            return self.to("changelist")
        what, count = found
        given = request.POST if seen else None
        form = form_class(given, count=count, initial={"shown": signed(what, count)})
        if form.is_valid():
            return self._do(request, what, form)
        return self.page(request, template, title, form=form, seen=preview(what), count=count)

    def _do(self, request: HttpRequest, what: Meant, form: DeedForm) -> HttpResponse:
        if isinstance(form, ReleaseForm):
            return self._begin(request, what, form.cleaned_data)

        def discard() -> str:
            reason, actor = form.cleaned_data["reason"], actor_of(request)
            batches = held.discard(what, reason=reason, actor=actor)
            said = f"{sum(working.in_time(batches)):,} discarded."
            left = what.rows().count()
            return said + f" {left:,} stay held: it took too long. Do it again." * bool(left)

        self.done(request, discard)
        return self.to("changelist")

    def _begin(self, request: HttpRequest, what: Meant, asked: dict[str, Any]) -> HttpResponse:
        try:
            begun = releases.begin(
                what,
                reason=asked["reason"],
                actor=actor_of(request),
                rate=asked["rate"],
                canary=asked["canary"],
                by_sweepers=True,
            )
        except NotAllowed as refusal:
            messages.error(request, f"{refusal} Nothing was changed.")
            number = releases.begun_of(what)
            return self._to_release(request, number) if number else self.to("changelist")
        working.send_a_few(begun)
        return self._to_release(request, begun.pk)

    def _to_release(self, request: HttpRequest, number: int) -> HttpResponseRedirect:
        if not request.user.has_perm("notifyguard.view_release"):
            messages.info(request, f"It is release {number}; you may not see how far it is.")
            return self.to("changelist")
        name = f"{self.admin_site.name}:notifyguard_release_change"
        return HttpResponseRedirect(reverse(name, args=[number]))


def _shown(request: HttpRequest) -> tuple[Meant, int] | None:
    if request.method != "POST":
        return None
    try:
        return shown(request.POST.get("shown", ""))
    except BadSignature:  # a page of before an upgrade: what is held now is shown anew
        return None


def _chosen(request: HttpRequest) -> tuple[Meant, int] | None:
    what = held.meant(HeldFilter(request.GET).choice())
    return None if what is None else (what, held.totals(what).deliveries)
