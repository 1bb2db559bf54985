"""The spool on every database: who keeps, who takes, what a crash and a rollback leave."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import datetime, timedelta

import celery
import pytest
from celery.result import GroupResult
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction
from kombu.exceptions import EncodeError

from notifyguard import checks, sweeper
from notifyguard.contrib.celery import due, spool
from notifyguard.contrib.celery import tasks as upkeep
from notifyguard.contrib.celery.models import SpooledTask
from tests.celery.messages import take_all
from tests.celery.spooling import FAR, SPOOLING, Publisher, make_due, publish
from tests.celery.tasks import mail, nothing
from tests.mailbox import closed_port, doorbell
from tests.operators import deed, events
from tests.refusals import gone, refusing

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.needs("redis-server"),
]

TABLE = "notifyguard_celery_spooledtask"


@pytest.fixture
def spooling(full, app, broker):
    """A project that spools all its far tasks; its queue is empty before and after."""
    full.NOTIFYGUARD = SPOOLING
    spool_module_said_nothing()
    yield app
    take_all(app, broker.queue)


def spool_module_said_nothing():
    """Forget what this process has said already: each test may say it."""
    from notifyguard.contrib.celery import far, spooling

    due._said.clear()
    far._reported.clear()
    spooling._failing = False


@pytest.fixture
def arrived(spooling, broker):
    """The ids that lie in the queue now, in their order; they are taken out."""
    return lambda: [message.id for message in take_all(spooling, broker.queue)]


@pytest.fixture
def publisher(worker_environment, broker):
    """Start a process that publishes."""
    started = []

    def start(**more):
        started.append(Publisher(worker_environment, json.dumps(broker.configuration()), **more))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        each.close()


def enqueue(count=1):
    return [nothing.apply_async([n], **FAR).id for n in range(count)]


def idle():
    """A task of an app of a test's own."""


# Keeping


def test_a_far_task_waits_in_the_database_and_not_in_the_broker(arrived):
    (given,) = enqueue()
    assert arrived() == []
    (row,) = SpooledTask.objects.all()
    assert (row.task_id, row.name, row.app) == (given, nothing.name, "tests")
    assert row.call_site == "tests.celery.test_spool.enqueue"
    assert due.publish_due() == 0
    assert publish() == 1
    assert arrived() == [given]
    assert publish() == 0


def test_who_rolls_back_has_sent_nothing(arrived):
    with transaction.atomic():
        enqueue()
        assert SpooledTask.objects.count() == 1
        transaction.set_rollback(True)
    assert not SpooledTask.objects.exists()
    with transaction.atomic():
        given = enqueue()
    assert publish() == 1
    assert arrived() == given


def test_in_a_broken_transaction_the_broker_has_it(arrived, caplog):
    with transaction.atomic():
        with pytest.raises(DatabaseError), connection.cursor() as cursor:
            cursor.execute("SELECT * FROM no_such_table")  # what breaks it on PostgreSQL
        transaction.set_rollback(True)  # and what an inner block that failed leaves elsewhere
        given = enqueue()
    assert arrived() == given
    assert not SpooledTask.objects.exists()
    assert "It goes to the broker" in caplog.text


def test_what_the_database_refuses_goes_to_the_broker_and_harms_no_transaction(arrived, caplog):
    with refusing("insert", "NEW.app = 'tests'", table=TABLE, detail="ann@example.com"):
        with transaction.atomic():
            first = enqueue(2)
            SpooledTask.objects.count()  # the transaction still works
        second = enqueue()
    assert arrived() == [*first, *second]
    said = [record for record in caplog.records if "cannot be spooled" in record.message]
    assert [record.levelno for record in said] == [logging.ERROR]  # once
    assert "ann@example.com" not in caplog.text
    third = enqueue()
    assert publish() == 1
    assert arrived() == third
    with gone(TABLE):
        fourth = enqueue()
    assert arrived() == fourth
    assert len([r for r in caplog.records if "cannot be spooled" in r.message]) == 2


def test_what_cannot_be_written_down_goes_to_the_broker(arrived, caplog):
    with pytest.raises(TypeError):  # which refuses it too: it says so to the caller
        nothing.apply_async(headers={"x": object()}, **FAR)
    assert not SpooledTask.objects.exists()
    assert "cannot be spooled (TypeError" in caplog.text


def test_a_body_that_cannot_be_serialized_is_the_callers_error(arrived):
    with pytest.raises(EncodeError):
        nothing.apply_async([object()], **FAR)
    assert not SpooledTask.objects.exists()


def test_a_running_event_loop_is_no_hindrance(arrived):
    async def view():
        return enqueue()

    given = asyncio.run(view())
    assert publish() == 1
    assert arrived() == given


def test_it_needs_no_broker(full):
    full.NOTIFYGUARD = SPOOLING
    app = celery.Celery(
        "nobody", set_as_current=False, broker=f"redis://127.0.0.1:{closed_port()}/0"
    )
    task = app.task(idle, name="nobody.home", ignore_result=True)
    app.conf.task_send_sent_event = True
    try:
        assert task.apply_async(**FAR).id == SpooledTask.objects.get().task_id
    finally:
        app.close()


