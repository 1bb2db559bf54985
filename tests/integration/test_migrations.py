"""Incident A without Celery: a migration notifies nobody, save whom it says it informs."""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import django
import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.core.mail import EmailMessage, mail_admins, send_mail
from django.core.management import call_command
from django.db import OperationalError, connection, migrations, models
from django.db.backends.signals import connection_created
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.optimizer import MigrationOptimizer
from django.db.migrations.writer import MigrationWriter
from django.db.models.signals import post_migrate

import notifyguard
from notifyguard import database, switchboard
from notifyguard.decision import Sending, State
from notifyguard.gate import failures
from notifyguard.models import Claim, Control, FrozenMessage
from notifyguard.operations import Unsuppress
from tests.mailbox import rows, states
from tests.migrating.models import ANNOUNCEMENT, Ticket, assess_all, inform_owners

pytestmark = pytest.mark.django_db(transaction=True)

OWNERS = [f"owner{number}@example.com" for number in range(3)]
# Django 6.0 deprecates the pair that 5.2 asks for.
ADMIN = "admin@example.com" if django.VERSION >= (6, 0) else ("Admin", "admin@example.com")
SAVED = "tests.migrating.models.Ticket.save"


@pytest.fixture
def project(mailbox, settings):
    """A project whose tickets are migrated to 0001: three of them, and nobody was mailed."""
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "tests.migrating"]
    migrate("0001")
    yield mailbox
    call_command("migrate", "notifyguard", verbosity=0)
    migrate("zero")


def migrate(target: str, **options: Any) -> None:
    call_command("migrate", "migrating", target, verbosity=0, **options)


def running(*operations: Any, atomic: bool = True) -> migrations.Migration:
    """A migration made of these operations."""
    migration: Any = migrations.Migration("0004_more", "migrating")
    migration.operations = [
        migrations.RunPython(operation, migrations.RunPython.noop)
        if callable(operation)
        else operation
        for operation in operations
    ]
    migration.atomic = atomic
    return migration


def apply(migration: migrations.Migration) -> Any:
    executor = MigrationExecutor(connection)
    return executor.apply_migration(executor.loader.project_state(), migration)


def assess(*args) -> None:
    assess_all()


def inform(*args) -> None:
    inform_owners()


def breaks(*args) -> None:
    raise RuntimeError("broken")


def informing(*operations: Any) -> Unsuppress:
    return Unsuppress(ANNOUNCEMENT, "tell owners", running(*operations).operations)


def test_a_migration_that_saves_every_ticket_mails_nobody(project):
    migrate("0002")
    assert project.accepted() == []
    assert [row.recipient for row in rows()] == OWNERS
    for row in rows():
        assert (row.state, row.rule, row.reason) == ("discarded", "suppressed", "manage.py migrate")
        assert (row.type, row.origin) == (SAVED, "command")
    assert not FrozenMessage.objects.exists()


def test_taking_it_back_mails_nobody(project):
    migrate("0002")
    migrate("0001")
    assert project.accepted() == []
    assert states() == ["discarded"] * 6


@pytest.mark.parametrize("atomic", [True, False])
def test_the_executor_alone_mails_nobody(project, atomic):
    apply(running(assess, inform, atomic=atomic))
    assert project.accepted() == []
    assert states() == ["discarded"] * 6
    assert not Claim.objects.exists()


def test_loaddata_mails_nobody(project, tmp_path):
    def tell(sender, **kwargs: Any) -> None:
        send_mail("Loaded", "Look at it.", None, ["ann@example.com"])

    fixture = tmp_path / "tickets.json"
    ticket = {"model": "migrating.ticket", "fields": {"owner": "ann@example.com"}}
    fixture.write_text(json.dumps([ticket]))
    models.signals.post_save.connect(tell, sender=Ticket)
    try:
        call_command("loaddata", str(fixture), verbosity=0)
        assert project.accepted() == []
        (row,) = rows()
        assert (row.state, row.reason) == ("discarded", "manage.py loaddata")
        Ticket.objects.create(owner="bob@example.com")
    finally:
        models.signals.post_save.disconnect(tell, sender=Ticket)
    assert project.recipients() == ["ann@example.com", "bob@example.com"]


