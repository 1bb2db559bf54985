"""Keys that nobody gave: what a task sends is the same message when the task is run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from uuid import UUID

from django.db import transaction

from notifyguard import database, ledger
from notifyguard.channels.email import Dispatch
from notifyguard.context import Task
from notifyguard.database import Standing
from notifyguard.decision import RecipientOutcome, State
from notifyguard.rules.suppressed import ADMINS

_NOT_SENT = (State.FAILED, State.UNCERTAIN)


def task_of(dispatch: Dispatch) -> Task | None:
    """Return the task by which a message is told from others; ``None`` if none is needed.

    Mail to ADMINS is left alone: that the second try has failed too is another report.
    """
    task, notification = dispatch.task, dispatch.notification
    if notification.key is not None or notification.type == ADMINS:
        return None
    return task if task and task.id and task.run else None


class Places:
    """Where one message stands, for each recipient, among those of a run that look the same.

    The place enters its key, so two identical messages of one run are two. It is taken when
    the message is first judged, and free again when nothing came of it: whoever sends it once
    more in this run means the same message, as does whoever runs the task again.

    Args:
        dispatch: the message.
    """

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._task = task_of(dispatch)
        self._taken: dict[str, int] = {}

    def key(self, salt: str, space: str, recipient: str) -> UUID | None:
        """Return the key of the message to somebody; ``None`` if none is inferred.

        Args:
            salt: the ledger's own.
            space: the namespace of keys.
            recipient: normalised.
        """
        if self._task is None or self._task.run is None:
            return None
        looks = self._looks(recipient)
        if recipient not in self._taken:
            self._taken[recipient] = self._task.run.count(*looks)
        parts = self._task.name, self._task.id, *looks, str(self._taken[recipient])
        return ledger.key_of(salt, space, *parts, inferred=True)

    def settle(self, outcomes: Mapping[str, RecipientOutcome]) -> None:
        """Give back the places of what did not leave, as far as is known.

        Those of what was written into the caller's transaction follow if that is rolled back.

        Args:
            outcomes: by recipient; who is missing was not sent to either.
        """
        written = []
        for recipient, give_back in self._given_back():
            outcome = outcomes.get(recipient)
            if outcome is None or outcome.state in _NOT_SENT:
                give_back()
            else:
                written.append(give_back)
        if written and database.standing() is Standing.CALLER:
            undo_on_rollback(written)

    def _given_back(self) -> list[tuple[str, Callable[[], None]]]:
        run = self._task and self._task.run
        return [
            (recipient, partial(run.give_back, place, *self._looks(recipient)))
            for recipient, place in self._taken.items()
            if run
        ]

    def _looks(self, recipient: str) -> tuple[str, str, str]:
        return self._dispatch.notification.type, recipient, self._dispatch.subject


def undo_on_rollback(undo: list[Callable[[], None]]) -> None:
    """Have these called if the transaction that is open, if one is, is rolled back."""
    connection = database.connection()
    if connection.in_atomic_block:
        transaction.on_commit(_Written(undo), using=connection.alias, robust=True)


class _Written:
    """Stands among what waits for a transaction's end: called at its commit, dropped at a rollback.

    Django tells of a rollback in no other way.
    """

    def __init__(self, undo: list[Callable[[], None]]) -> None:
        self._undo = undo

    def __call__(self) -> None:
        self._undo = []

    def __del__(self) -> None:
        for give_back in self._undo:
            give_back()
