"""When a message is to leave: an instant, whatever the clocks on the wall do meanwhile."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from django.core.mail import EmailMessage

import notifyguard
from notifyguard import clock, context
from notifyguard.notification import identified, notification_of

BERLIN = ZoneInfo("Europe/Berlin")


def instant(*parts: int, zone: tzinfo = BERLIN, fold: int = 0) -> datetime:
    at = datetime(*parts, tzinfo=zone, fold=fold)  # type: ignore[arg-type,misc]
    said = notification_of("reminder", send_at=at).send_at
    assert said is not None
    return said


@pytest.mark.parametrize(
    ("local", "fold", "utc"),
    [
        ((2027, 1, 15, 9, 0), 0, (2027, 1, 15, 8, 0)),  # winter
        ((2027, 7, 15, 9, 0), 0, (2027, 7, 15, 7, 0)),  # summer
        ((2027, 3, 28, 1, 59), 0, (2027, 3, 28, 0, 59)),  # the last minute before the jump
        ((2027, 3, 28, 2, 30), 0, (2027, 3, 28, 1, 30)),  # skipped: 03:30 on the wall
        ((2027, 10, 31, 2, 30), 0, (2027, 10, 31, 0, 30)),  # the first of two
        ((2027, 10, 31, 2, 30), 1, (2027, 10, 31, 1, 30)),  # the second
        ((2027, 10, 31, 3, 0), 0, (2027, 10, 31, 2, 0)),
    ],
)
def test_a_wall_clock_time_is_one_instant_also_when_the_clocks_change(local, fold, utc):
    assert instant(*local, fold=fold) == datetime(*utc, tzinfo=UTC)  # type: ignore[misc]


def test_nine_in_the_morning_is_nine_on_both_sides_of_the_change():
    days = [instant(2027, 3, day, 9) for day in (27, 28)]
    assert days[1] - days[0] == timedelta(hours=23)
    assert [day.astimezone(BERLIN).hour for day in days] == [9, 9]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"])
def test_odd_zones_keep_their_instant(zone):
    at = datetime(2027, 4, 4, 1, 45, tzinfo=ZoneInfo(zone))
    said = notification_of("reminder", send_at=at).send_at
    assert said is not None
    # By the clock of the universe: a time that comes twice equals none of another zone.
    assert said.timestamp() == at.timestamp()


class _Nowhere(tzinfo):
    """A time zone that does not say its offset: as naive as none."""

    def utcoffset(self, dt):
        return None

    dst = tzname = utcoffset


@pytest.mark.parametrize("zone", [None, _Nowhere()])
def test_a_naive_time_is_refused_and_the_fix_is_named(zone):
    with pytest.raises(ValueError, match="names no time zone") as refusal:
        notification_of("reminder", send_at=datetime(2027, 1, 1, 9, tzinfo=zone))
    assert "make_aware" in str(refusal.value)
    assert "2027-01-01 09:00" in str(refusal.value)


@pytest.mark.parametrize("at", [date(2027, 1, 1), "2027-01-01T09:00Z", 3600, timedelta(hours=1)])
def test_what_is_no_datetime_is_refused(at):
    with pytest.raises(TypeError, match="send_at is a datetime"):
        notification_of("reminder", send_at=at)


@pytest.mark.parametrize(
    "at", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo"))]
)
def test_what_no_database_could_store_is_refused(at):
    with pytest.raises(ValueError, match="send_at is"):
        notification_of("reminder", send_at=at)


def test_it_travels_on_the_message_as_plain_text():
    message = EmailMessage()
    at = datetime(2027, 3, 28, 9, tzinfo=BERLIN)
    notifyguard.identify(message, "reminder", key="1", send_at=at)
    assert all(isinstance(v, str) for k, v in vars(message).items() if "send_at" in k)
    found = identified(pickle.loads(pickle.dumps(message)))
    assert found is not None
    assert found.send_at == at


def test_it_is_said_for_a_block():
    at = datetime(2027, 3, 28, 9, tzinfo=BERLIN)
    with notifyguard.notification("reminder", send_at=at):
        found = context.current().notification
    assert found is not None
    assert found.send_at == at


def test_the_ledger_of_a_project_without_time_zones_stores_local_time(settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "Europe/Berlin"
    at = instant(2027, 7, 15, 9, zone=ZoneInfo("America/New_York"))
    assert clock.stored(at) == datetime(2027, 7, 15, 15)  # noqa: DTZ001
