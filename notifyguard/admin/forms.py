"""What an operator fills in: forms that say at each field what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms

from notifyguard import clock, database, patterns, switchboard
from notifyguard.decision import Sending
from notifyguard.models import Switch

LONGEST_REASON = 500
POSITIONS = {
    "hold": "Hold: keep it until it is released",
    "discard": "Discard: record it, and never send it",
    "open": "Open: let it leave",
}


def date_and_time() -> forms.SplitDateTimeWidget:
    """Return the browser's own fields for a day and a time: no script is needed for them."""
    return forms.SplitDateTimeWidget(
        date_attrs={"type": "date", "aria-label": "Date"},
        time_attrs={"type": "time", "aria-label": "Time"},
        date_format="%Y-%m-%d",
        time_format="%H:%M",
    )


class ReasonForm(forms.Form):
    """Why something is done."""

    use_required_attribute = True
    reason = forms.CharField(
        label="Reason",
        max_length=LONGEST_REASON,
        widget=forms.Textarea(attrs={"rows": 2, "class": "ng-reason"}),
        help_text="Whoever looks at 2 a.m. must know why. It is kept on record.",
    )


class TypedWordForm(ReasonForm):
    """A deed that is not done by a slip of the hand: a word or a number is typed for it.

    Args:
        word: what has to be typed.
    """

    field_order: Sequence[str] = ("reason", "word")
    word = forms.CharField(max_length=40)

    def __init__(self, *args: Any, word: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.wanted = word
        self.fields["word"].label = f"Type {word} to go on"
        self.fields["word"].widget.attrs |= {"autocomplete": "off", "class": "ng-word"}

    def clean_word(self) -> str:
        typed: str = self.cleaned_data["word"].strip()
        if typed.replace(",", "").lower() != self.wanted.replace(",", "").lower():
            raise forms.ValidationError(f"It is {self.wanted} that has to be typed.")
        return typed


class SwitchForm(forms.ModelForm):  # type: ignore[type-arg]
    """A switch to be set; says at each field what ``set_switch`` would refuse."""

    class Meta:
        model = Switch
        fields = ("pattern", "everything", "sending", "reason", "expires_at")
        field_classes = {"expires_at": forms.SplitDateTimeField}
        widgets = {
            "expires_at": date_and_time(),
            "reason": forms.Textarea(attrs={"rows": 2, "class": "ng-reason"}),
        }
        labels = {"pattern": "Types", "expires_at": "Until"}
        help_texts = {
            "pattern": "A type, or a pattern such as ticket.*; * is all but critical types.",
            "expires_at": "When it ends by itself. A must for discard.",
        }

    sending = forms.ChoiceField(
        label="From now on", choices=list(POSITIONS.items()), widget=forms.RadioSelect
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial["reason"] = ""  # a change has a reason of its own
        if self.instance.pk:  # what a switch is for stays; another one is another switch
            del self.fields["pattern"], self.fields["everything"]

    def clean_pattern(self) -> str:
        pattern: str = self.cleaned_data["pattern"]
        if fix := patterns.fault(pattern):
            raise forms.ValidationError(fix)
        if pattern == switchboard.EVERYTHING:
            raise forms.ValidationError("Tick the box below instead; the pattern is *.")
        return pattern

    def clean_reason(self) -> str:
        reason: str = self.cleaned_data["reason"].strip()
        if not reason:
            raise forms.ValidationError("Whoever looks at 2 a.m. must know why.")
        return reason

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        until = cleaned.get("expires_at")
        if until is None and cleaned.get("sending") == Sending.DISCARD:
            text = "A switch to discard needs one: a forgotten one loses mail for ever."
            self.add_error("expires_at", text)
        if until is not None and until <= clock.now(database.connection()):
            self.add_error("expires_at", "It is over already.")
        if cleaned.get("everything") and cleaned.get("pattern", "*") != "*":
            self.add_error("pattern", "Everything means all types: leave the pattern at *.")
        everything, pattern = bool(cleaned.get("everything")), cleaned.get("pattern")
        if pattern and switchboard.find(pattern, everything=everything):
            self.add_error("pattern", "It has a switch already: change that one.")
        return cleaned
