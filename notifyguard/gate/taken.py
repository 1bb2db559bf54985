"""Delivering what a sweeper has taken: a batch, over one connection to each backend.

    decide     under the switches as they stand; the limits are asked once for all
    claim      the keys of all, in one commit
    prepare    build all: a message that kills this process does so before any has left
    mark       each before it leaves; the one before it is confirmed in the same commit
    deliver    hand it to the backend
    confirm    the last; then the kept messages of all that is done are dropped

A process that is killed leaves one message uncertain, and the others to be taken again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

from notifyguard import alerts, conf, hold, ledger, switchboard
from notifyguard.channels import connections
from notifyguard.channels.freezing import Frozen, thaw
from notifyguard.decision import State
from notifyguard.exceptions import CannotConnect, CannotThaw
from notifyguard.gate import kept, late, quota
from notifyguard.gate.case import Case
from notifyguard.gate.passage import Passage
from notifyguard.ledger import Entry, StaleBoard, departure, queue, rows
from notifyguard.models import Delivery
from notifyguard.switchboard import Board


class _Message(NamedTuple):
    """The entries that were taken of one message, and the case that works on them."""

    entries: list[Entry]
    case: Case


def deliver(taken: Sequence[Delivery]) -> Generator[int, None, None]:
    """Deliver rows that ``queue.take`` gave, over the backends they were meant for.

    Lazy: whoever closes it in the middle has delivered what was counted, and what nobody
    has begun then is queued again.

    Yields:
        After each message, of how many deliveries it was.
    """
    dispatches: defaultdict[UUID, list[Entry]] = defaultdict(list)
    for row in sorted(taken, key=attrgetter("dispatch")):  # as they were sent
        dispatches[row.dispatch].append(rows.entry_of(row))
    try:
        for portion in hold.fetch_each(list(dispatches)):
            yield from _deliver_portion(portion, dispatches)
    finally:
        with late.logged("drop what has left"):
            queue.drop_done(dispatches)
        with late.logged("queue again what was taken"):
            queue.give_back(_unbegun(dispatches.values()))


def _deliver_portion(
    portion: Mapping[UUID, Frozen | None], dispatches: Mapping[UUID, list[Entry]]
) -> Iterator[int]:
    batches: dict[str, _Batch] = {}
    for dispatch, frozen in portion.items():
        entries = dispatches[dispatch]
        with _held_if_broken(entries):
            message = _restored(frozen)
            batch = batches.get(entries[0].backend) or _Batch(entries[0].backend)
            batch.add(entries, message)
            batches[entries[0].backend] = batch
        if not _unbegun([entries]):
            yield len(entries)
    for batch in batches.values():
        yield from batch.deliver()


def _restored(frozen: Frozen | None) -> Any:
    if frozen is None:
        raise CannotThaw("its message is gone from the ledger's tables")
    return thaw(frozen)


class _Batch:
    """Messages that leave over one connection, which is opened anew after a failure."""

    def __init__(self, backend: str) -> None:
        self._passage = Passage(*connections.backend_of(backend), conf.current())
        self._cases: list[Case] = []
        self._waiting: deque[_Message] = deque()
        self._landed: list[Entry] = []  # of the message before, to be confirmed

    def add(self, entries: list[Entry], message: Any) -> None:
        """Add a message, with the entries that were taken of it."""
        case = kept.case_of(entries, message, self._passage.settings)
        self._cases.append(case)
        self._waiting.append(_Message(entries, case))

    def deliver(self) -> Iterator[int]:
        """Deliver them; yield after each, of how many deliveries it was."""
        try:
            while self._waiting:
                with suppress(StaleBoard):  # a switch was set meanwhile: judged again
                    yield from self._deliver_under(switchboard.board(fresh=True))
        finally:
            self._passage.confirm(self._landed)
            self._passage.close()
            quota.settle(message.case for message in self._waiting)
            alerts.after_holding(pair for case in self._cases for pair in case.held)

    def _deliver_under(self, board: Board) -> Iterator[int]:
        self._decide([message.case for message in self._waiting], board)
        for entries, case in self._waiting:
            with _held_if_broken(entries):
                self._prepare(case)
        while self._waiting:
            entries, case = self._waiting[0]
            with _held_if_broken(entries):
                self._hand_over(case, board)
            self._waiting.popleft()
            quota.settle([case])
            yield len(entries)

    def _decide(self, cases: Sequence[Case], board: Board) -> None:
        """Set aside what must not leave now, and claim the keys of what may."""
        kept.judge_again(cases, board)
        observing = self._passage.settings.mode == "observe"
        passing = [entry for case in cases for entry in case.passing]
        departure.claim(passing, board, observing=observing)
        for case in cases:
            case.settle([entry for entry in case.passing if entry.state is not State.CLAIMED])

    def _prepare(self, case: Case) -> bool:
        return bool(case.passing) and self._passage.prepare(case)

    def _hand_over(self, case: Case, board: Board) -> None:
        leaving = case.passing
        try:
            ready = bool(leaving) and (self._passage.is_open or self._prepare(case))
            if ready and self._mark(case, board):
                self._landed = self._passage.deliver(case)
        finally:
            if any(entry.state is not State.SENT for entry in leaving):
                # Refused or cut: whatever state the connection is in, the next has its own.
                self._passage.close()

    def _mark(self, case: Case, board: Board) -> bool:
        """Commit the point of no return; return whether anybody is left to send to."""
        try:
            marked = ledger.mark(case.passing, board.generation, confirming=self._landed)
        except StaleBoard:
            self._landed = []  # confirmed all the same
            raise
        self._landed = []
        lost = [entry for entry in case.passing if entry not in marked]
        case.settle(lost)
        return not lost or self._prepare(case)


@contextmanager
def _held_if_broken(entries: Sequence[Entry]) -> Iterator[None]:
    """Hold what has not left when anything is raised: one bad message must not stop the others."""
    try:
        yield
    except StaleBoard:
        raise
    except (CannotThaw, CannotConnect) as error:
        # A person must look: the row stays, and says why it cannot leave.
        rule = "thaw" if isinstance(error, CannotThaw) else "backend"
        queue.put_back(entries, rule=rule, reason=str(error), state=State.HELD)
        late.logger.error(
            "notifyguard: dispatch %s cannot be delivered; its row says why", entries[0].dispatch
        )
    except Exception as error:  # any: backends, and classes of messages, are anybody's code
        # Its name alone: what a server or database says may hold addresses.
        late.logger.error(
            "notifyguard: the sweeper could not deliver dispatch %s: %s",
            *(entries[0].dispatch, type(error).__name__),
        )
        queue.put_back(_unbegun([entries]), rule="sweep", reason=_BROKEN, state=State.HELD)


def _unbegun(messages: Iterable[Sequence[Entry]]) -> list[Entry]:
    return [entry for entries in messages for entry in entries if entry.state is State.CLAIMED]


_BROKEN = "The sweeper could not deliver it; see the log."
