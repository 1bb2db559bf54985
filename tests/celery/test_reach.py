"""How far ahead a broker can hold a task, and what is said of a task that is further."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import celery
import pytest
from celery import chain
from kombu import Connection
from kombu.transport import virtual
from kombu.utils.objects import cached_property

from notifyguard.contrib.celery import far
from notifyguard.contrib.celery.reach import reach_of

pytestmark = pytest.mark.needs("celery")

HOUR, HALF_AN_HOUR = timedelta(hours=1), timedelta(minutes=30)
A_CENTURY = timedelta(days=36_500)


def time_of(connection: Any) -> timedelta | None:
    reach = reach_of(connection)
    return reach.time if reach else None


@pytest.mark.parametrize(
    ("url", "options", "expected"),
    [
        ("redis://nowhere/0", {}, HOUR),
        ("rediss://nowhere/0?ssl_cert_reqs=required", {}, HOUR),
        ("sentinel://nowhere:26379", {"master_name": "m"}, HOUR),
        ("redis://nowhere/0", {"visibility_timeout": 43200}, timedelta(hours=12)),
        ("redis://nowhere/0", {"visibility_timeout": "60"}, timedelta(minutes=1)),
        ("redis://nowhere/0", {"visibility_timeout": float("inf")}, A_CENTURY),
        ("redis://nowhere/0", {"visibility_timeout": 10**15}, A_CENTURY),
        ("redis://nowhere/0", {"visibility_timeout": "1h"}, None),
        ("redis://nowhere/0", {"visibility_timeout": HOUR}, None),
        ("amqp://nowhere//", {}, HALF_AN_HOUR),
        ("pyamqp://nowhere//", {"visibility_timeout": 5}, HALF_AN_HOUR),
        ("amqps://nowhere//", {}, HALF_AN_HOUR),
        ("memory://", {"visibility_timeout": 5}, None),
        ("filesystem://", {}, None),
    ],
)
def test_what_a_broker_can_hold_is_known_without_asking_it(url, options, expected):
    assert time_of(Connection(url, transport_options=options)) == expected


class LikeSQS(virtual.Transport):
    """As kombu's transports of SQS, SLMQ and PGMQ say it; theirs need libraries of their own."""

    driver_type = "sqs"

    class Channel(virtual.Channel):
        default_visibility_timeout = 1800
        visibility_timeout = cached_property(lambda channel: 1800)


def test_sqs_holds_half_an_hour_unless_it_is_told_otherwise():
    assert time_of(Connection(transport=LikeSQS)) == HALF_AN_HOUR
    told = Connection(transport=LikeSQS, transport_options={"visibility_timeout": 7200})
    assert time_of(told) == timedelta(hours=2)
    never = Connection(transport=LikeSQS, transport_options={"visibility_timeout": ""})
    assert time_of(never) == HALF_AN_HOUR


def test_rabbitmqs_timeout_is_a_setting_since_no_client_can_ask(settings):
    connection = Connection("amqp://nowhere//")
    settings.NOTIFYGUARD = {"CELERY": {"consumer_timeout": timedelta(days=2)}}
    assert time_of(connection) == timedelta(days=2)
    settings.NOTIFYGUARD = {"CELERY": {"consumer_timeout": None}}
    assert time_of(connection) is None


# What is said


@pytest.fixture
def said(full, monkeypatch, caplog):
    """What was said of far ETAs; nothing has been said in this process before."""
    monkeypatch.setattr(far, "_reported", set())
    return lambda: [r for r in caplog.records if "further ahead than" in r.message]


@pytest.fixture
def sending(said):
    """An app that publishes nowhere: what it would send is dropped at the last moment."""
    apps = []

    def made(broker="redis://nowhere/0", **options):
        app = celery.Celery("far", broker=broker, set_as_current=False)
        app.conf.update(broker_transport_options=options, task_ignore_result=True)
        app.amqp.send_task_message = lambda *given, **more: None
        apps.append(app)
        return app.task(idle, name="tickets.follow_up")

    yield made
    for app in apps:
        app.close()


def idle():
    """What is sent far."""


