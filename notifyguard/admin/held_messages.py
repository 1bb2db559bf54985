"""The page of held messages, where they are released and discarded."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from notifyguard import database, sweeper
from notifyguard.actor import Permission
from notifyguard.admin.actors import actor_of
from notifyguard.admin.pages import LookingAdmin
from notifyguard.database import Standing
from notifyguard.decision import State
from notifyguard.gate.preview import Preview, preview
from notifyguard.ledger import held, releases
from notifyguard.ledger.choice import Choice
from notifyguard.ledger.letting_go import advance
from notifyguard.models import HeldMessage, Release

AT_ONCE = 50
"""Deliveries that a request sends itself; more are left to a sweeper."""


class ReasonedActionForm(ActionForm):
    """The choice of an action, with the reason for it."""

    reason = forms.CharField(label=_("Reason:"), max_length=500, required=False)


@admin.register(HeldMessage)
class HeldMessageAdmin(LookingAdmin):
    """What is held: to look at, to release, to discard."""

    list_display = ("created_at", "type", "recipient", "rule", "reason")
    list_filter = ("created_at",)
    actions = ("release", "discard")
    action_form = ReasonedActionForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return what is held."""
        return super().get_queryset(request).filter(wake_at__isnull=False, state=State.HELD)

    def has_release_held_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may let go of what is held."""
        return actor_of(request).may(Permission.RELEASE_HELD)

    def has_discard_held_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may discard what is held."""
        return actor_of(request).may(Permission.DISCARD_HELD)

    @admin.action(permissions=["release_held"], description=_("Release: send now"))
    def release(self, request: HttpRequest, queryset: QuerySet[HeldMessage]) -> None:
        """Send the selected messages, save those that a switch stops."""
        reason = self._reason(request)
        if not reason:
            return
        what = held.meant(_selected(queryset))
        if what is None:
            self._say_nothing_is_held(request)
            return
        self._say_what_stays(request, preview(what))
        begun = releases.begin(what, reason=reason, actor=actor_of(request), by_sweepers=True)
        self.message_user(request, _("Release %d is begun.") % begun.pk)
        self._deliver(request, begun)

    @admin.action(permissions=["discard_held"], description=_("Discard: do not send"))
    def discard(self, request: HttpRequest, queryset: QuerySet[HeldMessage]) -> None:
        """Discard the selected messages."""
        reason = self._reason(request)
        if not reason:
            return
        what = held.meant(_selected(queryset))
        if what is None:
            self._say_nothing_is_held(request)
            return
        count = sum(held.discard(what, reason=reason, actor=actor_of(request)))
        self.message_user(
            request, ngettext("%d delivery discarded.", "%d deliveries discarded.", count) % count
        )

    def _reason(self, request: HttpRequest) -> str:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            text = _("Nothing was changed: give a reason, beside the action.")
            self.message_user(request, text, messages.ERROR)
        return reason

    def _say_nothing_is_held(self, request: HttpRequest) -> None:
        text = _("Nothing was changed: none of these is held any more.")
        self.message_user(request, text, messages.WARNING)

    def _say_what_stays(self, request: HttpRequest, seen: Preview) -> None:
        for finding in seen.findings:
            text = f"{finding.name}, {finding.deliveries}: {finding.outcome}"
            self.message_user(request, text, messages.WARNING)

    def _deliver(self, request: HttpRequest, begun: Release) -> None:
        """Send a few at once. Never inside a transaction of the request: it would hold locks."""
        if begun.meant <= AT_ONCE and database.standing() is Standing.AUTOCOMMIT:
            sweeper.sweep(lambda delivered: delivered < AT_ONCE, lambda: advance(begun.pk).let_go)
        else:
            text = _("They are sent by a sweeper: manage.py notifyguard sweep --loop")
            self.message_user(request, text, messages.WARNING)


def _selected(queryset: QuerySet[HeldMessage]) -> Choice:
    return Choice(ids=tuple(queryset.values_list("pk", flat=True)))
