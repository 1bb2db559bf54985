"""Assertions on what came of a test's mail."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from notifyguard import context
from notifyguard.decision import State
from notifyguard.models import Delivery
from notifyguard.testing import found
from notifyguard.testing.rehearsal import Rehearsal

SENT = frozenset({State.SENT})
# What waits in a queue leaves without anybody's doing; an uncertain one may have left.
NOT_UNSENT = SENT | {State.QUEUED, State.CLAIMED, State.IN_FLIGHT, State.UNCERTAIN}


class GuardedMail:
    """What came of the mail since the test began, out of the ledger.

    Every ``type`` may be a glob (``ticket.*``); an address is compared as the
    ledger does, without regard to case and display name. Every assertion returns
    the deliveries it found, one for each message and recipient.
    """

    def __init__(self) -> None:
        self._earlier = {row.pk for row in found.deliveries()}

    def deliveries(self) -> list[Delivery]:
        """Return all ledger rows since the test began, the oldest first.

        Raises:
            AssertionError: the real path is switched off: there is nothing to look at.
        """
        found.check_real_path()
        return [row for row in found.deliveries() if row.pk not in self._earlier]

    def assert_sent(
        self, *, type: str = "*", to: str | None = None, count: int | None = None
    ) -> list[Delivery]:
        """Assert that mail was handed over, and accepted by the backend.

        Args:
            type: of these notification types.
            to: to this address; ``None`` for any.
            count: exactly so many deliveries; ``None`` for at least one.

        Raises:
            AssertionError: it was not; the message lists what was found.
        """
        __tracebackhide__ = True
        return self._assert("sent", SENT, type, to, None, count)

    def assert_held(
        self,
        *,
        type: str = "*",
        to: str | None = None,
        rule: str | None = None,
        count: int | None = None,
    ) -> list[Delivery]:
        """Assert that mail is held; arguments as of ``assert_sent``.

        Args:
            rule: by this rule (``switch``, ``conflict``); ``None`` for any.
        """
        __tracebackhide__ = True
        return self._assert("held", {State.HELD}, type, to, rule, count)

    def assert_discarded(
        self,
        *,
        type: str = "*",
        to: str | None = None,
        rule: str | None = None,
        count: int | None = None,
    ) -> list[Delivery]:
        """Assert that mail was discarded; arguments as of ``assert_sent``.

        Args:
            rule: by this rule (``suppressed``, ``switch``); ``None`` for any.
        """
        __tracebackhide__ = True
        return self._assert("discarded", {State.DISCARDED}, type, to, rule, count)

    def assert_nothing_sent(self, *, type: str = "*", to: str | None = None) -> None:
        """Assert that no mail has left, may have left, or waits to leave by itself.

        Raises:
            AssertionError: some has; the message lists what was found.
        """
        __tracebackhide__ = True
        self._assert("sent or about to be", NOT_UNSENT, type, to, None, 0)

    @contextmanager
    def rehearsal(self) -> Iterator[Rehearsal]:
        """Run code, a migration say, to see whom it would notify; it notifies nobody.

        What is inside of ``unsuppressed()`` is meant to be sent, and is: in a test,
        to Django's ``mail.outbox``.
        """
        rehearsal = Rehearsal()
        earlier = {row.pk for row in self.deliveries()}
        with context.suppressed(reason="rehearsal"):
            yield rehearsal
        rehearsal.attempts = [row for row in self.deliveries() if row.pk not in earlier]

    def _assert(
        self,
        expected: str,
        states: Collection[str],
        type: str,
        to: str | None,
        rule: str | None,
        count: int | None,
    ) -> list[Delivery]:
        __tracebackhide__ = True
        rows = self.deliveries()
        matching = [row for row in rows if row.state in states and found.fits(row, type, to, rule)]
        if len(matching) != count if count is not None else not matching:
            wanted = f"type={type!r}, to={to or 'anybody'}" + (f", rule={rule}" if rule else "")
            number = "at least one" if count is None else f"{count:,}"
            raise AssertionError(
                f"{number} expected to be {expected} ({wanted}), {len(matching):,} found."
                f"\nThe ledger says since the test began:\n{found.listed(rows)}"
            )
        return matching
