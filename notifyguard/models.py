"""The tables. Who writes them: the modules of the memory layer, each its own, nobody else."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from notifyguard.decision import ReleaseState, Sending, State

SENDING_CHOICES = [(sending.value, sending.value) for sending in Sending]
RELEASE_CHOICES = [(state.value, state.value) for state in ReleaseState]
STATE_CHOICES = [(state.value, state.value) for state in State]


class Control(models.Model):
    """The one row that switches and marks exclude each other on."""

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    generation = models.BigIntegerField(
        help_text=_(
            "Random, and new with each change of a switch: a counter would repeat after a restore."
        )
    )
    salt = models.CharField(
        max_length=64,
        help_text=_("Enters every key. Never rotated: rotation would reopen every key."),
    )
    created_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        verbose_name = _("control row")
        verbose_name_plural = _("control row")

    def __str__(self) -> str:
        return f"generation {self.generation}"


class Switch(models.Model):
    """A person's word on a type pattern, or on everything."""

    pattern = models.CharField(max_length=200, default="*")
    everything = models.BooleanField(
        default=False, help_text=_("Critical types too: the kill switch.")
    )
    sending = models.CharField(max_length=10, choices=SENDING_CHOICES)
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=150)
    set_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("set_switches", _("Can set and take away switches"))]
        verbose_name = _("switch")
        verbose_name_plural = _("switches")
        ordering = ["-everything", "pattern"]
        # One for each pattern, which whoever sets one sees to, under the lock of the control
        # row: MariaDB takes "ticket.Modified" and "ticket.modified" for one.

    def __str__(self) -> str:
        return f"{'everything' if self.everything else self.pattern}: {self.sending}"


class BlockedAddress(models.Model):
    """An address that nothing is sent to, save what a person waits for."""

    # Of the address, since MariaDB takes "jose" and "josé" for one.
    id = models.UUIDField(primary_key=True)
    address = models.CharField(max_length=320)
    everything = models.BooleanField(default=False, help_text=_("Critical types too."))
    reason = models.CharField(max_length=500)
    author = models.CharField(max_length=150)
    blocked_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("block_addresses", _("Can block and unblock addresses"))]
        verbose_name = _("blocked address")
        verbose_name_plural = _("blocked addresses")
        ordering = ["-blocked_at"]
        indexes = [
            models.Index(
                fields=["address"],
                name="notifyguard_blocked",
                opclasses=["varchar_pattern_ops"],
            ),
        ]

    def __str__(self) -> str:
        return self.address


class Event(models.Model):
    """What a person did, when and why; only ever appended."""

    at = models.DateTimeField()
    actor = models.CharField(max_length=150)
    action = models.CharField(max_length=40)
    subject = models.CharField(max_length=200)
    before = models.CharField(max_length=200, blank=True, default="")
    after = models.CharField(max_length=200, blank=True, default="")
    count = models.PositiveIntegerField(null=True, blank=True)
    reason = models.CharField(max_length=500, blank=True, default="")

    class Meta:
        default_permissions = ("view",)
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["action", "id"], name="notifyguard_event_action"),
            models.Index(fields=["actor", "id"], name="notifyguard_event_actor"),
            models.Index(fields=["subject", "id"], name="notifyguard_event_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.subject} by {self.actor}"


class Claim(models.Model):
    """One idempotency key, taken. Narrow, since it is kept longer than deliveries.

    A claim stands for as long as its delivery may have left or may still leave;
    a proven failure deletes it and so frees the key.
    """

    # "key" is a reserved word in MariaDB.
    key = models.UUIDField(primary_key=True, db_column="idempotency_key")
    delivery = models.UUIDField()
    fingerprint = models.UUIDField(null=True)
    duplicates = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        verbose_name = _("claim")
        verbose_name_plural = _("claims")

    def __str__(self) -> str:
        return str(self.key)


class Delivery(models.Model):
    """One message to one recipient: the ledger row.

    ``wake_at`` says when the sweeper must look at the row again. It stays empty
    on the hot path (claim, mark, confirm), so that these updates touch no
    indexed column and stay HOT on PostgreSQL; such rows are found by their age.
    """

    id = models.UUIDField(primary_key=True)
    dispatch = models.UUIDField()
    key = models.UUIDField(null=True, blank=True, db_column="idempotency_key")
    fingerprint = models.UUIDField(null=True, blank=True)
    type = models.CharField(max_length=200)
    recipient = models.CharField(max_length=320)
    state = models.CharField(max_length=10, choices=STATE_CHOICES)
    attempt = models.PositiveIntegerField(default=1)
    rule = models.CharField(max_length=50, blank=True, default="")
    reason = models.CharField(max_length=500, blank=True, default="")
    origin = models.CharField(max_length=10, blank=True, default="")
    call_site = models.CharField(max_length=200, blank=True, default="")
    task_id = models.CharField(max_length=155, blank=True, default="")
    instance = models.CharField(max_length=120)
    backend = models.CharField(max_length=200, blank=True, default="")
    subject = models.CharField(max_length=200, blank=True, default="")
    message_id = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(db_index=True)
    changed_at = models.DateTimeField()
    due_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When it was meant to leave, if not when created.")
    )
    max_age = models.DurationField(
        null=True, blank=True, help_text=_("How late it may leave, if its message says so.")
    )
    supersedes = models.UUIDField(
        null=True, blank=True, help_text=_("Of those that wait with the same only the last leaves.")
    )
    wake_at = models.DateTimeField(null=True, blank=True, db_index=True)
    retries = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("How often it was queued again to be tried again.")
    )
    crashes = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("How many processes died that had taken it.")
    )
    doubtful = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("It is sent again, and an earlier hand-over may have left."),
    )

    class Meta:
        default_permissions = ("view",)
        permissions = [("resolve_uncertain", _("Can say what became of uncertain deliveries"))]
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-id"]
        indexes = [
            # The operator classes let PostgreSQL find addresses by their beginning too.
            models.Index(
                fields=["recipient", "id"],
                name="notifyguard_recipient",
                opclasses=["varchar_pattern_ops", "uuid_ops"],
            ),
            models.Index(fields=["type", "id"], name="notifyguard_type"),
            models.Index(fields=["dispatch"], name="notifyguard_dispatch"),
            models.Index(fields=["supersedes"], name="notifyguard_supersedes"),
        ]

    def __str__(self) -> str:
        return f"{self.type} to {self.recipient}: {self.state}"


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


