"""The page of what was discarded and is still kept: it can be had back, and is held again."""

from __future__ import annotations

from collections import Counter

from django.contrib import messages
from django.http import HttpRequest, HttpResponse

from notifyguard import conf
from notifyguard.admin import working
from notifyguard.admin.actors import actor_of
from notifyguard.admin.choosing import HeldFilter
from notifyguard.admin.forms import TypedWordForm
from notifyguard.admin.pages import Pages
from notifyguard.ledger.held import undoing

HOURS = 3600


class UndoingPages(Pages):
    """Discarded messages whose text is kept."""

    undoing_routes = (("discarded/", "discarded"), ("discarded/undo/", "undo"))

    def discarded(self, request: HttpRequest) -> HttpResponse:
        """Show what can be had back, by type and by the rule that discarded it."""
        asked = HeldFilter(request.GET)
        counts = Counter((row.type, row.rule) for row in undoing.discarded(asked.choice()))
        return self.page(
            request,
            "discarded",
            "Discarded, and still kept",
            asked=asked,
            groups=[(*key, count) for key, count in sorted(counts.items())],
            query=request.GET.urlencode(),
            hours=round(conf.current().retention.bodies.total_seconds() / HOURS),
        )

    def undo(self, request: HttpRequest) -> HttpResponse:
        """Hold it again, when its number was typed."""
        choice = HeldFilter(request.GET).choice()
        count = sum(1 for _ in undoing.discarded(choice))
        if not count:
            messages.warning(request, "Nothing is kept of what was asked for.")
            return self.to("discarded")
        form = TypedWordForm(request.POST or None, word=f"{count:,}")
        if not form.is_valid():
            title = "Have back what was discarded"
            return self.page(
                request, "discarded_undo", title, form=form, choice=choice, count=count
            )

        def undo() -> str:
            reason, actor = form.cleaned_data["reason"], actor_of(request)
            batches = undoing.undo_discard(choice, reason=reason, actor=actor)
            done = list(working.in_time(batches))
            said = f"{sum(each.held for each in done):,} held again; nothing was sent."
            taken = sum(each.taken for each in done)
            said += f" {taken:,} stay discarded: their key was taken." * bool(taken)
            left = count - taken - sum(each.held for each in done)
            return said + f" {left:,} are left: it took too long. Do it again." * (left > 0)

        return self.to("changelist" if self.done(request, undo) else "discarded")
