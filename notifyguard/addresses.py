"""Addresses and texts in the one form in which the ledger keeps and compares them."""

from __future__ import annotations

from email.utils import parseaddr
from functools import lru_cache


@lru_cache(maxsize=4096)
def normalised(address: str) -> str:
    """Return an address as the ledger compares it: bare, lower-case, its domain as IDNA.

    The local part is case-sensitive by RFC 5321 (2.4), but no provider of weight
    makes use of it, while ``Ann@`` and ``ann@`` being mailed twice is common.
    """
    bare = parseaddr(address)[1] or address.strip()
    local, at, domain = bare.rpartition("@")
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        pass  # not a domain; the mail server will say so
    return storable(f"{local}{at}{domain}".lower(), 320)


def storable(text: object, limit: int) -> str:
    """Return text as any database stores it: cut, and without control characters.

    PostgreSQL refuses NUL, and no encoding knows lone surrogates; real mail holds both.
    """
    try:
        said = str(text)
    except Exception as error:  # a lazy string may run any code
        said = f"<{type(error).__name__}>"
    cut = said[:limit]
    if cut.isprintable():
        return cut
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in cut)
