"""The Celery app of a run, for whoever publishes and for the workers."""

from __future__ import annotations

import os

from celery import Celery

VISIBILITY_TIMEOUT = 2  # seconds; what Redis hands out again after an hour elsewhere

app = Celery("proof")
app.conf.update(
    broker_url=os.environ["PROOF_BROKER"],
    broker_connection_retry_on_startup=True,
    task_default_queue=os.environ["PROOF_QUEUE"],
    task_ignore_result=True,
    # What delivers again the most: a death is no end of a task, and more wait than run.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
)
app.set_default()
