"""The light way: no ledger, no query. What settings and running code say is obeyed.

For Django's test environment, so that no ``assertNumQueries``, ``SimpleTestCase``
or outbox test of a project changes; and for new code before its first ``migrate``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.test import utils

from notifyguard import conf, outcomes
from notifyguard.channels import email, notes, passes
from notifyguard.channels.email import Dispatch
from notifyguard.conf import Settings
from notifyguard.decision import Decision, RecipientOutcome, State
from notifyguard.rules import Candidate
from notifyguard.rules.suppressed import suppressed
from notifyguard.rules.switches import switches
from notifyguard.switchboard import NO_LEDGER


def applies(settings: Settings) -> bool:
    """Tell whether Django's test environment is set up and the full way was not asked for.

    ``mail.outbox`` tells nothing: any locmem backend creates it, in production too.
    """
    return settings.in_tests == "light" and testing()


def testing() -> bool:
    """Tell whether Django's test environment is set up."""
    return hasattr(utils._TestState, "saved_data")


def send(backend: Any, inner: Callable[[Any], Any], batch: list[Any], messages: Any) -> Any:
    """Hand over what is neither suppressed nor stopped by the settings."""
    settings = conf.current()
    kept = [message for message in batch if _leaves(message, backend, settings)]
    if not kept:
        return 0
    with passes.taken_off(batch):
        return inner(messages if len(kept) == len(batch) else kept)


def stopped(dispatch: Dispatch, settings: Settings) -> Decision | None:
    """Decide by settings, environment and running code alone."""
    candidate = Candidate(dispatch, email.NOBODY, settings, NO_LEDGER)
    decision = suppressed(candidate)
    if decision is not None and not decision.by_person and settings.mode == "observe":
        decision = None
    return decision or switches(candidate)


def _leaves(message: Any, backend: Any, settings: Settings) -> bool:
    with notes.obeyed(message):
        dispatch = email.describe(message, backend)
        decision = stopped(dispatch, settings)
    state = State.SENT if decision is None else State.DISCARDED
    rule, reason = (decision.rule, decision.reason) if decision else ("", "")
    outcomes.remember(
        message,
        [RecipientOutcome(to, state, rule, reason) for to in dispatch.recipients],
    )
    return decision is None
