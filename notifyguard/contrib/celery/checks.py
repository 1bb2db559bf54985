"""System checks of the Celery integration: what will be handed out again, before anything is.

No check connects to anything. What a server alone knows is not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta
from importlib.util import find_spec
from math import inf
from typing import Any

from celery.utils.functional import maybe_list
from django.conf import settings
from django.core import checks

from notifyguard.checks import AppConfigs
from notifyguard.contrib.celery import far, loaded
from notifyguard.contrib.celery.reach import Reach, reach_of
from notifyguard.gate import light

TAG = "notifyguard_celery"
"""Not the core's, which ``manage.py notifyguard`` runs: to stop mail needs no tasks."""

NAMED = 5
"""Tasks that one warning names."""

DOUBLINGS = 40
"""Of a second: some ten thousand years."""

# What kombu's transports and Celery's result backends import, by the scheme of their URLs,
# and the extra of Celery that brings it.
_NEEDED = {
    "redis": ("redis", ("redis", "packaging")),
    "rediss": ("redis", ("redis", "packaging")),
    "sentinel": ("redis", ("redis", "packaging")),
    "sqs": ("sqs", ("boto3", "pycurl")),
}
_URLS = ("broker_url", "broker_read_url", "broker_write_url", "result_backend")


def register() -> None:
    """Register the checks; to call it again changes nothing."""
    checks.register(check_libraries, TAG)
    checks.register(check_spool_words, TAG)
    checks.register(check_far, TAG)
    checks.register(check_acks_late, TAG)
    checks.register(check_reject_on_worker_lost, TAG)
    checks.register(check_always_eager, TAG)


