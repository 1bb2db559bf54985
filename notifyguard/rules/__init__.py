"""The rules, in the order in which they are asked; the first that stops a message wins.

A rule is a function of a ``Candidate`` that returns a ``Decision``, or ``None``
to let it pass. What a setting makes of that decision is told here and nowhere else.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from traceback import format_tb

from django.utils.module_loading import import_string

from notifyguard.decision import Decision, Sending
from notifyguard.rules.allow_recipients import allow_recipients
from notifyguard.rules.base import Candidate, Rule
from notifyguard.rules.blank import blank, empty_body
from notifyguard.rules.blocked import blocked
from notifyguard.rules.missed import missed
from notifyguard.rules.stale import stale
from notifyguard.rules.suppressed import suppressed
from notifyguard.rules.switches import switches
from notifyguard.rules.unrendered import unrendered
from notifyguard.rules.visible_recipients import visible_recipients

__all__ = [
    "Candidate",
    "Rule",
    "broken",
    "decide",
    "decide_again",
    "decide_early",
    "decide_on_people",
    "decide_unseen",
]

logger = logging.getLogger("notifyguard")

DEFAULT = (
    Rule("suppressed", suppressed, optional=False, looks_at_message=False),
    Rule("switch", switches, optional=False, asked_again=True, looks_at_message=False),
    Rule(
        *("blocked", blocked),
        optional=False,
        asked_again=True,
        on_people=True,
        looks_at_message=False,
    ),
    Rule(
        *("allow_recipients", allow_recipients),
        optional=False,
        on_error="hold",
        asked_again=True,
        on_people=True,
        looks_at_message=False,
    ),
    Rule("stale", stale, asked_again=True, looks_at_message=False),
    Rule("missed", missed, asked_again=True),
    Rule("blank", blank),
    Rule("visible_recipients", visible_recipients),
    Rule("empty_body", empty_body, action="report"),
    Rule("unrendered", unrendered, action="report"),
)

broken: Counter[str] = Counter()
"""How often each rule broke in this process."""


def decide(candidate: Candidate) -> Decision | None:
    """Ask the rules in order; return the first decision that stops, else the first report."""
    return _first(_rules_for(candidate), candidate)


def decide_early(candidate: Candidate) -> Decision | None:
    """Ask about what is to leave later the rules that time does not change.

    The others are asked when it is due: what a switch stops today is not stopped
    for next week, and what it stops then is.
    """
    return _first((rule for rule in _rules_for(candidate) if not rule.asked_again), candidate)


def decide_again(candidate: Candidate) -> Decision | None:
    """Ask once more, right before what was kept is handed over, the rules that time changes.

    The others had their say when it was kept: what a person has released from
    them is not held by them again.
    """
    return _first((rule for rule in _rules_for(candidate) if rule.asked_again), candidate)


def decide_on_people(candidate: Candidate) -> Decision | None:
    """Ask, when it comes back from a queue, only who may be written to now.

    The queue may have been copied with its database to a staging site.
    """
    return _first((rule for rule in _rules_for(candidate) if rule.on_people), candidate)


def decide_unseen(candidate: Candidate) -> Decision | None:
    """Ask about what is sent by other means the rules that need no message to look at."""
    return _first((rule for rule in _rules_for(candidate) if not rule.looks_at_message), candidate)


def _rules_for(candidate: Candidate) -> tuple[Rule, ...]:
    return _rules(candidate.settings.extra_rules, candidate.settings.disabled_rules)


def _first(rules: Iterable[Rule], candidate: Candidate) -> Decision | None:
    switched = candidate.settings.for_type(candidate.type).rules
    report = None
    for rule in rules:
        action = switched.get(rule.name, rule.action)
        decision = None if action == "off" else _ask(rule, candidate)
        if decision is None:
            continue
        if action is not None:
            # What is held is kept, whatever the rule would have done.
            decision = replace(decision, sending=_SENDING[action], keeps_body=True)
        if decision.sending is not Sending.OPEN:
            return decision
        report = report or decision
    return report


_SENDING = {"report": Sending.OPEN, "hold": Sending.HOLD}


@lru_cache(maxsize=8)
def _rules(extra: tuple[str, ...], disabled: tuple[str, ...]) -> tuple[Rule, ...]:
    rules = (*DEFAULT, *(Rule(path, _imported(path)) for path in extra))
    return tuple(rule for rule in rules if not (rule.optional and rule.name in disabled))


def _imported(path: str) -> Callable[[Candidate], Decision | None]:
    try:
        judge: Callable[[Candidate], Decision | None] = import_string(path)
    except ImportError as error:
        failure = error

        def judge(candidate: Candidate) -> Decision | None:
            raise failure  # a rule that cannot be asked is a rule that broke

    return judge


def _ask(rule: Rule, candidate: Candidate) -> Decision | None:
    try:
        return _checked(rule.judge(candidate))
    except Exception as error:  # any: a rule may be anybody's code
        broken[rule.name] += 1
        if broken[rule.name] == 1:
            # Where, and not what it says: that may hold the address it could not judge.
            logger.error(
                "notifyguard: the rule %s broke; on error it says %s: %s at\n%s",
                *(
                    rule.name,
                    rule.on_error,
                    type(error).__name__,
                    "".join(format_tb(error.__traceback__)),
                ),
            )
        if candidate.critical and rule.on_error == "hold_but_critical":
            return None
        reason = f"The rule {rule.name} broke; see the log."
        return Decision(Sending.HOLD, rule.name, reason, by_person=not rule.optional)


def _checked(decision: Decision | None) -> Decision | None:
    if decision is None or isinstance(decision, Decision):
        return decision
    raise TypeError(f"A rule returns a Decision or None, not {decision!r}.")
