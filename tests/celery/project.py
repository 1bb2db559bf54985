"""The Celery project that worker processes run: ``celery --app tests.celery.project worker``."""

from __future__ import annotations

import json
import os
from typing import Any

import celery
import django
from celery import signals

from tests.celery import journal

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.celery.settings")
django.setup()

app = celery.Celery("tests")
app.conf.update(json.loads(os.environ["TESTS_CELERY"]))
app.set_default()


@signals.worker_ready.connect
def ready(**_: Any) -> None:
    journal.write("ready")


@signals.worker_process_init.connect
def child(**_: Any) -> None:
    journal.write("child")


@signals.task_received.connect
def received(request: Any, **_: Any) -> None:
    journal.write("received", id=request.id)


@signals.task_prerun.connect
def began(task: Any, task_id: str, **_: Any) -> None:
    journal.write("began", task=task.name, id=task_id)


@signals.task_postrun.connect
def ended(task: Any, task_id: str, state: str | None = None, **_: Any) -> None:
    journal.write("ended", task=task.name, id=task_id, state=state)
