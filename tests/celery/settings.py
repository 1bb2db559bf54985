"""Settings of a worker process: the test's own, but it really sends, to the test's mail server."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import django

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS as INSTALLED_IN_TESTS

APPS_LEFT_OUT = os.environ.get("TESTS_WITHOUT_APPS", "").split()
INSTALLED_APPS = [app for app in INSTALLED_IN_TESTS if app not in APPS_LEFT_OUT]


def _length(told: dict[str, Any]) -> Any:
    return timedelta(**told) if told.keys() == {"seconds"} else told


NOTIFYGUARD = json.loads(os.environ.get("TESTS_NOTIFYGUARD", "{}"), object_hook=_length)

SMTP = "django.core.mail.backends.smtp.EmailBackend"
SMTP_PORT = int(os.environ.get("TESTS_SMTP_PORT", "0"))
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": SMTP,
            "OPTIONS": {"host": "127.0.0.1", "port": SMTP_PORT, "timeout": 10},  # type: ignore[dict-item]
        }
    }
else:
    EMAIL_BACKEND, EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = SMTP, "127.0.0.1", SMTP_PORT, 10
