"""System checks of the Celery integration; each with what must not raise it."""

from __future__ import annotations

import socket
from datetime import timedelta
from importlib import util

import celery
import pytest
from celery import _state
from django.core.checks.registry import registry
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from kombu import Queue

from notifyguard.contrib.celery import checks, loaded

pytestmark = pytest.mark.needs("celery")

HOUR = 3600
REDIS, RABBITMQ = "redis://nowhere/0", "amqp://nowhere//"


def idle():
    """What the tasks do."""


@pytest.fixture
def project(monkeypatch):
    """Make the one Celery app of the project; it knows the tasks that are given."""
    monkeypatch.setattr(loaded, "projects_own", list)
    made = []

    def make(tasks=(), broker=REDIS, **conf):
        app = celery.Celery("shop", broker=broker, set_as_current=False)
        app.conf.update(conf)
        for number, options in enumerate(tasks):
            app.task(idle, name=f"shop.task{number}", shared=False, lazy=False, **options)
        made.append(app)
        monkeypatch.setattr(loaded, "projects_own", lambda: [app])
        # What other tests' modules have registered as shared tasks is not this project's.
        monkeypatch.setattr(loaded, "tasks_of", its_own)
        return app

    yield make
    for app in made:
        app.close()


def its_own(app):
    app.finalize()
    return [task for name, task in sorted(app.tasks.items()) if name.startswith("shop.")]


@pytest.fixture(autouse=True)
def unconnected(monkeypatch):
    """No check connects: not even a name is looked up."""

    def refuse(*args, **more):
        raise AssertionError("a check connects")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def found(check):
    return [(each.id.removeprefix("notifyguard."), each.msg, each.hint) for each in check(None)]


# Libraries


@pytest.mark.parametrize(
    ("conf", "missing", "named"),
    [
        ({"broker": REDIS}, "packaging", "celery[redis]"),
        ({"broker": REDIS}, "redis", "celery[redis]"),
        ({"broker": "rediss://nowhere/0"}, "packaging", "celery[redis]"),
        ({"broker": f"{RABBITMQ};sentinel://nowhere"}, "packaging", "celery[redis]"),
        ({"broker": RABBITMQ, "result_backend": REDIS}, "redis", "celery[redis]"),
        ({"broker": "sqs://"}, "boto3", "celery[sqs]"),
        ({"broker": "sqs://"}, "pycurl", "celery[sqs]"),
    ],
)
def test_a_broker_without_its_library_is_an_error(project, monkeypatch, conf, missing, named):
    monkeypatch.setattr(checks, "find_spec", lambda name: None if name == missing else True)
    project(**conf)
    ((code, text, hint),) = found(checks.check_libraries)
    assert code == "E021"
    assert missing in text
    assert named in hint
    assert '"shop"' in text


@pytest.mark.parametrize(
    "conf",
    [
        {"broker": REDIS, "result_backend": "redis+socket:///tmp/x"},
        {"broker": [REDIS, RABBITMQ]},
        {"broker": RABBITMQ, "result_backend": "django-db"},
        {"broker": "memory://", "result_backend": "cache+memory://"},
        {"broker": RABBITMQ, "result_backend": "rpc://"},
    ],
)
def test_who_has_the_library_hears_nothing(project, conf):
    project(**conf)
    assert found(checks.check_libraries) == []


def test_a_broker_that_is_not_used_needs_no_library(project, monkeypatch):
    monkeypatch.setattr(checks, "find_spec", lambda name: None)
    project(broker=RABBITMQ, result_backend="django-db")
    assert found(checks.check_libraries) == []


def test_the_modules_are_those_that_kombu_imports():
    for module in checks._NEEDED["redis"][1]:
        assert util.find_spec(module), f"celery[redis] brings no {module}"


# The word on a task


@pytest.mark.parametrize("word", ["yes", 1, 0, "False"])
def test_a_word_that_says_nothing_is_an_error(project, word):
    project([{"notifyguard_spool": word}])
    ((code, text, hint),) = found(checks.check_spool_words)
    assert code == "E022"
    assert f"is {word!r}" in text
    assert "shop.task0" in text
    assert "Write True or False" in hint


def test_yes_no_and_nothing_are_words(project):
    project([{"notifyguard_spool": True}, {"notifyguard_spool": False}, {}])
    assert found(checks.check_spool_words) == []


# Far


BACKOFF = {"autoretry_for": (OSError,), "retry_backoff": True}


