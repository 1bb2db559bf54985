"""What is registered with ``on_commit`` inside a block runs as if still inside it."""

from __future__ import annotations

import functools
import inspect
import logging
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import TestCase

from notifyguard import context, hooks

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def installed() -> None:
    hooks.install()


def test_a_suppressed_registration_stays_suppressed_after_the_block() -> None:
    seen: list[Any] = []
    with transaction.atomic():
        with context.suppressed("ticket.*", reason="backfill"):
            transaction.on_commit(lambda: seen.append(context.suppression_of("ticket.modified")))
        transaction.on_commit(lambda: seen.append(context.suppression_of("ticket.modified")))
    assert [found and found.reason for found in seen] == ["backfill", None]
    assert context.current() == context.Ambient()


def test_the_inform_step_stays_one() -> None:
    seen: list[Any] = []
    with (
        context.suppressed(reason="migration"),
        transaction.atomic(),
        context.unsuppressed("ticket.announcement", reason="tell owners"),
    ):
        transaction.on_commit(lambda: seen.append(context.suppression_of("ticket.announcement")))
    assert seen == [None]


def test_a_notification_named_around_the_registration_is_kept() -> None:
    seen: list[Any] = []
    with transaction.atomic(), context.notification("ticket.modified", key="1"):
        transaction.on_commit(lambda: seen.append(context.current().notification))
    assert [(said.type, said.key) for said in seen] == [("ticket.modified", "1")]


def test_a_plain_registration_keeps_the_callers_own_function() -> None:
    def callback() -> None: ...

    with transaction.atomic(), TestCase.captureOnCommitCallbacks() as callbacks:
        transaction.on_commit(callback)
    assert callbacks == [callback]


def test_captured_callbacks_run_in_their_block() -> None:
    seen: list[Any] = []

    def callback() -> None:
        seen.append(context.suppression_of("any"))

    with (
        transaction.atomic(),
        TestCase.captureOnCommitCallbacks(execute=True) as callbacks,
        context.suppressed(reason="backfill"),
    ):
        transaction.on_commit(callback)
    # Once by the capture, once by the commit itself.
    assert [found.reason for found in seen] == ["backfill", "backfill"]
    assert inspect.unwrap(callbacks[0]) is callback
    assert callbacks[0].__qualname__ == callback.__qualname__


@pytest.mark.parametrize("inside", [True, False])
def test_what_cannot_be_called_is_refused_as_by_django(inside) -> None:
    not_callable: Any = "a string"
    block = context.suppressed(reason="backfill") if inside else transaction.atomic()
    with block, pytest.raises(TypeError, match=r"on_commit\(\)'s callback must be a callable"):
        transaction.on_commit(not_callable)


def test_a_robust_callback_that_fails_is_named_in_the_log(caplog) -> None:
    def breaks() -> None:
        raise ValueError("broken")

    with (
        caplog.at_level(logging.ERROR, "django.db.backends.base"),
        context.suppressed(reason="backfill"),
        transaction.atomic(),
    ):
        transaction.on_commit(functools.partial(breaks), robust=True)
        transaction.on_commit(breaks, robust=True)
    assert "breaks" in caplog.records[1].getMessage()


def test_outside_a_transaction_it_runs_at_once_in_its_block() -> None:
    seen: list[Any] = []
    with context.suppressed(reason="backfill"):
        connection.on_commit(lambda: seen.append(context.suppression_of("any")))
    assert [found.reason for found in seen] == ["backfill"]