@pytest.mark.parametrize(
    "more",
    [
        {"NOTIFYGUARD": {"IN_TESTS": "light", "CELERY": {"spool": True}}},
        {"NOTIFYGUARD": {**SPOOLING, "MODE": "bypass"}},
        {"NOTIFYGUARD": {"IN_TESTS": "full"}},
    ],
)
def test_who_did_not_ask_for_it_has_everything_in_the_broker(arrived, full, more):
    full.NOTIFYGUARD = more["NOTIFYGUARD"]
    given = enqueue()
    assert arrived() == given
    assert not SpooledTask.objects.exists()


def test_a_task_has_its_own_word(arrived, monkeypatch, full):
    monkeypatch.setattr(mail, "notifyguard_spool", False, raising=False)
    told = mail.apply_async(["ann@example.com"], **FAR).id
    assert arrived() == [told]
    full.NOTIFYGUARD = {"IN_TESTS": "full"}
    monkeypatch.setattr(mail, "notifyguard_spool", True)
    mail.apply_async(["ann@example.com"], **FAR)
    assert arrived() == []
    assert SpooledTask.objects.count() == 1


def test_what_goes_to_another_broker_is_not_spooled(arrived, spooling, redis):
    elsewhere = f"redis://127.0.0.1:{redis.port}/7"
    with spooling.connection_for_write(elsewhere) as other:
        nothing.apply_async(connection=other, **FAR)
    assert not SpooledTask.objects.exists()
    assert arrived() == []


def test_a_table_that_was_not_migrated_is_told(spooling):
    assert checks.check_tables(None, databases=["default"]) == []
    with gone(TABLE):
        (told,) = checks.check_tables(None, databases=["default"])
    assert told.id == "notifyguard.W004"
    assert TABLE in told.msg
    assert 'Run "manage.py migrate notifyguard_celery --database default".' in str(told.hint)


# Publishing


def test_several_processes_publish_each_once(arrived, publisher):
    given = enqueue(120)
    make_due()
    processes = [publisher(), publisher()]
    for each in processes:
        each.go()
    counts = [each.count() for each in processes]
    assert sum(counts) == 120
    assert all(counts)
    assert sorted(arrived()) == sorted(given)


def test_who_dies_between_publishing_and_deleting_leaves_it_to_the_next(arrived, publisher):
    given = enqueue(45)
    make_due()
    killed = publisher(dies_after=1)
    killed.go()
    killed.dies()
    first = arrived()
    assert len(first) == 40
    assert SpooledTask.objects.count() == 25
    assert due.publish_due() == 0  # until the lease is over
    assert publish() == 25
    second = arrived()
    # Those that were in the broker's hands and not deleted yet, twice; under the same ids.
    assert {*first, *second} == set(given)
    assert set(first) & set(second) == set(first[20:])
    assert publish() == 0


def test_who_comes_back_after_its_lease_harms_nobody(spooling):
    enqueue()
    make_due()
    slow = spool.take("tests", 1)
    make_due()
    quick = spool.take("tests", 1)
    spool.published(slow)
    spool.give_back(slow, due.NOW)
    assert SpooledTask.objects.get().taken_by == quick[0].taken_by
    spool.published(quick)
    assert not SpooledTask.objects.exists()


def test_a_broker_that_is_down_takes_nothing_and_nothing_is_lost(full, caplog, redis):
    full.NOTIFYGUARD = SPOOLING
    app = celery.Celery("down", set_as_current=False, broker=f"redis://127.0.0.1:{closed_port()}/0")
    task = app.task(idle, name="down.task", ignore_result=True)
    try:
        ids = {task.apply_async(**FAR).id for _ in range(3)}
        assert publish() == 0
        assert due.publish_due() == 0
        assert [r.message for r in caplog.records if "takes no spooled task" in r.message][1:] == []
        assert "'down'" in caplog.text
        app.conf.broker_url = app.conf.broker_write_url = redis.url
        assert due.publish_due() == 3  # at once: nothing has to wait for a lease
        assert {message.id for message in take_all(app, "celery")} == ids
    finally:
        app.close()


def test_a_broker_that_hangs_is_waited_for_a_moment_and_nothing_is_lost(full, monkeypatch, caplog):
    full.NOTIFYGUARD = SPOOLING
    moment = {"socket_timeout": 0.1, "socket_connect_timeout": 0.1}
    monkeypatch.setitem(due._TRANSPORT, "redis", moment)
    with doorbell() as silent:
        url = f"redis://127.0.0.1:{silent.port}/0"
        app = celery.Celery("hangs", set_as_current=False, broker=url)
        try:
            app.task(idle, name="hangs.task", ignore_result=True).apply_async(**FAR)
            assert publish() == 0
        finally:
            app.close()
    assert "the broker of app 'hangs' takes no spooled task" in caplog.text
    assert SpooledTask.objects.get().taken_by is None


