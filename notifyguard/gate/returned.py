"""What the caller gets back from one call for several messages."""

from __future__ import annotations

from typing import Any


def combined(returned: list[Any]) -> Any:
    """Return what one call for all messages would have returned.

    Backends return a count, a list (celery_email) or nothing at all.
    """
    if all(value is None for value in returned):
        return None
    lists = [value for value in returned if isinstance(value, list)]
    if lists:
        return [item for value in lists for item in value]
    return sum(value for value in returned if isinstance(value, int))
