"""What real logs of Postfix and Exim prove, and what they only seem to."""

from __future__ import annotations

import bz2
import gzip
import lzma
import sys
from datetime import UTC, datetime, timedelta
from io import BytesIO, TextIOWrapper
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from notifyguard.reconcile import reading
from notifyguard.reconcile.lines import STDIN, moment, read_lines
from notifyguard.reconcile.reading import read
from tests.logs import feed

LOGS = Path(feed.__file__).parent
POSTFIX, EXIM = LOGS / "postfix.log", LOGS / "exim4.log"
NAMES = [*(name for name, _ in feed.MESSAGES), feed.CUT]
BOTH = pytest.mark.parametrize("log", [POSTFIX, EXIM], ids=["postfix", "exim"])


def message_id(name):
    return f"<{name}@app.example.com>"


WANTED = {message_id(name) for name in NAMES}


def heard(*paths, wanted=WANTED, **more):
    return read(paths, wanted, **more)


def accepted(evidence):
    return {(name.split("@")[0][1:], to) for name, to in evidence.accepted}


@BOTH
def test_every_recipient_that_the_server_took_is_found_whatever_came_of_it(log):
    """Sent, bounced or put off: this server has had it, and we must not send it again."""
    sent = {
        (name, to.lower())
        for name, recipients in feed.MESSAGES
        for to in recipients
        if to != "refused@example.com"
    }
    assert sent <= accepted(heard(log))
    assert {name for name, _ in accepted(heard(log))} == {name for name, _ in sent}


@BOTH
def test_the_next_hops_word_is_kept(log):
    evidence = heard(log)
    said = evidence.accepted[message_id("bounced.3"), "bounce-dan@fail.example.com"]
    assert said.startswith(("bounced", "failed"))
    assert "550 5.1.1" in said


@BOTH
def test_a_message_that_was_cut_was_not_taken_although_postfix_names_it(log):
    evidence = heard(log)
    assert message_id(feed.CUT) not in evidence.taken
    assert message_id("accepted.1") in evidence.taken
    if log is POSTFIX:
        assert feed.CUT in log.read_text()


def test_postfix_says_who_was_refused_of_a_message_that_it_took():
    evidence = heard(POSTFIX)
    pair = (message_id("partly.6"), "refused@example.com")
    assert evidence.refused == {pair: evidence.refused[pair]}
    assert evidence.refused[pair].startswith("550 5.1.1")
    assert pair not in evidence.accepted


@BOTH
def test_only_what_is_looked_for_is_kept(log):
    one = message_id("deferred.4")
    evidence = heard(log, wanted={one})
    assert {name for name, _ in evidence.accepted} == evidence.taken == {one}


@pytest.mark.parametrize("removed", [True, False])
def test_a_queue_id_that_is_used_again_belongs_to_the_later_message(tmp_path, removed):
    log = tmp_path / "mail.log"
    line = "Nov 25 21:41:23 mx postfix/{}[1]: 5B79729C57D: {}\n"
    log.write_text(
        line.format("cleanup", "message-id=<accepted.1@app.example.com>")
        + line.format("qmgr", "removed") * removed
        + line.format("cleanup", "message-id=<other@example.com>")
        + line.format("smtp", "to=<bob@example.com>, relay=x, status=sent (250 Ok)")
    )
    assert heard(log).accepted == {}


def test_a_probe_of_an_address_is_no_delivery(tmp_path):
    log = tmp_path / "mail.log"
    line = "Nov 25 21:41:23 mx postfix/{}[1]: 5B79729C57D: {}\n"
    log.write_text(
        line.format("cleanup", "message-id=<accepted.1@app.example.com>")
        + line.format("smtp", "to=<bob@example.com>, relay=x, status=deliverable (250 Ok)")
    )
    assert heard(log).accepted == {}


# Files


@BOTH
@pytest.mark.parametrize("opener", [gzip.open, bz2.open, lzma.open])
def test_compressed_logs_say_the_same(log, opener, tmp_path):
    packed = tmp_path / "mail.log.1"  # told by what is inside, not by the name
    with opener(packed, "wb") as file:
        file.write(log.read_bytes())
    assert heard(packed) == heard(log)


@BOTH
def test_a_message_may_span_a_rotation_whatever_the_order_of_the_files(log, tmp_path):
    lines = log.read_text().splitlines(keepends=True)
    whole = heard(log)
    for cut in range(1, len(lines), 3):
        old, new = tmp_path / "mail.log.1", tmp_path / "mail.log"
        old.write_text(_earlier("".join(lines[:cut])))
        new.write_text("".join(lines[cut:]))
        parts = heard(new, old)
        assert (parts.accepted, parts.refused, parts.taken) == (
            whole.accepted,
            whole.refused,
            whole.taken,
        )


