"""A guarded project whose tasks run in real workers, over real brokers, to a real mail server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests import services
from tests.integration.conftest import full, mail_server, mailbox, three_due

__all__ = ["full", "mail_server", "mailbox", "three_due"]

if services.missing("celery"):
    collect_ignore_glob = ["*"]
else:
    from tests.celery import brokers, workers


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show what the workers said with a test that failed."""
    report = yield
    if report.failed:
        for worker in workers.running:
            report.sections.append((f"worker {worker.process.pid}", worker.said()))
    return report


@pytest.fixture(scope="session")
def redis() -> Iterator[Any]:
    """The Redis of this process's tests."""
    from tests.redis_server import running_redis

    with running_redis() as server:
        yield server


@pytest.fixture(scope="module")
def broker(request: pytest.FixtureRequest, redis: Any) -> Iterator[brokers.Broker]:
    """Redis, or what is asked for: ``parametrize("broker", [REDIS, RABBITMQ], indirect=True)``."""
    with brokers.broker_of(getattr(request, "param", "redis"), redis) as broker:
        yield broker


@pytest.fixture(scope="module")
def app(broker: brokers.Broker) -> Iterator[Any]:
    """The Celery app of the test's own process, which publishes."""
    with brokers.publishing_app(broker.configuration()) as app:
        yield app


@pytest.fixture(scope="session")
def worker_environment(django_db_setup: None) -> dict[str, str]:
    """The environment in which a worker uses the same database as the tests."""
    return os.environ | {
        "NOTIFYGUARD_DB": services.chosen_database(),
        "NOTIFYGUARD_DB_NAME": str(connection.settings_dict["NAME"]),
    }


@pytest.fixture(scope="module")
def run_worker(
    broker: brokers.Broker,
    worker_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    mail_server: Any,
) -> Callable[..., AbstractContextManager[workers.Worker]]:
    """Run a worker: ``with run_worker(concurrency=2, task_acks_late=True) as worker: ...``."""
    folder: Path = tmp_path_factory.mktemp("workers")
    return partial(
        workers.running_worker, broker, worker_environment, folder, smtp_port=mail_server.port
    )


@pytest.fixture(scope="module")
def worker(app: Any, run_worker: Any) -> Iterator[workers.Worker]:
    """A worker with two processes that all tests of the module share."""
    with run_worker(concurrency=2) as worker:
        yield worker
