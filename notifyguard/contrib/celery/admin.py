"""The page of spooled tasks: which wait for their time, and taking some of them back."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode

from notifyguard import clock, database
from notifyguard.admin.actors import actor_of
from notifyguard.admin.asked import text_asked
from notifyguard.admin.forms import ReasonForm
from notifyguard.admin.pages import Pages
from notifyguard.admin.standing import add_tab
from notifyguard.contrib.celery import spool, spooled
from notifyguard.contrib.celery.models import SpooledTask

LISTED = 100

add_tab(
    "Spooled",
    "notifyguard_celery.view_spooledtask",
    "notifyguard_celery_spooledtask_changelist",
)


@admin.register(SpooledTask)
class SpooledPages(Pages):
    """Tasks that wait in the database until they are due."""

    routes = (("", "changelist"),)

    def changelist(self, request: HttpRequest) -> HttpResponse:
        """Show them, those first that are due first; take back those that are ticked."""
        ticked = request.POST.getlist("number")
        form = ReasonForm(request.POST or None)
        if form.is_valid():
            numbers = [int(each) for each in ticked if _is_number(each)]
            if numbers:
                self._cancel(request, numbers, form.cleaned_data["reason"])
                return self.to("changelist", query=request.GET.urlencode())
            form.add_error(None, "Tick the tasks that are to be cancelled.")
        term = text_asked(request, "q")
        found = _found(term, _place(text_asked(request, "behind")))
        return self.page(
            request,
            "spooled",
            "Spooled tasks",
            form=form,
            term=term,
            ticked=ticked,
            found=found,
            now=clock.now(database.connection()),
            further=_further(term, found[-1]) if len(found) == LISTED else "",
        )

    def _cancel(self, request: HttpRequest, numbers: list[int], reason: str) -> None:
        def cancel() -> str:
            count = spooled.cancel(numbers, reason=reason, actor=actor_of(request))
            left = len(set(numbers)) - count
            return f"Cancelled: {count:,}." + f" Published meanwhile: {left:,}." * bool(left)

        self.done(request, cancel)


def _found(term: str, behind: spooled.Place | None) -> list[SpooledTask]:
    return (term and spool.of_ids([term])) or spooled.listed(term, behind, LISTED)


def _further(term: str, last: SpooledTask) -> str:
    return urlencode({"q": term, "behind": f"{last.publish_at.isoformat()} {last.pk}"})


def _place(text: str) -> spooled.Place | None:
    """Return the place that an address names, if it is one."""
    moment, _, number = text.rpartition(" ")
    try:
        publish_at = datetime.fromisoformat(moment)
    except ValueError:
        return None
    fits = (publish_at.tzinfo is not None) == settings.USE_TZ
    return spooled.Place(publish_at, int(number)) if fits and _is_number(number) else None


def _is_number(text: str) -> bool:
    """Tell whether a text is a number that a database knows."""
    return text.isascii() and text.isdecimal() and len(text) < 19