def _earlier(text):
    return text.replace("Nov 25 21", "Nov 25 20").replace("2026-11-25 21", "2026-11-25 20")


@pytest.mark.parametrize(
    ("stamp", "first"),
    [
        ("__REALTIME_TIMESTAMP=1764106883000000\n", datetime.fromtimestamp(1764106883, UTC)),
        ("__REALTIME_TIMESTAMP=yesterday\n", None),
        (f"__REALTIME_TIMESTAMP={10**30}\n", None),
        ("", None),
    ],
    ids=["as it is", "no number", "no time", "missing"],
)
def test_what_journald_exports_is_read(tmp_path, stamp, first):
    entries = []
    for line in POSTFIX.read_text().splitlines():
        name, _, message = line.split(" mx ", 1)[1].partition(": ")
        entries.append(
            f"__CURSOR=s=1\n{stamp}"
            f"MESSAGE={message}\nSYSLOG_IDENTIFIER={name.split('[')[0]}\n_PID=1\n"
        )
    exported = tmp_path / "export"
    exported.write_text("\n".join(entries))
    evidence = heard(exported)
    assert evidence.accepted == heard(POSTFIX).accepted
    assert evidence.first == first


def test_journalctl_as_text_is_read(tmp_path):
    text = POSTFIX.read_text().replace("Nov 25 21:", "2026-11-25T21:").replace(" mx ", "+0000 mx ")
    log = tmp_path / "journal"
    log.write_text(text)
    assert heard(log).accepted == heard(POSTFIX).accepted
    assert heard(log).first == datetime(2026, 11, 25, 21, 43, 56, tzinfo=UTC)


def test_standard_input_is_read_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(EXIM.read_bytes())))
    assert heard(STDIN).accepted == heard(EXIM).accepted


def test_bytes_that_are_no_text_and_endless_lines_end_nothing(tmp_path):
    log = tmp_path / "mail.log"
    log.write_bytes(b"\xff\xfe\x00\n" + b"x" * 1_000_000 + b"\n" + POSTFIX.read_bytes())
    assert heard(log).accepted == heard(POSTFIX).accepted
    assert max(map(len, read_lines(log))) <= 16_384


def test_progress_is_told_in_bytes_of_all_files(tmp_path):
    big = tmp_path / "mail.log"
    big.write_bytes(POSTFIX.read_bytes() * 200)
    told: list[int] = []
    heard(big, POSTFIX, progress=told.append)
    assert told == sorted(told)
    assert 0 < told[-1] <= big.stat().st_size + POSTFIX.stat().st_size


def test_memory_grows_with_what_is_looked_for_and_not_with_the_log(tmp_path):
    """A session for each of 20,000 messages that nobody asked for, half of them refused."""
    log = tmp_path / "mail.log"
    with log.open("w") as file:
        for number in range(20_000):
            start = f"Nov 25 21:41:23 mx postfix/smtpd[1]: {number:010X}: "
            file.write(f"{start}client=unknown[127.0.0.1]\n{start}reject: RCPT from a[::1]: ")
            file.write(f"550 5.1.1 no; from=<a@example.com> to=<b{number}@example.com>\n")
    postfix = reading.Postfix(set())
    for line in read_lines(log):
        list(postfix.read(line))
    assert len(postfix._refused) == 10_000


# Times


@pytest.mark.parametrize(
    ("line", "utc"),
    [
        ("2026-11-25T21:41:23.123456+01:00 mx postfix", (2026, 11, 25, 20, 41, 23)),
        ("2026-11-25T21:41:23Z mx", (2026, 11, 25, 21, 41, 23)),
        ("2026-07-25 21:41:23 1xWKlo-0001UH-1M <=", (2026, 7, 25, 19, 41, 23)),
        ("2026-11-25 21:41:23.123 +0200 1xW", (2026, 11, 25, 19, 41, 23)),
    ],
)
def test_times_are_read_in_the_zone_of_the_log(line, utc):
    assert moment(line, ZoneInfo("Europe/Berlin")) == datetime(*utc, tzinfo=UTC)  # type: ignore[misc]


def test_a_time_without_a_year_is_the_last_one_that_has_been():
    now = datetime.now(UTC)
    for ago in (timedelta(hours=1), timedelta(days=100), timedelta(days=360)):
        at = (now - ago).replace(microsecond=0)
        assert moment(f"{at:%b} {at.day:2} {at:%H:%M:%S} mx postfix", ZoneInfo("UTC")) == at


@pytest.mark.parametrize("line", ["", "Feb 31 10:00:00 mx", "2026-13-40 10:00:00 x", "no time"])
def test_what_is_no_time_is_none(line):
    assert moment(line) is None
