"""What notifies by other means than mail is done once, or says why not."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from celery import Celery, shared_task
from celery.exceptions import Retry
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from notifyguard import context, notification, suppressed, sweeper, switchboard
from notifyguard.contrib.celery.guarded import guarded
from notifyguard.decision import Sending
from notifyguard.exceptions import InTransaction, LedgerUnavailable, Stopped
from notifyguard.models import Claim, Control, Delivery, Switch
from tests.mailbox import rows, states
from tests.operators import deed
from tests.refusals import gone, refusing
from tests.threads import threads

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.needs("celery")]

PHONE = "+491701234567"


class Busy(Exception):
    """The gateway says that it took nothing."""


class Gateway(list):
    """What was handed to it; it raises what it was told to raise next."""

    raises: BaseException | None = None

    def send(self, text):
        self.append(text)
        raised, self.raises = self.raises, None
        if raised is not None:
            raise raised
        return f"{len(self)}. {text}"

    def task(self):
        def send(text):
            return self.send(text)

        return send


@pytest.fixture
def gateway(mailbox):
    return Gateway()


@pytest.fixture
def app():
    app = Celery("guarded", set_as_current=False)
    yield app
    app.close()


@pytest.fixture
def sms(app, gateway):
    """A guarded task whose id is its key."""

    @app.task(shared=False, name="sms.send")
    @guarded(recipient=lambda phone, text="Hello": phone, refused=(Busy,))
    def sms(phone, text="Hello"):
        return gateway.send(text)

    return sms


def run(task, *args, task_id="1", **kwargs):
    """One run of a task; again with the same id, the same task run again."""
    return task.apply(args, kwargs, task_id=task_id, throw=True).result


def test_a_task_that_is_run_again_does_nothing_and_returns_none(sms, gateway):
    assert [run(sms, PHONE) for _ in range(3)] == ["1. Hello", None, None]
    assert gateway == ["Hello"]
    (row,) = rows()
    assert (row.state, row.type, row.recipient, row.task_id) == ("sent", "sms.send", PHONE, "1")
    assert Claim.objects.get().duplicates == 2


def test_enqueued_twice_it_is_done_twice(sms, gateway):
    run(sms, PHONE)
    run(sms, PHONE, task_id="2")
    assert len(gateway) == 2


@pytest.mark.parametrize("bind", [False, True])
def test_a_key_is_made_of_the_arguments_of_the_task(app, gateway, bind):
    def body(user, code, channel="sms"):
        return gateway.send(code)

    def bound(self, user, code, channel="sms"):
        assert self.name == "codes.send"
        return gateway.send(code)

    task = app.task(shared=False, name="codes.send", bind=bind)(
        guarded(key=lambda user, code, channel="sms": f"{user}:{code}")(bound if bind else body)
    )
    assert run(task, 7, "123", channel="voice", task_id="1") == "1. 123"
    assert run(task, 7, "123", task_id="2") is None
    assert run(task, 7, "456", task_id="3") == "2. 456"


def test_it_may_be_called_directly_too(app, gateway):
    @app.task(shared=False, name="hooks.call")
    @guarded(key=7)
    def hook():
        return gateway.send("hook")

    assert [hook(), hook()] == ["1. hook", None]
    assert rows()[0].type == "hooks.call"


def test_a_plain_function_may_be_guarded(gateway):
    @guarded(key="1", recipient="https://example.com/hook")
    def plain():
        return gateway.send("hook")

    assert [plain(), plain()] == ["1. hook", None]
    (row,) = rows()
    assert row.type.startswith(f"{__name__}.test_a_plain_function")
    assert row.recipient == "https://example.com/hook"


@pytest.mark.parametrize("typed", [None, "sms.receipt"])
def test_its_place_is_the_function_and_not_what_runs_it(gateway, typed):
    """The body is not on the stack yet when it is described; in a worker only the pool is."""
    guarded(key=1, type=typed)(gateway.task())("Hello")
    (row,) = rows()
    assert row.call_site == "tests.celery.test_guarded.Gateway.task.send"
    assert row.type == (typed or row.call_site)


def test_called_directly_without_a_key_it_is_done_each_time(sms, gateway):
    assert [sms(PHONE), sms(PHONE)] == ["1. Hello", "2. Hello"]
    assert not Claim.objects.exists()


def test_a_notification_around_says_key_and_type_and_the_decorator_goes_before(sms, app, gateway):
    def body():
        gateway.send("2")

    other = app.task(shared=False, name="other")(guarded(key="own", type="own.type")(body))
    with notification("ticket.code", key="T1"):
        assert [run(sms, PHONE, task_id=str(n)) for n in range(2)] == ["1. Hello", None]
        run(other)
    assert [row.type for row in rows()] == ["ticket.code", "own.type"]


def test_the_key_of_a_notification_around_goes_with_a_type_of_its_own(app, gateway):
    task = app.task(shared=False, name="t")(guarded(type="own.type")(gateway.task()))
    with notification("ticket.code", key="T1"):
        assert [run(task, "x", task_id=str(n)) for n in range(2)] == ["1. x", None]


def test_another_recipient_is_another_one(app, gateway):
    task = app.task(shared=False, name="t")(guarded(key="1", recipient=str)(gateway.task()))
    assert [run(task, to) for to in ("a", "b", "a")] == ["1. a", "2. b", None]


# What the body raises.


def test_an_exception_that_proves_that_nothing_left_frees_the_key(sms, gateway):
    gateway.raises = Busy("try later")
    with pytest.raises(Busy):
        run(sms, PHONE)
    assert [(row.state, row.rule, row.reason) for row in rows()] == [
        ("failed", "refused", "Busy: try later")
    ]
    assert run(sms, PHONE) == "2. Hello"
    assert run(sms, PHONE) is None


def test_what_had_not_left_is_the_same_one_in_the_same_run(sms, gateway):
    with context.running_task(context.Task("sms.send", "1")):
        gateway.raises = Busy()
        with pytest.raises(Busy):
            sms.run(PHONE)
        sms.run(PHONE)
    assert direct(sms) is None


@pytest.mark.parametrize("error", [TimeoutError("no reply"), KeyboardInterrupt(), Retry()])
def test_after_any_other_it_may_have_left_and_is_not_done_again(sms, gateway, error):
    gateway.raises = error
    with pytest.raises(type(error)):
        direct(sms)
    assert [(row.state, row.rule) for row in rows()] == [("uncertain", "raised")]
    assert direct(sms) is None
    assert len(gateway) == 1


def direct(task):
    """Run a task without Celery around it, which has its own way with some exceptions."""
    with context.running_task(context.Task(task.name, "1")):
        return task.run(PHONE)


def test_a_retry_that_the_body_asks_for_is_what_it_was_asked_for(sms, app, gateway):
    @app.task(shared=False, name="sms.retrying", bind=True)
    @guarded(refused=(Busy,))
    def retrying(self, phone):
        try:
            return gateway.send("Hello")
        except Busy:
            raise Retry from None

    gateway.raises = Busy()
    with pytest.raises(Retry):
        direct(retrying)
    gateway.raises = Retry(exc=Busy())
    with pytest.raises(Retry):
        direct(sms)
    assert states() == ["failed", "failed"]


def test_autoretry_does_it_again_when_nothing_had_left(app, gateway):
    @app.task(
        shared=False,
        name="sms.auto",
        autoretry_for=(Busy,),
        retry_backoff=False,
        default_retry_delay=0,
    )
    @guarded(refused=(Busy,))
    def auto():
        return gateway.send("Hello")

    gateway.raises = Busy()
    assert auto.apply(task_id="1").result == "2. Hello"
    assert states() == ["failed", "sent"]
    assert len(gateway) == 2


# What stops it.


def test_suppressed_it_is_on_record_and_its_key_is_free(sms, gateway):
    with suppressed("sms.*", reason="backfill"):
        assert run(sms, PHONE) is None
    (row,) = rows()
    assert (row.state, row.rule, row.key) == ("discarded", "suppressed", None)
    assert run(sms, PHONE) == "1. Hello"


def test_a_switch_discards_it_for_good(sms, gateway):
    deed("set", "sms.*", "discard", "--until", "2h")
    assert run(sms, PHONE) is None
    deed("resume", "sms.*")
    assert run(sms, PHONE) is None
    assert gateway == []
    assert [(row.state, row.rule) for row in rows()] == [("discarded", "switch")]


def test_a_hold_stops_it_and_writes_nothing(sms, gateway):
    deed("hold", "sms.*")
    with pytest.raises(Stopped, match="no task of a worker"):
        run(sms, PHONE)
    assert (gateway, rows()) == ([], [])
    deed("resume", "sms.*")
    assert run(sms, PHONE) == "1. Hello"


def test_a_hold_that_another_process_has_ended_is_over(sms, gateway):
    deed("hold", "sms.*")
    with pytest.raises(Stopped):
        run(sms, PHONE)
    Switch.objects.all().delete()
    Control.objects.update(generation=F("generation") + 1)
    assert run(sms, PHONE) == "1. Hello"


def test_a_blocked_recipient_gets_nothing(sms, gateway):
    deed("block", "ann@example.com")
    assert run(sms, "Ann@example.com") is None
    assert [(row.state, row.rule, row.key) for row in rows()] == [("discarded", "blocked", None)]


@pytest.mark.parametrize(("on_stale", "state"), [("hold", "failed"), ("expire", "expired")])
def test_what_comes_too_late_is_not_done(sms, gateway, full, on_stale, state):
    full.NOTIFYGUARD |= {"TYPES": {"sms.*": {"max_age": timedelta(hours=2), "on_stale": on_stale}}}
    due = timezone.now() - timedelta(hours=3)
    with context.running_task(context.Task("sms.send", "1", due_at=due)):
        if state == "failed":
            with pytest.raises(Stopped, match="stale"):
                sms.run(PHONE)
        else:
            assert sms.run(PHONE) is None
    assert [(row.state, row.rule) for row in rows()] == [(state, "stale")]
    assert gateway == []
    assert Claim.objects.exists() == (state == "expired")


def test_the_fence_of_a_staging_site_stops_it(sms, gateway, full):
    full.NOTIFYGUARD |= {"ALLOW_RECIPIENTS": ["*@example.com"]}
    with pytest.raises(Stopped, match="ALLOW_RECIPIENTS"):
        run(sms, PHONE)
    assert states() == ["failed"]
    assert run(sms, "ann@example.com") == "1. Hello"


def test_limits_count_what_was_done_and_not_what_was_refused(sms, gateway, full):
    full.NOTIFYGUARD |= {"TYPES": {"sms.*": {"limits": ["1/hour"], "on_limit": "discard"}}}
    gateway.raises = Busy()
    with pytest.raises(Busy):
        run(sms, PHONE)
    assert run(sms, PHONE, task_id="2") == "2. Hello"
    assert run(sms, PHONE, task_id="3") is None
    assert sorted((row.state, row.rule) for row in rows()) == [
        ("discarded", "limit"),
        ("failed", "refused"),
        ("sent", ""),
    ]


def test_past_a_limit_it_waits(sms, gateway, full):
    full.NOTIFYGUARD |= {"TYPES": {"sms.*": {"limits": ["1/hour"], "on_limit": "hold"}}}
    run(sms, PHONE)
    with pytest.raises(Stopped, match="limit"):
        run(sms, PHONE, task_id="2")
    assert states() == ["sent"]


# Where it cannot be done.


def test_inside_a_transaction_it_says_what_to_do(sms, gateway):
    with transaction.atomic(), pytest.raises(InTransaction, match="delay_on_commit"):
        run(sms, PHONE)
    assert (gateway, rows()) == ([], [])


def test_without_a_ledger_it_is_not_done(sms, gateway):
    with refusing("insert", "1 = 1"), pytest.raises(LedgerUnavailable, match="Nothing was done"):
        run(sms, PHONE)
    assert gateway == []
    assert run(sms, PHONE) == "1. Hello"


def test_before_the_first_migrate_it_is_just_called(sms, gateway):
    switchboard.forget()
    with gone("notifyguard_control"):
        assert run(sms, PHONE) == "1. Hello"
        with suppressed(reason="a test"):
            assert run(sms, PHONE) is None


def test_that_it_was_done_is_no_exception_when_it_cannot_be_written_down(sms, gateway, caplog):
    with refusing("update", "NEW.state = 'sent'"):
        assert run(sms, PHONE) == "1. Hello"
    assert "could not confirm" in caplog.text
    assert states() == ["in_flight"]
    Delivery.objects.update(created_at="2020-01-01T00:00Z", changed_at="2020-01-01T00:00Z")
    sweeper.sweep()
    assert states() == ["uncertain"]
    assert run(sms, PHONE) is None


# Modes, and races.


def test_observed_it_is_done_again_and_reported(sms, gateway, full):
    full.NOTIFYGUARD |= {"MODE": "observe"}
    assert [run(sms, PHONE) for _ in range(2)] == ["1. Hello", "2. Hello"]
    assert [row.rule for row in rows()] == ["", "observed duplicate"]


@pytest.mark.parametrize("setting", [{"MODE": "bypass"}, {"IN_TESTS": "light"}])
def test_bypassed_or_in_tests_it_is_just_called(sms, gateway, full, setting):
    full.NOTIFYGUARD |= setting
    assert [run(sms, PHONE) for _ in range(2)] == ["1. Hello", "2. Hello"]
    assert rows() == []


def test_in_tests_what_is_suppressed_or_stopped_by_settings_is_not_done(sms, gateway, full):
    full.NOTIFYGUARD |= {"IN_TESTS": "light"}
    with suppressed(reason="a test"):
        assert run(sms, PHONE) is None
    full.NOTIFYGUARD |= {"SENDING": Sending.DISCARD.value}
    assert run(sms, PHONE) is None
    assert gateway == []


def test_a_switch_that_is_set_meanwhile_has_it_judged_again(sms, gateway):
    run(sms, PHONE, task_id="0")
    Control.objects.update(generation=F("generation") + 1)
    assert run(sms, PHONE) == "2. Hello"
    assert run(sms, PHONE) is None


def test_of_many_at_once_one_does_it(sms, gateway):
    with threads(4) as started:
        for _ in range(4):
            started.start(direct, sms)
    assert gateway == ["Hello"]
    assert states() == ["sent"]


def test_in_a_running_event_loop_the_body_sees_it(app, gateway):
    @guarded(key="1")
    def body():
        gateway.append(asyncio.get_running_loop().is_running())

    async def main():
        body()
        body()

    asyncio.run(main())
    assert gateway == [True]
    assert states() == ["sent"]


def test_mail_that_the_body_sends_is_a_message_of_the_task(app, mailbox):
    @app.task(shared=False, name="both")
    @guarded(key="1")
    def both():
        send_mail("Hello", "Hello.", None, ["ann@example.com"])

    run(both)
    run(both)
    assert mailbox.recipients() == ["ann@example.com"]
    assert states() == ["sent", "sent"]


# What cannot be used is said where it is written.


async def coroutine(): ...


def generator():
    yield


def test_arguments_are_checked_where_the_task_is_enqueued(sms):
    with pytest.raises(TypeError):
        sms.apply_async(("too", "many", "arguments"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"key": ""}, "empty"),
        ({"key": b"1"}, "bytes"),
        ({"type": "sms.*"}, "glob"),
        ({"recipient": 7}, "recipient is a string"),
        ({"refused": Busy}, "refused is a tuple"),
        ({"refused": ("Busy",)}, "refused is a tuple"),
    ],
)
def test_a_bad_argument_is_refused(given, said):
    with pytest.raises((TypeError, ValueError), match=said):
        guarded(**given)


@pytest.mark.parametrize("body", [coroutine, generator, "body", len])
def test_what_is_no_ordinary_function_is_refused(body):
    with pytest.raises(TypeError):
        guarded()(body)


def test_above_the_decorator_of_celery_it_says_where_it_belongs(app):
    with pytest.raises(TypeError, match="stands under"):
        guarded()(shared_task(name="nowhere")(generator))
    with pytest.raises(TypeError, match="stands under"):
        guarded()(app.task(shared=False)(generator))


def test_a_key_that_cannot_be_used_is_said_when_it_is_made(app, gateway):
    task = app.task(shared=False, name="t")(guarded(key=lambda text: {"no": text})(gateway.task()))
    with pytest.raises(TypeError, match="idempotency key"):
        run(task, "x")
    assert gateway == []
