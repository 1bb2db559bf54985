"""Who does something to switches and messages, and what they may do.

A value, so that what is done asks for the right where it is done, whoever asked for it:
the command line, the admin, a project's own code. Nobody below the edges knows a user.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from notifyguard.exceptions import NotAllowed

MAX_NAME = 150
"""Characters that the record of a deed has room for."""


class Permission(Enum):
    """What somebody may do; the value is the codename of the Django permission."""

    SET_SWITCHES = "set_switches"
    RELEASE_HELD = "release_held"
    DISCARD_HELD = "discard_held"
    READ_BODY = "read_body"
    BLOCK_ADDRESSES = "block_addresses"
    RESOLVE_UNCERTAIN = "resolve_uncertain"
    CANCEL_SPOOLED = "cancel_spooled"

    @property
    def label(self) -> str:
        """The permission as ``user.has_perm`` takes it."""
        # It stands in the app whose table it is about.
        app = "notifyguard_celery" if self is Permission.CANCEL_SPOOLED else "notifyguard"
        return f"{app}.{self.value}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody, by name, with their permissions at this moment.

    The name is text and no reference to a user: it must still be read when the user is gone.

    Attributes:
        name: for the record of what they do.
        permissions: all that they may do.

    Raises:
        NotAllowed: the name is blank.
    """

    name: str
    permissions: frozenset[Permission]

    def __post_init__(self) -> None:
        name = self.name.strip()[:MAX_NAME]
        if not name:
            raise NotAllowed("Say who does this.")
        object.__setattr__(self, "name", name)

    def __str__(self) -> str:
        return self.name

    def may(self, permission: Permission) -> bool:
        """Say whether they may do it, for an edge that shows no button otherwise."""
        return permission in self.permissions

    def must_have(self, permission: Permission) -> None:
        """Refuse what they may not do.

        Raises:
            NotAllowed: the permission is missing; the message names it.
        """
        if not self.may(permission):
            raise NotAllowed(f"{self.name} may not do this without {permission.label}.")


def unrestricted(name: str) -> Actor:
    """Return an actor who may do everything: who runs commands on the server can anyway."""
    return Actor(name, frozenset(Permission))