def check_libraries(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """E021: a broker or result backend whose library is missing."""
    return [
        checks.Error(
            f'{name} of the Celery app "{app.main}" is a URL of {scheme}, and {missing} is not '
            "installed: no worker starts, and nothing can be sent.",
            hint=f'Install "celery[{extra}]", and require that in the place of "celery".',
            id="notifyguard.E021",
        )
        for app in loaded.projects_own()
        for name, scheme in _schemes(app)
        for extra, modules in [_NEEDED.get(scheme, ("", ()))]
        for missing in modules
        if find_spec(missing) is None
    ]


def check_spool_words(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """E022: a task says of itself neither that it is spooled nor that it is not."""
    return [
        checks.Error(
            f'notifyguard_spool of the task "{task.name}" is {word!r}, which cannot be used.',
            hint="Write True or False, or leave it out. Until then it is not spooled.",
            id="notifyguard.E022",
        )
        for app in loaded.projects_own()
        for task in loaded.tasks_of(app)
        if not isinstance(word := getattr(task, "notifyguard_spool", None), (bool, type(None)))
    ]


def check_far(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """W021: a retry, or an entry of beat's schedule, is further ahead than the broker holds it."""
    return [
        checks.Warning(
            f"{what}, {timedelta(seconds=seconds)} ahead, and {reach.broker} can hold a task for "
            f"{reach.time}: {reach.harm}.",
            hint=f"Stay below {reach.far}, keep the task in the database (notifyguard_spool=True "
            f'on it, or NOTIFYGUARD["CELERY"]["spool"]), or raise {reach.setting}.',
            id="notifyguard.W021",
        )
        for app, reach in _within_reach()
        for name, what, seconds in (*_retries(app), *_scheduled(app))
        if seconds > reach.far.total_seconds() and not far.is_spooled(app, name)
    ]


def check_acks_late(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """W022: a task that is acknowledged late may run for longer than the broker waits."""
    found: list[checks.CheckMessage] = []
    for app, reach in _within_reach():
        late = [task for task in loaded.tasks_of(app) if task.acks_late]
        unbounded = [task.name for task in late if _longest(task) > reach.far.total_seconds()]
        if unbounded:
            text = (
                f"acks_late without a time limit below {reach.far}: {_listed(unbounded)}. When one "
                f"runs for longer than {reach.time}, {reach.broker} does not wait: {reach.harm}."
            )
            hint = f"Set time_limit on them, or task_time_limit, or raise {reach.setting}."
            found.append(checks.Warning(text, hint=hint, id="notifyguard.W022"))
    return found


def check_reject_on_worker_lost(
    app_configs: AppConfigs, **kwargs: Any
) -> list[checks.CheckMessage]:
    """W023: a task that kills its worker is run again for ever."""
    return [
        checks.Warning(
            f"reject_on_worker_lost without a bound: {_listed(names)}. A task that kills its "
            "worker (out of memory, a crash in C) goes back to the queue each time; max_retries "
            "does not count that.",
            hint='Take it out, or on RabbitMQ use quorum queues with "x-delivery-limit" in their '
            "arguments. If a policy of the server sets the limit, silence this check.",
            id="notifyguard.W023",
        )
        for app in loaded.projects_own()
        if not _deliveries_are_limited(app)
        if (names := [t.name for t in loaded.tasks_of(app) if _is_put_back(t)])
    ]


def check_always_eager(app_configs: AppConfigs, **kwargs: Any) -> list[checks.CheckMessage]:
    """W024: tasks run where they are sent, in production."""
    if settings.DEBUG or light.testing():
        return []
    return [
        checks.Warning(
            f'task_always_eager of the Celery app "{app.main}" is True, with DEBUG = False: each '
            "task runs inside the request that sends it, an ETA is ignored, and no retry waits.",
            hint="Take it out of the settings of production.",
            id="notifyguard.W024",
        )
        for app in loaded.projects_own()
        if app.conf.task_always_eager
    ]


def _schemes(app: Any) -> Iterator[tuple[str, str]]:
    """Yield the settings that are URLs, each once with the scheme of each URL in it."""
    for name in _URLS:
        written = app.conf.get(name)
        urls = [part for each in maybe_list(written) or () for part in str(each).split(";")]
        schemes = {url.partition("://")[0].partition("+")[0].lower() for url in urls}
        yield from ((name, scheme) for scheme in sorted(schemes))


def _within_reach() -> Iterator[tuple[Any, Reach]]:
    """Yield the apps whose broker is known to wait only so long, and how long."""
    for app in loaded.projects_own():
        try:
            reach = reach_of(app.connection_for_write())
        except Exception:  # a transport that is not there: E021, or Celery, says so
            continue
        if reach is not None:
            yield app, reach


def _retries(app: Any) -> Iterator[tuple[str, str, float]]:
    """Yield each task with how far ahead it may put itself, and by which words."""
    for task in loaded.tasks_of(app):
        seconds, how = max(_delays(task))
        yield task.name, f'The task "{task.name}" may be retried by its {how}', seconds


def _delays(task: Any) -> Iterator[tuple[float, str]]:
    yield float(task.default_retry_delay or 0), "default_retry_delay"
    kwargs = getattr(task, "retry_kwargs", None) or {}
    yield float(kwargs.get("countdown") or 0), 'retry_kwargs["countdown"]'
    factor = float(getattr(task, "retry_backoff", False))
    if factor and getattr(task, "autoretry_for", None):
        # As Celery computes it: the last retry is the furthest, and not all tasks get so far.
        longest = float(getattr(task, "retry_backoff_max", 600))
        retries = kwargs.get("max_retries", task.max_retries)
        doublings = DOUBLINGS if retries is None else max(0, min(retries - 1, DOUBLINGS))
        yield min(longest, max(1, int(factor)) * 2.0**doublings), "retry_backoff_max"


def _scheduled(app: Any) -> Iterator[tuple[str, str, float]]:
    """Yield each entry of beat's schedule with the countdown that it gives its task."""
    for name, entry in (app.conf.beat_schedule or {}).items():
        countdown = (entry.get("options") or {}).get("countdown")
        if countdown:
            what = f'beat_schedule["{name}"] sends "{entry["task"]}" with a countdown'
            yield entry["task"], what, float(countdown)


def _longest(task: Any) -> float:
    """Return for how many seconds a task may run."""
    conf = task.app.conf
    limits = (
        task.time_limit or conf.task_time_limit,
        task.soft_time_limit or conf.task_soft_time_limit,
    )
    return min((float(each) for each in limits if each), default=inf)


def _is_put_back(task: Any) -> bool:
    return bool(task.acks_late and task.reject_on_worker_lost)


def _deliveries_are_limited(app: Any) -> bool:
    queues = app.amqp.queues.values()
    return all("x-delivery-limit" in (queue.queue_arguments or {}) for queue in queues)


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:NAMED])
    more = len(names) - NAMED
    return f"{shown} and {more} more" if more > 0 else shown
