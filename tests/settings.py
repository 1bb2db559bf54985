"""Settings of the tests: the database by NOTIFYGUARD_DB, everything else as a project starts."""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path
from typing import Any

import django

from tests.services import SERVICES, chosen_database, missing

BASE_DIR = Path(__file__).resolve().parent.parent


def _label() -> str:
    """What sets this run's databases apart from those of runs beside it.

    A tox environment keeps its name, so that what a killed run left behind is used again.
    """
    if environment := os.environ.get("TOX_ENV_NAME"):
        return f"{environment}_{zlib.crc32(bytes(BASE_DIR)):08x}".replace("-", "_")
    return str(os.getpid())


def _database() -> dict[str, Any]:
    """The chosen database; NOTIFYGUARD_DB_NAME lets a child process join its parent's."""
    chosen = chosen_database()
    test_name = f"test_notifyguard_{_label()}"
    if chosen == "sqlite":
        # A file, not memory: the tests' own threads and processes must see the same rows.
        # In memory where the system offers it: tests kill processes, not the machine.
        folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir()
        path = str(Path(folder, f"{test_name}.sqlite3"))
        name = os.environ.get("NOTIFYGUARD_DB_NAME", path)
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": name,
            "OPTIONS": {"timeout": 20},
            "TEST": {"NAME": path},
        }
    service = SERVICES[chosen]
    engine = {"postgresql": "postgresql", "mariadb": "mysql"}[chosen]
    return {
        "ENGINE": f"django.db.backends.{engine}",
        "NAME": os.environ.get("NOTIFYGUARD_DB_NAME", "notifyguard"),
        "HOST": service.host,
        "PORT": str(service.port),
        "USER": service.user,
        "PASSWORD": service.password,
        "OPTIONS": {"options": "-c synchronous_commit=off"} if chosen == "postgresql" else {},
        "TEST": {"NAME": test_name} | ({"CHARSET": "utf8mb4"} if chosen == "mariadb" else {}),
    }


DATABASES = {"default": _database()}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "only for tests"
USE_TZ = True
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "notifyguard",
    *(() if missing("celery") else ("notifyguard.contrib.celery",)),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
# The fastest hasher: no test here is about passwords.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
DEFAULT_FROM_EMAIL = "tickets@example.com"

NOTIFYGUARD: dict[str, Any] = {}
