"""Settings of one contender of ``sweeping``: its queue, and the mail server behind it."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import django

from tests.benchmarks.settings import *  # noqa: F403
from tests.benchmarks.settings import BACKENDS, HOST, PORT, TIMEOUT

CONTENDER = os.environ["BENCHMARK_CONTENDER"]
SMTP = BACKENDS["smtp"]
QUEUE = {
    "post_office": "post_office.EmailBackend",
    "mailer": "mailer.backend.DbBackend",
}.get(CONTENDER, SMTP)
INSTALLED_APPS = [CONTENDER if QUEUE != SMTP else "notifyguard"]

POST_OFFICE: dict[str, object] = {"RETRY_INTERVAL": timedelta(0)}
MAILER_EMAIL_BACKEND = SMTP
MAILER_USE_FILE_LOCK = False
if django.VERSION >= (6, 1) and CONTENDER != "mailer":
    _SERVER: Any = {"OPTIONS": {"host": HOST, "port": PORT, "timeout": TIMEOUT}}
    MAILERS = {
        "default": {"BACKEND": QUEUE, **(_SERVER if QUEUE == SMTP else {})},
        "smtp": {"BACKEND": SMTP, **_SERVER},
    }
    POST_OFFICE["DEFAULT_MAILER"] = "smtp"
else:
    globals().pop("MAILERS", None)  # which django-mailer does not know
    EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = QUEUE, HOST, PORT, TIMEOUT
    POST_OFFICE["BACKENDS"] = {"default": SMTP}