@pytest.mark.parametrize(
    ("options", "how", "ahead"),
    [
        ({"default_retry_delay": 2 * HOUR}, "default_retry_delay", "2:00:00"),
        (
            {**BACKOFF, "retry_backoff_max": 8 * HOUR, "max_retries": None},
            "retry_backoff_max",
            "8:00:00",
        ),
        (
            {**BACKOFF, "retry_backoff_max": 8 * HOUR, "max_retries": 14},
            "retry_backoff_max",
            "2:16:32",
        ),
        (
            {"autoretry_for": (OSError,), "retry_kwargs": {"countdown": 3 * HOUR}},
            'retry_kwargs["countdown"]',
            "3:00:00",
        ),
    ],
)
def test_a_retry_that_the_broker_cannot_hold_is_told(project, options, how, ahead):
    project([options])
    ((code, text, hint),) = found(checks.check_far)
    assert code == "W021"
    assert text.startswith(f'The task "shop.task0" may be retried by its {how}, {ahead} ahead')
    assert "redis can hold a task for 1:00:00" in text
    assert "Stay below 0:54:00" in hint
    assert "notifyguard_spool=True" in hint
    assert 'broker_transport_options["visibility_timeout"]' in hint


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"default_retry_delay": 1800},
        {"default_retry_delay": 2 * HOUR, "notifyguard_spool": True},
        {**BACKOFF},  # 600 seconds at most
        {**BACKOFF, "retry_backoff_max": 8 * HOUR},  # three retries: 4 seconds
        {"retry_backoff": True, "retry_backoff_max": 8 * HOUR, "max_retries": None},  # by nobody
        {**BACKOFF, "retry_backoff_max": 8 * HOUR, "retry_kwargs": {"max_retries": 5}},
        {"autoretry_for": (OSError,), "max_retries": 0, "retry_backoff": 30},
    ],
)
def test_a_retry_that_the_broker_can_hold_is_not(project, options):
    project([options])
    assert found(checks.check_far) == []


def test_a_raised_timeout_and_a_broker_without_one_are_no_reason(project):
    far = [{"default_retry_delay": 2 * HOUR}]
    project(far, broker_transport_options={"visibility_timeout": 12 * HOUR})
    assert found(checks.check_far) == []
    project(far, broker="memory://")
    assert found(checks.check_far) == []


def test_rabbitmq_has_a_timeout_that_only_we_are_told(project, settings):
    project([{"default_retry_delay": HOUR}], broker=RABBITMQ)
    ((_, text, hint),) = found(checks.check_far)
    assert "rabbitmq can hold a task for 0:30:00" in text
    assert "consumer_timeout of RabbitMQ" in hint
    settings.NOTIFYGUARD = {"CELERY": {"consumer_timeout": timedelta(hours=3)}}
    assert found(checks.check_far) == []
    settings.NOTIFYGUARD = {"CELERY": {"consumer_timeout": None}}
    assert found(checks.check_far) == []


def test_who_spools_everything_hears_of_nothing_far(project, settings):
    settings.NOTIFYGUARD = {"CELERY": {"spool": True}}
    project([{"default_retry_delay": 2 * HOUR}])
    assert found(checks.check_far) == []


def test_beats_countdowns_are_looked_at_too(project):
    entry = {"task": "shop.task0", "schedule": 60.0, "options": {"countdown": 5 * HOUR}}
    near = {"task": "shop.task0", "schedule": 60.0, "options": {"countdown": 5}}
    project([{}], beat_schedule={"remind": entry, "near": near, "bare": {**near, "options": {}}})
    ((_, text, _),) = found(checks.check_far)
    assert text.startswith(
        'beat_schedule["remind"] sends "shop.task0" with a countdown, 5:00:00 ahead'
    )


# Late acknowledgement


@pytest.mark.parametrize(
    ("options", "conf"),
    [
        ({"acks_late": True}, {}),
        ({}, {"task_acks_late": True}),
        ({"acks_late": True, "time_limit": 2 * HOUR}, {}),
        ({"acks_late": True}, {"task_time_limit": HOUR}),
        ({"acks_late": True}, {"broker": RABBITMQ, "task_time_limit": HOUR}),
    ],
)
def test_acks_late_without_a_time_limit_is_told(project, options, conf):
    project([options], **conf)
    ((code, text, hint),) = found(checks.check_acks_late)
    assert code == "W022"
    assert "shop.task0" in text
    assert "task_time_limit" in hint


@pytest.mark.parametrize(
    ("options", "conf"),
    [
        ({}, {}),
        ({"acks_late": True, "time_limit": 600}, {}),
        ({"acks_late": True, "soft_time_limit": 600}, {}),
        ({"acks_late": True}, {"task_soft_time_limit": 600}),
        ({"acks_late": True}, {"broker": "memory://"}),
        ({"acks_late": False}, {"task_acks_late": True}),
    ],
)
def test_acks_late_within_its_time_is_not(project, options, conf):
    project([options], **conf)
    assert found(checks.check_acks_late) == []


