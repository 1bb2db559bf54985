"""What the switches say, as one value: which of them decides for a type, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from notifyguard import clock, database, patterns
from notifyguard.conf import Settings
from notifyguard.decision import Sending
from notifyguard.switchboard.blocks import Blocks

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
        set_at: since when, or ``None`` for what is no switch of the database.
    """

    sending: Sending
    source: str
    pattern: str
    reason: str = ""
    author: str = ""
    expires_at: datetime | None = None
    set_at: datetime | None = None

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
        blocks: the blocked addresses.
    """

    generation: int
    salt: str
    created_at: datetime | None = None
    rulings: tuple[Ruling, ...] = ()
    blocks: Blocks = field(default_factory=Blocks)
    _decided: dict[str, tuple[Settings, Sending | None, Ruling | None]] = field(
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
        environment = settings.environment_sending
        found = self._decided.get(type)
        if found and found[0] is settings and found[1] is environment and not self._expires:
            return found[2]
        if len(self._decided) > _REMEMBERED:
            self._decided.clear()
        ruling = self._weigh(type, settings)
        self._decided[type] = (settings, environment, ruling)
        return ruling

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
            yield max(named, key=lambda ruling: patterns.specificity(ruling.pattern))


EVERYTHING = "everything"
"""The kill switch: all types, critical ones too."""

_REMEMBERED = 10_000
NO_LEDGER = Board(generation=0, salt="")
"""What is decided by when there are no tables: settings and environment alone."""


def _expired(ruling: Ruling) -> bool:
    return ruling.expires_at is not None and ruling.expires_at <= clock.now(database.connection())


def _named(pattern: str, type: str, critical: bool) -> bool:
    # Somebody waits for a critical mail: "all" does not mean it, its name does.
    if pattern == EVERYTHING or not patterns.matches(pattern, type):
        return False
    return not (critical and patterns.names_nothing(pattern))


def _from_settings(type: str, settings: Settings) -> Iterator[Ruling]:
    yield Ruling(settings.sending, "settings", EVERYTHING)
    if settings.environment_sending is not None:
        yield Ruling(settings.environment_sending, "environment", EVERYTHING)
    named = settings.for_type(type).sending
    if named is not None:
        yield Ruling(named, "settings", "TYPES")
