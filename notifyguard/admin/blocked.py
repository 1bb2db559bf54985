"""The pages of blocked addresses: who gets nothing, why, and who said so."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from notifyguard import blocked, clock, database
from notifyguard.admin.actors import actor_of
from notifyguard.admin.asked import text_asked
from notifyguard.admin.forms import ReasonForm, TypedWordForm, date_and_time
from notifyguard.admin.pages import Pages
from notifyguard.models import BlockedAddress

LISTED = 100
UNBLOCK = "unblock"


class BlockForm(ReasonForm):
    """Which addresses get nothing from now on."""

    field_order = ("addresses", "everything", "expires_at", "reason")
    addresses = forms.CharField(
        label="Addresses",
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One a line.",
    )
    everything = forms.BooleanField(
        label="Everything",
        required=False,
        help_text="Critical types too, such as a password reset.",
    )
    expires_at = forms.SplitDateTimeField(
        label="Until", required=False, widget=date_and_time(), help_text="Empty for always."
    )

    def clean_addresses(self) -> list[str]:
        lines = map(str.strip, self.cleaned_data["addresses"].splitlines())
        return [line for line in lines if line]


@admin.register(BlockedAddress)
class BlockedPages(Pages):
    """Addresses that nothing is sent to, save what a person waits for."""

    routes = (("", "changelist"), ("block/", "block"), ("unblock/", "unblock"))

    def changelist(self, request: HttpRequest) -> HttpResponse:
        """Show who is blocked, the latest first, or by the beginning of an address."""
        beginning = text_asked(request, "q").lower()
        return self.page(
            request,
            "blocked",
            "Blocked addresses",
            beginning=beginning,
            found=list(blocked.listed(beginning)[:LISTED]),
            most=LISTED,
            now=clock.now(database.connection()),
        )

    def block(self, request: HttpRequest) -> HttpResponse:
        """Block addresses."""
        named = {"addresses": request.GET.get("address", "")}
        form = BlockForm(request.POST or None, initial=named)
        if not form.is_valid():
            return self.page(request, "blocked_block", "Block addresses", form=form)
        asked: dict[str, Any] = form.cleaned_data

        def block() -> str:
            return f"Blocked: {blocked.block(**asked, actor=actor_of(request)):,}."

        self.done(request, block)
        return self.to("changelist")

    def unblock(self, request: HttpRequest) -> HttpResponse:
        """Take a block away, when a word was typed for it."""
        address = request.GET.get("address", "").strip()
        form = TypedWordForm(request.POST or None, word=UNBLOCK)
        if not form.is_valid():
            title = f"Unblock {address}"
            return self.page(request, "blocked_unblock", title, form=form, address=address)

        def unblock() -> str:
            reason, actor = form.cleaned_data["reason"], actor_of(request)
            freed = blocked.unblock([address], reason=reason, actor=actor)
            return f"Not blocked any more: {', '.join(freed)}." if freed else "It was not blocked."

        self.done(request, unblock)
        return self.to("changelist")
