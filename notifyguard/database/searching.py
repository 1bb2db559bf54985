"""What an index finds by the beginning of a text."""

from __future__ import annotations

from django.db.models import Q

from notifyguard.database.standing import connection

_BEHIND_ALL = "\U0010ffff"


def begins(field: str, text: str) -> Q:
    """Return the condition that a column begins with a text, such that its index is used.

    Some databases ignore case and accents; compare what was found once more.

    Args:
        field: with an index that PostgreSQL can search by beginnings (``…_pattern_ops``).
        text: the beginning.
    """
    if connection().vendor == "postgresql":
        return Q(**{f"{field}__startswith": text})
    # LIKE as Django writes it elsewhere uses no index.
    return Q(**{f"{field}__gte": text, f"{field}__lt": text + _BEHIND_ALL})
