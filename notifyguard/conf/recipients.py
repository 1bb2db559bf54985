"""How ``ALLOW_RECIPIENTS`` is read: whole addresses, domains, and globs over addresses."""

from __future__ import annotations

from typing import Any

from notifyguard import patterns
from notifyguard.conf.problem import Place, UnusableError
from notifyguard.conf.readers import several

_WRITE = 'Write an address ("ann@example.com"), a domain ("example.com") or a glob'
_FORBIDDEN = frozenset(" \t,;:<>()[]\"'\\")


def allowed_recipients(value: Any, place: Place) -> tuple[str, ...] | None:
    """Return globs over addresses, or ``None`` where everybody may be written to.

    An empty list is no slip for that: it allows nobody.
    """
    if value is None:
        return None
    if not isinstance(value, (list, tuple)):
        raise UnusableError('Write a list, such as ["example.com"], or None to allow everybody.')
    return several(_entry)(value, place)


def _entry(value: Any, place: Place) -> str:
    fault = patterns.fault(value)
    if fault or set(value) & _FORBIDDEN or value.count("@") > 1:
        raise UnusableError(f'{_WRITE} ("*@example.com").')
    local, at, domain = value.rpartition("@")
    if not domain or (at and not local):
        raise UnusableError(f"One side of the @ is missing. {_WRITE}.")
    return f"{local or '*'}@{_in_ascii(domain)}".lower()


def _in_ascii(domain: str) -> str:
    try:
        return domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise UnusableError(f'"{domain}" is no domain. {_WRITE}.') from None
