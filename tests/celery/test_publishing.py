"""What is written on a message where it is published; the broker is this process's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import celery
import pytest
from celery import chain, chord, group, signals
from celery.app.amqp import AMQP
from django.core.management import BaseCommand, call_command

import notifyguard
from notifyguard.context import Task, running_task, travelling
from notifyguard.contrib.celery import publishing
from notifyguard.contrib.celery.header import HEADER
from tests.celery.tasks import mail, nothing

pytestmark = pytest.mark.needs("celery")

TO = "ann@example.com"
backfill = notifyguard.suppressed("ticket.*", reason="backfill")


@pytest.fixture
def published():
    """The messages that were published, each with its headers and its body as it was sent."""
    app = celery.Celery("memory", broker="memory://", backend="cache+memory://")
    app.set_default()
    messages = []

    @signals.after_task_publish.connect
    def note(headers, body, **_):
        messages.append((headers, json.loads(json.dumps(body))))

    yield messages
    signals.after_task_publish.disconnect(note)
    app.close()


def said(headers):
    return travelling.read(headers.get(HEADER))


def patterns(headers):
    return [each.pattern for each in said(headers).suppressions]


def signatures(part):
    """Every signature inside of a message's body, at whatever depth."""
    if isinstance(part, dict):
        if "task" in part and "options" in part:
            yield part
        for each in part.values():
            yield from signatures(each)
    elif isinstance(part, list):
        for each in part:
            yield from signatures(each)


class Terse(AMQP):
    """Leaves out what is empty, as a project's own class may."""

    def as_task_v2(self, *args, **kwargs):
        message = super().as_task_v2(*args, **kwargs)
        return message._replace(headers={k: v for k, v in message.headers.items() if v})


def test_a_projects_own_kind_of_messages_is_published(published):
    app = celery.Celery("terse", broker="memory://", amqp=Terse, set_as_current=False)
    with backfill:
        app.send_task("anything", [TO])
    app.close()
    ((headers, _),) = published
    assert "eta" not in headers
    assert patterns(headers) == ["ticket.*"]


def test_what_is_said_is_written_and_nothing_else(published):
    mail.delay(TO)
    with backfill:
        mail.delay(TO)
    with notifyguard.notification("ticket.modified", key=4711, max_age=timedelta(hours=2)):
        mail.delay(TO)
    plain, silent, named = (said(headers) for headers, _ in published)
    assert (plain.suppressions, plain.notification, plain.origin) == ((), None, "script")
    assert [each.pattern for each in silent.suppressions] == ["ticket.*"]
    assert named.notification.key == "4711"
    assert named.notification.max_age == timedelta(hours=2)


def test_nothing_is_written_under_bypass(published, settings):
    settings.NOTIFYGUARD = {"MODE": "bypass"}
    with backfill:
        mail.apply_async((TO,), link=mail.si(TO))
    ((headers, body),) = published
    assert HEADER not in headers
    assert HEADER not in json.dumps(body)


def test_a_switch_in_the_settings_does_not_travel(published, settings):
    settings.NOTIFYGUARD = {"SENDING": "hold", "TYPES": {"*": {"sending": "hold"}}}
    mail.delay(TO)
    ((headers, _),) = published
    assert said(headers).suppressions == ()


def test_headers_of_the_caller_stay_and_are_not_written_to(published):
    given = {"tenant": "acme"}
    with backfill:
        mail.apply_async((TO,), headers=given)
    ((headers, _),) = published
    assert headers["tenant"] == "acme"
    assert given == {"tenant": "acme"}


def test_what_was_published_before_keeps_its_header(published):
    with backfill:
        mail.delay(TO)
    carried = {HEADER: published[0][0][HEADER]}
    with notifyguard.unsuppressed("ticket.announced", reason="tell owners"):
        mail.apply_async((TO,), headers=carried)
    assert patterns(published[1][0]) == ["ticket.*", "ticket.announced"]


@pytest.mark.parametrize("protocol", [1, 2])
def test_every_signature_in_a_message_says_it_too(published, protocol):
    celery.current_app.conf.task_protocol = protocol
    callback = mail.si(TO).set(headers={"tenant": "acme"})
    callback.link(mail.si(TO))
    work = [
        nothing.si().on_error(mail.si(TO)),
        group(nothing.si() | mail.si(TO), mail.si(TO)),
        chord([mail.si(TO), mail.si(TO)], mail.si(TO)),
    ]
    with backfill:
        nothing.apply_async(link=[callback, *work], link_error=[mail.si(TO)])
        mail.apply_async((TO,), chord=mail.si(TO))
    found = [one for _, body in published for one in signatures(body)]
    assert len(found) == 15
    for each in found:
        assert patterns(each["options"]["headers"]) == ["ticket.*"], each
        assert said(each["options"]["headers"]).due_at is None
    assert sum(each["options"]["headers"].get("tenant") == "acme" for each in found) == 1


def test_the_rest_of_a_chain_says_it_too(published):
    with backfill:
        chain(nothing.si(), mail.si(TO), group(mail.si(TO), mail.si(TO)), mail.si(TO)).delay()
    ((_, body),) = published
    found = list(signatures(body))
    assert len(found) >= 6  # and more in releases before 5.7
    assert all(patterns(each["options"]["headers"]) == ["ticket.*"] for each in found)


def test_the_projects_own_signatures_are_not_changed(published):
    """A signature that a module keeps would else be silent for ever after."""
    callback, errback = mail.si(TO), nothing.s()
    work = group(callback, callback)
    before = [json.dumps(each) for each in (callback, errback, work)]
    with backfill:
        nothing.apply_async(link=[callback, work], link_error=errback)
        nothing.s().on_error(errback).delay()
    assert [json.dumps(each) for each in (callback, errback, work)] == before
    nothing.apply_async(link=[callback], link_error=errback)
    assert HEADER not in json.dumps(published[-1][1])


def test_arguments_that_look_like_signatures_are_left_alone(published):
    arguments = {"tasks": [{"task": "mine", "options": {}}], "body": {"task": "mine"}}
    with backfill:
        nothing.apply_async(link=nothing.si(**arguments))
    ((_, body),) = published
    assert body[2]["callbacks"][0]["kwargs"] == arguments


def test_a_message_is_due_at_its_eta_or_now(published):
    before = datetime.now(UTC)
    mail.delay(TO)
    mail.apply_async((TO,), countdown=3600)
    now, later = (said(headers).due_at for headers, _ in published)
    assert before <= now <= datetime.now(UTC)
    assert timedelta(hours=1) <= later - before < timedelta(hours=1, minutes=1)


def test_what_a_late_task_enqueues_is_late(published):
    due_at = datetime.now(UTC) - timedelta(hours=12)
    with running_task(Task("import", "1", due_at)):
        mail.delay(TO)
    ((headers, _),) = published
    assert abs(said(headers).due_at - due_at) < timedelta(seconds=10)
    assert said(headers).behind == ("import",)


class Enqueuing(BaseCommand):
    def handle(self, *args, **options):
        mail.delay(TO)


def test_the_origin_is_where_the_work_began(published, monkeypatch):
    call_command(Enqueuing())
    mail.delay(TO)
    with running_task(Task("import", "1")):
        mail.delay(TO)
    monkeypatch.setattr(publishing, "_in_beat", True)
    mail.delay(TO)
    assert [said(headers).origin for headers, _ in published] == ["command", "script", "", ""]


def test_a_process_that_only_publishes_loads_nothing_of_the_worker():
    code = (
        "import django, sys; django.setup(); "
        "print([each for each in sys.modules if each.startswith('celery.worker')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
