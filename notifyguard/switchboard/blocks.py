"""Who is blocked at one generation of the switches, as far as it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Block:
    """A person's word that an address gets nothing.

    Attributes:
        reason: as its author gave it.
        author: who blocked it.
        everything: critical types too.
        expires_at: when it ends by itself, or ``None``.
    """

    reason: str
    author: str
    everything: bool = False
    expires_at: datetime | None = None

    def __str__(self) -> str:
        return f"Blocked by {self.author}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocked addresses at one generation.

    Attributes:
        any: whether there are any; where there are none, nothing is asked.
        known: what was found for the addresses asked for so far, ``None`` for one
            that is not blocked.
    """

    any: bool = False
    known: dict[str, Block | None] = field(default_factory=dict, compare=False)

    def unknown(self, addresses: Sequence[str]) -> list[str]:
        """Return the addresses that were not asked for yet."""
        return [each for each in addresses if each not in self.known]


def id_of(address: str) -> UUID:
    """Return the primary key of an address: its hash.

    Databases compare texts each in its own way, and take "jose" for "josé".
    """
    return UUID(bytes=sha256(address.encode("utf-8", "surrogatepass")).digest()[:16], version=5)
