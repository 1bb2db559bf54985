"""Who does what is done in the admin: the user, as the ledger knows people."""

from __future__ import annotations

from django.http import HttpRequest

from notifyguard.actor import Actor, Permission


def actor_of(request: HttpRequest) -> Actor:
    """Return the user of a request, with the permissions they have now."""
    user = request.user
    held = frozenset(each for each in Permission if user.has_perm(each.label))
    return Actor(user.get_username(), held)
