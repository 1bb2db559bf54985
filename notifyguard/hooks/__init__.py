"""The seam: the places where Django's mail, transactions and migrations pass notifyguard."""

from __future__ import annotations

from notifyguard.hooks import backends, commands, messages, patching, queues, transactions

__all__ = ["install", "uninstall"]


def install() -> None:
    """Guard every way out of Django; called by the app's ``ready()``.

    ``ready()`` can run more than once in a process: a second call guards nothing twice.
    """
    if not patching.installed():
        for part in (backends, messages, transactions, commands):
            part.install()
    queues.install()


def uninstall() -> None:
    """Leave Django as it was before ``install()``; for tests.

    What somebody has put over one of our wrappers since stays in place, and our
    wrapper inside of it does nothing any more.
    """
    patching.restore()
