"""More than one database: reads routed to a replica, and a ledger in a database of its own."""

from __future__ import annotations

import pytest
from django.db import connection

from tests.mailbox import rows, states
from tests.services import chosen_database

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def another_database(mailbox, tmp_path):
    """The name of an empty database beside the test's."""
    if chosen_database() == "sqlite":
        yield str(tmp_path / "another.sqlite3")
        return
    name = f"{connection.settings_dict['NAME']}_another"
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    yield name
    with connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")


REPLICA = """
class Router:
    def db_for_read(self, model, **hints):
        return "replica" if model._meta.app_label.startswith("notifyguard") else "default"
    def db_for_write(self, model, **hints):
        return "default"
default = settings.DATABASES["default"]
settings.DATABASES["replica"] = {{**default, "NAME": {name!r}}}
settings.DATABASE_ROUTERS = [Router()]
"""
EVERYTHING = """
from django.core.management import call_command
from django.db import transaction
from notifyguard import sweeper
from tests.operators import night_in_the_admin

def operate(*words):
    call_command("notifyguard", *words, stdout=open(os.devnull, "w"))

print(send("ann", key="1", subject="A"), send("ann", key="1", subject="A"), send("plain"))
with transaction.atomic(using=alias):
    print(send("deferred", key="2"), send("inside"))
print(batch(*[letter(f"p{n}@example.com", key=f"p{n}") for n in range(5)]))
operate("hold", "ticket.*", "--reason", "stop")
print(send("held", key="4"))
operate("resume", "ticket.*", "--reason", "go on")
operate("release", "--reason", "go on", "--yes")
sweeper.sweep()
operate("uncertain"), operate("status"), operate("prune"), operate("types"), operate("held")
print(*night_in_the_admin(lambda: send("looked", key="6", subject="B")))
sweeper.sweep()
print("done")
"""
SAID = ["1", "0", "1", "1", "1", "5", "0", "0", "0", "done"]
PEOPLE = ["ann", "deferred", "held", "inside", "looked", "p0", "p1", "p2", "p3", "p4", "plain"]


def test_a_router_that_reads_from_a_replica_is_passed_by(mailbox, elsewhere, another_database):
    """The replica is so far behind that it has no tables yet; users are read elsewhere."""
    body = "alias = 'default'\n" + EVERYTHING
    said, _ = elsewhere(body, BEFORE=REPLICA.format(name=another_database))
    assert said == SAID
    assert mailbox.recipients() == [f"{person}@example.com" for person in PEOPLE]
    assert set(states()) == {"sent"}


LEDGER = """
class Router:
    def allow_migrate(self, db, app_label, **hints):
        return (db == "ledger") == app_label.startswith("notifyguard")
default = settings.DATABASES["default"]
settings.DATABASES["ledger"] = {{**default, "NAME": {name!r}}}
settings.DATABASE_ROUTERS = [Router()]
"""
ON_LEDGER = """
from django.core.management import call_command
from django.apps import apps
for app in ("notifyguard", "notifyguard_celery"):
    if app in apps.app_configs:
        call_command("migrate", app, database="ledger", verbosity=0)
settings.NOTIFYGUARD = {"DATABASE": "ledger"}
alias = "ledger"
from django.db import connections
"""
WHOSE_TRANSACTION = """
from django.contrib.auth.models import User
from django.db import transaction
from notifyguard.models import Delivery
def seen():
    return ",".join(Delivery.objects.using("ledger").order_by("id").values_list("state", flat=True))
with transaction.atomic():
    User.objects.create(username="ann")
    print(send("default", key="1"), seen())
    transaction.set_rollback(True)
with transaction.atomic(using="ledger"):
    print(send("ledger", key="2"), seen())
print(seen())
with transaction.atomic(using="ledger"):
    send("undone", key="3")
    transaction.set_rollback(True, using="ledger")
print(seen())
"""


@pytest.fixture
def ledger_elsewhere(elsewhere, another_database):
    """Run code in a process whose ledger is in another database."""

    def run(body):
        ending = "\nconnections.close_all()\n"
        return elsewhere(ON_LEDGER + body + ending, BEFORE=LEDGER.format(name=another_database))[0]

    return run


def test_a_ledger_in_a_database_of_its_own_does_everything(mailbox, ledger_elsewhere):
    assert ledger_elsewhere(EVERYTHING) == SAID
    assert mailbox.recipients() == [f"{person}@example.com" for person in PEOPLE]
    assert rows() == []  # none of it in the project's own database


def test_the_callers_transaction_is_the_one_on_the_ledgers_database(mailbox, ledger_elsewhere):
    said = ledger_elsewhere(WHOSE_TRANSACTION)
    assert said == ["1", "sent", "1", "sent,queued", "sent,sent", "sent,sent"]
    assert mailbox.recipients() == ["default@example.com", "ledger@example.com"]


SPOOLED = """
import celery
from django.db import transaction
from notifyguard.contrib.celery import spool, spooled
from notifyguard.contrib.celery.models import SpooledTask
settings.NOTIFYGUARD["CELERY"] = {"spool": True}
app = celery.Celery("shop", broker="redis://127.0.0.1:1/0")
app.conf.task_ignore_result = True

def far():
    return app.send_task("shop.task", countdown=10**6).id

def waiting():
    return SpooledTask.objects.using("ledger").count()

first = far()
with transaction.atomic():  # not the ledger's: it is no part of it
    far()
    transaction.set_rollback(True)
print(waiting())
with transaction.atomic(using="ledger"):
    far()
    print(waiting())
    transaction.set_rollback(True, using="ledger")
print(waiting(), spool.remove([first]), waiting(), len(spooled.listed()))
"""


@pytest.mark.needs("celery")
def test_far_tasks_wait_in_the_ledgers_database(ledger_elsewhere):
    assert ledger_elsewhere(SPOOLED) == ["2", "3", "2", "1", "1", "1"]
