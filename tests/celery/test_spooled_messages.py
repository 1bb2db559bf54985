"""What leaves the spool is the very message that would have left at once."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from celery import chain, chord, group, signals
from celery.canvas import StampingVisitor
from kombu import Exchange, Queue
from kombu.entity import binding

import notifyguard
from notifyguard.contrib.celery import due
from notifyguard.contrib.celery.header import HEADER
from notifyguard.contrib.celery.models import SpooledTask
from tests.celery.brokers import RABBITMQ, REDIS
from tests.celery.messages import take_all
from tests.celery.tasks import nothing

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.needs("celery"),
    pytest.mark.parametrize("broker", [REDIS, RABBITMQ], indirect=True),
]

ETA = datetime.now(UTC).replace(microsecond=0) + timedelta(days=4)
ID = "01976f00-0000-7000-8000-000000000000"
FAR = {"eta": ETA, "task_id": ID}


class ByTeam(StampingVisitor):
    def on_signature(self, sig, **headers):
        return {"team": "billing"}


def stamped(**options):
    signature = nothing.s("stamped", **options)
    signature.stamp(visitor=ByTeam())
    return signature.apply_async(**FAR)


def with_signatures():
    chained = chain(nothing.si("second").set(priority=3), nothing.si("third"))
    joined = chord([nothing.si("left"), nothing.si("right")], nothing.si("body"))
    nothing.apply_async(
        ["first"],
        link=[nothing.si("after"), chained],
        link_error=nothing.si("failed"),
        chain=[joined, nothing.si("last")],
        **FAR,
    )


KINDS = {
    "plain": lambda: nothing.apply_async(["a", 1, None, "ü\x00\U0001f600"], {"k": [1.5]}, **FAR),
    "priority": lambda: nothing.apply_async(priority=7, **FAR),
    "signatures": with_signatures,
    "stamps": stamped,
    "headers": lambda: nothing.apply_async(headers={"x-tenant": "ü", "x-n": 1}, **FAR),
    "time limits": lambda: nothing.apply_async(time_limit=60, soft_time_limit=50, **FAR),
    "reply to": lambda: nothing.apply_async(reply_to="somebody", **FAR),
    "yaml": lambda: nothing.apply_async([{"a": [1]}], serializer="yaml", **FAR),
    "pickle": lambda: nothing.apply_async([{1, 2}, ETA], serializer="pickle", **FAR),
    "compressed": lambda: nothing.apply_async(["a" * 999], compression="zlib", **FAR),
    "transient": lambda: nothing.apply_async(delivery_mode=1, **FAR),
    "shadowed": lambda: nothing.apply_async(shadow="other.name", ignore_result=True, **FAR),
    "suppressed": lambda: in_block(notifyguard.suppressed("ticket.*", reason="backfill")),
    "named": lambda: in_block(notifyguard.notification("ticket.modified", key="4711")),
}


def in_block(block):
    with block:
        nothing.apply_async(link=nothing.si("after"), **FAR)


@pytest.fixture
def publishing(full, app, broker):
    """Do it at once, and through the spool; return the two messages."""
    app.conf.accept_content = ["json", "yaml", "pickle"]

    def both(enqueue, queue=broker.queue):
        full.NOTIFYGUARD = {"IN_TESTS": "full"}
        enqueue()
        (direct,) = take_all(app, queue)
        full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": True}}
        enqueue()
        assert take_all(app, queue) == []
        spooled = publish_all(app, queue)
        return direct, spooled

    return both


def publish_all(app, queue):
    """Have the one task that waits be due, and publish it as if it were anywhere."""
    SpooledTask.objects.update(publish_at=datetime.now(UTC) - timedelta(seconds=1))
    with notifyguard.suppressed(reason="what runs here says nothing of a task of long ago"):
        assert due.publish_due() == 1
    assert not SpooledTask.objects.exists()
    (message,) = take_all(app, queue)
    return message


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_a_message_is_changed(publishing, kind):
    direct, spooled = map(timeless, publishing(KINDS[kind]))
    assert spooled == direct
    assert spooled.id == ID


def timeless(message):
    """The same, without the moment at which a suppression began to travel."""
    headers = {name: str(value) for name, value in message.headers.items()}
    headers[HEADER] = SINCE.sub("", headers[HEADER])
    return replace(message, body=SINCE.sub("", message.body.decode("latin-1")), headers=headers)


SINCE = re.compile(r'[\\\\]*"since[\\\\]*": [0-9.]+')


def test_the_first_message_protocol_is_kept_too(publishing, app):
    app.conf.task_protocol = 1
    del app.amqp.create_task_message
    try:
        direct, spooled = publishing(lambda: nothing.apply_async(["a"], priority=3, **FAR))
    finally:
        app.conf.task_protocol = 2
        del app.amqp.create_task_message
    assert timeless(spooled) == timeless(direct)
    assert spooled.headers.keys() == {HEADER}


def test_what_is_left_of_its_time_counts_from_when_it_is_published(publishing):
    ends = ETA + timedelta(hours=1)
    direct, spooled = publishing(lambda: nothing.apply_async(expires=ends, **FAR))
    assert spooled.headers == direct.headers
    left = int(spooled.properties.pop("expiration")) / 1000
    at_first = int(direct.properties.pop("expiration")) / 1000
    assert at_first - 60 < left < at_first
    assert spooled.properties == direct.properties


def test_what_is_over_when_it_is_published_is_not_kept_for_longer(full, app, broker):
    """As Celery does it: the broker drops it, or the worker says that it is too late."""
    full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": True}}
    nothing.apply_async(expires=0.01, **FAR)
    SpooledTask.objects.update(publish_at=datetime.now(UTC) - timedelta(seconds=1))
    assert due.publish_due() == 1
    found = take_all(app, broker.queue)
    assert len(found) == (1 if broker.name == "redis" else 0)


@pytest.fixture
def another_queue(app, broker):
    """A queue that is bound to an exchange of its own, and known to no app but by this object."""
    exchange = Exchange(f"{broker.queue}-exchange", type="topic")
    queue = Queue(
        f"{broker.queue}-another", exchange, routing_key="ticket.#", max_priority=5, expires=600.0
    )
    yield queue
    with app.connection_for_write() as connection:
        bound = queue(connection.default_channel)
        bound.delete()
        bound.exchange.delete()


def test_a_queue_that_only_the_sender_knows_is_declared_as_it_was(full, app, broker, another_queue):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": True}}
    nothing.apply_async(queue=another_queue, routing_key="ticket.new", **FAR)
    assert another_queue.name not in app.amqp.queues
    message = publish_all(app, another_queue.name)
    assert message.properties["routing_key"] == "ticket.new"
    assert message.properties["exchange"] == another_queue.exchange.name
    with app.connection_for_write() as connection:  # RabbitMQ refuses one that differs
        another_queue(connection.default_channel).declare()


def test_bindings_and_exchanges_are_declared_too(full, app, broker):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": True}}
    exchange = Exchange(f"{broker.queue}-bindings", type="topic", durable=False)
    bindings = [binding(exchange, routing_key="a.#"), binding(exchange, routing_key="b.#")]
    queue = Queue(f"{broker.queue}-bound", bindings, expires=600.0)
    declare = [exchange, queue]
    nothing.apply_async(exchange=exchange, routing_key="b.c", declare=declare, **FAR)
    try:
        assert publish_all(app, queue.name).id == ID
    finally:
        with app.connection_for_write() as connection:
            queue(connection.default_channel).delete()
            exchange(connection.default_channel).delete()


def test_signals_are_sent_where_the_task_is_and_once(full, app, broker):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": True}}
    seen = []

    def trace(headers, body, **_):
        seen.append(("before", body[0]))
        headers["x-trace"] = "of the request"

    def done(headers, **_):
        seen.append(("after", headers["id"]))

    signals.before_task_publish.connect(trace)
    signals.after_task_publish.connect(done)
    try:
        nothing.apply_async(["a"], **FAR)
        message = publish_all(app, broker.queue)
    finally:
        signals.before_task_publish.disconnect(trace)
        signals.after_task_publish.disconnect(done)
    assert message.headers["x-trace"] == "of the request"
    assert seen == [("before", ["a"]), ("after", ID)]


def test_a_group_whose_tasks_are_far_is_whole(full, app, broker):
    full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": True}}
    result = group(nothing.si(n).set(eta=ETA) for n in range(3)).apply_async()
    SpooledTask.objects.update(publish_at=datetime.now(UTC) - timedelta(seconds=1))
    assert due.publish_due() == 3
    messages = take_all(app, broker.queue)
    assert {message.id for message in messages} == {each.id for each in result}
    assert {message.headers["group"] for message in messages} == {result.id}


def test_what_the_broker_says_no_to_stays(full, app, broker):
    """RabbitMQ says so by its confirm alone; without one it would be gone."""
    if broker.name != "rabbitmq":
        pytest.skip("Redis has no queue that refuses")
    full.NOTIFYGUARD = {"IN_TESTS": "full", "CELERY": {"spool": True}}
    limits = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = Queue(f"{broker.queue}-full", queue_arguments=limits, expires=600.0)
    given = [nothing.apply_async(eta=ETA, queue=queue).id for _ in range(2)]
    SpooledTask.objects.update(publish_at=datetime.now(UTC) - timedelta(seconds=1))
    assert due.publish_due() == 1
    assert [message.id for message in take_all(app, queue.name)] == given[:1]
    (left,) = SpooledTask.objects.all()
    assert left.task_id == given[1]
    assert "MessageNacked" in left.note
