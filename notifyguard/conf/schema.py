# ruff: noqa: RUF009  (`setting` only makes a dataclass field, as `field` does)
"""The settings: these classes *are* the list. What is not a field here is no setting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property, lru_cache, partial
from pkgutil import resolve_name
from typing import Any, ClassVar, Literal

from notifyguard import patterns
from notifyguard.conf import environment, readers
from notifyguard.conf.celery import CelerySettings, read_celery
from notifyguard.conf.limiter import LimiterSettings, read_limiter
from notifyguard.conf.limits import PER_RECIPIENT, PER_TYPE, Limit, owned, read_limits
from notifyguard.conf.problem import Kind, Place, Problem, UnusableError, as_mapping
from notifyguard.conf.recipients import allowed_recipients
from notifyguard.conf.retries import Retries, retries
from notifyguard.conf.rule_switches import RuleSwitches, rule_switches
from notifyguard.conf.table import read_table, setting
from notifyguard.decision import Sending
from notifyguard.exceptions import InvalidSettings

Mode = Literal["enforce", "observe", "bypass"]
InTransaction = Literal["defer", "now", "error"]
OnLimit = Literal["hold", "delay", "discard"]
OnStale = Literal["hold", "expire"]
OnMissed = Literal["send", "latest", "hold"]
OnUncertain = Literal["keep", "resend"]
DAY: timedelta | None = timedelta(hours=24)
MILLION: int | None = 1_000_000
TEN_GIGABYTES: int | None = 10_000_000_000


@dataclass(frozen=True)
class Retention:
    """How long the ledger keeps what it knows; written in days."""

    spelled: ClassVar = str.lower
    later: ClassVar[Mapping[object, bool]] = {}

    deliveries: timedelta = setting(timedelta(days=90), readers.days)
    claims: timedelta = setting(timedelta(days=400), readers.days)
    bodies: timedelta = setting(timedelta(days=3), readers.days)


@dataclass(frozen=True)
class TypeOptions:
    """What holds for one notification type."""

    spelled: ClassVar = str.lower
    later: ClassVar[Mapping[object, bool]] = {}

    sending: Sending | None = setting(None, readers.one_of(None, *Sending), stops=True)
    in_transaction: InTransaction | None = setting(
        None, readers.one_of(None, "defer", "now", "error")
    )
    critical: bool = setting(False, readers.one_of(True, False))
    limits: tuple[Limit, ...] = setting((), read_limits, stops=True)
    type_limits: tuple[Limit, ...] = setting((), read_limits, stops=True)
    on_limit: OnLimit = setting("hold", readers.one_of("hold", "delay", "discard"))
    max_age: timedelta | None = setting(DAY, readers.age, stops=True)
    on_stale: OnStale = setting("hold", readers.one_of("hold", "expire"))
    on_missed: OnMissed = setting("send", readers.one_of("send", "latest", "hold"), stops=True)
    retries: Retries | None = setting(None, retries)
    on_uncertain: OnUncertain = setting("keep", readers.one_of("keep", "resend"))
    rules: RuleSwitches = setting({}, rule_switches, stops=True)
    digest: str | None = setting(None, readers.template)
    max_held: int | None = setting(MILLION, readers.cap)
    max_held_bytes: int | None = setting(TEN_GIGABYTES, readers.cap)


Types = Mapping[str, Mapping[str, Any]]

# What stops a critical type only where a pattern names it: somebody waits for it.
_NAMING_CRITICAL = ("sending", PER_RECIPIENT, PER_TYPE)

# Error mail is sent from broken transactions, so it is never deferred to a commit that
# will not come; it quotes the source that failed, and ADMINS know one another.
_TO_ADMINS: Mapping[str, Any] = {
    "critical": True,
    "in_transaction": "now",
    "rules": {"unrendered": "off", "visible_recipients": "off"},
}

# What a person waits for, known without being told.
KNOWN_TYPES: Types = {
    "auth.password_reset": {"critical": True},
    "allauth.*": {"critical": True},
    "django.admins": _TO_ADMINS,
    # Apart from error mail, whose flood would use the limits of the alerts up.
    "notifyguard.alerts": _TO_ADMINS,
}


def _read_types(value: Any, place: Place) -> Types:
    types = dict(KNOWN_TYPES)
    for pattern, written in as_mapping(value).items():
        if fix := patterns.fault(pattern):
            # Nobody can tell which mail a broken pattern was meant to stop.
            text = f"{place.at(pattern).path} is not a pattern of types."
            place.report(Kind.INVALID, text, fix, stops=_may_stop(written))
        else:
            options = _read_type_options(pattern, written, place.at(pattern))
            types[pattern] = {**types.get(pattern, {}), **options}
    return types


def _may_stop(written: object) -> bool:
    if not isinstance(written, dict) or written.get("sending", "open") != "open":
        return True
    return bool(written.get(PER_RECIPIENT) or written.get(PER_TYPE))


def _read_type_options(pattern: str, written: Any, place: Place) -> dict[str, Any]:
    inner = Place(place.path, f'mail of types "{pattern}"')
    try:
        options = read_table(TypeOptions, as_mapping(written), inner)
    except UnusableError as error:
        inner.reject(written, str(error), stops=True)
        options = {}
    if any(problem.held for problem in inner.problems):
        options["sending"] = Sending.HOLD
    place.problems.extend(inner.problems)
    return owned(options, pattern)


def _read_retention(value: Any, place: Place) -> Retention:
    retention = Retention(**read_table(Retention, as_mapping(value), place))
    if retention.claims >= retention.deliveries:
        return retention
    fix = f'Set "claims" to at least the {retention.deliveries.days} days of "deliveries".'
    place.reject(value, fix, stops=False)
    return replace(retention, claims=retention.deliveries)


@dataclass(frozen=True)
class Settings:
    """``settings.NOTIFYGUARD``, validated; every field has a value that can be used.

    ``lease`` and ``heartbeat`` are in seconds. ``problems`` lists what was wrong with what
    was written.
    """

    spelled: ClassVar = str.upper
    # True where to ignore it would let out what it is there to keep back.
    later: ClassVar[Mapping[object, bool]] = {}

    mode: Mode = setting("enforce", readers.one_of("enforce", "observe", "bypass"))
    sending: Sending = setting(Sending.OPEN, readers.one_of(*Sending), stops=True)
    types: Types = setting(KNOWN_TYPES, _read_types, stops=True)
    extra_rules: tuple[str, ...] = setting((), readers.several(readers.dotted_path), stops=True)
    disabled_rules: tuple[str, ...] = setting((), readers.several(readers.name))
    limiter: LimiterSettings = setting(LimiterSettings(), read_limiter)
    allow_recipients: tuple[str, ...] | None = setting(None, allowed_recipients, stops=True)
    # In another ledger, or under another namespace, keys taken long ago are free again.
    database: str = setting("default", readers.name, stops=True)
    lease: int = setting(600, readers.seconds)
    heartbeat: int = setting(15, readers.seconds)
    in_tests: Literal["light", "full"] = setting("light", readers.one_of("light", "full"))
    namespace: str | Callable[[], str] | None = setting(
        None, readers.dotted_path_or_callable, stops=True
    )
    replace_smtp_backend: bool = setting(False, readers.one_of(True, False))
    retention: Retention = setting(Retention(), _read_retention)
    frozen_classes: tuple[str, ...] = setting((), readers.several(readers.dotted_path))
    celery: CelerySettings = setting(CelerySettings(), read_celery)
    problems: tuple[Problem, ...] = ()

    @property
    def environment_sending(self) -> Sending | None:
        """The switch in ``NOTIFYGUARD_SENDING``, for this process alone; None if unset."""
        return environment.sending()

    @cached_property
    def for_type(self) -> Callable[[str], TypeOptions]:
        """``for_type(name) -> TypeOptions``: the most specific pattern wins, per option.

        A critical type obeys switches and limits of a pattern that names it, not of ``*``.
        """
        return lru_cache(maxsize=2048)(partial(_merged, self.types))

    def current_namespace(self) -> str:
        """The namespace that enters keys now; "" if none is set.

        Raises InvalidSettings if ``NAMESPACE`` cannot be imported, fails, or
        returns anything but a string: under a guessed namespace a key that is
        taken would be free, and its message would leave twice.
        """
        if self.namespace is None:
            return ""
        try:
            answer = _resolved(self.namespace)()
        except Exception as error:
            raise InvalidSettings(f'NOTIFYGUARD["NAMESPACE"] failed: {error!r}.') from error
        if isinstance(answer, str):
            return answer
        raise InvalidSettings(f'NOTIFYGUARD["NAMESPACE"] returned {answer!r}; return a string.')


def _resolved(namespace: str | Callable[[], str]) -> Callable[[], Any]:
    if not isinstance(namespace, str):
        return namespace
    found: Callable[[], Any] = resolve_name(namespace)
    return found


def _merged(types: Types, name: str) -> TypeOptions:
    named: list[Mapping[str, Any]] = []
    unnamed: list[Mapping[str, Any]] = []
    for pattern in reversed(patterns.matching(types, name)):
        (unnamed if patterns.names_nothing(pattern) else named).append(types[pattern])
    merged: dict[str, Any] = {}
    for options in (*unnamed, *named):
        # Rule by rule, as option by option.
        rules = {**merged.get("rules", {}), **options.get("rules", {})}
        merged.update(options, rules=rules)
    if merged.get("critical"):
        for name in _NAMING_CRITICAL:
            if not any(name in options for options in named):
                merged.pop(name, None)
    return TypeOptions(**merged)