def test_a_task_that_cannot_be_published_is_put_off_and_stops_no_other(arrived, caplog):
    given = enqueue(4)
    SpooledTask.objects.filter(task_id=given[0]).update(message="{")
    make_due()
    while due.publish_due():
        pass
    while due.publish_due():
        pass
    assert sorted(arrived()) == sorted(given[1:])
    (left,) = SpooledTask.objects.all()
    assert left.task_id == given[0]
    assert "It could not be published: " in left.note
    assert left.publish_at > left.spooled_at
    assert given[0] in caplog.text


def test_it_stops_when_it_is_told_to(arrived, broker):
    enqueue(5)
    make_due()
    assert due.publish_due(lambda: broker.redis.client.llen(broker.queue) < 2) == 2
    assert due.publish_due() == 3


def test_a_task_of_an_app_that_is_not_here_waits_and_is_told_of(spooling, caplog):
    enqueue()
    SpooledTask.objects.update(app="another")
    assert publish() == 0
    assert "another" not in caplog.text  # whoever has it loaded may be on its way
    SpooledTask.objects.update(publish_at="2020-01-01T00:00Z")
    assert due.publish_due() == due.publish_due() == 0
    assert len([r for r in caplog.records if "app 'another'" in r.message]) == 1


def test_a_sweep_publishes_too_and_so_does_the_task(arrived):
    (first,) = enqueue()
    make_due()
    assert sweeper.sweep().chores == {"spooled tasks published": 1}
    assert arrived() == [first]
    (second,) = enqueue()
    make_due()
    assert upkeep.publish_spooled() == 1
    assert arrived() == [second]


def test_before_notifyguard_is_taken_out_all_of_it_goes_to_the_broker(arrived, spooling, broker):
    given = enqueue(3)
    assert "3 tasks published; the broker holds them until they are due." in deed("publish-spooled")
    messages = take_all(spooling, broker.queue)
    assert sorted(message.id for message in messages) == sorted(given)
    assert all(message.headers["eta"] for message in messages)
    assert not SpooledTask.objects.exists()
    assert [(event[0], event[4], event[5]) for event in events()] == [("hurry", 3, "ann")]


def test_what_the_broker_did_not_take_is_said(spooling, monkeypatch):
    (given,) = enqueue()
    SpooledTask.objects.filter(task_id=given).update(message="{")
    monkeypatch.setattr(due, "PUT_OFF", due.NOW)
    with pytest.raises(CommandError, match="Some could not be published"):
        deed("publish-spooled")


@pytest.mark.filterwarnings("ignore:.*received a naive datetime")
def test_a_project_without_time_zones_keeps_its_own_time(arrived, full):
    full.USE_TZ, full.TIME_ZONE = False, "Europe/Berlin"
    (given,) = enqueue()
    row = SpooledTask.objects.get()
    ahead = row.due_at - datetime.now()  # noqa: DTZ005  (naive is the point)
    assert abs(ahead - timedelta(seconds=FAR["countdown"])) < timedelta(minutes=1)
    assert due.publish_due() == 0
    SpooledTask.objects.update(publish_at=datetime.now() - timedelta(seconds=1))  # noqa: DTZ005
    assert due.publish_due() == 1
    assert arrived() == [given]


# Revoking


def test_what_is_revoked_is_gone(arrived, spooling):
    ids = enqueue(6)
    spooling.control.revoke(ids[0])
    spooling.control.revoke(ids[1:3])
    spooling.AsyncResult(ids[3]).revoke()
    GroupResult("g", [spooling.AsyncResult(ids[4])], app=spooling).revoke()
    assert [row.task_id for row in SpooledTask.objects.all()] == [ids[5]]
    spooling.control.broadcast("revoke", arguments={"task_id": ids[5]})  # "celery control revoke"
    assert publish() == 0


def test_ids_are_compared_as_they_are(spooling):
    nothing.apply_async(task_id="a", **FAR)
    spooling.control.revoke("A")
    assert spool.remove(["á", "a "]) == 0
    assert SpooledTask.objects.count() == 1


def test_a_rollback_takes_the_revoking_back(spooling):
    (given,) = enqueue()
    with transaction.atomic():
        spooling.control.revoke(given)
        assert not SpooledTask.objects.exists()
        transaction.set_rollback(True)
    assert SpooledTask.objects.count() == 1


def test_what_is_revoked_by_its_stamps_is_gone(spooling):
    for team in ("billing", "support"):
        signature = nothing.s()
        signature.stamp(team=team)
        signature.apply_async(**FAR)
    enqueue()
    spooling.control.revoke_by_stamped_headers({"team": ["billing", "sales"]})
    assert SpooledTask.objects.count() == 2
    spooling.control.revoke_by_stamped_headers({"team": "support"})
    assert SpooledTask.objects.count() == 1


def test_workers_are_told_when_the_spool_cannot_be_asked(spooling, caplog, broker):
    with broker.redis.client.pubsub() as listener, gone(TABLE):
        listener.psubscribe("*.pidbox")
        listener.get_message(timeout=5)
        spooling.control.revoke("some-id")
        assert listener.get_message(timeout=5)["type"] == "pmessage"
    assert "Revoke them again" in caplog.text
