"""The settings: what is read, what a mistake does, and what a type gets."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from notifyguard import conf
from notifyguard.conf import problem as problem_module
from notifyguard.conf.schema import KNOWN_TYPES
from notifyguard.conf.table import settings_of
from notifyguard.decision import Sending
from notifyguard.exceptions import InvalidSettings

STOPPING = ["SENDING", "TYPES", "EXTRA_RULES", "ALLOW_RECIPIENTS", "DATABASE", "NAMESPACE"]
HARMLESS = [
    "MODE",
    "DISABLED_RULES",
    "LEASE",
    "HEARTBEAT",
    "LIMITER",
    "IN_TESTS",
    "REPLACE_SMTP_BACKEND",
    "RETENTION",
    "FROZEN_CLASSES",
    "CELERY",
]


def only_problem(written: Any) -> conf.Problem:
    (problem,) = conf.read(written).problems
    return problem


@pytest.fixture(autouse=True)
def nothing_logged_yet(monkeypatch):
    monkeypatch.setattr(problem_module, "_logged", set())


# Read at send time


@override_settings()
def test_a_project_without_the_setting_gets_the_defaults():
    del django_settings.NOTIFYGUARD
    assert conf.current() == conf.Settings()
    assert conf.current() is conf.current()


@override_settings()
def test_a_setting_that_was_missing_is_seen_when_it_comes():
    del django_settings.NOTIFYGUARD
    conf.current()
    conf.current()
    django_settings.NOTIFYGUARD = {"SENDING": "hold"}
    assert conf.current().sending == "hold"
    with override_settings():
        del django_settings.NOTIFYGUARD
        assert conf.current().sending == "open"
    assert conf.current().sending == "hold"


@override_settings(NOTIFYGUARD=None)
def test_none_is_as_good_as_nothing():
    assert conf.current() == conf.Settings()


def test_override_settings_is_seen_and_undone():
    with override_settings(NOTIFYGUARD={"LEASE": 5}):
        assert conf.current().lease == 5
    assert conf.current().lease == 600


@override_settings(NOTIFYGUARD={"TYPES": {"ticket.*": {"sending": "open"}}})
def test_a_change_deep_inside_the_dict_is_seen():
    assert conf.current().for_type("ticket.new").sending is Sending.OPEN
    django_settings.NOTIFYGUARD["TYPES"]["ticket.*"]["sending"] = "hold"
    assert conf.current().for_type("ticket.new").sending is Sending.HOLD


@override_settings(NOTIFYGUARD={"EXTRA_RULES": ["a.b"], "NAMESPACE": threading.get_ident})
def test_unchanged_settings_are_read_once():
    first = conf.current()
    assert conf.current() is first
    django_settings.NOTIFYGUARD["EXTRA_RULES"].append("c.d")
    assert conf.current().extra_rules == ("a.b", "c.d")


def test_what_the_project_wrote_is_never_written_to():
    written = {"TYPES": {"allauth.*": {"sending": "hlod"}}, "RETENTION": {}}
    conf.read(written)
    assert written == {"TYPES": {"allauth.*": {"sending": "hlod"}}, "RETENTION": {}}
    assert dict(KNOWN_TYPES["allauth.*"]) == {"critical": True}


def test_settings_may_change_in_place_while_a_thread_reads_them():
    """To look at this key changes the dict, as another thread might at that very moment."""
    types: dict[str, Any] = {}

    class Key(str):
        __slots__ = ()

        def __hash__(self) -> int:
            types[f"ticket.{len(types)}"] = {"sending": "hold"}
            return super().__hash__()

    types[Key("order.*")] = {}
    types["last"] = {}
    with override_settings(NOTIFYGUARD={"TYPES": types}):
        assert conf.current().problems == ()


# What can be written


def test_every_setting_can_be_written():
    settings = conf.read(
        {
            "MODE": "observe",
            "SENDING": "discard",
            "TYPES": {
                "a.*": {
                    "in_transaction": "defer",
                    "critical": True,
                    "max_age": timedelta(hours=2),
                    "on_stale": "expire",
                    "on_missed": "latest",
                    "on_uncertain": "resend",
                    "retries": {"attempts": 2},
                    "rules": {"blank": "off", "project.rules.Office": "report"},
                }
            },
            "ALLOW_RECIPIENTS": ["Ann@Example.com", "bücher.example"],
            "EXTRA_RULES": ["project.rules.Office"],
            "DISABLED_RULES": ("blank",),
            "DATABASE": "mail",
            "LEASE": 2,
            "IN_TESTS": "full",
            "NAMESPACE": "project.tenants.current",
            "REPLACE_SMTP_BACKEND": True,
            "RETENTION": {"deliveries": 30, "bodies": 0.5},
            "FROZEN_CLASSES": ["project.mail.Message"],
        }
    )
    assert settings.problems == ()
    assert settings == conf.Settings(
        mode="observe",
        sending=Sending.DISCARD,
        types={
            **KNOWN_TYPES,
            "a.*": {
                "in_transaction": "defer",
                "critical": True,
                "max_age": timedelta(hours=2),
                "on_stale": "expire",
                "on_missed": "latest",
                "on_uncertain": "resend",
                "retries": conf.Retries(attempts=2),
                "rules": {"blank": "off", "project.rules.Office": "report"},
            },
        },
        allow_recipients=("ann@example.com", "*@xn--bcher-kva.example"),
        extra_rules=("project.rules.Office",),
        disabled_rules=("blank",),
        database="mail",
        lease=2,
        in_tests="full",
        namespace="project.tenants.current",
        replace_smtp_backend=True,
        retention=conf.Retention(deliveries=timedelta(days=30), bodies=timedelta(hours=12)),
        frozen_classes=("project.mail.Message",),
    )


def test_a_switch_is_read_as_the_word_of_the_design():
    settings = conf.read({"SENDING": "hold", "TYPES": {"a": {"sending": "discard"}}})
    assert settings.sending is Sending.HOLD
    assert settings.for_type("a").sending is Sending.DISCARD


# Mistakes


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            {"SENDING": "hlod"},
            'NOTIFYGUARD["SENDING"] is "hlod", which cannot be used. Did you mean "hold"? '
            'Write one of "open", "hold", "discard". Until then all mail is held.',
        ),
        (
            {"SENDNG": "open"},
            'NOTIFYGUARD["SENDNG"] is not a setting of this version of notifyguard. '
            'Did you mean "SENDING"? Until then all mail is held.',
        ),
        (
            {"lease": 5},
            'NOTIFYGUARD["lease"] is not a setting of this version of notifyguard. '
            'Did you mean "LEASE"?',
        ),
        (
            {"TYPES": {"ticket.*": {"critcal": True}}},
            'NOTIFYGUARD["TYPES"]["ticket.*"]["critcal"] is not a setting of this version of '
            'notifyguard. Did you mean "critical"?',
        ),
        (
            {"TYPES": {"ticket.?": {}}},
            'NOTIFYGUARD["TYPES"]["ticket.?"] is not a pattern of types. '
            'Use "*", which is the only wildcard.',
        ),
        (
            {"TYPES": {"ticket.*": {"rules": {"blnk": "hold"}}}},
            'NOTIFYGUARD["TYPES"]["ticket.*"]["rules"] is {\'blnk\': \'hold\'}, which cannot be '
            'used. "blnk" is no rule that can be switched. Did you mean "blank"? Known are '
            "stale, missed, blank, visible_recipients, empty_body, unrendered and the paths in "
            'EXTRA_RULES. Until then mail of types "ticket.*" is held.',
        ),
        (
            {"TYPES": {"ticket.*": {"rules": {"blank": "of"}}}},
            'NOTIFYGUARD["TYPES"]["ticket.*"]["rules"] is {\'blank\': \'of\'}, which cannot be '
            'used. "blank" is "of". Did you mean "off"? Write one of "off", "report", "hold". '
            'Until then mail of types "ticket.*" is held.',
        ),
        (
            {"TYPES": {"ticket.*": {"max_age": 60}}},
            'NOTIFYGUARD["TYPES"]["ticket.*"]["max_age"] is 60, which cannot be used. Write a '
            "timedelta, such as timedelta(hours=2), more than 0 and at most 36500 days, or None "
            'for no limit. Until then mail of types "ticket.*" is held.',
        ),
        (
            {"TYPES": {"ticket.*": {"on_stale": "expires"}}},
            'NOTIFYGUARD["TYPES"]["ticket.*"]["on_stale"] is "expires", which cannot be used. '
            'Did you mean "expire"? Write one of "hold", "expire".',
        ),
        (
            {"CELERY": {"spol": True}},
            'NOTIFYGUARD["CELERY"]["spol"] is not a setting of this version of notifyguard. '
            'Did you mean "spool"?',
        ),
        (
            {"CELERY": {"consumer_timeout": 1800}},
            'NOTIFYGUARD["CELERY"]["consumer_timeout"] is 1800, which cannot be used. Write a '
            "timedelta, such as timedelta(hours=2), more than 0 and at most 36500 days, or None "
            "for no limit.",
        ),
        (
            {"ALLOW_RECIPIENTS": "example.com"},
            'NOTIFYGUARD["ALLOW_RECIPIENTS"] is "example.com", which cannot be used. Write a '
            'list, such as ["example.com"], or None to allow everybody. '
            "Until then all mail is held.",
        ),
        (
            {"ALLOW_RECIPIENTS": ["a@b@c"]},
            "NOTIFYGUARD[\"ALLOW_RECIPIENTS\"] is ['a@b@c'], which cannot be used. Item 0 is "
            '"a@b@c". Write an address ("ann@example.com"), a domain ("example.com") or a glob '
            '("*@example.com"). Until then all mail is held.',
        ),
        (
            {"EXTRA_RULES": ["a.b", "c"]},
            "NOTIFYGUARD[\"EXTRA_RULES\"] is ['a.b', 'c'], which cannot be used. Item 1 is \"c\". "
            'Write a dotted path, such as "project.module.name". Until then all mail is held.',
        ),
        (
            {"RETENTION": {"claims": 30}},
            "NOTIFYGUARD[\"RETENTION\"] is {'claims': 30}, which cannot be used. "
            'Set "claims" to at least the 90 days of "deliveries".',
        ),
        (
            ["SENDING"],
            "NOTIFYGUARD is ['SENDING'], which cannot be used. Write a dict. "
            "Until then all mail is held.",
        ),
    ],
)
def test_a_problem_names_setting_value_and_fix(written: Any, expected: str):
    assert str(only_problem(written)) == expected


def test_all_problems_are_found_together():
    found = conf.read({"MODE": "of", "LEASE": 0, "TYPES": {"a": {"critical": 1, "x": 2}}, "N": 1})
    assert len(found.problems) == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MODE", "Enforce"),
        ("SENDING", None),
        ("SENDING", ["hold"]),
        ("TYPES", ["a"]),
        ("EXTRA_RULES", "a.b"),
        ("DISABLED_RULES", "blank"),
        ("DISABLED_RULES", [1]),
        ("DATABASE", ""),
        ("DATABASE", None),
        ("LEASE", 0),
        ("LEASE", True),
        ("LEASE", 1.5),
        ("LEASE", 86_401),
        ("LEASE", "600"),
        ("IN_TESTS", True),
        ("NAMESPACE", "tenant"),
        ("NAMESPACE", 3),
        ("REPLACE_SMTP_BACKEND", 1),
        ("REPLACE_SMTP_BACKEND", "yes"),
        ("RETENTION", 90),
        ("FROZEN_CLASSES", ["a b.c"]),
        ("ALLOW_RECIPIENTS", {"example.com"}),
        ("ALLOW_RECIPIENTS", [None]),
        ("ALLOW_RECIPIENTS", ["example.com", ""]),
        ("ALLOW_RECIPIENTS", ["@example.com"]),
        ("ALLOW_RECIPIENTS", ["ann@"]),
        ("ALLOW_RECIPIENTS", ["Ann <ann@example.com>"]),
        ("ALLOW_RECIPIENTS", ["ann@example.com, bob@example.com"]),
        ("ALLOW_RECIPIENTS", ["a..example"]),
        ("ALLOW_RECIPIENTS", ["ann?@example.com"]),
    ],
)
def test_what_cannot_be_used_falls_back_or_stops(name: str, value: Any):
    settings = conf.read({name: value})
    assert only_problem({name: value}).kind is conf.Kind.INVALID
    sending = Sending.HOLD if name in STOPPING else Sending.OPEN
    assert settings == conf.Settings(sending=sending, problems=settings.problems)


@pytest.mark.parametrize("value", [0, -1, True, "90", None, float("nan"), float("inf"), 10**400])
def test_a_bad_retention_falls_back_alone(value: Any):
    settings = conf.read({"RETENTION": {"bodies": value, "deliveries": 10}})
    assert settings.retention == conf.Retention(deliveries=timedelta(days=10))
    assert settings.problems


def test_claims_outlive_deliveries_even_when_written_otherwise():
    retention = conf.read({"RETENTION": {"deliveries": 1000}}).retention
    assert retention.claims == retention.deliveries == timedelta(days=1000)


def test_each_setting_either_stops_or_is_harmless():
    """A new setting must be put on one of the two lists, that is, thought about."""
    assert sorted(STOPPING + HARMLESS) == sorted(settings_of(conf.Settings))


@pytest.mark.parametrize("name", STOPPING)
def test_a_slip_in_the_name_of_a_setting_that_stops_is_a_stop(name: str):
    assert conf.read({name[:-1]: "x"}).sending is Sending.HOLD


@pytest.mark.parametrize(
    ("name", "sending"),
    [("ALLOW_RECIPIENT", "hold"), ("WHATEVER", "open"), (7, "open")],
)
def test_an_unknown_setting_stops_only_where_ignoring_it_lets_mail_out(name: Any, sending: str):
    assert only_problem({name: ["x"]}).kind is conf.Kind.UNKNOWN
    assert conf.read({name: ["x"]}).sending == sending


@pytest.mark.parametrize(
    "options",
    [{"sending": "hlod"}, {"sendin": "hold"}, {"limits": "5/h"}, {"max_age": 60}, "hold", None],
)
def test_a_stop_that_cannot_be_read_stops_the_types_it_was_written_for(options: Any):
    settings = conf.read({"TYPES": {"ticket.*": options}})
    assert 'mail of types "ticket.*" is held' in str(settings.problems[0])
    assert settings.sending is Sending.OPEN
    assert settings.for_type("ticket.new").sending is Sending.HOLD
    assert settings.for_type("order.new").sending is None


def test_an_option_that_cannot_be_read_leaves_the_others():
    settings = conf.read({"TYPES": {"a": {"in_transaction": "later", "critical": True}}})
    assert settings.for_type("a") == conf.TypeOptions(critical=True)


@pytest.mark.parametrize(
    ("options", "sending"),
    [({"critical": True}, "open"), ({"sending": "hold"}, "hold"), ("hold", "hold")],
)
def test_a_broken_pattern_stops_everything_only_if_it_may_have_stopped(options, sending):
    assert conf.read({"TYPES": {"ticket.?": options}}).sending == sending


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=9) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(STOPPING + HARMLESS) | st.text(max_size=9)


@given(json | st.dictionaries(names, json, max_size=4))
def test_no_value_whatever_breaks_the_reading(written: Any):
    settings = conf.read(written)
    settings.for_type("ticket.new")
    assert isinstance(settings.sending, Sending)
    assert all(str(problem).isprintable() for problem in settings.problems)


@override_settings(NOTIFYGUARD={"SENDING": "hlod"})
def test_a_value_that_contains_itself_is_read_too():
    django_settings.NOTIFYGUARD["TYPES"] = django_settings.NOTIFYGUARD
    assert conf.current().sending is Sending.HOLD


def test_each_problem_is_logged_once(caplog):
    for _ in range(3):
        with override_settings(NOTIFYGUARD={"SENDING": "hlod", "LEASE": 0}):
            conf.current()
        conf.current()
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert 'Did you mean "hold"?' in caplog.text


@override_settings(NOTIFYGUARD={"SENDING": "hlod"})
def test_a_log_line_that_comes_back_as_mail_does_not_go_round(monkeypatch):
    monkeypatch.setenv("NOTIFYGUARD_SENDING", "hlod")
    asked = []

    class MailsAdmins(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            asked.extend([conf.current().sending, conf.current().environment_sending])

    logger, handler = logging.getLogger("notifyguard"), MailsAdmins()
    logger.addHandler(handler)
    try:
        conf.current()
    finally:
        logger.removeHandler(handler)
    assert asked == [Sending.HOLD] * 4


# The environment of one process


@pytest.mark.parametrize(
    ("value", "expected"),
    [("hold", "hold"), ("discard", "discard"), ("open", "open"), ("", None), ("HOLD!", "hold")],
)
def test_the_environment_says_the_same_for_one_process(monkeypatch, value, expected):
    assert conf.current().environment_sending is None
    monkeypatch.setenv("NOTIFYGUARD_SENDING", value)
    assert conf.current().environment_sending == expected
    monkeypatch.delenv("NOTIFYGUARD_SENDING")
    assert conf.current().environment_sending is None


def test_the_environment_is_seen_however_it_is_changed():
    with mock.patch.dict("os.environ", {"NOTIFYGUARD_SENDING": "hold"}, clear=True):
        assert conf.current().environment_sending is Sending.HOLD


def test_an_unreadable_environment_is_logged_once(monkeypatch, caplog):
    monkeypatch.setenv("NOTIFYGUARD_SENDING", "of")
    for _ in range(3):
        assert conf.current().environment_sending is Sending.HOLD
    assert len(caplog.records) == 1
    assert "NOTIFYGUARD_SENDING" in caplog.text
    assert "all mail of this process is held" in caplog.text


# Options of a type


def test_the_most_specific_pattern_wins_for_each_option():
    options = conf.read(
        {
            "TYPES": {
                "ticket.modified": {"in_transaction": "error"},
                "ticket.*": {"in_transaction": "now", "sending": "discard"},
                "*": {"in_transaction": "defer", "sending": "hold"},
            }
        }
    ).for_type("ticket.modified")
    assert options == conf.TypeOptions(sending=Sending.DISCARD, in_transaction="error")


@pytest.mark.parametrize(
    "name", ["auth.password_reset", "allauth.email_confirmation", "django.admins"]
)
def test_what_a_person_waits_for_is_critical_without_being_told(name: str):
    assert conf.Settings().for_type(name).critical


def test_error_mail_never_waits_for_a_commit():
    assert conf.Settings().for_type("django.admins").in_transaction == "now"
    everywhere = conf.read({"TYPES": {"*": {"in_transaction": "defer"}}})
    assert everywhere.for_type("django.admins").in_transaction == "now"


def test_the_project_has_the_last_word_on_the_known_types():
    settings = conf.read(
        {"TYPES": {"django.admins": {"critical": False}, "allauth.mfa": {"critical": False}}}
    )
    assert settings.for_type("django.admins") == conf.TypeOptions(
        in_transaction="now", rules=KNOWN_TYPES["django.admins"]["rules"]
    )
    assert not settings.for_type("allauth.mfa").critical
    assert settings.for_type("allauth.login_code").critical


@pytest.mark.parametrize(
    ("pattern", "sending"), [("*", None), ("**", None), ("auth.*", "hold"), ("*reset", "hold")]
)
def test_a_critical_type_obeys_only_a_switch_that_names_it(pattern: str, sending: str | None):
    settings = conf.read({"TYPES": {pattern: {"sending": "hold"}}})
    assert settings.for_type("auth.password_reset").sending == sending


def test_options_of_ever_new_types_do_not_fill_the_memory():
    settings = conf.Settings()
    for number in range(5000):
        settings.for_type(f"ticket.{number}")
    assert settings.for_type.cache_info().currsize <= 2048  # type: ignore[attr-defined]


# The namespace


def tenant() -> str:
    return "tenant-7"


def broken() -> str:
    raise LookupError("no tenant")


class Tenants:
    current = staticmethod(tenant)


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [
        (None, ""),
        (tenant, "tenant-7"),
        (f"{__name__}.tenant", "tenant-7"),
        (f"{__name__}.Tenants.current", "tenant-7"),
    ],
)
def test_the_namespace_is_asked_for_each_time(namespace: Any, expected: str):
    assert conf.read({"NAMESPACE": namespace}).current_namespace() == expected


@pytest.mark.parametrize(
    "namespace", [broken, dict, "no.such.module", f"{__name__}.nobody", f"{__name__}.STOPPING"]
)
def test_a_namespace_is_never_guessed(namespace: Any):
    with pytest.raises(InvalidSettings, match="NAMESPACE"):
        conf.read({"NAMESPACE": namespace}).current_namespace()


def test_rules_are_switched_one_by_one_and_the_more_specific_pattern_wins():
    settings = conf.read(
        {
            "TYPES": {
                "*": {"rules": {"blank": "off", "unrendered": "hold"}},
                "ticket.*": {"rules": {"blank": "report"}},
            }
        }
    )
    assert settings.for_type("ticket.new").rules == {"blank": "report", "unrendered": "hold"}
    assert settings.for_type("order.new").rules == {"blank": "off", "unrendered": "hold"}


def test_no_age_and_no_list_are_what_they_say():
    settings = conf.read({"TYPES": {"a": {"max_age": None}}, "ALLOW_RECIPIENTS": None})
    assert settings.problems == ()
    assert settings.for_type("a").max_age is None
    assert settings.allow_recipients is None
    assert conf.read({"ALLOW_RECIPIENTS": []}).allow_recipients == ()
