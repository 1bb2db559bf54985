"""Types as operators name them: which are meant, and what a slip was likely for."""

from __future__ import annotations

from difflib import get_close_matches

from notifyguard import conf, patterns
from notifyguard.ledger.looks import types_found


def doubt(named: str, *, otherwise: str) -> str:
    """Return what to say when a pattern means no type that is known; ``""`` if it means any.

    Mistyped it stops nothing; a type that is not yet sent is no error.

    Args:
        named: the pattern.
        otherwise: what to say when no type that is known is like it.
    """
    covered = any(patterns.matches(known, named) for known in conf.current().types)
    if patterns.names_nothing(named) or covered or meant(named):
        return ""
    known = _known()
    families = {f"{known_type.rpartition('.')[0]}.*" for known_type in known if "." in known_type}
    likely = get_close_matches(named, families if "*" in named else known, n=1)
    hint = f"Did you mean {likely[0]}?" if likely else otherwise
    return f"No message of the type {named} has been seen yet. {hint}"


def meant(named: str) -> list[str]:
    """Return the known types that a pattern stands for, sorted."""
    return sorted(type for type in _known() if patterns.matches(named, type))


def _known() -> set[str]:
    return {*types_found.names(), *conf.current().types}
