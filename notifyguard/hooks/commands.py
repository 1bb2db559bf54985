"""``migrate`` and ``loaddata`` notify nobody, whoever starts them.

A data migration that saves 5,000 tickets would mail everyone. The commands are
wrapped for their signals (``post_migrate``), the executor for code that uses it
without the command.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from django.core.management.commands.loaddata import Command as LoadData
from django.core.management.commands.migrate import Command as Migrate
from django.db.migrations.executor import MigrationExecutor

from notifyguard import context
from notifyguard.hooks import patching

_SUPPRESSED = (
    (Migrate, "handle", "manage.py migrate"),
    (MigrationExecutor, "migrate", "manage.py migrate"),
    (MigrationExecutor, "apply_migration", "manage.py migrate"),
    (MigrationExecutor, "unapply_migration", "manage.py migrate"),
    (LoadData, "handle", "manage.py loaddata"),
)


def install() -> None:
    """Run each of them inside ``suppressed()``."""
    for owner, name, reason in _SUPPRESSED:
        patching.replace(owner, name, functools.partial(_suppressed, reason))


def _suppressed(reason: str, original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def run(*args: Any, **kwargs: Any) -> Any:
        with context.suppressed("*", reason=reason, automatic=True):
            return original(*args, **kwargs)

    return run
