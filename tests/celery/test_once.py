"""What a task sends leaves once, however often and for whatever reason it is run."""

from __future__ import annotations

import pytest

from notifyguard import sweeper
from notifyguard.models import Claim, Delivery
from tests.celery import redelivery, repeated, texting
from tests.celery.brokers import RABBITMQ, REDIS
from tests.celery.relay import running_relay
from tests.mailbox import rows, states
from tests.operators import deed

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("celery")]

on_both = pytest.mark.parametrize("broker", [REDIS, RABBITMQ], indirect=True)
on_redis = pytest.mark.parametrize("broker", [REDIS], indirect=True)

ANN, BOB, EVE = "ann@example.com", "bob@example.com", "eve@example.com"
LONG_AGO = "2020-01-01T00:00Z"


@pytest.fixture(scope="module")
def relay(broker):
    with running_relay(broker.url) as relay:
        yield relay


@pytest.fixture(scope="module")
def worker(app, broker, relay, run_worker):
    """A worker that delivers again the most, and whose connection can be cut."""
    url = relay.url(broker.url)
    with run_worker(concurrency=2, broker_url=url, **redelivery.RISKY) as worker:
        yield worker


@on_redis
def test_an_eta_beyond_the_visibility_timeout(worker, broker, mailbox):
    redelivery.eta_beyond_the_visibility_timeout(worker, broker, ANN)
    assert mailbox.recipients() == [ANN]
    assert Claim.objects.get().duplicates == 2


@on_redis
def test_a_task_that_runs_for_longer_than_the_visibility_timeout(worker, broker, mailbox, tmp_path):
    redelivery.longer_than_the_visibility_timeout(worker, broker, ANN, tmp_path / "go on")
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


@on_both
def test_a_child_that_is_killed_after_its_mail(worker, mailbox, tmp_path):
    redelivery.child_killed_after_its_mail(worker, mailbox, ANN, tmp_path / "go on")
    assert mailbox.recipients() == [ANN]
    assert states() == ["sent"]


@on_both
def test_a_child_that_is_killed_before_it_knows_what_the_server_said(worker, mailbox):
    to = "hang-after@example.com"
    result = repeated.one.delay(to)
    mailbox.sink.wait_for(mailbox.before + 1)
    (began,) = worker.wait_for("began", id=result.id)
    worker.kill_child(began["pid"])
    worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert mailbox.recipients() == [to]
    Delivery.objects.filter(state="in_flight").update(created_at=LONG_AGO, changed_at=LONG_AGO)
    sweeper.sweep()
    assert states() == ["uncertain"]


@on_both
def test_a_connection_that_is_lost_while_the_task_runs(worker, broker, relay, mailbox, tmp_path):
    go_on = tmp_path / "go on"
    result = repeated.one_and_wait.delay(ANN, str(go_on))
    mailbox.sink.wait_for(mailbox.before + 1)
    relay.cut()
    redelivery.copies(worker, broker, result.id, 2)
    go_on.touch()
    worker.wait_for("ended", 2, id=result.id)
    assert mailbox.recipients() == [ANN]


@on_both
def test_the_same_message_published_twice(worker, mailbox):
    redelivery.published_twice(worker, ANN)
    assert mailbox.recipients() == [ANN]


@on_both
def test_three_mails_and_autoretry_after_the_second(worker, mailbox, tmp_path):
    result = repeated.three.delay([ANN, BOB, EVE], str(tmp_path / "failed"))
    worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert [each["state"] for each in worker.wait_for("ended", 2, id=result.id)] == [
        "RETRY",
        "SUCCESS",
    ]
    assert mailbox.recipients() == [ANN, BOB, EVE]


@on_both
def test_what_only_the_retry_sends_is_sent(worker, mailbox):
    result = repeated.other_on_retry.delay(ANN)
    worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert mailbox.subjects() == ["It failed", "It worked"]


@on_both
def test_a_task_that_enqueues_itself_mails_every_time(worker, mailbox):
    repeated.every_day.delay(ANN, 3)
    mailbox.sink.wait_for(mailbox.before + 3)
    assert mailbox.recipients() == [ANN] * 3


@on_both
def test_what_the_server_refuses_for_now_is_sent_by_the_retry(worker, mailbox, tmp_path):
    to = f"busy-once+{tmp_path.name}@example.com"
    result = repeated.retried.delay(to)
    worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert mailbox.recipients() == [to]
    assert states() == ["failed", "sent"]


@on_both
def test_inside_a_transaction_it_is_sent_by_the_sweeper(worker, mailbox, tmp_path):
    to = f"busy-once+{tmp_path.name}@example.com"
    first = repeated.inside.delay(to)
    worker.wait_for("ended", id=first.id, state="SUCCESS")
    assert [(row.state, row.rule) for row in rows()] == [("queued", "retries")]
    Delivery.objects.update(wake_at=LONG_AGO)
    sweeper.sweep()
    repeated.inside.apply_async((to,), task_id=first.id)
    worker.wait_for("ended", 2, id=first.id)
    assert mailbox.recipients() == [to]


@on_both
def test_two_identical_mails_of_one_run_are_two(worker, mailbox):
    first = repeated.two.delay(ANN)
    repeated.two.apply_async((ANN,), task_id=first.id)
    worker.wait_for("ended", 2, id=first.id)
    assert mailbox.recipients() == [ANN, ANN]


@on_both
def test_a_task_that_another_replaces_sends_once_and_so_does_the_other(worker, mailbox):
    first = repeated.replaced.delay(ANN)
    worker.wait_for("ended", id=first.id, task=repeated.one.name)
    repeated.replaced.apply_async((ANN,), task_id=first.id)
    worker.wait_for("ended", 2, id=first.id, task=repeated.one.name)
    assert mailbox.recipients() == [ANN, ANN]


@on_both
def test_a_guarded_task_that_is_killed_in_the_middle_is_not_run_again(worker, mailbox, tmp_path):
    result = texting.text.delay("+491701", str(tmp_path / "never"))
    (told,) = worker.wait_for("text", to="+491701")
    worker.kill_child(told["pid"])
    worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert len(worker.journal.lines("text", to="+491701")) == 1
    Delivery.objects.filter(state="in_flight").update(created_at=LONG_AGO, changed_at=LONG_AGO)
    sweeper.sweep()
    assert states() == ["uncertain"]


@on_both
def test_a_guarded_task_that_is_held_waits_until_it_may(worker, mailbox):
    deed("hold", "*")
    result = texting.text.delay("+491702")
    worker.wait_for("ended", id=result.id, state="RETRY")
    assert worker.journal.lines("text", to="+491702") == []
    deed("resume", "*")
    worker.wait_for("ended", id=result.id, state="SUCCESS")
    assert len(worker.journal.lines("text", to="+491702")) == 1
    assert states() == ["sent"]
