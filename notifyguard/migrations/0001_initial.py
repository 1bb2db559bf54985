import secrets
from typing import Any

import django.db.models.deletion
from django.db import migrations, models
from django.utils import timezone


def create_control_row(apps: Any, schema_editor: Any) -> None:
    # The salt enters every key and is never rotated, so it lives beside the keys.
    apps.get_model("notifyguard", "Control").objects.using(schema_editor.connection.alias).create(
        pk=1,
        generation=secrets.randbits(62),
        salt=secrets.token_hex(32),
        created_at=timezone.now(),
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="BlockedAddress",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("address", models.CharField(max_length=320)),
                (
                    "everything",
                    models.BooleanField(default=False, help_text="Critical types too."),
                ),
                ("reason", models.CharField(max_length=500)),
                ("author", models.CharField(max_length=150)),
                ("blocked_at", models.DateTimeField(db_index=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "default_permissions": ("view",),
                "permissions": [("block_addresses", "Can block and unblock addresses")],
                "verbose_name": "blocked address",
                "verbose_name_plural": "blocked addresses",
                "ordering": ["-blocked_at"],
                "indexes": [
                    models.Index(
                        fields=["address"],
                        name="notifyguard_blocked",
                        opclasses=["varchar_pattern_ops"],
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Claim",
            fields=[
                (
                    "key",
                    models.UUIDField(
                        db_column="idempotency_key", primary_key=True, serialize=False
                    ),
                ),
                ("delivery", models.UUIDField()),
                ("fingerprint", models.UUIDField(null=True)),
                ("duplicates", models.PositiveIntegerField(default=0)),
                ("claimed_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "default_permissions": (),
                "verbose_name": "claim",
                "verbose_name_plural": "claims",
            },
        ),
        migrations.CreateModel(
            name="Control",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                (
                    "generation",
                    models.BigIntegerField(
                        help_text="Random, and new with each change of a switch: a counter would repeat after a restore."
                    ),
                ),
                (
                    "salt",
                    models.CharField(
                        help_text="Enters every key. Never rotated: rotation would reopen every key.",
                        max_length=64,
                    ),
                ),
                ("created_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "verbose_name": "control row",
                "verbose_name_plural": "control row",
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("actor", models.CharField(max_length=150)),
                ("action", models.CharField(max_length=40)),
                ("subject", models.CharField(max_length=200)),
                ("before", models.CharField(blank=True, default="", max_length=200)),
                ("after", models.CharField(blank=True, default="", max_length=200)),
                ("count", models.PositiveIntegerField(blank=True, null=True)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
            ],
            options={
                "default_permissions": ("view",),
                "verbose_name": "event",
                "verbose_name_plural": "events",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["action", "id"], name="notifyguard_event_action"),
                    models.Index(fields=["actor", "id"], name="notifyguard_event_actor"),
                    models.Index(fields=["subject", "id"], name="notifyguard_event_subject"),
                ],
            },
        ),
        migrations.CreateModel(
            name="FrozenContent",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("dispatch", models.UUIDField(db_index=True)),
                ("digest", models.CharField(max_length=64)),
                ("content", models.BinaryField()),
            ],
            options={
                "default_permissions": (),
                "verbose_name": "frozen content",
                "verbose_name_plural": "frozen contents",
            },
        ),
        migrations.CreateModel(
            name="FrozenMessage",
            fields=[
                ("dispatch", models.UUIDField(primary_key=True, serialize=False)),
                (
                    "key",
                    models.UUIDField(
                        blank=True, db_column="idempotency_key", db_index=True, null=True
                    ),
                ),
                ("type", models.CharField(max_length=200)),
                ("payload", models.TextField()),
                ("size", models.PositiveBigIntegerField(help_text="Bytes, with its contents.")),
                ("frozen_at", models.DateTimeField(db_index=True)),
            ],
            options={
                "permissions": [("read_body", "Can read the text of kept messages")],
                "default_permissions": (),
                "verbose_name": "frozen message",
                "verbose_name_plural": "frozen messages",
                "indexes": [models.Index(fields=["type", "size"], name="notifyguard_kept")],
            },
        ),
        migrations.CreateModel(
            name="LimitCounter",
            fields=[
                ("counter", models.UUIDField(primary_key=True, serialize=False)),
                ("total", models.PositiveBigIntegerField(help_text="The place of its last entry.")),
                (
                    "used_at",
                    models.BigIntegerField(
                        db_index=True, help_text="Microseconds since 1970, by the database's clock."
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "verbose_name": "limit counter",
                "verbose_name_plural": "limit counters",
            },
        ),
        migrations.CreateModel(
            name="Sweep",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False),
                ),
                ("ran_at", models.DateTimeField()),
                ("examined_until", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "verbose_name": "sweep",
                "verbose_name_plural": "sweeps",
            },
        ),
        migrations.CreateModel(
            name="Alert",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("type", models.CharField(max_length=200)),
                ("rule", models.CharField(max_length=50)),
                ("told_at", models.DateTimeField()),
            ],
            options={
                "default_permissions": (),
                "verbose_name": "alert",
                "verbose_name_plural": "alerts",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("type", "rule"), name="notifyguard_alert_type_rule"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Delivery",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("dispatch", models.UUIDField()),
                ("key", models.UUIDField(blank=True, db_column="idempotency_key", null=True)),
                ("fingerprint", models.UUIDField(blank=True, null=True)),
                ("type", models.CharField(max_length=200)),
                ("recipient", models.CharField(max_length=320)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("claimed", "claimed"),
                            ("in_flight", "in_flight"),
                            ("sent", "sent"),
                            ("failed", "failed"),
                            ("uncertain", "uncertain"),
                            ("held", "held"),
                            ("discarded", "discarded"),
                            ("duplicate", "duplicate"),
                            ("expired", "expired"),
                        ],
                        max_length=10,
                    ),
                ),
                ("attempt", models.PositiveIntegerField(default=1)),
                ("rule", models.CharField(blank=True, default="", max_length=50)),
                ("reason", models.CharField(blank=True, default="", max_length=500)),
                ("origin", models.CharField(blank=True, default="", max_length=10)),
                ("call_site", models.CharField(blank=True, default="", max_length=200)),
                ("task_id", models.CharField(blank=True, default="", max_length=155)),
                ("instance", models.CharField(max_length=120)),
                ("backend", models.CharField(blank=True, default="", max_length=200)),
                ("subject", models.CharField(blank=True, default="", max_length=200)),
                ("message_id", models.CharField(blank=True, default="", max_length=255)),
                ("created_at", models.DateTimeField(db_index=True)),
                ("changed_at", models.DateTimeField()),
                (
                    "due_at",
                    models.DateTimeField(
                        blank=True,
                        help_text="When it was meant to leave, if not when created.",
                        null=True,
                    ),
                ),
                (
                    "max_age",
                    models.DurationField(
                        blank=True,
                        help_text="How late it may leave, if its message says so.",
                        null=True,
                    ),
                ),
                (
                    "supersedes",
                    models.UUIDField(
                        blank=True,
                        help_text="Of those that wait with the same only the last leaves.",
                        null=True,
                    ),
                ),
                ("wake_at", models.DateTimeField(blank=True, db_index=True, null=True)),
                (
                    "retries",
                    models.PositiveSmallIntegerField(
                        db_default=0,
                        default=0,
                        help_text="How often it was queued again to be tried again.",
                    ),
                ),
                (
                    "crashes",
                    models.PositiveSmallIntegerField(
                        db_default=0,
                        default=0,
                        help_text="How many processes died that had taken it.",
                    ),
                ),
                (
                    "doubtful",
                    models.BooleanField(
                        db_default=False,
                        default=False,
                        help_text="It is sent again, and an earlier hand-over may have left.",
                    ),
                ),
            ],
            options={
                "permissions": [
                    ("resolve_uncertain", "Can say what became of uncertain deliveries")
                ],
                "default_permissions": ("view",),
                "verbose_name": "delivery",
                "verbose_name_plural": "deliveries",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        fields=["recipient", "id"],
                        name="notifyguard_recipient",
                        opclasses=["varchar_pattern_ops", "uuid_ops"],
                    ),
                    models.Index(fields=["type", "id"], name="notifyguard_type"),
                    models.Index(fields=["dispatch"], name="notifyguard_dispatch"),
                    models.Index(fields=["supersedes"], name="notifyguard_supersedes"),
                ],
            },
        ),
        migrations.CreateModel(
            name="HeldMessage",
            fields=[],
            options={
                "verbose_name": "held message",
                "verbose_name_plural": "held messages",
                "permissions": [
                    ("release_held", "Can release held messages"),
                    ("discard_held", "Can discard held messages"),
                ],
                "proxy": True,
                "default_permissions": ("view",),
                "indexes": [],
                "constraints": [],
            },
            bases=("notifyguard.delivery",),
        ),
        migrations.CreateModel(
            name="LimitEntry",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("counter", models.UUIDField()),
                ("place", models.PositiveBigIntegerField()),
                ("delivery", models.UUIDField()),
                (
                    "at",
                    models.BigIntegerField(
                        db_index=True, help_text="Microseconds since 1970, by the database's clock."
                    ),
                ),
            ],
            options={
                "default_permissions": (),
                "verbose_name": "limit entry",
                "verbose_name_plural": "limit entries",
                "indexes": [
                    models.Index(fields=["counter", "place"], name="notifyguard_limit_place")
                ],
            },
        ),
        migrations.CreateModel(
            name="Switch",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("pattern", models.CharField(default="*", max_length=200)),
                (
                    "everything",
                    models.BooleanField(
                        default=False, help_text="Critical types too: the kill switch."
                    ),
                ),
                (
                    "sending",
                    models.CharField(
                        choices=[("open", "open"), ("hold", "hold"), ("discard", "discard")],
                        max_length=10,
                    ),
                ),
                ("reason", models.CharField(max_length=500)),
                ("author", models.CharField(max_length=150)),
                ("set_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "permissions": [("set_switches", "Can set and take away switches")],
                "default_permissions": ("view",),
                "verbose_name": "switch",
                "verbose_name_plural": "switches",
                "ordering": ["-everything", "pattern"],
            },
        ),
        migrations.CreateModel(
            name="Release",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("choice", models.JSONField(help_text="What was chosen.")),
                ("types", models.JSONField(help_text="The types of what was meant when it began.")),
                (
                    "stopped_types",
                    models.JSONField(
                        default=list,
                        help_text="Types that a switch stopped when it began or went on.",
                    ),
                ),
                (
                    "subject",
                    models.CharField(help_text="What was chosen, in words.", max_length=200),
                ),
                ("reason", models.CharField(max_length=500)),
                ("actor", models.CharField(max_length=150)),
                (
                    "begun_at",
                    models.DateTimeField(help_text="What is held later is no part of it."),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "running"),
                            ("canary", "canary"),
                            ("paused", "paused"),
                            ("done", "done"),
                            ("stopped", "stopped"),
                        ],
                        default="running",
                        max_length=10,
                    ),
                ),
                (
                    "note",
                    models.CharField(
                        blank=True, default="", help_text="Why it rests.", max_length=500
                    ),
                ),
                (
                    "by_sweepers",
                    models.BooleanField(
                        default=False,
                        help_text="Sweepers work it off, not the command that began it.",
                    ),
                ),
                (
                    "rate",
                    models.PositiveIntegerField(
                        blank=True, help_text="Deliveries a minute at most.", null=True
                    ),
                ),
                (
                    "canary",
                    models.PositiveIntegerField(
                        default=0, help_text="Deliveries after which it waits for a person."
                    ),
                ),
                (
                    "meant",
                    models.PositiveIntegerField(
                        help_text="Deliveries that were meant when it began."
                    ),
                ),
                ("let_go", models.PositiveIntegerField(default=0)),
                (
                    "keeps_repeats",
                    models.BooleanField(
                        default=False,
                        help_text="What says the same to the same person leaves all the same.",
                    ),
                ),
                (
                    "folded",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Deliveries that ended in favour of another that leaves.",
                    ),
                ),
                (
                    "left",
                    models.PositiveIntegerField(
                        default=0,
                        help_text="Deliveries that stay held, since a switch stops their type.",
                    ),
                ),
                ("cursor", models.UUIDField(blank=True, null=True)),
                ("last", models.UUIDField()),
                ("let_go_at", models.DateTimeField(blank=True, null=True)),
                ("next_at", models.DateTimeField(help_text="Until then nothing more is let go.")),
                ("worked_at", models.DateTimeField(help_text="When somebody last worked on it.")),
            ],
            options={
                "verbose_name": "release",
                "default_permissions": ("view",),
                "verbose_name_plural": "releases",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("begun_at", "last"), name="notifyguard_release_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Released",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("delivery", models.UUIDField()),
                (
                    "content",
                    models.UUIDField(
                        help_text="Of type, recipient and what it says: repeats are told by it.",
                        null=True,
                    ),
                ),
                (
                    "release",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="notifyguard.release",
                    ),
                ),
            ],
            options={
                "verbose_name": "released delivery",
                "default_permissions": (),
                "verbose_name_plural": "released deliveries",
                "indexes": [
                    models.Index(fields=["release", "content"], name="notifyguard_let_go_content")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("release", "delivery"), name="notifyguard_let_go"
                    )
                ],
            },
        ),
        migrations.RunPython(create_control_row, migrations.RunPython.noop),
    ]
