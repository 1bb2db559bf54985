"""A task whose ETA is further ahead than its broker can hold: spooled, or reported."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from kombu import Exchange

from notifyguard import conf
from notifyguard.channels import inference
from notifyguard.contrib.celery.reach import Reach, reach_of
from notifyguard.contrib.celery.spooling import SpoolingProducer
from notifyguard.gate import light

logger = logging.getLogger("notifyguard")

DELAYED_BY_RABBITMQ = "celery_delayed_"
"""Of the names of the exchanges where RabbitMQ itself keeps a task until its ETA."""

_reported: set[tuple[str, str]] = set()


def producer_for(
    app: Any,
    producer: Any,
    name: str,
    message: Any,
    due_at: datetime,
    exchange: str | Exchange | None,
) -> Any:
    """Return what a task is published with: one that spools it, if it is far and meant to be.

    Args:
        app: Celery's.
        producer: of kombu, that Celery would use.
        name: of the task.
        message: Celery's tuple of headers, properties, body and event.
        due_at: its ETA, with its time zone.
        exchange: where it goes.
    """
    if light.applies(conf.current()) or _is_delayed_by_rabbitmq(exchange):
        return producer
    reach = reach_of(producer.connection)
    if reach is None or due_at - datetime.now(UTC) <= reach.far:
        return producer
    call_site = inference.whence().call_site
    if is_spooled(app, name) and _goes_to_its_own_broker(app, producer):
        return SpoolingProducer(app, producer, name, message, due_at, call_site)
    _report(name, due_at, reach, call_site)
    return producer


def is_spooled(app: Any, name: str) -> bool:
    """Tell whether a task waits in the database: by its own word, or by the setting."""
    task = app._tasks.get(name)
    says = getattr(task, "notifyguard_spool", None)
    return conf.current().celery.spool if says is None else says is True


def _is_delayed_by_rabbitmq(exchange: str | Exchange | None) -> bool:
    name = exchange.name if isinstance(exchange, Exchange) else exchange
    return DELAYED_BY_RABBITMQ in (name or "")


def _goes_to_its_own_broker(app: Any, producer: Any) -> bool:
    """Tell whether it goes where its app would publish it later.

    Who gave ``apply_async`` a connection of their own meant that one.
    """
    own = app.connection_for_write()
    all_own = {own.as_uri(), *(app.connection_for_write(url).as_uri() for url in own.alt)}
    return producer.connection.as_uri() in all_own


def _report(name: str, due_at: datetime, reach: Reach, call_site: str) -> None:
    """Say it once for each task and place, in each process."""
    if (name, call_site) in _reported:
        return
    _reported.add((name, call_site))
    logger.warning(
        "notifyguard: %s was sent from %s with an ETA (%s) further ahead than %s can hold it (%s): "
        "%s. Send the mail itself at once with send_at=…, or keep the task in the database "
        '(notifyguard_spool=True on the task, NOTIFYGUARD["CELERY"]["spool"] for all), or raise '
        "%s.",
        name,
        call_site or "an unknown place",
        due_at.isoformat(timespec="seconds"),
        reach.broker,
        reach.time,
        reach.harm,
        reach.setting,
    )
