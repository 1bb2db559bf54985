"""System checks: what is found, that the hint names the fix, that no connection is opened."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.apps import apps
from django.conf import settings as django_settings
from django.core.checks import CheckMessage
from django.core.checks.registry import registry
from django.core.mail import EmailMessage
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection, connections
from django.test import override_settings
from django.test.utils import _TestState

from notifyguard import checks

SMTP = "django.core.mail.backends.smtp.EmailBackend"
LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
has_mailers = django.VERSION >= (6, 1)


class NotAMessage:
    pass


class Message(EmailMessage):
    pass


def ids(messages: list[CheckMessage]) -> list[str]:
    return [str(message.id).removeprefix("notifyguard.") for message in messages]


def hint(messages: list[CheckMessage]) -> str:
    (message,) = messages
    assert message.hint
    return message.hint


# Registration


def test_registered_twice_they_run_once(monkeypatch):
    monkeypatch.setattr(registry, "registered_checks", registry.registered_checks.copy())
    checks.register()
    once = registry.registered_checks.copy()
    checks.register()
    assert registry.registered_checks == once
    assert checks.TAG in registry.tags_available()


def test_manage_py_check_names_setting_and_fix(monkeypatch):
    monkeypatch.setattr(registry, "registered_checks", registry.registered_checks.copy())
    checks.register()
    with (
        override_settings(NOTIFYGUARD={"LEASE": -1}),
        pytest.raises(SystemCheckError, match=r'"LEASE"\] is -1(?s:.*)HINT: Write whole seconds'),
    ):
        call_command("check", tags=[checks.TAG])


# Settings


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({}, []),
        ({"SENDING": "hlod"}, ["E001"]),
        ({"SENDNG": "hold"}, ["E002"]),
        ({"EXTRA_RULES": ["no.such.rule"]}, ["E003"]),
        ({"EXTRA_RULES": [f"{__name__}.SMTP"]}, ["E003"]),
        ({"FROZEN_CLASSES": [f"{__name__}.NotAMessage"]}, ["E003"]),
        ({"FROZEN_CLASSES": [f"{__name__}.Message"]}, []),
        ({"NAMESPACE": f"{__name__}.SMTP"}, ["E003"]),
        ({"NAMESPACE": "no.such.tenant"}, ["E003"]),
        ({"NAMESPACE": f"{__name__}.NotAMessage"}, []),
        ({"DATABASE": "elsewhere"}, ["E004"]),
        ({"LEASE": 0, "MODE": "of", "X": 1, "DATABASE": "y"}, ["E001", "E001", "E002", "E004"]),
        ("on", ["E001"]),
    ],
)
def test_every_problem_of_the_settings_is_an_error_with_a_hint(written: Any, expected: list[str]):
    with override_settings(NOTIFYGUARD=written):
        found = checks.check_settings(None)
    assert ids(found) == expected
    assert all(message.hint and message.is_serious() for message in found)


def test_the_environment_is_checked_too(monkeypatch):
    monkeypatch.setenv("NOTIFYGUARD_SENDING", "hlod")
    assert 'Did you mean "hold"?' in hint(checks.check_settings(None))


@override_settings(NOTIFYGUARD={"DATABASE": "elsewhere"})
def test_an_unknown_database_names_those_that_are_known():
    assert "Write one of default." in hint(checks.check_settings(None))


@pytest.mark.parametrize(
    ("disabled", "expected"),
    [
        ([], None),
        ([f"{__name__}.Message"], None),
        ([f"{__name__}.Mesage"], f'Did you mean "{__name__}.Message"?'),
        (["blnk"], 'Did you mean "blank"?'),
        (["colour"], 'Take "colour" out.'),
        (["switch"], 'Take "switch" out.'),
    ],
)
def test_only_a_rule_that_can_be_left_out_may_be_disabled(disabled, expected):
    written = {"EXTRA_RULES": [f"{__name__}.Message"], "DISABLED_RULES": disabled}
    with override_settings(NOTIFYGUARD=written):
        found = checks.check_disabled_rules(None)
    assert [message.hint for message in found] == ([expected] if expected else [])


def test_a_rule_switched_for_a_type_must_be_one_that_is_asked():
    rules = {"project.rules.office": "hold"}
    with override_settings(NOTIFYGUARD={"TYPES": {"ticket.*": {"rules": rules}}}):
        (found,) = checks.check_disabled_rules(None)
    assert found.msg == (
        'NOTIFYGUARD["TYPES"]["ticket.*"]["rules"] names "project.rules.office", '
        "no rule that can be left out."
    )


# The timeout of the mail server


def mail_settings(backend: str, timeout: float | None) -> dict[str, Any]:
    if not has_mailers:
        return {"EMAIL_BACKEND": backend, "EMAIL_TIMEOUT": timeout}
    options = {"host": "localhost"} | ({"timeout": timeout} if timeout else {})
    return {"MAILERS": {"default": {"BACKEND": backend, "OPTIONS": options}}}


@pytest.mark.parametrize(
    ("backend", "timeout", "expected"),
    [
        (SMTP, None, ["W001"]),
        (SMTP, 10, []),
        (LOCMEM, None, []),
        ("no.such.Backend", None, []),
        (f"{__name__}.has_mailers", None, []),
    ],
)
def test_an_smtp_backend_needs_a_timeout(backend, timeout, expected):
    with override_settings(**mail_settings(backend, timeout)):
        found = checks.check_mail_timeout(None)
    assert ids(found) == expected


def test_the_hint_names_the_setting_to_write():
    with override_settings(**mail_settings(SMTP, None)):
        found = checks.check_mail_timeout(None)
    name = 'MAILERS["default"]["OPTIONS"]["timeout"]' if has_mailers else "EMAIL_TIMEOUT"
    assert hint(found).startswith(f"Set {name} = 10 (seconds)")


@pytest.mark.skipif(not has_mailers, reason="MAILERS came with Django 6.1")
def test_each_mailer_is_looked_at():
    mailers = {
        "default": {"BACKEND": LOCMEM},
        "bulk": {"OPTIONS": {"host": "localhost"}},
        "fast": {"OPTIONS": {"host": "localhost", "timeout": 5}},
    }
    with override_settings(MAILERS=mailers):
        assert 'MAILERS["bulk"]' in hint(checks.check_mail_timeout(None))


@pytest.mark.skipif(not has_mailers, reason="EMAIL_* are deprecated since Django 6.1")
@override_settings()
def test_a_project_that_still_uses_the_old_settings_gets_no_warning_from_us():
    del django_settings.MAILERS
    assert ids(checks.check_mail_timeout(None)) == ["W001"]


# The ledger's database


@pytest.fixture
def ledger_settings(monkeypatch) -> dict[str, Any]:
    """The settings of the ledger's connection, to be changed at will."""
    changed = copy.deepcopy(connection.settings_dict)
    monkeypatch.setattr(connections["default"], "settings_dict", changed)
    return changed