def test_receivers_of_post_migrate_mail_nobody(project):
    def tell(sender, **kwargs: Any) -> None:
        send_mail("Migrated", "Look at it.", None, ["ann@example.com"])

    post_migrate.connect(tell)
    try:
        migrate("0001")
    finally:
        post_migrate.disconnect(tell)
    assert project.accepted() == []
    assert set(states()) == {"discarded"}


@pytest.mark.parametrize("atomic", [True, False])
def test_the_administrators_are_still_mailed(project, settings, atomic):
    settings.ADMINS = [ADMIN]

    def report(*args) -> None:
        mail_admins("The migration has begun", "Look at it.")

    apply(running(report, assess, atomic=atomic))
    assert project.recipients() == ["admin@example.com"]
    assert states(type="django.admins") == ["sent"]


@pytest.mark.needs("sqlite", "postgresql")  # where a whole migration is one transaction
def test_what_is_suppressed_in_a_migration_that_fails_is_undone_with_it(project):
    with pytest.raises(RuntimeError, match="broken"):
        apply(running(assess, breaks))
    assert rows() == []


def test_the_inform_step_mails_those_it_names_once_and_nobody_else(project):
    migrate("0003")
    assert project.recipients() == OWNERS
    assert project.subjects() == ["Tickets have a complexity"] * 3
    assert states(type=ANNOUNCEMENT) == ["sent"] * 3
    assert states(type=SAVED) == ["discarded"] * 6


def test_an_inform_step_that_is_run_again_tells_nobody_twice(project):
    migrate("0003")
    migrate("0002")
    migrate("0003")
    assert project.recipients() == OWNERS


def test_keyed_mail_waits_for_the_commit_of_the_migration(project):
    seen: list[Any] = []

    def look(*args) -> None:
        seen.extend((project.accepted(), states()))

    apply(running(informing(inform, look)))
    assert seen == [[], ["queued"] * 3]
    assert project.recipients() == OWNERS
    assert states() == ["sent"] * 3
    assert not FrozenMessage.objects.exists()


def test_a_migration_that_fails_mails_nobody(project):
    with pytest.raises(RuntimeError, match="broken"):
        apply(running(informing(inform, breaks)))
    assert project.accepted() == []
    assert rows() == []
    assert not Claim.objects.exists()
    apply(running(informing(inform)))
    assert project.recipients() == OWNERS


def test_without_a_transaction_each_mail_leaves_at_once_and_a_second_run_tells_the_rest(project):
    def inform_first(*args) -> None:
        with notifyguard.notification(ANNOUNCEMENT, key=f"complexity:{first.pk}"):
            send_mail("Tickets have a complexity", "Look at yours.", None, [first.owner])
        raise RuntimeError("broken")

    first = Ticket.objects.order_by("pk")[0]
    with pytest.raises(RuntimeError, match="broken"):
        apply(running(informing(inform_first), atomic=False))
    assert project.recipients() == OWNERS[:1]
    apply(running(informing(inform), atomic=False))
    assert project.recipients() == OWNERS


def test_an_operation_that_wants_a_transaction_has_one_in_a_migration_without(project):
    seen: list[bool] = []

    def look(*args) -> None:
        seen.append(connection.in_atomic_block)

    wants = migrations.RunPython(look, atomic=True)
    apply(running(Unsuppress("*", "a test", [wants]), informing(look), atomic=False))
    assert seen == [True, False]


def test_the_inform_step_obeys_the_switches(project, settings):
    settings.NOTIFYGUARD |= {"TYPES": {"ticket.*": {"sending": Sending.HOLD}}}
    migrate("0003")
    assert project.accepted() == []
    assert states(type=ANNOUNCEMENT) == ["held"] * 3


