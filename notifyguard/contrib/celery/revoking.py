"""Revoking: a spooled task is in no worker's hands, so it is taken out of the spool too."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from celery.utils.functional import maybe_list
from django.db import Error as DatabaseFailure

from notifyguard import conf
from notifyguard.contrib.celery import envelope, spool
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.gate import light, loop

logger = logging.getLogger("notifyguard")


def look_at(command: str, arguments: Mapping[str, Any]) -> None:
    """Take out of the spool what a command for the workers revokes; they are told all the same.

    Every ``revoke`` passes as such a command: that of ``AsyncResult``, of groups, of
    ``celery control`` too.

    Args:
        command: its name.
        arguments: what it is told.
    """
    if command not in _MEANT or light.applies(conf.current()):
        return
    try:
        loop.run(lambda: _MEANT[command](arguments))
    except (DatabaseFailure, LedgerUnavailable) as error:
        # To fail here would keep it from the workers, and most tasks are in their hands.
        logger.error(
            "notifyguard: the spool cannot be asked for revoked tasks (%s); those that wait there "
            "will run. Revoke them again.",
            type(error).__name__,
        )


def _by_id(arguments: Mapping[str, Any]) -> None:
    meant = maybe_list(arguments.get("task_id")) or ()
    if ids := [str(each) for each in meant]:
        spool.remove(ids)


def _by_stamps(arguments: Mapping[str, Any]) -> None:
    meant = arguments.get("headers") or {}
    if not isinstance(meant, Mapping):  # as "celery control" gives them
        meant = dict(each.split("=", 1) for each in meant)
    wanted = {name: set(maybe_list(values) or ()) for name, values in meant.items()}
    spool.remove(row.task_id for row in spool.stamped() if _matches(row.message, wanted))


def _matches(message: str, wanted: Mapping[str, set[Any]]) -> bool:
    stamps = envelope.stamps(message)
    return any(
        values.intersection(maybe_list(stamps.get(name)) or ()) for name, values in wanted.items()
    )


_MEANT = {"revoke": _by_id, "revoke_by_stamped_headers": _by_stamps}
