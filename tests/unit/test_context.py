"""The ambient context: nests, ends with its block, and goes where the code goes."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from notifyguard import bind, context, notification, suppressed, unsuppressed
from notifyguard.notification import Notification


def reason_for(type="ticket.modified"):
    found = context.suppression_of(type)
    return found.reason if found else None


def test_nothing_is_said_outside():
    assert context.current() == context.Ambient()
    assert reason_for() is None


def test_a_block_suppresses_what_its_pattern_names_and_ends():
    with suppressed("ticket.*", reason="backfill"):
        assert reason_for() == "backfill"
        assert reason_for("newsletter") is None
    assert reason_for() is None


def test_the_innermost_matching_block_decides():
    with suppressed(reason="outer"):
        with unsuppressed("ticket.*", reason="tell owners"):
            assert reason_for() is None
            assert reason_for("newsletter") == "outer"
            with suppressed("ticket.modified", reason="inner"):
                assert reason_for() == "inner"
                assert reason_for("ticket.closed") is None
        assert reason_for() == "outer"


def test_a_block_ends_with_an_exception_too():
    with pytest.raises(RuntimeError), suppressed(reason="backfill"):
        raise RuntimeError
    assert reason_for() is None


def test_a_block_can_be_entered_again_inside_itself():
    block = suppressed(reason="backfill")
    with block:
        with block:
            assert len(context.current().suppressions) == 2
        assert reason_for() == "backfill"
    assert reason_for() is None


def test_a_decorated_function_is_suppressed_only_while_it_runs():
    @suppressed(reason="backfill")
    def work():
        """Works."""
        return reason_for()

    assert reason_for() is None
    assert work() == "backfill"
    assert (work.__name__, work.__doc__) == ("work", "Works.")


def test_a_decorated_function_may_run_in_many_threads_at_once():
    together = Barrier(4)

    @suppressed(reason="backfill")
    def work():
        together.wait(10)
        return reason_for()

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(work) for _ in range(4)]
        assert [each.result() for each in running] == ["backfill"] * 4


def test_a_decorated_coroutine_function_is_suppressed_while_it_runs():
    @suppressed(reason="backfill")
    async def work():
        await asyncio.sleep(0)
        return reason_for()

    assert asyncio.run(work()) == "backfill"


def test_tasks_of_one_loop_do_not_share_what_each_says():
    async def work(reason):
        async with suppressed(reason=reason):
            await asyncio.sleep(0)
            return reason_for()

    async def main():
        return await asyncio.gather(work("one"), work("two"))

    assert asyncio.run(main()) == ["one", "two"]


def test_a_block_that_is_made_once_may_be_entered_by_many_threads_at_once():
    quiet, meeting = suppressed(reason="backfill"), Barrier(2, timeout=10)

    def enter_and_leave(first):
        with quiet:
            meeting.wait()
            inside = reason_for()
            if not first:
                meeting.wait()
        if first:
            meeting.wait()
        return inside, reason_for()

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(enter_and_leave, [True, False])) == [("backfill", None)] * 2


def test_a_thread_knows_nothing_unless_it_is_bound():
    with ThreadPoolExecutor(1) as pool, suppressed(reason="backfill"):
        assert pool.submit(reason_for).result() is None
        assert pool.submit(bind(reason_for)).result() == "backfill"


def test_what_is_bound_keeps_the_context_of_its_binding():
    with suppressed(reason="then"), notification("ticket.modified", key=1):
        bound = bind(context.current)
    with suppressed(reason="now"):
        ambient = bound()
    assert [each.reason for each in ambient.suppressions] == ["then"]
    assert ambient.notification == Notification("ticket.modified", "1")


def test_a_bound_coroutine_function_stays_one():
    async def work():
        return reason_for()

    with suppressed(reason="then"):
        bound = bind(work)
    assert inspect.iscoroutinefunction(bound)
    assert asyncio.run(bound()) == "then"


def test_the_inner_notification_counts_and_the_outer_comes_back():
    with notification("outer", key=1):
        with notification("inner"):
            assert context.current().notification == Notification("inner")
        assert context.current().notification == Notification("outer", "1")
    assert context.current().notification is None


def test_while_a_backend_works_the_notification_is_not_said_but_suppression_is():
    with notification("ticket.modified", key=1), suppressed("other", reason="backfill"):
        with context.handing_over():
            assert context.current().notification is None
            assert reason_for("other") == "backfill"
        assert context.current().notification == Notification("ticket.modified", "1")


@pytest.mark.parametrize("block", [suppressed, unsuppressed])
@pytest.mark.parametrize("reason", ["", " ", None, 5])
def test_a_reason_is_a_must(block, reason):
    with pytest.raises(ValueError, match="reason"):
        block("ticket.*", reason=reason)


@pytest.mark.parametrize("pattern", ["", " ", None, 5])
def test_a_pattern_is_a_must(pattern):
    with pytest.raises(ValueError, match="pattern"):
        suppressed(pattern, reason="backfill")


def test_a_type_is_checked_where_the_block_is_written():
    with pytest.raises(ValueError, match="glob"):
        notification("ticket.*")
