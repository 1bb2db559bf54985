"""What is decided when the ledger fails. Every decision of design section 8 stands here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from django.db import Error as DatabaseFailure
from django.db.backends.base.base import BaseDatabaseWrapper

from notifyguard import database, switchboard
from notifyguard.channels.transport import is_silent
from notifyguard.decision import Decision, Sending
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.gate import late, light
from notifyguard.gate.case import Case
from notifyguard.gate.late import logger
from notifyguard.gate.passage import Passage
from notifyguard.gate.stopped import failed
from notifyguard.ledger import Entry, StaleBoard
from notifyguard.models import Claim, Control, Delivery, FrozenMessage
from notifyguard.switchboard import Board

_said: set[str] = set()


def with_ledger(
    passage: Passage, cases: list[Case], step: Callable[[list[Case], Board], None]
) -> None:
    """Run a step under the present switches; again if they were set meanwhile."""
    fresh = False
    while unsettled := [case for case in cases if not case.settled]:
        try:
            step(unsettled, switchboard.board(fresh=fresh))
        except StaleBoard:
            fresh = True
        except DatabaseFailure as error:
            if error is passage.raised:
                raise  # the backend's own: a queue in a table
            left = [case for case in unsettled if not case.settled]
            without_ledger(passage, left, error)


def without_ledger(passage: Passage, cases: Sequence[Case], error: DatabaseFailure) -> None:
    """Decide on messages whose ledger cannot be reached; nothing of them was handed over.

    Raises:
        LedgerUnavailable: they may not leave unrecorded, and the backend is not silent.
    """
    missing = tables_are_missing()
    if missing:
        _say_once("missing", logging.CRITICAL, _MISSING)
    for case in cases:
        if (missing or _leaves_unrecorded(case)) and not _is_for_later(case):
            _send_unrecorded(passage, case, remember=not missing)
        elif is_silent(passage.backend):
            logger.error("notifyguard: %s (%s)", _REFUSED, type(error).__name__)
            refused = Decision(Sending.HOLD, "ledger", _REFUSED)
            case.settle(failed(_unsettled(case, refused), refused.rule, refused.reason))
        else:
            raise LedgerUnavailable(f"{_REFUSED} {cause(error)}") from error


def tables_are_missing() -> bool:
    """Tell whether the ledger's tables have never been made; not whether it is down.

    Half made they are, too, as long as they are empty: ``migrate`` makes a new database, and
    runs the project's own migrations in between. A ledger of an older release is none of it.
    """
    ours = database.connection()
    try:
        if ours.vendor == "sqlite":
            # The caller's transaction may lock out the connection beside it, and a
            # question that fails does not break it.
            return _is_unmade(ours)
        return database.read_committed(_is_unmade)
    except DatabaseFailure:
        return False


def _is_unmade(connection: BaseDatabaseWrapper) -> bool:
    lacking = database.missing(connection, (Control, Claim, Delivery, FrozenMessage))
    if not lacking or Delivery._meta.db_table in lacking:
        return bool(lacking)
    return not Delivery.objects.using(connection.alias).exists()


def _is_for_later(case: Case) -> bool:
    # Without the ledger there is no later, and now is wrong. By this host's clock.
    send_at = case.dispatch.notification.send_at
    return send_at is not None and send_at > datetime.now(UTC)


def _leaves_unrecorded(case: Case) -> bool:
    options = case.settings.for_type(case.dispatch.notification.type)
    return options.critical or options.in_transaction == "now"


def _send_unrecorded(passage: Passage, case: Case, *, remember: bool) -> None:
    stopped = _decision(case)
    if stopped is not None:
        _end(case, stopped, _unsettled(case, stopped))
        return
    if len(case.passing) + len(case.outcomes) < len(case.dispatch.recipients):
        # What nobody set is only reported: there is no place to keep it in.
        case.settings = replace(case.settings, mode="observe")
        board = switchboard.last_known() if remember else switchboard.NO_LEDGER
        case.judge(board)
        for decision, entries in list(case.aside.items()):
            _end(case, decision, entries)
    if case.passing and passage.prepare(case):
        landed = passage.deliver(case)
        if remember:
            logger.warning("notifyguard: sent without a record: %s", case.dispatch.id)
            late.remember(landed)


def _end(case: Case, decision: Decision, entries: list[Entry]) -> None:
    """Settle what does not leave and cannot be written down either."""
    if decision.keeps_body:
        # Kept it would have been, if there were a place to keep it in.
        logger.error("notifyguard: not sent and not kept, no ledger: %s", decision.reason)
        failed(entries, decision.rule, f"Not sent and not kept: {decision.reason}")
    case.settle(entries)


def _unsettled(case: Case, decision: Decision) -> list[Entry]:
    return [entry for entry in case.stopped(decision) if entry.recipient not in case.outcomes]


def _decision(case: Case) -> Decision | None:
    stopped = light.stopped(case.dispatch, case.settings)
    if stopped is not None:
        return stopped
    ruling = switchboard.last_known().ruling(case.dispatch.notification.type, case.settings)
    return None if ruling is None else Decision(ruling.sending, "switch", str(ruling))


def cause(error: DatabaseFailure) -> str:
    """Return what the database says, for the caller and not for a log: it may quote a row."""
    alias = database.alias()
    said = str(error).partition("\n")[0]
    return (
        f'The database "{alias}" says: {type(error).__name__}: {said} '
        f"(manage.py check --database {alias} --tag database looks for what is missing.)"
    )


def _say_once(what: str, level: int, text: str) -> None:
    # Not again and again, and not from inside a handler that mails what is logged.
    if what not in _said:
        _said.add(what)
        logger.log(level, "notifyguard: %s", text)


_MISSING = (
    "its tables do not exist in the ledger's database. Mail leaves unguarded; only "
    "SENDING and suppressed() are obeyed. Run: manage.py migrate notifyguard"
)
_REFUSED = (
    "The message was not sent, because the ledger's database cannot be written: what "
    "is not recorded could be sent twice. Critical types are sent all the same."
)
