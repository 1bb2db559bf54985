"""Settings of a benchmark: the tests' own, two ways out, and durable databases."""

from __future__ import annotations

import os
from typing import Any

import django

from tests.settings import *  # noqa: F403
from tests.settings import DATABASES

DATABASES["default"]["TEST"]["NAME"] = os.environ["BENCHMARK_DATABASE"]
# As durable as they come: the tests' own wait for no disk.
DATABASES["default"]["OPTIONS"] = (
    {"server_side_binding": True, "prepare_threshold": 5}
    if os.environ["BENCHMARK_PREPARED"]
    else {}
)
if not os.environ.get("BENCHMARK_PAGES"):  # the admin needs more
    INSTALLED_APPS = ["notifyguard"]
if os.environ.get("BENCHMARK_SPOOL"):
    INSTALLED_APPS.append("notifyguard.contrib.celery")
ALLOWED_HOSTS = ["testserver"]

HOST, PORT, TIMEOUT = "127.0.0.1", int(os.environ["BENCHMARK_PORT"]), 60
BACKENDS = {
    "dummy": "django.core.mail.backends.dummy.EmailBackend",
    "smtp": "django.core.mail.backends.smtp.EmailBackend",
}
if django.VERSION >= (6, 1):
    _OPTIONS: dict[str, Any] = {"smtp": {"host": HOST, "port": PORT, "timeout": TIMEOUT}}
    MAILERS = {
        name: {"BACKEND": path, "OPTIONS": _OPTIONS.get(name, {})}
        for name, path in {"default": BACKENDS["dummy"], **BACKENDS}.items()
    }
else:
    EMAIL_BACKEND = BACKENDS["dummy"]
    EMAIL_HOST, EMAIL_PORT, EMAIL_TIMEOUT = HOST, PORT, TIMEOUT
