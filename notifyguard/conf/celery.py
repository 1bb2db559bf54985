# ruff: noqa: RUF009  (`setting` only makes a dataclass field, as `field` does)
"""``CELERY``: what holds for the tasks of a project that uses ``notifyguard.contrib.celery``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

from notifyguard.conf import readers
from notifyguard.conf.problem import Place, as_mapping
from notifyguard.conf.table import read_table, setting

# RabbitMQ's own default since 3.8.17.
CONSUMER_TIMEOUT: timedelta | None = timedelta(minutes=30)
WEEK: timedelta | None = timedelta(days=7)


@dataclass(frozen=True)
class CelerySettings:
    """What is done about tasks; without the Celery integration it changes nothing."""

    spelled: ClassVar = str.lower
    later: ClassVar[Mapping[object, bool]] = {}

    spool: bool = setting(False, readers.one_of(True, False))
    consumer_timeout: timedelta | None = setting(CONSUMER_TIMEOUT, readers.age)
    carried_suppression: timedelta | None = setting(WEEK, readers.age)


def read_celery(value: Any, place: Place) -> CelerySettings:
    """Read the whole of ``CELERY``; what cannot be used is reported and left out."""
    return CelerySettings(**read_table(CelerySettings, as_mapping(value), place))
