"""The page of held messages, where they are released and discarded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
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
from notifyguard.ledger import held
from notifyguard.ledger.held import Choice, Held
from notifyguard.models import HeldMessage

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
        rows = self._without_stopped(request, _selected(queryset))
        released = held.release(
            _ids(rows), subject=_SUBJECT, reason=reason, actor=actor_of(request)
        )
        count = sum(map(len, released))
        self.message_user(
            request, ngettext("%d delivery released.", "%d deliveries released.", count) % count
        )
        if rows:
            self._deliver(request, count)

    @admin.action(permissions=["discard_held"], description=_("Discard: do not send"))
    def discard(self, request: HttpRequest, queryset: QuerySet[HeldMessage]) -> None:
        """Discard the selected messages."""
        reason = self._reason(request)
        if not reason:
            return
        discarded = held.discard_held(
            _ids(_selected(queryset)),
            subject=_SUBJECT,
            reason=reason,
            actor=actor_of(request),
        )
        count = sum(map(len, discarded))
        self.message_user(
            request, ngettext("%d delivery discarded.", "%d deliveries discarded.", count) % count
        )

    def _reason(self, request: HttpRequest) -> str:
        reason = request.POST.get("reason", "").strip()
        if not reason:
            text = _("Nothing was changed: give a reason, beside the action.")
            self.message_user(request, text, messages.ERROR)
        return reason

    def _without_stopped(self, request: HttpRequest, rows: Sequence[Held]) -> list[Held]:
        stopped = held.stopped({row.type for row in rows})
        counts = Counter(row.type for row in rows if row.type in stopped)
        for type, count in counts.items():
            text = _("%(count)d of %(type)s stay held: %(ruling)s") % {
                "count": count, "type": type, "ruling": stopped[type],
            }  # fmt: skip
            self.message_user(request, text, messages.WARNING)
        return [row for row in rows if row.type not in stopped]

    def _deliver(self, request: HttpRequest, count: int) -> None:
        """Send a few at once. Never inside a transaction of the request: it would hold locks."""
        if count <= AT_ONCE and database.standing() is Standing.AUTOCOMMIT:
            sweeper.sweep(lambda delivered: delivered < AT_ONCE)
        else:
            text = _("They are sent by a sweeper: manage.py notifyguard sweep --loop")
            self.message_user(request, text, messages.WARNING)


_SUBJECT = "selected in the admin"


def _selected(queryset: QuerySet[HeldMessage]) -> list[Held]:
    selected = set(queryset.values_list("pk", flat=True))
    return [row for row in held.chosen(Choice()) if row.id in selected]


def _ids(rows: Sequence[Held]) -> list[Any]:
    return [row.id for row in rows]
