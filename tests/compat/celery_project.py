"""A project with django-celery-email and a real broker; its worker is a process of its own.

``celery --app tests.compat.celery_project worker``
"""

from __future__ import annotations

import os

import celery
import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.compat.celery_settings")
django.setup()

app = celery.Celery("tests", broker=os.environ["TESTS_BROKER"])
app.conf.imports = ["djcelery_email.tasks"]
app.set_default()
