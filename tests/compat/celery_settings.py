"""Settings of the worker: Django's SMTP backend at the end, nothing about notifyguard."""

from __future__ import annotations

import os

from tests.settings import *  # noqa: F403

NOTIFYGUARD = {}
EMAIL_BACKEND = "djcelery_email.backends.CeleryEmailBackend"
EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = "127.0.0.1", int(os.environ["TESTS_SMTP_PORT"]), 10
