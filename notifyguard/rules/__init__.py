"""The rules, in the order in which they are asked; the first that decides wins.

A rule is a function of a ``Candidate`` that returns a ``Decision``, or ``None``
to let it pass.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from traceback import format_tb

from django.utils.module_loading import import_string

from notifyguard.decision import Decision, Sending
from notifyguard.rules.base import Candidate, Rule
from notifyguard.rules.suppressed import suppressed
from notifyguard.rules.switches import switches

__all__ = ["Candidate", "Rule", "broken", "decide"]

logger = logging.getLogger("notifyguard")

DEFAULT = (
    Rule("suppressed", suppressed, optional=False),
    Rule("switch", switches, optional=False),
)

broken: Counter[str] = Counter()
"""How often each rule broke in this process."""


def decide(candidate: Candidate) -> Decision | None:
    """Ask the rules in order; return the first decision, or ``None`` to let it pass."""
    settings = candidate.settings
    for rule in _rules(settings.extra_rules, settings.disabled_rules):
        decision = _ask(rule, candidate)
        if decision is not None:
            return decision
    return None


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
        return rule.judge(candidate)
    except Exception as error:  # any: a rule may be anybody's code
        broken[rule.name] += 1
        if broken[rule.name] == 1:
            # Where, and not what it says: that may hold the address it could not judge.
            logger.error(
                "notifyguard: the rule %s broke; what it judges is held, critical mail passes: "
                "%s at\n%s",
                *(rule.name, type(error).__name__, "".join(format_tb(error.__traceback__))),
            )
        if candidate.critical:
            return None
        return Decision(Sending.HOLD, rule.name, f"The rule {rule.name} broke; see the log.")
