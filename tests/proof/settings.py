"""Settings of every process of a run: the tests' own, but a real mail server and a short lease."""

from __future__ import annotations

import os
from typing import Any

import django

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES, INSTALLED_APPS

PROTOCOL = os.environ["PROOF_PROTOCOL"]

DATABASES["default"]["NAME"] = os.environ["PROOF_DATABASE"]
DATABASES["default"]["TEST"]["NAME"] = os.environ["PROOF_DATABASE"]
if "sqlite" in DATABASES["default"]["ENGINE"]:
    DATABASES["default"]["OPTIONS"] |= {
        # A kill loses nothing that was written to the file, so no fsync is waited for.
        "init_command": "PRAGMA journal_mode = wal; PRAGMA synchronous = normal",
        "transaction_mode": "IMMEDIATE",
        "timeout": 60,
    }

# Celery where it is what is proven: processes start without it faster, and there are hundreds.
INSTALLED_APPS = [app for app in INSTALLED_APPS if "celery" not in app] + ["tests.proof"]
if "PROOF_BROKER" in os.environ and PROTOCOL == "guarded":
    INSTALLED_APPS.append("notifyguard.contrib.celery")
if PROTOCOL == "naive":
    INSTALLED_APPS.remove("notifyguard")

_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
_PORT = int(os.environ["PROOF_PORT"])
if django.VERSION >= (6, 1):
    _OPTIONS: Any = {"host": "127.0.0.1", "port": _PORT, "timeout": 30}
    MAILERS = {"default": {"BACKEND": _BACKEND, "OPTIONS": _OPTIONS}}
else:
    EMAIL_BACKEND = _BACKEND
    EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = "127.0.0.1", _PORT, 30

NOTIFYGUARD = {"LEASE": 2}
# What a run breaks on purpose is logged by the hundred; what matters, the laws say.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"none": {"class": "logging.NullHandler"}},
    "loggers": {
        name: {"handlers": ["none"], "propagate": False}
        for name in ("notifyguard", "django.db.backends.base")
    },
}
