"""Finding deliveries by what has an index, whatever the size of the ledger."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q

from notifyguard import database
from notifyguard.ledger import types_found
from notifyguard.models import Claim

_BEHIND_ALL = "\U0010ffff"


def matching(term: str) -> Q:
    """Return the condition that finds what somebody looks for.

    One kind of thing at a time, so that one index finds it: an id of a delivery,
    a dispatch or a key; a type or its beginning; else an address or its beginning.

    Args:
        term: what was typed.
    """
    term = term.strip()
    try:
        return _of_id(UUID(term))
    except ValueError:
        pass
    types = [name for name in types_found.names() if name.startswith(term)]
    if types and "@" not in term:
        return Q(type__in=types)
    return _of_recipient(term.lower())


def _of_id(wanted: UUID) -> Q:
    claims = Claim.objects.using(database.alias()).filter(key=wanted)
    holders = claims.values_list("delivery", flat=True)
    return Q(id__in=[wanted, *holders]) | Q(dispatch=wanted)


def _of_recipient(beginning: str) -> Q:
    if database.connection().vendor == "postgresql":
        return Q(recipient__startswith=beginning)
    # LIKE as Django writes it elsewhere uses no index.
    return Q(recipient__gte=beginning, recipient__lt=beginning + _BEHIND_ALL)
