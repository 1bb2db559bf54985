"""Tasks that wait for their time in the database; each writes down the message that it got."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from tests.celery import journal


@shared_task(bind=True, notifyguard_spool=True)
def told(self: Any, text: str, **_: Any) -> str:
    """Write down what came with it; return its text."""
    _write(self, text)
    return text


@shared_task(bind=True, notifyguard_spool=True)
def joined(self: Any, texts: list[str]) -> str:
    """The body of a chord."""
    _write(self, "+".join(texts))
    return "+".join(texts)


@shared_task(bind=True)
def linked(self: Any, text: str) -> None:
    """What is called when another has run, or failed."""
    _write(self, text)


@shared_task(bind=True, notifyguard_spool=True)
def failing(self: Any) -> None:
    """Fail."""
    raise ValueError("as it should")


@shared_task(bind=True, notifyguard_spool=True, max_retries=1)
def retried(self: Any, countdown: float) -> None:
    """Come back once, after a while."""
    _write(self, f"retry {self.request.retries}")
    if not self.request.retries:
        raise self.retry(countdown=countdown)


def _write(task: Any, text: str) -> None:
    request = task.request
    journal.write(
        "ran",
        text=text,
        task=task.name,
        id=request.id,
        root=request.root_id,
        priority=request.delivery_info.get("priority"),
        queue=request.delivery_info.get("routing_key"),
        retries=request.retries,
    )
