"""Imported once by the fork server, so that a worker is at work in milliseconds."""

import importlib
import os

import django
from django.conf import settings

django.setup()

importlib.import_module("tests.proof.workers")
importlib.import_module("django.core.mail.backends.smtp")

if "PROOF_BROKER" in os.environ:
    importlib.import_module("tests.proof.celery.workers")
    importlib.import_module("celery.apps.worker")

if settings.PROTOCOL == "guarded":
    from notifyguard.ledger import rows

    # What the gate imports at its first message, it has here before the fork.
    importlib.import_module("notifyguard.gate")
    importlib.import_module("notifyguard.sweeper")
    importlib.import_module("notifyguard.management.commands.notifyguard")
    # What a dead process queued is the sweeper's after a second, not after thirty.
    rows.GRACE = 1
