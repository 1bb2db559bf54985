"""The same without ``notifyguard.contrib.celery``: what is delivered again is sent again."""

from __future__ import annotations

import pytest

from tests.celery import redelivery
from tests.celery.brokers import RABBITMQ, REDIS

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("celery")]

on_both = pytest.mark.parametrize("broker", [REDIS, RABBITMQ], indirect=True)
on_redis = pytest.mark.parametrize("broker", [REDIS], indirect=True)

ANN = "ann@example.com"


@pytest.fixture(scope="module")
def worker(app, run_worker):
    with run_worker(
        concurrency=2, without_apps="notifyguard.contrib.celery", **redelivery.RISKY
    ) as worker:
        yield worker


@on_redis
def test_an_eta_beyond_the_visibility_timeout(worker, broker, mailbox):
    redelivery.eta_beyond_the_visibility_timeout(worker, broker, ANN)
    assert mailbox.recipients() == [ANN] * 3


@on_both
def test_a_child_that_is_killed_after_its_mail(worker, mailbox, tmp_path):
    redelivery.child_killed_after_its_mail(worker, mailbox, ANN, tmp_path / "go on")
    assert mailbox.recipients() == [ANN] * 2


@on_both
def test_the_same_message_published_twice(worker, mailbox):
    redelivery.published_twice(worker, ANN)
    assert mailbox.recipients() == [ANN] * 2
