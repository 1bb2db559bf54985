"""The switches: what they are set to, which one decides, and how they are set.

A process decides by a cached ``Board`` and names its generation to the ledger,
which refuses the mark when a switch was set meanwhile. So looking costs no
query and is never stale.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db import OperationalError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet

from notifyguard import clock, database
from notifyguard.conf import Settings
from notifyguard.decision import Sending
from notifyguard.exceptions import NotAllowed
from notifyguard.models import Control, Event, Switch
from notifyguard.patterns import matches, specificity

# Nothing is lost by keeping: hold beats discard, discard beats open.
_STRENGTH = {Sending.OPEN: 0, Sending.DISCARD: 1, Sending.HOLD: 2}


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one source says about a type.

    Attributes:
        sending: the position.
        source: ``settings``, ``environment`` or ``database``.
        pattern: the pattern that matched; ``everything`` for a kill switch.
        reason: as its author gave it, or ``""``.
        author: who set it, or ``""``.
        expires_at: when it ends by itself, or ``None``.
    """

    sending: Sending
    source: str
    pattern: str
    reason: str = ""
    author: str = ""
    expires_at: datetime | None = None

    def __str__(self) -> str:
        words = f"{self.sending} by {self.source} ({self.pattern})"
        if self.author:
            words += f", set by {self.author}"
        if self.reason:
            words += f": {self.reason}"
        return words