def test_the_inform_step_can_also_be_said_inside_the_code(project):
    def inform_inside(*args) -> None:
        with notifyguard.unsuppressed("ticket.*", reason="tell owners"):
            inform_owners()

    apply(running(inform_inside, inform))
    assert project.recipients() == OWNERS


def test_schema_operations_inside_change_state_and_database(project):
    field: Any = models.IntegerField(null=True)
    add = migrations.AddField("ticket", "priority", field)

    def read(apps, schema_editor) -> None:
        apps.get_model("migrating", "Ticket").objects.filter(priority=None).get(owner=OWNERS[0])

    executor = MigrationExecutor(connection)
    before = executor.loader.project_state()
    migration = running(informing(add, read, inform))
    after = executor.apply_migration(before.clone(), migration)
    assert "priority" in after.models["migrating", "ticket"].fields
    assert project.recipients() == OWNERS
    executor.unapply_migration(before, migration)
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, Ticket._meta.db_table)
    assert "priority" not in {column.name for column in columns}


def test_it_can_be_taken_back_if_what_is_inside_can(project):
    state = MigrationExecutor(connection).loader.project_state()
    one_way = informing(migrations.RunPython(inform))
    assert not one_way.reversible
    with pytest.raises(IrreversibleError):
        MigrationExecutor(connection).unapply_migration(state, running(one_way))
    back = Unsuppress(ANNOUNCEMENT, "tell owners", [migrations.RunPython(breaks, inform)])
    assert back.reversible
    MigrationExecutor(connection).unapply_migration(state, running(back))
    assert project.recipients() == OWNERS


@pytest.mark.parametrize("backwards", [False, True])
def test_sqlmigrate_shows_it_and_runs_nothing(project, backwards):
    out = io.StringIO()
    call_command("sqlmigrate", "migrating", "0003", stdout=out, backwards=backwards)
    assert "-- Unsuppress ticket.announcement (owners should know of the new field)" in (
        out.getvalue()
    )
    assert "THIS OPERATION CANNOT BE WRITTEN AS SQL" in out.getvalue()
    assert rows() == []


def test_sqlmigrate_shows_the_sql_inside_and_runs_no_code(project):
    field: Any = models.IntegerField(null=True)
    add = migrations.AddField("ticket", "priority", field)
    migration = running(informing(breaks, add))
    state = MigrationExecutor(connection).loader.project_state()
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        migration.apply(state, editor, collect_sql=True)
    sql = "\n".join(editor.collected_sql)
    assert "-- Raw Python operation: CANNOT BE WRITTEN AS SQL" in sql
    assert "priority" in sql


def test_the_plan_names_whom_it_informs(project):
    out = io.StringIO()
    call_command("migrate", "migrating", "0003", plan=True, stdout=out)
    assert "Unsuppress ticket.announcement (owners should know" in out.getvalue()


def test_the_writer_writes_all_of_it(project):
    code: Any = inform_owners
    inside = migrations.RunPython(code, atomic=False)
    migration = running(Unsuppress(ANNOUNCEMENT, reason="tell owners", operations=[inside]))
    written: dict[str, Any] = {}
    exec(MigrationWriter(migration).as_string(), written)
    (again,) = written["Migration"].operations
    assert (again.pattern, again.reason) == (ANNOUNCEMENT, "tell owners")
    ((name, _, arguments),) = [operation.deconstruct() for operation in again.operations]
    assert (name, arguments) == ("RunPython", {"code": inform_owners, "atomic": False})


def test_squashing_keeps_it_or_leaves_it_out_as_what_is_inside_says(project):
    keep, elide = informing(inform), informing(migrations.RunPython(inform, elidable=True))
    create = migrations.CreateModel("One", [("id", models.AutoField(primary_key=True))])
    add = migrations.AddField("one", "name", models.TextField())
    optimized = MigrationOptimizer().optimize([create, elide, add, keep], "migrating")
    assert [type(operation) for operation in optimized] == [migrations.CreateModel, Unsuppress]
    assert optimized[1] is keep