class FrozenMessage(models.Model):
    """A message kept: its parts as JSON, its binary contents beside it."""

    dispatch = models.UUIDField(primary_key=True)
    # Of the message, whoever it goes to: what cancel() finds it by.
    key = models.UUIDField(null=True, blank=True, db_index=True, db_column="idempotency_key")
    type = models.CharField(max_length=200)
    # Text and not JSON: lone surrogates, which real mail holds, have no place in jsonb.
    payload = models.TextField()
    size = models.PositiveBigIntegerField(help_text=_("Bytes, with its contents."))
    frozen_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        permissions = [("read_body", _("Can read the text of kept messages"))]
        verbose_name = _("frozen message")
        verbose_name_plural = _("frozen messages")
        # All that the caps ask is in it.
        indexes = [models.Index(fields=["type", "size"], name="notifyguard_kept")]

    def __str__(self) -> str:
        return str(self.dispatch)


class FrozenContent(models.Model):
    """A binary content of a frozen message: an attachment, an image."""

    dispatch = models.UUIDField(db_index=True)
    digest = models.CharField(max_length=64)
    content = models.BinaryField()

    class Meta:
        default_permissions = ()
        verbose_name = _("frozen content")
        verbose_name_plural = _("frozen contents")

    def __str__(self) -> str:
        return self.digest


class LimitCounter(models.Model):
    """What one pattern's limits count, for one recipient or for all together.

    Locked while it is counted, so that of processes that race exactly as many pass as may.
    """

    counter = models.UUIDField(primary_key=True)
    total = models.PositiveBigIntegerField(help_text=_("The place of its last entry."))
    used_at = models.BigIntegerField(
        db_index=True, help_text=_("Microseconds since 1970, by the database's clock.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("limit counter")
        verbose_name_plural = _("limit counters")

    def __str__(self) -> str:
        return str(self.counter)


class LimitEntry(models.Model):
    """One delivery that a limit let go, at its place in the counter's log.

    A limit of 5 in an hour asks one entry alone: the one five places from the end.
    """

    counter = models.UUIDField()
    place = models.PositiveBigIntegerField()
    delivery = models.UUIDField()
    at = models.BigIntegerField(
        db_index=True, help_text=_("Microseconds since 1970, by the database's clock.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("limit entry")
        verbose_name_plural = _("limit entries")
        indexes = [models.Index(fields=["counter", "place"], name="notifyguard_limit_place")]

    def __str__(self) -> str:
        return f"{self.counter}: {self.place}"


class Sweep(models.Model):
    """When the sweeper last ran, and how far it has examined the ledger."""

    ROW = 1

    id = models.PositiveSmallIntegerField(primary_key=True, default=ROW)
    ran_at = models.DateTimeField()
    examined_until = models.DateTimeField()

    class Meta:
        default_permissions = ()
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return f"{self.ran_at:%Y-%m-%d %H:%M:%S}"


class Heartbeat(models.Model):
    """When a process that is meant to run for ever was last heard."""

    kind = models.CharField(max_length=20)
    name = models.CharField(max_length=200)
    heard_at = models.DateTimeField()
    every = models.PositiveIntegerField(help_text=_("Seconds between two."))
    ended_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When it ended because it was told to.")
    )

    class Meta:
        default_permissions = ()
        verbose_name = _("heartbeat")
        verbose_name_plural = _("heartbeats")
        constraints = [
            models.UniqueConstraint(fields=["kind", "name"], name="notifyguard_heartbeat_name")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.name}: {self.heard_at:%Y-%m-%d %H:%M:%S}"


class Alert(models.Model):
    """When somebody was last told that messages of a type are held by a rule."""

    type = models.CharField(max_length=200)
    rule = models.CharField(max_length=50)
    told_at = models.DateTimeField()

    class Meta:
        default_permissions = ()
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        constraints = [
            models.UniqueConstraint(fields=["type", "rule"], name="notifyguard_alert_type_rule")
        ]

    def __str__(self) -> str:
        return f"{self.type}: {self.rule}"