def test_many_tasks_make_one_warning_that_names_a_few(project):
    project([{"acks_late": True}] * 8)
    ((_, text, _),) = found(checks.check_acks_late)
    assert "shop.task4 and 3 more." in text


# Put back by a dead worker


def test_reject_on_worker_lost_without_a_bound_is_told(project):
    project([{"acks_late": True, "reject_on_worker_lost": True, "max_retries": 3}])
    ((code, text, hint),) = found(checks.check_reject_on_worker_lost)
    assert code == "W023"
    assert "shop.task0" in text
    assert "max_retries does not count that" in text
    assert "x-delivery-limit" in hint


@pytest.mark.parametrize(
    ("options", "conf"),
    [
        ({"acks_late": True}, {}),
        ({"reject_on_worker_lost": True}, {}),  # Celery obeys it with acks_late only
        (
            {"acks_late": True, "reject_on_worker_lost": True},
            {
                "broker": RABBITMQ,
                "task_queues": [
                    Queue(
                        "a",
                        queue_arguments={"x-queue-type": "quorum", "x-delivery-limit": 5},
                    )
                ],
            },
        ),
    ],
)
def test_a_bound_is_enough(project, options, conf):
    project([options], **conf)
    assert found(checks.check_reject_on_worker_lost) == []


# Eager


@pytest.fixture
def production(settings, monkeypatch):
    settings.DEBUG = False
    monkeypatch.setattr(checks.light, "testing", lambda: False)
    return settings


def test_always_eager_in_production_is_told(project, production):
    project(task_always_eager=True)
    ((code, text, _),) = found(checks.check_always_eager)
    assert code == "W024"
    assert 'task_always_eager of the Celery app "shop" is True' in text


def test_always_eager_while_developing_and_in_tests_is_not(project, production, monkeypatch):
    project(task_always_eager=True)
    production.DEBUG = True
    assert found(checks.check_always_eager) == []
    production.DEBUG = False
    monkeypatch.setattr(checks.light, "testing", lambda: True)
    assert found(checks.check_always_eager) == []
    project(task_always_eager=False)
    monkeypatch.setattr(checks.light, "testing", lambda: False)
    assert found(checks.check_always_eager) == []


# All of them


def test_a_project_as_the_guides_have_it_hears_nothing(project, production):
    project([{}, {"autoretry_for": (OSError,), "retry_backoff": True}], result_backend=REDIS)
    for check in (
        checks.check_libraries,
        checks.check_spool_words,
        checks.check_far,
        checks.check_acks_late,
        checks.check_reject_on_worker_lost,
        checks.check_always_eager,
    ):
        assert found(check) == []


def test_they_are_run_by_manage_py_check(project, monkeypatch):
    monkeypatch.setattr(registry, "registered_checks", registry.registered_checks.copy())
    checks.register()
    once = registry.registered_checks.copy()
    checks.register()
    assert registry.registered_checks == once
    project([{"default_retry_delay": 2 * HOUR}])
    with pytest.raises(SystemCheckError, match=r"notifyguard\.W021\)(?s:.*)HINT: Stay below"):
        call_command("check", tags=[checks.TAG], fail_level="WARNING")


def test_tasks_are_found_where_no_worker_has_looked_for_them(settings):
    app = celery.Celery("found", broker=REDIS, set_as_current=False, fixups=[])
    app.conf.imports = ["tests.celery.spooled_tasks"]
    try:
        assert "tests.celery.spooled_tasks.told" in [task.name for task in loaded.tasks_of(app)]
        assert not [task for task in loaded.tasks_of(app) if task.name.startswith("celery.")]
    finally:
        app.close()


def test_a_module_that_cannot_be_imported_is_not_our_error(settings):
    app = celery.Celery("broken", broker=REDIS, set_as_current=False, fixups=[])
    app.conf.imports = ["no.such.module"]
    try:
        assert isinstance(loaded.tasks_of(app), list)
    finally:
        app.close()


def test_celerys_fallback_is_no_app_of_the_project(monkeypatch):
    monkeypatch.setattr(_state, "default_app", None)
    monkeypatch.setattr(_state._tls, "current_app", None)
    fallback = _state.get_current_app()
    try:
        assert fallback in loaded.apps_by_name().values()
        assert fallback not in loaded.projects_own()
    finally:
        fallback.close()