def test_makemigrations_sees_nothing_to_do(project):
    call_command("makemigrations", "migrating", check=True, dry_run=True, verbosity=0)


@pytest.mark.parametrize(("pattern", "reason"), [("", "why"), ("ticket.*", " "), ("ticket.?", "x")])
def test_a_bad_pattern_or_reason_is_told_when_the_migration_is_loaded(pattern, reason):
    with pytest.raises(ValueError, match=r"reason|pattern|wildcard"):
        Unsuppress(pattern, reason, [])


def test_a_migration_does_not_connect_anew_for_every_mail(project):
    opened: list[Any] = []

    def connected(connection, **kwargs: Any) -> None:
        opened.append(connection)

    connection_created.connect(connected)
    try:
        apply(running(assess, assess))
    finally:
        connection_created.disconnect(connected)
    assert len(rows()) == 6
    assert len(opened) <= 1


def read_tickets(connection) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM migrating_ticket")


@pytest.mark.needs("sqlite")
def test_a_migration_too_large_for_the_cache_does_not_wait_for_itself(project):
    def spill(*args) -> None:
        database.beside(lambda beside: beside.ensure_connection())
        Group.objects.bulk_create(Group(name=f"{n:0150}") for n in range(500))
        with pytest.raises(OperationalError, match="locked"):
            database.beside(read_tickets)

    before = time.monotonic()
    with small_cache():
        apply(running(spill, informing(inform)))
    # The database's timeout is 20 seconds, and each mail would take that long.
    assert time.monotonic() - before < 20
    assert project.recipients() == OWNERS


@contextmanager
def small_cache() -> Iterator[None]:
    """SQLite writes to the file before the commit, and so locks out its readers."""
    with connection.cursor() as cursor:
        (size,) = cursor.execute("PRAGMA cache_size").fetchone()
        cursor.execute("PRAGMA cache_size = 1")
        yield
        cursor.execute(f"PRAGMA cache_size = {size}")


@pytest.fixture
def without_tables(project):
    """The ledger's tables have never been made, as far as this process knows."""
    call_command("migrate", "notifyguard", "zero", verbosity=0)
    switchboard.forget()
    failures._said.clear()
    yield project
    failures._said.clear()
    switchboard.forget()


def test_nothing_is_left_of_an_app_that_is_taken_out(without_tables):
    ours = {model._meta.db_table for model in apps.get_app_config("notifyguard").get_models()}
    assert ours.isdisjoint(connection.introspection.table_names())


@pytest.mark.parametrize("atomic", [True, False])
def test_before_the_ledger_has_tables_a_migration_mails_nobody(without_tables, caplog, atomic):
    with caplog.at_level(logging.INFO, "notifyguard"):
        apply(running(assess, atomic=atomic))
    assert without_tables.accepted() == []
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    assert "manage.py migrate notifyguard" in caplog.text
    assert list(Ticket.objects.values_list("complexity", flat=True)) == [1, 1, 1]


def test_before_the_ledger_has_tables_what_cannot_be_held_is_not_sent_and_said(
    without_tables, settings, caplog
):
    settings.NOTIFYGUARD |= {"SENDING": "hold"}
    letter = EmailMessage("Hello", "Look at it.", None, ["ann@example.com"])
    assert letter.send() == 0
    assert without_tables.accepted() == []
    (told,) = notifyguard.outcome(letter)
    assert (told.state, told.rule) == (State.FAILED, "switch")
    assert "not sent and not kept" in caplog.text


def test_the_migration_that_makes_the_tables_makes_the_ledger_work(without_tables):
    migrate("0003")
    assert Control.objects.exists()
    assert without_tables.recipients() == OWNERS
