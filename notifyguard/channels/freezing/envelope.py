"""Leave recipients off a message and keep its To and Cc true to what is sent."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from email.utils import formataddr, getaddresses, parseaddr
from typing import Any

from django.utils.encoding import punycode

_FIELDS = ("to", "cc", "bcc")
_VISIBLE_HEADERS = frozenset({"to", "cc"})


def narrowed(state: Mapping[str, Any], recipients: Collection[str]) -> dict[str, Any]:
    """Return the attributes of a message that change when it goes to these recipients only.

    Args:
        state: its attributes; ``to``, ``cc``, ``bcc`` and ``extra_headers`` are read.
        recipients: the addresses that stay, with or without a display name. Domains are
            compared without case and in ASCII; the part before the ``@`` as it stands.
    """
    kept = {_address(recipient) for recipient in recipients}
    fields = {name: list(state.get(name) or ()) for name in _FIELDS}
    stays = {
        name: [entry for entry in entries if _address(entry) in kept]
        for name, entries in fields.items()
    }
    gone = {_address(entry) for entries in fields.values() for entry in entries} - kept
    return stays | {"extra_headers": _true_headers(state.get("extra_headers") or {}, gone)}


def _address(entry: Any) -> str:
    local, at, domain = (parseaddr(str(entry))[1] or str(entry)).rpartition("@")
    try:
        return f"{local}{at}{punycode(domain).lower()}"
    except UnicodeError:
        # No such domain can exist; it is still somebody's entry in the list.
        return f"{local}{at}{domain.lower()}"


def _true_headers(headers: Mapping[Any, Any], gone: Collection[str]) -> dict[Any, Any]:
    """Return the headers, those that replace To and Cc without the addresses that are gone."""
    true = {}
    for name, value in headers.items():
        if str(name).lower() in _VISIBLE_HEADERS:
            pairs = getaddresses([str(value)])
            left = [pair for pair in pairs if _address(pair[1]) not in gone]
            if not left:
                continue
            if left != pairs:
                value = ", ".join(formataddr(pair) for pair in left)
        true[name] = value
    return true
