"""The page of what may or may not have left: what to look for, and writing down what was found."""

from __future__ import annotations

from itertools import islice
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse

from notifyguard import patterns
from notifyguard.admin import working
from notifyguard.admin.actors import actor_of
from notifyguard.admin.asked import text_asked
from notifyguard.admin.forms import ReasonForm
from notifyguard.admin.pages import Pages
from notifyguard.ledger import uncertain
from notifyguard.ledger.uncertain import Choice, Finding, Uncertain

SHOWN = 100
"""Deliveries that are listed, to be ticked one by one."""

FINDINGS = {
    "SENT": "It was sent: the log shows that it was accepted. Its key stays taken.",
    "NOT_SENT": "It was not sent: its key is free, so that it may be sent again.",
    "GIVE_UP": "Nobody will ever know: give it up. Its key stays taken.",
}


class ResolveForm(ReasonForm):
    """What was found out about some deliveries, ticked or all that are meant.

    Args:
        count: of all that are meant; typed, when all are.
    """

    field_order = ("finding", "reason", "count")
    finding = forms.ChoiceField(
        label="What you found out", choices=list(FINDINGS.items()), widget=forms.RadioSelect
    )
    count = forms.CharField(required=False, max_length=12)

    def __init__(self, *args: Any, count: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.total = count
        self.fields["count"].label = f"Or for all {count:,}: type that number"
        self.fields["count"].widget.attrs |= {"inputmode": "numeric", "autocomplete": "off"}
        self.fields["reason"].label = "Where and how you found out"

    def clean_count(self) -> int | None:
        typed = self.cleaned_data["count"].strip().replace(",", "")
        if typed and typed != str(self.total):
            raise forms.ValidationError(f"It is {self.total:,} that are meant now.")
        return self.total if typed else None


class UncertainPages(Pages):
    """Uncertain deliveries, the oldest first."""

    uncertain_routes = (("uncertain/", "uncertain"),)

    def uncertain(self, request: HttpRequest) -> HttpResponse:
        """Show them; take what was found out."""
        choice = _choice(request)
        count = uncertain.count(choice)
        ticked = set(request.POST.getlist("id"))
        form = ResolveForm(request.POST or None, count=count)
        if form.is_valid():
            everything, found = form.cleaned_data["count"], uncertain.chosen(choice)
            meant = [row for row in found if everything or str(row.id) in ticked]
            if meant:
                self._resolve(request, choice, meant, form)
                return self.to("uncertain", query=request.GET.urlencode())
            form.add_error(None, "Tick what you looked up, or type the number for all.")
        return self.page(
            request,
            "uncertain",
            "Uncertain",
            form=form,
            choice=choice,
            found=list(islice(uncertain.chosen(choice), SHOWN)),
            ticked=ticked,
            count=count,
        )

    def _resolve(
        self, request: HttpRequest, choice: Choice, meant: list[Uncertain], form: ResolveForm
    ) -> None:
        def resolve() -> str:
            finding, reason = Finding[form.cleaned_data["finding"]], form.cleaned_data["reason"]
            if form.cleaned_data["count"]:
                found = [(row.id, "") for row in meant]
                batches = uncertain.resolve_many(
                    found, finding, subject=str(choice), reason=reason, actor=actor_of(request)
                )
                count = sum(working.in_time(batches))
            else:
                ids = [row.id for row in meant]
                count = uncertain.resolve(ids, finding, reason=reason, actor=actor_of(request))
            return f"{count:,} resolved."

        self.done(request, resolve)


def _choice(request: HttpRequest) -> Choice:
    pattern = text_asked(request, "type") or "*"
    return Choice(
        pattern="*" if patterns.fault(pattern) else pattern,
        instance=text_asked(request, "instance"),
    )
