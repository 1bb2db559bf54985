"""System checks: what would go wrong later, said at start with its fix.

No check opens a connection, save the one tagged ``database``, which Django runs
for ``migrate`` and ``check --database`` only. That one warns and never fails: an
error would keep ``migrate`` from creating the tables it misses.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import django
from django.apps import AppConfig, apps
from django.conf import settings
from django.core import checks, mail
from django.core.mail.backends.smtp import EmailBackend
from django.db import Error as DatabaseFailure
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

from notifyguard import conf, database, inherited
from notifyguard.channels import digest
from notifyguard.conf.problem import did_you_mean

TAG = "notifyguard"
SMTP = "django.core.mail.backends.smtp.EmailBackend"

_PROBLEM_IDS = {
    conf.Kind.INVALID: "notifyguard.E001",
    conf.Kind.UNKNOWN: "notifyguard.E002",
    conf.Kind.NOT_IMPORTABLE: "notifyguard.E003",
    conf.Kind.NO_DATABASE: "notifyguard.E004",
}

AppConfigs = Sequence[AppConfig] | None


def register() -> None:
    """Register the checks; to call it again changes nothing."""
    checks.register(check_settings, TAG)
    checks.register(check_disabled_rules, TAG)
    checks.register(check_digests, TAG)
    checks.register(check_inherited, TAG)
    checks.register(check_mail_timeout, TAG)
    checks.register(check_admins, TAG)
    checks.register(check_ledger_database, TAG)
    checks.register(check_tables, checks.Tags.database)


def check_settings(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """E001-E004: every problem of ``settings.NOTIFYGUARD`` and of the environment."""
    return [
        checks.Error(problem.text, hint=problem.fix, id=_PROBLEM_IDS[problem.kind])
        for problem in conf.problems()
    ]


def check_disabled_rules(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """E005: a setting names a rule that is none, or one that cannot be left out."""
    settings = conf.current()
    known = [*conf.SWITCHABLE, *settings.extra_rules]
    found: list[checks.CheckMessage] = []
    for place, name in _named_rules(settings):
        if name not in known:
            likely = did_you_mean(name, known)
            hint = f'Did you mean "{likely}"?' if likely else f'Take "{name}" out.'
            text = f'{place} names "{name}", no rule that can be left out.'
            found.append(checks.Error(text, hint=hint, id="notifyguard.E005"))
    return found


def _named_rules(settings: conf.Settings) -> Iterator[tuple[str, str]]:
    """Yield each place where a rule is named, and the name."""
    for name in settings.disabled_rules:
        yield 'NOTIFYGUARD["DISABLED_RULES"]', name
    for pattern, options in settings.types.items():
        for name in options.get("rules", {}):
            yield f'NOTIFYGUARD["TYPES"]["{pattern}"]["rules"]', name


def check_digests(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """E006: a type names a digest whose templates are not there, or are none."""
    found: list[checks.CheckMessage] = []
    for pattern, options in conf.current().types.items():
        name = options.get("digest")
        for part, fault in digest.faults(name):
            text = f'NOTIFYGUARD["TYPES"]["{pattern}"]["digest"] is "{name}", but {fault}.'
            hint = f'Write the template "{name}{part}", or take "digest" out.'
            found.append(checks.Error(text, hint=hint, id="notifyguard.E006"))
    return found


def check_inherited(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """W010: this process was started to notify nobody."""
    found = inherited.suppressions()
    if not found:
        return []
    return [
        checks.Warning(
            f"The environment variable {inherited.VARIABLE} is set: this process and those it "
            f"starts notify nobody of {inherited.listed(found)}.",
            hint="Right for a script. Take it out of a server's environment: what is suppressed "
            "is not kept.",
            id="notifyguard.W010",
        )
    ]


def check_mail_timeout(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """W001: an SMTP backend without a timeout."""
    return [
        checks.Warning(
            f"{place} is not set: a mail server that hangs will hang its callers for ever.",
            hint=f"Set {place} = 10 (seconds), well below the lease of "
            f"{conf.current().lease} seconds.",
            id="notifyguard.W001",
        )
        for place in _missing_timeouts()
    ]


def check_admins(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """W008: nobody is there to be told that mail is held."""
    if settings.ADMINS or conf.current().mode == "bypass":
        return []
    text = "ADMINS is empty: nobody is mailed when messages are held."
    plain = django.VERSION >= (6, 0)
    example = '["ops@example.com"]' if plain else '[("Ops", "ops@example.com")]'
    hint = f"Set ADMINS = {example}, or receive notifyguard.signals.held and silence this check."
    return [checks.Warning(text, hint=hint, id="notifyguard.W008")]


def check_ledger_database(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """W002, W003: a ledger's database that commits late or forgets."""
    alias = conf.current().database
    if alias not in settings.DATABASES:  # E004 says so
        return []
    found: list[checks.CheckMessage] = []
    connection = connections[alias]
    if not connection.settings_dict.get("AUTOCOMMIT", True):
        found.append(
            checks.Warning(
                f'DATABASES["{alias}"]["AUTOCOMMIT"] is False: keyed mail waits for the sweeper.',
                hint="Take AUTOCOMMIT out, name a database with autocommit in "
                'NOTIFYGUARD["DATABASE"], or keep "manage.py notifyguard sweep --loop" running.',
                id="notifyguard.W002",
            )
        )
    if _in_memory(connection) and not _testing():
        found.append(
            checks.Warning(
                f'DATABASES["{alias}"] is an in-memory SQLite database: the ledger, and with it '
                "every key taken and every message held, is gone when the process ends.",
                hint='Give it a file in "NAME", or name another database in '
                'NOTIFYGUARD["DATABASE"].',
                id="notifyguard.W003",
            )
        )
    return found


