"""What an older release wrote means the same after ``migrate``."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from notifyguard import checks, clock, sweeper
from notifyguard.exceptions import LedgerUnavailable
from notifyguard.ledger.entry import new_id
from notifyguard.models import Delivery
from tests.mailbox import letter, states
from tests.operators import deed, release

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
MIGRATE = 'Run "manage.py migrate notifyguard --database default".'


@pytest.fixture
def older_release():
    """Go back to the tables of an older release: ``older_release("0002_heartbeat")``."""

    def go_back(migration):
        call_command("migrate", "notifyguard", migration, verbosity=0)
        state = MigrationExecutor(connection).loader.project_state(("notifyguard", migration))
        return state.apps.get_model("notifyguard", "Delivery")

    yield go_back
    call_command("migrate", "notifyguard", verbosity=0)


def test_what_an_older_release_scheduled_is_scheduled(older_release):
    old = older_release("0002_heartbeat")
    now = timezone.now()

    def row(**more):
        fields = {"type": "a", "recipient": "ann@example.com", "instance": "x", "state": "queued"}
        times = {"created_at": now, "changed_at": now, "due_at": now + HOUR, "wake_at": now + HOUR}
        return old.objects.create(id=new_id(), dispatch=new_id(), **fields | times | more).pk

    scheduled = {row(), row(state="held", rule="switch", wake_at=clock.never())}
    row(due_at=None, wake_at=now)
    row(due_at=now - HOUR)  # by a task that was late
    row(rule="released")  # it was stale
    row(state="sent", wake_at=None)
    call_command("migrate", "notifyguard", verbosity=0)
    assert set(Delivery.objects.filter(scheduled=True).values_list("pk", flat=True)) == scheduled


def test_what_an_older_release_held_is_released(older_release, mailbox):
    deed("hold", "*")
    letter("ann@example.com", key="1").send()
    deed("resume", "*")
    older_release("0002_heartbeat")
    call_command("migrate", "notifyguard", verbosity=0)
    release()
    sweeper.sweep()
    assert states() == ["sent"]


def test_what_is_sent_before_migrate_is_refused_and_the_column_named(older_release, mailbox):
    letter("ann@example.com", key="1").send()
    older_release("0002_heartbeat")
    with pytest.raises(LedgerUnavailable, match="check --database default --tag database"):
        letter("ann@example.com", key="1").send()
    (told,) = checks.check_tables(None, databases=["default"])
    assert (told.id, told.hint) == ("notifyguard.W004", MIGRATE)
    assert ': notifyguard_delivery.scheduled."' in f'{told.msg}"'
    assert len(mailbox.accepted()) == 1
    call_command("migrate", "notifyguard", verbosity=0)
    assert letter("ann@example.com", key="2").send() == 1


def test_a_new_database_that_is_half_made_is_none_yet(older_release, mailbox):
    """A project's own migrations run between ours, and some inform somebody."""
    older_release("0002_heartbeat")
    assert letter("ann@example.com", key="1").send() == 1
    call_command("migrate", "notifyguard", verbosity=0)
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == []
