"""The page of switches."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _

from notifyguard import clock, database, patterns, switchboard
from notifyguard.actor import Permission
from notifyguard.admin.actors import actor_of
from notifyguard.decision import Sending
from notifyguard.models import Switch


class SwitchForm(forms.ModelForm):  # type: ignore[type-arg]
    """A switch to be set; says at each field what ``set_switch`` would refuse."""

    class Meta:
        model = Switch
        fields = ("pattern", "everything", "sending", "reason", "expires_at")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A change has a reason of its own.
        self.initial["reason"] = ""

    def clean_pattern(self) -> str:
        pattern: str = self.cleaned_data["pattern"]
        if fix := patterns.fault(pattern):
            raise forms.ValidationError(fix)
        if pattern == switchboard.EVERYTHING:
            raise forms.ValidationError(_("Tick the box below instead; the pattern is *."))
        return pattern

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"].strip()
        if not reason:
            raise forms.ValidationError(_("Whoever looks at 2 a.m. must know why."))
        return reason

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        until = cleaned.get("expires_at")
        if until is None and cleaned.get("sending") == Sending.DISCARD:
            text = _("A switch to discard needs one: a forgotten one loses mail for ever.")
            self.add_error("expires_at", text)
        if until is not None and until <= clock.now(database.connection()):
            self.add_error("expires_at", _("It is over already."))
        if cleaned.get("everything") and cleaned.get("pattern", "*") != "*":
            self.add_error("pattern", _("Everything means all types: leave the pattern at *."))
        return cleaned


@admin.register(Switch)
class SwitchAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Switches are set through the switchboard, so that every process obeys at once."""

    form = SwitchForm
    list_display = (
        "pattern", "everything", "sending", "reason", "author", "set_at", "expires_at",
    )  # fmt: skip
    readonly_fields = ("author", "set_at")
    # None is deleted by the dozen: each needs its reason.
    actions = None

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Return the ledger's rows, past routers."""
        return super().get_queryset(request).using(database.alias())

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Say whether the user may set switches, as the switchboard will."""
        return actor_of(request).may(Permission.SET_SWITCHES)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether the user may set switches."""
        return actor_of(request).may(Permission.SET_SWITCHES)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Say whether the user may take switches away."""
        return actor_of(request).may(Permission.SET_SWITCHES)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What a switch is for stays; another one is another switch."""
        return (*self.readonly_fields, *(("pattern", "everything") if obj else ()))

    # Django would wrap both views in a transaction of theirs. A switch is set in a
    # short one of its own, which is tried again when it lost a race for locks. The
    # token of the form is asked for by the admin site, around every view.

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show and take the form."""
        return self._changeform_view(  # type: ignore[attr-defined]
            request, object_id, form_url, extra_context
        )

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Ask for the reason, and take the switch away."""
        if request.method == "POST" and not _reason(request):
            text = _("Nothing was changed: give a reason.")
            self.message_user(request, text, messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        return self._delete_view(  # type: ignore[attr-defined]
            request, object_id, extra_context
        )

    def save_model(self, request: HttpRequest, obj: Switch, form: Any, change: bool) -> None:
        """Set the switch, with the user as its author."""
        switchboard.set_switch(
            obj.pattern,
            Sending(obj.sending),
            reason=obj.reason,
            actor=actor_of(request),
            everything=obj.everything,
            expires_at=obj.expires_at,
        )
        switches = Switch.objects.using(database.alias())
        obj.pk = switches.get(pattern=obj.pattern, everything=obj.everything).pk

    def delete_model(self, request: HttpRequest, obj: Switch) -> None:
        """Take the switch away."""
        switchboard.clear_switch(
            obj.pattern,
            reason=_reason(request),
            actor=actor_of(request),
            everything=obj.everything,
        )


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()
