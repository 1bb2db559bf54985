"""Settings of one contender of ``sweeping``: its queue, and the mail server behind it."""

from __future__ import annotations

import os
from datetime import timedelta

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
# django-mailer knows no MAILERS.
if django.VERSION >= (6, 1) and CONTENDER != "mailer":
    MAILERS = {
        "default": {"BACKEND": QUEUE},
        "smtp": {"BACKEND": SMTP, "OPTIONS": {"host": HOST, "port": PORT, "timeout": TIMEOUT}},
    }
    if QUEUE == SMTP:
        MAILERS["default"] = MAILERS["smtp"]
    POST_OFFICE["DEFAULT_MAILER"] = "smtp"
else:
    if django.VERSION >= (6, 1):
        del MAILERS  # of the settings above
    EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = QUEUE, HOST, PORT, TIMEOUT
    POST_OFFICE["BACKENDS"] = {"default": SMTP}