@dataclass(frozen=True)
class Board:
    """All switches of the database at one generation.

    Attributes:
        generation: the random number that changes with every change of a switch.
        salt: enters every key.
        created_at: when the ledger began.
        rulings: the switches, in no particular order.
    """

    generation: int
    salt: str
    created_at: datetime | None = None
    rulings: tuple[Ruling, ...] = ()
    _decided: dict[tuple[str, bool], tuple[Settings, Ruling | None]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @cached_property
    def _expires(self) -> bool:
        return any(ruling.expires_at for ruling in self.rulings)

    def ruling(self, type: str, settings: Settings) -> Ruling | None:
        """Return the ruling that stops the type, or ``None`` when it is open.

        Args:
            type: a notification type.
            settings: the present settings.
        """
        critical = settings.for_type(type).critical
        found = self._decided.get((type, critical))
        if found is None or found[0] is not settings or self._expires:
            found = (settings, self._weigh(type, settings))
            if len(self._decided) > _REMEMBERED:
                self._decided.clear()
            self._decided[type, critical] = found
        return found[1]

    def sources(self, type: str, settings: Settings) -> list[Ruling]:
        """Return what each source says about a type, the strongest first."""
        rulings = [
            *_from_settings(type, settings),
            *self._from_database(type, critical=settings.for_type(type).critical),
        ]
        return sorted(rulings, key=lambda ruling: -_STRENGTH[ruling.sending])

    def _weigh(self, type: str, settings: Settings) -> Ruling | None:
        strongest = next(iter(self.sources(type, settings)), None)
        return None if strongest is None or strongest.sending is Sending.OPEN else strongest

    def _from_database(self, type: str, *, critical: bool) -> Iterable[Ruling]:
        current = [ruling for ruling in self.rulings if not _expired(ruling)]
        yield from (ruling for ruling in current if ruling.pattern == EVERYTHING)
        named = [ruling for ruling in current if _named(ruling.pattern, type, critical)]
        if named:
            yield max(named, key=lambda ruling: specificity(ruling.pattern))


EVERYTHING = "everything"
"""The kill switch: all types, critical ones too."""

_REMEMBERED = 10_000
NO_LEDGER = Board(generation=0, salt="")
"""What is decided by when there are no tables: settings and environment alone."""

_boards: dict[str, Board] = {}


def board(*, fresh: bool = False) -> Board:
    """Return the switches as this process last saw them.

    Args:
        fresh: read them again, because the ledger said that they changed.

    Raises:
        DatabaseError: the ledger's database or tables cannot be read.
    """
    alias = database.alias()
    known = None if fresh else _boards.get(alias)
    if known is None:
        known = database.retrying(_load)
        _boards[alias] = known
    return known


def last_known() -> Board:
    """Return the last switches seen, without asking; for when the database is down."""
    return _boards.get(database.alias(), NO_LEDGER)


def forget() -> None:
    """Forget the cached switches, for tests and forked children."""
    _boards.clear()


def generation_now() -> int:
    """Return the generation as others committed it, seen from beside the caller's transaction."""
    row = next(iter(_read(Control.objects.filter(pk=Control.ROW).values_list("generation"))), (0,))
    return int(row[0])


def set_switch(
    pattern: str,
    sending: Sending,
    *,
    reason: str,
    author: str,
    everything: bool = False,
    expires_at: datetime | None = None,
) -> None:
    """Set a switch; when this returns, no hand-over of what it stops begins any more.

    Args:
        pattern: the notification types meant; ``"*"`` for all but critical ones.
        sending: the new position.
        reason: why.
        author: who, as text.
        everything: critical types too, whatever the pattern says.
        expires_at: when the switch ends by itself; a must for ``discard``.

    Raises:
        NotAllowed: a reason or expiry is missing, or the pattern cannot be used.
        DatabaseError: the ledger cannot be written; nothing changed.
    """
    _check(pattern, sending, reason, expires_at)
    values = {
        "sending": sending.value,
        "reason": reason.strip()[:500],
        "author": author[:150],
        "expires_at": expires_at,
    }

    def write(at: datetime) -> tuple[str, str]:
        switches = Switch.objects.using(database.alias())
        named = "*" if everything else pattern
        before = switches.filter(pattern=named, everything=everything).first()
        switches.update_or_create(
            defaults={**values, "set_at": at}, pattern=named, everything=everything
        )
        return (before.sending if before else "", sending.value)

    _flip("switch", EVERYTHING if everything else pattern, reason, author, write)


def clear_switch(pattern: str, *, reason: str, author: str, everything: bool = False) -> bool:
    """Take a switch away, so that its types are open again. Nothing held is released.

    Args:
        pattern: the pattern as it was set.
        reason: why.
        author: who, as text.
        everything: the kill switch is meant, not the pattern.

    Returns:
        Whether there was such a switch.
    """
    named = "*" if everything else pattern
    switches = Switch.objects.using(database.alias()).filter(pattern=named, everything=everything)
    if not switches.exists():
        return False

    def write(at: datetime) -> tuple[str, str]:
        before = switches.first()
        switches.delete()
        return (before.sending if before else "", Sending.OPEN.value)

    _flip("switch", EVERYTHING if everything else pattern, reason, author, write)
    return True


def record_event(
    action: str,
    subject: str,
    *,
    actor: str,
    reason: str = "",
    before: str = "",
    after: str = "",
    count: int | None = None,
) -> None:
    """Append what a person did, in the transaction of the deed itself."""
    Event.objects.using(database.alias()).create(
        at=clock.now(database.connection()),
        actor=actor[:150],
        action=action,
        subject=subject[:200],
        before=before,
        after=after,
        count=count,
        reason=reason.strip()[:500],
    )


def _flip(
    action: str,
    subject: str,
    reason: str,
    author: str,
    write: Callable[[datetime], tuple[str, str]],
) -> None:
    """Change the switches and the generation in one transaction.

    The update of the control row waits for every mark that is under way and makes
    every later one see the new generation: that is what "stopped" rests on.
    """

    def flip() -> None:
        with database.short_transaction() as connection:
            at = clock.now(connection)
            _ensure_control(connection)
            _control(connection).update(generation=_random_generation())
            before, after = write(at)
            record_event(action, subject, actor=author, reason=reason, before=before, after=after)

    database.retrying(flip)
    forget()


def _check(pattern: str, sending: Sending, reason: str, expires_at: datetime | None) -> None:
    if not reason.strip():
        raise NotAllowed("A switch needs a reason: whoever looks at 2 a.m. must know why.")
    if not pattern.strip() or len(pattern) > 200:
        raise NotAllowed(f"{pattern!r} is not a type pattern; give one such as 'ticket.*'.")
    if pattern == EVERYTHING:
        raise NotAllowed("'everything' is the kill switch, not a type: use --everything.")
    if sending is Sending.DISCARD and expires_at is None:
        raise NotAllowed(
            "A switch to discard needs an expiry (--until): a forgotten one loses mail for ever."
        )


def _load() -> Board:
    clock.compare(database.aside())
    row = _read_control()
    if row is None:
        _ensure_control(database.connection())
        row = _read_control()
    if row is None:
        return NO_LEDGER  # made and gone again: a flush between the two queries
    generation, salt, created_at = row
    # The generation is read before the switches: a flip between the two makes the
    # mark fail and the board be read again, the other way round it would pass.
    return Board(generation, salt, created_at, tuple(_read_rulings()))


def _read_control() -> tuple[int, str, datetime] | None:
    rows = Control.objects.filter(pk=Control.ROW).values_list("generation", "salt", "created_at")
    return next(_read(rows), None)


def _read_rulings() -> Iterator[Ruling]:
    columns = ("pattern", "everything", "sending", "reason", "author", "expires_at")
    for pattern, everything, sending, reason, author, until in _read(
        Switch.objects.values_list(*columns)
    ):
        name = EVERYTHING if everything else pattern
        yield Ruling(Sending(sending), "database", name, reason, author, until)


def _read(rows: QuerySet[Any, Any]) -> Iterator[Any]:
    """Run a query of the ORM over the connection that sees what others committed."""
    return iter(list(_compiled(rows, database.aside())))


def _compiled(rows: QuerySet[Any, Any], beside: BaseDatabaseWrapper) -> Iterable[Any]:
    try:
        return list(rows.query.get_compiler(connection=beside).results_iter())
    except OperationalError:
        if beside is database.connection() or beside.vendor != "sqlite":
            raise
        # The caller's own transaction has locked the file against readers. Then
        # nobody else can have written, and the caller's connection sees all there is.
        return list(rows.query.get_compiler(connection=database.connection()).results_iter())


def _control(connection: BaseDatabaseWrapper) -> QuerySet[Control, Control]:
    return Control.objects.using(connection.alias).filter(pk=Control.ROW)


def _ensure_control(connection: BaseDatabaseWrapper) -> None:
    # Migrations create it; the flush of a TransactionTestCase empties the table.
    Control.objects.using(connection.alias).get_or_create(
        pk=Control.ROW,
        defaults={
            "generation": _random_generation(),
            "salt": secrets.token_hex(32),
            "created_at": clock.now(connection),
        },
    )


def _random_generation() -> int:
    return secrets.randbits(62)


def _expired(ruling: Ruling) -> bool:
    return ruling.expires_at is not None and ruling.expires_at <= clock.now(database.connection())


def _named(pattern: str, type: str, critical: bool) -> bool:
    # Somebody waits for a critical mail: "all" does not mean it, its name does.
    return pattern != EVERYTHING and matches(pattern, type) and not (critical and pattern == "*")


def _from_settings(type: str, settings: Settings) -> Iterator[Ruling]:
    yield Ruling(settings.sending, "settings", EVERYTHING)
    if settings.environment_sending is not None:
        yield Ruling(settings.environment_sending, "environment", EVERYTHING)
    named = settings.for_type(type).sending
    if named is not None:
        yield Ruling(named, "settings", "TYPES")
