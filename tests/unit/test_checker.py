"""The checker is only worth something if it catches bad histories: one or more for each law."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proof import checker
from tests.proof.journals import Envelope, History, Intent, Mode, Row, Stop, read_envelopes

WANTED = Intent("n1", ("n1@example.test",), Mode.INLINE, committed=True)
TAKEN = Envelope("n1", ("n1@example.test",), message_id="<1@x>")
SENT = Row("d1", "n1@example.test", "sent", message_id="<1@x>")
CONTROL = Intent("c1", ("c1@example.test",), Mode.CONTROL, committed=True)
CONTROL_TAKEN = Envelope("c1", ("c1@example.test",), message_id="<c@x>")
CONTROL_SENT = Row("d9", "c1@example.test", "sent", message_id="<c@x>")
KILLED = frozenset({7})
GOOD = History((WANTED, CONTROL), (TAKEN, CONTROL_TAKEN), (SENT, CONTROL_SENT))


def state(name: str, **changes: Any) -> Row:
    return replace(SENT, state=name, **changes)


def laws_broken(history: History) -> set[str]:
    return {text.partition(":")[0] for text in checker.violations(history)}


BAD: list[tuple[Callable[..., object], str, History]] = [
    (
        checker.accepted_at_most_once,
        "doubled, though the ledger looks right",
        replace(GOOD, envelopes=(TAKEN, TAKEN, CONTROL_TAKEN)),
    ),
    (
        checker.accepted_at_most_once,
        "doubled under another Message-ID, with two rows sent",
        replace(
            GOOD,
            envelopes=(TAKEN, replace(TAKEN, message_id="<2@x>"), CONTROL_TAKEN),
            rows=(SENT, state("sent", dispatch="d2", message_id="<2@x>"), CONTROL_SENT),
        ),
    ),
    (
        checker.accepted_at_most_once,
        "twins with one key, both delivered",
        History((WANTED, WANTED), (TAKEN, TAKEN), (SENT,)),
    ),
    (
        checker.accepted_was_intended,
        "somebody else's address",
        replace(
            GOOD,
            envelopes=(replace(TAKEN, recipients=("n1@example.test", "x@y")), CONTROL_TAKEN),
        ),
    ),
    (
        checker.accepted_is_recorded,
        "left, but the ledger is empty",
        replace(GOOD, rows=(CONTROL_SENT,)),
    ),
    (
        checker.accepted_is_recorded,
        "left, but the ledger calls it a duplicate",
        replace(GOOD, rows=(state("duplicate"), CONTROL_SENT)),
    ),
    (
        checker.committed_has_a_row,
        "committed, one of two recipients forgotten",
        replace(
            GOOD,
            intents=(replace(WANTED, recipients=("n1@example.test", "n1b@example.test")), CONTROL),
        ),
    ),
    (
        checker.committed_is_not_lost,
        "failed without a reason",
        replace(GOOD, envelopes=(CONTROL_TAKEN,), rows=(state("failed"), CONTROL_SENT)),
    ),
    (
        checker.committed_is_not_lost,
        "given up though too few have died",
        replace(
            GOOD,
            envelopes=(CONTROL_TAKEN,),
            rows=(state("failed", given_up=True), CONTROL_SENT),
            killed=frozenset({7, 8}),
        ),
    ),
    (
        checker.sent_was_accepted,
        "sent is said of what the server never saw",
        replace(GOOD, envelopes=(CONTROL_TAKEN,)),
    ),
    (
        checker.sent_was_accepted,
        "sent is said twice of what was accepted once",
        replace(GOOD, rows=(SENT, replace(SENT, dispatch="d2"), CONTROL_SENT)),
    ),
    (
        checker.sent_was_accepted,
        "the row sent is not the message accepted",
        replace(GOOD, rows=(state("sent", message_id="<other@x>"), CONTROL_SENT)),
    ),
    *(
        (
            checker.not_left_was_not_accepted,
            f"{name} is said of what left",
            replace(GOOD, rows=(state(name), CONTROL_SENT)),
        )
        for name in sorted(checker.NOT_LEFT)
    ),
    (
        checker.not_left_was_not_accepted,
        "the failed row's own message left, and its retry is uncertain",
        replace(
            GOOD,
            rows=(
                state("failed"),
                state("uncertain", dispatch="d2", message_id="<2@x>", process=7),
                CONTROL_SENT,
            ),
            killed=KILLED,
        ),
    ),
    (
        checker.rolled_back_was_not_accepted,
        "sent inside the transaction",
        replace(GOOD, intents=(replace(WANTED, committed=False, rolled_back=True), CONTROL)),
    ),
    (
        checker.uncertain_needs_a_fault,
        "nobody was killed",
        replace(GOOD, rows=(state("uncertain"), CONTROL_SENT)),
    ),
    (
        checker.uncertain_needs_a_fault,
        "another process was killed, not this one",
        replace(GOOD, rows=(state("uncertain", process=8), CONTROL_SENT), killed=KILLED),
    ),
    (
        checker.uncertain_needs_a_fault,
        "one killed process took a batch of two with it",
        History(
            rows=(
                state("uncertain", process=7),
                state("uncertain", process=7, dispatch="d2", recipient="n2@x"),
            ),
            killed=KILLED,
        ),
    ),
    (
        checker.controls_arrive_exactly_once,
        "a control is lost",
        replace(GOOD, envelopes=(TAKEN,)),
    ),
    (
        checker.controls_arrive_exactly_once,
        "a control is doubled",
        replace(GOOD, envelopes=(TAKEN, CONTROL_TAKEN, CONTROL_TAKEN)),
    ),
    *(
        (
            checker.everything_is_settled,
            f"left {name} for ever",
            replace(GOOD, rows=(SENT, state(name, dispatch="d2"), CONTROL_SENT)),
        )
        for name in sorted(checker.UNFINISHED)
    ),
]


@pytest.mark.parametrize(
    ("law", "history"),
    [(law, history) for law, _, history in BAD],
    ids=[text for _, text, _ in BAD],
)
def test_a_bad_history_is_caught(law: Callable[..., object], history: History) -> None:
    assert law.__name__ in laws_broken(history)


def test_every_law_is_tested_with_a_bad_history() -> None:
    assert {law for law, _, _ in BAD} == set(checker.LAWS)


GOOD_HISTORIES = {
    "everything sent": GOOD,
    "nothing happened": History(),
    "given up after three deaths": replace(
        GOOD,
        envelopes=(CONTROL_TAKEN,),
        rows=(state("failed", given_up=True), CONTROL_SENT),
        killed=frozenset({7, 8, 9}),
    ),
    "uncertain and accepted, one killed": replace(
        GOOD, rows=(state("uncertain", process=7), CONTROL_SENT), killed=KILLED
    ),
    "uncertain and not accepted, one killed": replace(
        GOOD,
        envelopes=(CONTROL_TAKEN,),
        rows=(state("uncertain", process=7), CONTROL_SENT),
        killed=KILLED,
    ),
    "uncertain by a fault of the server, nobody killed": replace(
        GOOD,
        intents=(replace(WANTED, fault=True), CONTROL),
        rows=(state("uncertain"), CONTROL_SENT),
    ),
    "refused by the server": replace(
        GOOD,
        intents=(replace(WANTED, fault=True), CONTROL),
        envelopes=(CONTROL_TAKEN,),
        rows=(state("failed"), CONTROL_SENT),
    ),
    "one uncertain dispatch to two people": History(
        rows=(state("uncertain", process=7), state("uncertain", process=7, recipient="n2@x")),
        killed=KILLED,
    ),
    "failed, then sent by a retry": replace(
        GOOD, rows=(state("failed", dispatch="d0", message_id="<0@x>"), SENT, CONTROL_SENT)
    ),
    "queued twice, one became a duplicate": replace(
        GOOD, rows=(SENT, state("duplicate", dispatch="d2", message_id="<2@x>"), CONTROL_SENT)
    ),
    "rolled back, nothing left": replace(
        GOOD,
        intents=(replace(WANTED, committed=False, rolled_back=True), CONTROL),
        envelopes=(CONTROL_TAKEN,),
        rows=(CONTROL_SENT,),
    ),
    "killed before anything was committed": replace(
        GOOD,
        intents=(replace(WANTED, committed=False), CONTROL),
        envelopes=(CONTROL_TAKEN,),
        rows=(CONTROL_SENT,),
        killed=KILLED,
    ),
}


@pytest.mark.parametrize("history", GOOD_HISTORIES.values(), ids=GOOD_HISTORIES)
def test_a_good_history_passes(history: History) -> None:
    assert checker.violations(history) == []


@st.composite
def honest_histories(draw: st.DrawFn) -> History:
    """What a correct ledger leaves behind, whatever happens to its callers."""
    fates = draw(st.lists(st.sampled_from(["sent", "uncertain+", "uncertain-", "rolled back"])))
    history = History()
    for number, fate in enumerate(fates):
        name, recipient = f"n{number}", f"n{number}@example.test"
        rolled_back = fate == "rolled back"
        intent = Intent(name, (recipient,), Mode.ATOMIC, not rolled_back, rolled_back)
        taken = (Envelope(name, (recipient,), f"<{name}>"),) * (fate in {"sent", "uncertain+"})
        row = Row(f"d{number}", recipient, fate.rstrip("+-"), f"<{name}>", process=number)
        history = History(
            (*history.intents, intent),
            history.envelopes + taken,
            history.rows + (() if rolled_back else (row,)),
            history.killed | ({number} if fate.startswith("uncertain") else set()),
        )
    return history


@given(honest_histories())
def test_honest_histories_pass(history: History) -> None:
    assert checker.violations(history) == []


@given(honest_histories(), st.data())
def test_one_more_copy_of_anything_is_caught(history: History, data: st.DataObject) -> None:
    if not history.envelopes:
        return
    again = data.draw(st.sampled_from(history.envelopes))
    assert checker.violations(replace(history, envelopes=(*history.envelopes, again)))


@given(honest_histories(), st.data())
def test_one_row_gone_is_caught(history: History, data: st.DataObject) -> None:
    if not history.rows:
        return
    gone = data.draw(st.sampled_from(history.rows))
    assert checker.violations(
        replace(history, rows=tuple(row for row in history.rows if row is not gone))
    )


STOP = Stop(returned=10.0, reopened=11.0)


def begun(*times: float, worker: str = "w1") -> list[Envelope]:
    return [Envelope("", (), worker=worker, begun=time, at=time + 0.01) for time in times]


def test_each_worker_may_finish_the_one_it_had_in_the_air() -> None:
    journal = begun(9.0, 10.1, 11.1) + begun(10.2, worker="w2")
    assert list(checker.stopped_means_stopped([STOP], journal)) == []


def test_a_second_one_begun_after_the_command_is_caught() -> None:
    (text,) = checker.stopped_means_stopped([STOP], begun(10.1, 10.2))
    assert "worker w1 began 2" in text


def test_after_wait_nothing_may_begin() -> None:
    (text,) = checker.stopped_means_stopped([replace(STOP, waited=True)], begun(10.1))
    assert "after --wait" in text


def test_after_wait_nothing_may_arrive_that_was_begun_before() -> None:
    late = Envelope("", (), worker="w1", begun=9.9, at=10.5)
    (text,) = checker.stopped_means_stopped([replace(STOP, waited=True)], [late])
    assert "1 moved" in text


def test_the_sink_s_journal_is_read_without_what_was_not_accepted(tmp_path: Path) -> None:
    accepted = {
        "event": "accepted",
        "at": 2.0,
        "begun": 1.0,
        "to": ["a@x"],
        "message_id": "<m>",
        "x": {"X-Intent": "n1", "X-Worker": "w1"},
    }
    journal = tmp_path / "journal"
    journal.write_text(f"{json.dumps(accepted)}\n{json.dumps({'event': 'dropped'})}\n")
    assert read_envelopes(journal) == (Envelope("n1", ("a@x",), "<m>", "w1", 1.0, 2.0),)
