"""What is held, and how it is let go."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from notifyguard.decision import ReleaseState
from notifyguard.models.deliveries import Delivery

RELEASE_CHOICES = [(state.value, state.value) for state in ReleaseState]


class HeldMessage(Delivery):
    """A delivery that is held, as the admin shows it; it carries the rights to let it go."""

    class Meta:
        proxy = True
        default_permissions = ("view",)
        permissions = [
            ("release_held", _("Can release held messages")),
            ("discard_held", _("Can discard held messages")),
        ]
        verbose_name = _("held message")
        verbose_name_plural = _("held messages")


class Release(models.Model):
    """Held deliveries that are let go, in small steps, by whoever works on it.

    Its row is locked by each step: it says what comes next and when, for all who work.
    """

    choice = models.JSONField(help_text=_("What was chosen."))
    types = models.JSONField(help_text=_("The types of what was meant when it began."))
    stopped_types = models.JSONField(
        default=list, help_text=_("Types that a switch stopped when it began or went on.")
    )
    subject = models.CharField(max_length=200, help_text=_("What was chosen, in words."))
    reason = models.CharField(max_length=500)
    actor = models.CharField(max_length=150)
    begun_at = models.DateTimeField(help_text=_("What is held later is no part of it."))
    state = models.CharField(
        max_length=10, choices=RELEASE_CHOICES, default=ReleaseState.RUNNING.value
    )
    note = models.CharField(max_length=500, blank=True, default="", help_text=_("Why it rests."))
    by_sweepers = models.BooleanField(
        default=False, help_text=_("Sweepers work it off, not the command that began it.")
    )
    rate = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("Deliveries a minute at most.")
    )
    canary = models.PositiveIntegerField(
        default=0, help_text=_("Deliveries after which it waits for a person.")
    )
    meant = models.PositiveIntegerField(help_text=_("Deliveries that were meant when it began."))
    let_go = models.PositiveIntegerField(default=0)
    keeps_repeats = models.BooleanField(
        default=False, help_text=_("What says the same to the same person leaves all the same.")
    )
    folded = models.PositiveIntegerField(
        default=0, help_text=_("Deliveries that ended in favour of another that leaves.")
    )
    left = models.PositiveIntegerField(
        default=0, help_text=_("Deliveries that stay held, since a switch stops their type.")
    )
    cursor = models.UUIDField(null=True, blank=True)
    last = models.UUIDField()
    let_go_at = models.DateTimeField(null=True, blank=True)
    next_at = models.DateTimeField(help_text=_("Until then nothing more is let go."))
    worked_at = models.DateTimeField(help_text=_("When somebody last worked on it."))

    class Meta:
        default_permissions = ("view",)
        verbose_name = _("release")
        verbose_name_plural = _("releases")
        ordering = ["-id"]
        constraints = [
            # Of what was meant at one moment there is one release, however often it is asked for.
            models.UniqueConstraint(fields=["begun_at", "last"], name="notifyguard_release_once")
        ]

    def __str__(self) -> str:
        return f"release {self.pk} of {self.subject}: {self.state}"


class Released(models.Model):
    """A delivery that a release let go."""

    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="+", db_index=False)
    delivery = models.UUIDField()
    content = models.UUIDField(
        null=True, help_text=_("Of type, recipient and what it says: repeats are told by it.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("released delivery")
        verbose_name_plural = _("released deliveries")
        indexes = [models.Index(fields=["release", "content"], name="notifyguard_let_go_content")]
        constraints = [
            models.UniqueConstraint(fields=["release", "delivery"], name="notifyguard_let_go")
        ]

    def __str__(self) -> str:
        return str(self.delivery)