def check_tables(
    app_configs: AppConfigs, databases: Collection[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """W004, W005: tables of the ledger, or columns of them, are missing, or cannot be asked for."""
    alias = conf.current().database
    if alias not in (databases or ()):
        return []
    # Its integrations have tables there too.
    ours = [app for app in apps.get_app_configs() if app.name.partition(".")[0] == TAG]
    try:
        missing = {app: database.missing(connections[alias], app.get_models()) for app in ours}
    except DatabaseFailure as error:
        text = f'The ledger\'s database "{alias}" cannot be asked for its tables: {error}'
        hint = f'Make DATABASES["{alias}"] reachable; then run "{_migrate("notifyguard", alias)}".'
        return [checks.Warning(text, hint=hint, id="notifyguard.W005")]
    return [
        checks.Warning(
            f'Tables of the ledger are missing in "{alias}": {", ".join(sorted(lacking))}.',
            hint=f'Run "{_migrate(app.label, alias)}".',
            id="notifyguard.W004",
        )
        for app, lacking in missing.items()
        if lacking
    ]


def _migrate(app: str, alias: str) -> str:
    return f"manage.py migrate {app} --database {alias}"


def _missing_timeouts() -> Iterator[str]:
    mailers = getattr(settings, "MAILERS", None) if hasattr(mail, "mailers") else None
    if mailers is None:
        if _is_smtp(_django_setting("EMAIL_BACKEND")) and _django_setting("EMAIL_TIMEOUT") is None:
            yield "EMAIL_TIMEOUT"
        return
    for alias, mailer in mailers.items():
        options = mailer.get("OPTIONS") or {}
        if _is_smtp(mailer.get("BACKEND", SMTP)) and options.get("timeout") is None:
            yield f'MAILERS["{alias}"]["OPTIONS"]["timeout"]'


def _is_smtp(path: Any) -> bool:
    try:
        backend = import_string(path)
    except Exception:  # Django itself says so, at the first mail
        return False
    return isinstance(backend, type) and issubclass(backend, EmailBackend)


def _django_setting(name: str) -> Any:
    # Django 6.1 warns whoever reads EMAIL_*; the project's own reading has done so already.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return getattr(settings, name, None)


def _in_memory(connection: BaseDatabaseWrapper) -> bool:
    return bool(getattr(connection, "is_in_memory_db", lambda: False)())


def _testing() -> bool:
    # Not "mail.outbox exists": any locmem backend makes one, in production too.
    # Looked up, not imported: production has no use for Django's test tools.
    test_tools = sys.modules.get("django.test.utils")
    return hasattr(getattr(test_tools, "_TestState", None), "saved_data")
