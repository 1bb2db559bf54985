"""Publishing the spooled tasks that are due, each with the app and broker that it is meant for.

Over a connection of its own, and not by ``apply_async``: nothing of what the code that runs
here says gets into a message, and none is spooled or reported again.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from kombu.exceptions import OperationalError

from notifyguard.contrib.celery import envelope, spool
from notifyguard.contrib.celery.loaded import apps_by_name
from notifyguard.contrib.celery.models import SpooledTask

logger = logging.getLogger("notifyguard")

AT_ONCE = 100
"""Tasks that a process takes at a time."""

DELETED_AT_ONCE = 20
"""Tasks of one commit: what a kill leaves to be published again."""

NOW = timedelta(0)

PUT_OFF = timedelta(minutes=5)
"""How long a task waits that the broker has refused."""

PATIENCE = 5
"""Seconds that a broker may take for one answer: who sweeps has mail to deliver too."""

# RabbitMQ says by its confirm that it has a message; without it one that was lost on the
# way would be deleted here.
_TRANSPORT = {
    "amqp": {"confirm_publish": True, "read_timeout": PATIENCE, "write_timeout": PATIENCE},
    "redis": {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE},
}

_said: set[str] = set()


class Refused(Exception):
    """A task cannot be published, whatever the state of the broker."""


def publish_due(go_on: Callable[[], bool] = lambda: True) -> int:
    """Publish every spooled task that is due and whose Celery app is loaded in this process.

    A broker that is down, or refuses a task, is logged; the task stays and is tried again.

    Args:
        go_on: asked before each task; when it says ``False`` the rest is left to the next one.

    Returns:
        How many were published.

    Raises:
        DatabaseError, LedgerUnavailable: the spool cannot be read.
    """
    if not spool.is_due():
        return 0
    apps = apps_by_name()
    count = sum(_publish_of(name, app, go_on) for name, app in apps.items())
    _tell_of_forgotten(apps)
    return count


def _publish_of(name: str, app: Any, go_on: Callable[[], bool]) -> int:
    count = 0
    while go_on() and (rows := spool.take(name, AT_ONCE)):
        published = _publish(name, app, rows, go_on)
        count += published
        if not published:
            break  # the broker is down, or would refuse one after the other
    return count


def _publish(name: str, app: Any, rows: list[SpooledTask], go_on: Callable[[], bool]) -> int:
    """Publish what was taken, as far as it goes; return how many."""
    left, sent = deque(rows), list[SpooledTask]()
    # Past half of its lease others would soon take this process for dead.
    until = time.monotonic() + spool.LEASE.total_seconds() / 2
    try:
        with _producer(app) as producer:
            while left and go_on() and time.monotonic() < until:
                _publish_one(app, producer, left[0])
                sent.append(left.popleft())
                if len(sent) % DELETED_AT_ONCE == 0:
                    spool.published(sent[-DELETED_AT_ONCE:])
        _said.discard(name)
    except OperationalError as error:
        _say_once(name, "notifyguard: the broker of app %r takes no spooled task: %s", name, error)
    except Refused as error:
        refused = left.popleft()
        text = "notifyguard: the spooled task %s is put off (said once for its app). %s"
        _say_once(name, text, refused.task_id, error)
        spool.give_back([refused], PUT_OFF, str(error))
    finally:
        spool.published(sent[len(sent) // DELETED_AT_ONCE * DELETED_AT_ONCE :])
        spool.give_back(left, NOW)
    return len(sent)


@contextmanager
def _producer(app: Any) -> Iterator[Any]:
    """Yield a producer over a connection of its own.

    Raises:
        OperationalError: the broker is down, or was lost.
    """
    unconnected = app.connection_for_write()
    options = _TRANSPORT.get(unconnected.get_transport_cls().driver_type, {})
    with (
        app.connection_for_write(transport_options={**options, "max_retries": 1}) as connection,
        connection._reraise_as_library_errors(),
    ):
        connection.ensure_connection(max_retries=1, interval_start=0)
        yield app.amqp.Producer(connection, auto_declare=False)


def _publish_one(app: Any, producer: Any, row: SpooledTask) -> None:
    """Have the broker take one.

    Raises:
        OperationalError: the broker was lost.
        Refused: it is this task that cannot be published.
    """
    connection_errors = producer.connection.connection_errors
    try:
        message = envelope.read(row.message, app.amqp.queues)
        producer.publish(message.body, declare=message.declare, **message.options_now())
    except connection_errors as error:
        raise OperationalError(repr(error)) from error
    except Exception as error:  # each transport has its own; and a row may be damaged
        raise Refused(f"It could not be published: {error!r}") from error


def _tell_of_forgotten(apps: dict[str, Any]) -> None:
    task = spool.overdue(apps, spool.FORGOTTEN)
    if task is not None:
        _say_once(
            f"forgotten {task.app}",
            "notifyguard: spooled tasks of the Celery app %r are due, and it is not loaded here. "
            "Import it in the __init__ of the project, or publish them where it is: %s",
            task.app,
            "celery call notifyguard.publish_spooled",
        )


def _say_once(what: str, text: str, *args: Any) -> None:
    if what not in _said:
        _said.add(what)
        logger.error(text, *args)