def test_a_far_eta_is_told_with_its_place_limit_and_fix(sending, said):
    sending().apply_async(countdown=4 * 24 * 3600)
    (record,) = said()
    assert record.levelno == logging.WARNING
    assert record.message.startswith(
        "notifyguard: tickets.follow_up was sent from "
        "tests.celery.test_reach.test_a_far_eta_is_told_with_its_place_limit_and_fix with an ETA ("
    )
    for expected in (
        "than redis can hold it (1:00:00)",
        "handed out again and again",
        "send_at=…",
        "notifyguard_spool=True",
        'NOTIFYGUARD["CELERY"]["spool"]',
        'broker_transport_options["visibility_timeout"]',
    ):
        assert expected in record.message


def test_it_is_told_once_for_each_task_and_place(sending, said):
    task = sending()
    for _ in range(3):
        task.apply_async(countdown=10**6)
    assert len(said()) == 1
    task.apply_async(eta=datetime.now(UTC) + timedelta(days=9))
    assert len(said()) == 1  # the function is the place, not the line
    far_from_here(task)
    assert len(said()) == 2


def far_from_here(task):
    task.apply_async(countdown=10**6)


def test_rabbitmq_is_told_by_its_own_setting(sending, said):
    sending("amqp://nowhere//").apply_async(countdown=3600)
    (record,) = said()
    assert "than rabbitmq can hold it (0:30:00)" in record.message
    assert "it may never run" in record.message
    assert "consumer_timeout of RabbitMQ" in record.message


@pytest.mark.parametrize(
    ("broker", "options", "given"),
    [
        ("redis://nowhere/0", {}, {}),
        ("redis://nowhere/0", {}, {"countdown": 3000}),
        ("redis://nowhere/0", {"visibility_timeout": 10**6}, {"countdown": 8 * 10**5}),
        ("redis://nowhere/0", {}, {"eta": datetime(2020, 1, 1, tzinfo=UTC)}),
        ("amqp://nowhere//", {}, {"countdown": 1500}),
        ("amqp://nowhere//", {}, {"countdown": 10**6, "exchange": "celery_delayed_27"}),
        ("memory://", {}, {"countdown": 10**6}),
        ("redis://nowhere/0", {"visibility_timeout": "1h"}, {"countdown": 10**6}),
        ("redis://nowhere/0", {}, {"eta": datetime.min}),  # noqa: DTZ901  no zone reaches so far
    ],
)
def test_what_a_broker_can_hold_is_not_spoken_of(sending, said, broker, options, given):
    sending(broker, **options).apply_async(**given)
    assert said() == []


def test_nothing_is_said_in_light_tests_and_under_bypass(sending, said, full):
    task = sending()
    full.NOTIFYGUARD = {}
    task.apply_async(countdown=10**6)
    full.NOTIFYGUARD = {"IN_TESTS": "full", "MODE": "bypass"}
    task.apply_async(countdown=10**6)
    assert said() == []


def test_rabbitmqs_own_delayed_delivery_is_left_alone(said):
    """As Celery itself publishes to quorum queues."""
    app = celery.Celery("far", broker="amqp://nowhere//", set_as_current=False)
    app.conf.update(
        task_default_queue_type="quorum",
        task_default_exchange_type="topic",
        task_ignore_result=True,
    )
    sent = []
    app.amqp.send_task_message = lambda *given, **more: sent.append(more)
    try:
        app.task(idle, name="tickets.follow_up").apply_async(countdown=10**6)
    finally:
        app.close()
    assert sent[0]["exchange"].name.startswith("celery_delayed_")
    assert said() == []


@pytest.mark.parametrize("naive", [True, False])
def test_an_eta_without_a_zone_is_read_as_a_worker_reads_it(sending, said, naive):
    far_off = datetime.now(UTC) + timedelta(hours=2)
    sending().apply_async(eta=far_off.replace(tzinfo=None) if naive else far_off)
    assert len(said()) == 1


def test_what_comes_behind_a_far_task_in_its_chain_is_near(sending, said):
    task = sending()
    chain(task.si(), task.si()).apply_async(countdown=10)
    assert said() == []