def test_a_database_that_commits_and_keeps_is_fine(ledger_settings):
    assert checks.check_ledger_database(None) == []


def test_without_autocommit_keyed_mail_waits(ledger_settings):
    ledger_settings["AUTOCOMMIT"] = False
    assert "sweep --loop" in hint(checks.check_ledger_database(None))


@pytest.mark.parametrize("name", [":memory:", "file:ledger?mode=memory&cache=shared"])
@pytest.mark.skipif(connection.vendor != "sqlite", reason="in-memory SQLite only")
def test_a_ledger_in_memory_forgets(ledger_settings, monkeypatch, name: str):
    ledger_settings["NAME"] = name
    assert checks.check_ledger_database(None) == []  # as in most test suites
    monkeypatch.delattr(_TestState, "saved_data")
    found = checks.check_ledger_database(None)
    assert ids(found) == ["W003"]
    assert "Give it a file" in hint(found)


@override_settings(NOTIFYGUARD={"DATABASE": "elsewhere"})
def test_an_unknown_alias_is_reported_once():
    assert checks.check_ledger_database(None) == []


# Tables


def tables() -> list[str]:
    models = apps.get_app_config("notifyguard").get_models()
    return sorted({model._meta.db_table for model in models})


@pytest.mark.django_db
def test_after_migrate_no_table_is_missing():
    assert checks.check_tables(None, databases=["default"]) == []


@pytest.mark.django_db(transaction=True)
def test_a_missing_table_is_named_with_the_command_that_makes_it():
    gone = tables()[0]
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {gone} RENAME TO {gone}_away")
    try:
        found = checks.check_tables(None, databases=["default"])
    finally:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {gone}_away RENAME TO {gone}")
    assert ids(found) == ["W004"]
    assert f'"default": {gone}.' in found[0].msg
    assert hint(found) == 'Run "manage.py migrate notifyguard --database default".'


@pytest.mark.parametrize("databases", [None, [], ["other"]])
def test_tables_are_looked_for_only_when_that_database_was_asked_for(databases):
    """The test has no access to the database: a query would fail it."""
    assert checks.check_tables(None, databases=databases) == []


@pytest.fixture
def database_down(tmp_path, monkeypatch, django_db_blocker) -> Iterator[None]:
    down = copy.deepcopy(connection.settings_dict)
    down |= {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path / "no" / "such.db"}
    monkeypatch.setitem(connections.settings, "down", down | {"OPTIONS": {}})
    with django_db_blocker.unblock():
        yield
    del connections["down"]


def test_a_database_that_is_down_is_a_warning(database_down):
    with override_settings(NOTIFYGUARD={"DATABASE": "down"}):
        found = checks.check_tables(None, databases=["down"])
    assert ids(found) == ["W005"]
    assert 'Make DATABASES["down"] reachable' in hint(found)


def test_no_check_opens_a_connection():
    """Here any query fails: pytest-django forbids the database to this test."""
    for check in (checks.check_settings, checks.check_mail_timeout, checks.check_ledger_database):
        check(None)
