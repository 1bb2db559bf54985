"""Settings of the example project: a ticket tracker and a newsletter.

The environment chooses what a deployment usually chooses:

``EXAMPLE_NOTIFYGUARD``  ``0`` leaves notifyguard out of ``INSTALLED_APPS``; nothing else changes
``EXAMPLE_DB``           ``sqlite`` (default), ``postgresql`` or ``mariadb``
``EXAMPLE_DB_NAME``      file or database name; also ``_HOST``, ``_PORT``, ``_USER``, ``_PASSWORD``
``EXAMPLE_SMTP_PORT``    port of the mail server on this machine (default 2525)
``EXAMPLE_BROKER``       URL of a Redis: with it Celery's tasks send what a saved ticket sends;
                         also ``_PREFIX`` of its keys and ``_VISIBILITY_TIMEOUT`` in seconds
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import django

BASE_DIR = Path(__file__).resolve().parent

SECRET_KEY = "the example project guards nothing worth a secret"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "example_project.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"  # Django's default is America/Chicago, and the demo shows times

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "example_project.tickets",
    "example_project.newsletter",
    "example_project.slips",
    "example_project.demo",
]
CELERY_BROKER_URL = os.environ.get("EXAMPLE_BROKER", "")
USES_CELERY = bool(CELERY_BROKER_URL)
if USES_CELERY:
    INSTALLED_APPS += ["example_project.exports"]

if os.environ.get("EXAMPLE_NOTIFYGUARD", "1") != "0":
    INSTALLED_APPS += ["notifyguard"]
    if USES_CELERY:
        INSTALLED_APPS += ["notifyguard.contrib.celery"]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
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
            ]
        },
    }
]


def _database(kind: str) -> dict[str, Any]:
    if kind == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("EXAMPLE_DB_NAME", BASE_DIR / "example.sqlite3"),
            # Several processes share the file: readers must not wait for writers, and a
            # writer waits its turn in place of failing half-way through a transaction.
            "OPTIONS": {
                "timeout": 30,
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
            },
        }
    engine, port, user = {
        "postgresql": ("django.db.backends.postgresql", "5432", "postgres"),
        "mariadb": ("django.db.backends.mysql", "3306", "root"),
    }[kind]
    return {
        "ENGINE": engine,
        "NAME": os.environ.get("EXAMPLE_DB_NAME", "example"),
        "HOST": os.environ.get("EXAMPLE_DB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("EXAMPLE_DB_PORT", port),
        "USER": os.environ.get("EXAMPLE_DB_USER", user),
        "PASSWORD": os.environ.get("EXAMPLE_DB_PASSWORD", ""),
    }


DATABASES = {"default": _database(os.environ.get("EXAMPLE_DB", "sqlite"))}

DEFAULT_FROM_EMAIL = "tracker@example.test"
# Who hears of it when mail is held. Django 6.0 and later have plain addresses.
ADMINS = ["ops@example.test"] if django.VERSION >= (6, 0) else [("Operators", "ops@example.test")]

# Read by notifyguard, if it is installed.
NOTIFYGUARD: dict[str, Any] = {
    "TYPES": {
        # Nobody named this type: it is where the mail is sent.
        "example_project.tickets.reminders.*": {"limits": ["2/day"]},
        # Nor these: they are the tasks that send.
        "example_project.tickets.tasks.follow_up": {"limits": ["2/day"]},
        "example_project.exports.tasks.*": {"max_age": timedelta(hours=2)},
        "example_project.exports.tasks.call_begins": {"on_stale": "expire"},
        # An issue without a text is a mistake, even under a good subject.
        "newsletter.*": {"rules": {"empty_body": "hold"}},
    }
}

CELERY_TASK_IGNORE_RESULT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS: dict[str, Any] = {
    "global_keyprefix": os.environ.get("EXAMPLE_BROKER_PREFIX", "")
}
if _visibility_timeout := os.environ.get("EXAMPLE_BROKER_VISIBILITY_TIMEOUT"):
    CELERY_BROKER_TRANSPORT_OPTIONS |= {
        "visibility_timeout": int(_visibility_timeout),
        # Whether something has timed out is looked at every 100 seconds otherwise.
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    }
if "notifyguard.contrib.celery" in INSTALLED_APPS:
    from notifyguard.contrib.celery import beat_schedule

    CELERY_BEAT_SCHEDULE = beat_schedule()

_SMTP_PORT = int(os.environ.get("EXAMPLE_SMTP_PORT", "2525"))

# Django 6.1 has MAILERS and deprecates EMAIL_*.
if django.VERSION >= (6, 1):
    MAILERS = {
        "default": {
            "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "OPTIONS": {"host": "127.0.0.1", "port": _SMTP_PORT, "timeout": 10},
        }
    }
else:
    EMAIL_HOST = "127.0.0.1"
    EMAIL_PORT = _SMTP_PORT
    EMAIL_TIMEOUT = 10
