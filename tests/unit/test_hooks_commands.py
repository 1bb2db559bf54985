"""``migrate`` and ``loaddata`` run suppressed, however they are started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection, migrations
from django.db.migrations.executor import MigrationExecutor
from django.db.models.signals import post_migrate, post_save, pre_migrate

from notifyguard import context, hooks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    hooks.install()
    yield
    assert context.current() == context.Ambient()


class Witness:
    """Writes down what the ambient context says whenever it is called."""

    def __init__(self) -> None:
        self.reasons: list[str | None] = []

    def __call__(self, *args, **kwargs) -> None:
        found = context.suppression_of("ticket.modified")
        assert found is None or found.automatic
        self.reasons.append(found.reason if found else None)


@pytest.fixture
def witness() -> Iterator[Witness]:
    seen = Witness()
    signals = pre_migrate, post_migrate, post_save
    for signal in signals:
        signal.connect(seen)
    yield seen
    for signal in signals:
        signal.disconnect(seen)


def migration_running(forwards, backwards=None) -> migrations.Migration:
    migration: Any = migrations.Migration("0001_inform", "auth")
    migration.operations = [migrations.RunPython(forwards, backwards)]
    return migration


def test_the_receivers_of_the_migrate_command_run_suppressed(witness) -> None:
    call_command("migrate", "auth", verbosity=0)
    assert witness.reasons
    assert set(witness.reasons) == {"manage.py migrate"}


def test_a_migration_applied_and_taken_back_by_the_executor_runs_suppressed() -> None:
    seen = Witness()
    executor = MigrationExecutor(connection)
    migration = migration_running(seen, seen)
    state = executor.loader.project_state()
    state = executor.apply_migration(state, migration)
    executor.unapply_migration(state, migration)
    assert seen.reasons == ["manage.py migrate"] * 2


def test_everything_the_executor_does_is_suppressed() -> None:
    seen: dict[str, str | None] = {}

    def progress(action: str, *args) -> None:
        found = context.suppression_of("ticket.modified")
        seen[action] = found.reason if found else None

    for target in (None, "0001_initial"):
        MigrationExecutor(connection, progress).migrate([("sessions", target)])
    assert {"render_start", "apply_start", "unapply_start"} <= seen.keys()
    assert set(seen.values()) == {"manage.py migrate"}


def test_loaddata_runs_suppressed(witness, tmp_path) -> None:
    fixture = tmp_path / "groups.json"
    fixture.write_text(json.dumps([{"model": "auth.group", "pk": 1, "fields": {"name": "a"}}]))
    call_command("loaddata", str(fixture), verbosity=0)
    assert witness.reasons == ["manage.py loaddata"]
    Group.objects.create(name="b")
    assert witness.reasons == ["manage.py loaddata", None]


def test_an_explicit_inform_step_inside_a_migration_informs() -> None:
    seen = Witness()

    def inform(*args) -> None:
        with context.unsuppressed("ticket.*", reason="tell owners"):
            seen()

    executor = MigrationExecutor(connection)
    executor.apply_migration(executor.loader.project_state(), migration_running(inform))
    assert seen.reasons == [None]


def test_a_migration_that_breaks_leaves_no_suppression_behind() -> None:
    def breaks(*args) -> None:
        raise ValueError("broken")

    executor = MigrationExecutor(connection)
    with pytest.raises(ValueError, match="broken"):
        executor.apply_migration(executor.loader.project_state(), migration_running(breaks))
