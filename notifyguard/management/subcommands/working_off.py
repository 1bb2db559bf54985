"""Work off a release in the foreground, and say what came of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError

from notifyguard import sweeper
from notifyguard.decision import ENDED, ReleaseState, State
from notifyguard.gate import digests
from notifyguard.ledger import handed_on, retries
from notifyguard.ledger.held import letting_go, releases
from notifyguard.ledger.held.letting_go import Step
from notifyguard.ledger.held.releases import Outcome
from notifyguard.management.subcommands import stopping
from notifyguard.management.subcommands.stopping import INTERRUPTED, Stop
from notifyguard.management.subcommands.subcommand import Options, why_and_who
from notifyguard.management.subcommands.terminal import Terminal, deliveries
from notifyguard.models import Delivery, Release

BREATH = 10.0
"""Seconds after which the release is told that somebody still works on it."""

PATIENCE = 60.0
"""Seconds for which other sweepers are waited for that deliver the canary."""

LOOK = 0.2
"""Seconds between two looks at what they have delivered."""

SHOWN = 50
"""Deliveries of a canary that are shown one by one."""

HOW_IT_ENDED = {
    State.SENT: "sent",
    State.FAILED: "failed; see the log",
    State.UNCERTAIN: "uncertain: manage.py notifyguard uncertain",
    State.DUPLICATE: "not sent again: another delivery with the same key was",
    State.HELD: "held again",
    State.DISCARDED: "discarded",
    State.EXPIRED: "expired: too late by now, as their type says",
    State.QUEUED: "queued: a sweeper delivers them",
    State.CLAIMED: "with another sweeper now",
    State.IN_FLIGHT: "with another sweeper now",
}

ON_THEIR_WAY = (State.QUEUED, State.CLAIMED, State.IN_FLIGHT)

UNSENT = (State.FAILED, State.UNCERTAIN, State.HELD)
"""What a released delivery must not end as if all went well."""

PUT_OFF = "tried again by a sweeper: the mail server is away or busy"

IN_A_QUEUE = "in a queue, whose worker sends them"


def work_off(terminal: Terminal, release: Release, options: Options) -> None:
    """Let a release go and deliver it, until it ends, rests or is told to.

    Raises:
        CommandError: it was interrupted, a switch stopped it, or not all left as it should.
    """
    with stopping.between_steps() as stop, terminal.progress(release.meant, "released") as show:
        work = Work(release, stop, show)
        work.go_on()
    release = releases.find(release.pk)
    if stop.told and release.state == ReleaseState.RUNNING:
        why = {**why_and_who(options), "reason": "interrupted by Ctrl-C or SIGTERM"}
        release = releases.pause(release.pk, **why)
    outcomes = releases.outcomes(release)
    if options["json"]:
        terminal.write_json(facts(release, outcomes))
    else:
        _say(terminal, release, outcomes)
    unsent = sum(each.deliveries for each in outcomes if _is_unsent(each))
    if refusal := _refusal(release, unsent, interrupted=stop.told):
        raise refusal


class Work:
    """One process at work on a release."""

    def __init__(self, release: Release, stop: Stop, show: Any) -> None:
        self.number, self.canary = release.pk, release.canary
        self.let_go = release.let_go
        self.step = Step()
        self._stop, self._show = stop, show
        self._breath = time.monotonic()

    def go_on(self) -> None:
        """Work until it ends, rests, or this process is told to end."""
        while self.step.goes_on and not self._stop.told:
            self._sweep()
            if self.step.goes_on:
                self._stop.wait(min(self.step.wait.total_seconds(), BREATH))
        if releases.find(self.number).state == ReleaseState.CANARY:
            self._wait_for_canary()

    def _sweep(self) -> None:
        before = self.let_go

        def go_on(delivered: int) -> bool:
            self._show(min(before + delivered, self.let_go))
            self._breathe()
            return not self._stop.told

        sweeper.sweep(go_on, self._next)

    def _next(self) -> int:
        if not self.step.goes_on or self._stop.told:
            return 0
        self.step = digests.advance(self.number)
        self.let_go += self.step.let_go
        return self.step.let_go

    def _breathe(self) -> None:
        if time.monotonic() - self._breath > BREATH:
            self._breath = time.monotonic()
            letting_go.still_at_work(self.number)

    def _wait_for_canary(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and not self._stop.told:
            self._sweep()
            if not releases.on_their_way(self.number):
                return
            self._stop.wait(LOOK)


def facts(release: Release, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Return how a release stands and what became of its deliveries, for scripts."""
    listed = [
        {"state": each.state, "rule": each.rule, "deliveries": each.deliveries} for each in outcomes
    ]
    return progress_of(release) | {"outcomes": listed}


def progress_of(release: Release) -> dict[str, Any]:
    """Return what was released, by whom, and how far it is."""
    return {
        "release": release.pk,
        "state": releases.standing(release),
        "subject": release.subject,
        "reason": release.reason,
        "actor": release.actor,
        "begun_at": release.begun_at,
        "rate": release.rate,
        "canary": release.canary,
        "by_sweepers": release.by_sweepers,
        "meant": release.meant,
        "let_go": release.let_go,
        "folded": release.folded,
        "left": release.left,
        "note": release.note,
    }


def how_to_go_on(release: Release) -> str:
    """Return the lines that continue a release, or end it."""
    command = f'manage.py notifyguard release --{{}} {release.pk} --reason "..."'
    return f"To go on: {command.format('continue')}\nTo end it: {command.format('stop')}"


def _say(terminal: Terminal, release: Release, outcomes: Sequence[Outcome]) -> None:
    if release.state == ReleaseState.CANARY:
        _show_canary(terminal, list(releases.let_go(release)[: SHOWN + 1]))
    for each in outcomes:
        by = f" ({each.rule})" if each.state in (State.HELD, State.DISCARDED) else ""
        terminal.say(f"{each.deliveries:,} {_how(each)}{by}")
    if release.folded:
        terminal.say(f"{release.folded:,} discarded: another takes their place, or says the same")
    if release.left:
        terminal.say(f"{release.left:,} stay held: a switch stops their types")
    if release.state not in ENDED:
        terminal.say(f"{deliveries(releases.meant(release).rows().count())} wait.")
        terminal.say(how_to_go_on(release))


def _how(outcome: Outcome) -> str:
    if outcome.state is State.QUEUED and outcome.rule == handed_on.RULE:
        return IN_A_QUEUE
    return PUT_OFF if _is_put_off(outcome) else HOW_IT_ENDED[outcome.state]


def _is_put_off(outcome: Outcome) -> bool:
    return outcome.state is State.QUEUED and outcome.rule == retries.RULE


def _is_unsent(outcome: Outcome) -> bool:
    return outcome.state in UNSENT or _is_put_off(outcome)


def _show_canary(terminal: Terminal, rows: Sequence[Delivery]) -> None:
    terminal.table(
        ("state", "type", "recipient", "why"),
        [(row.state, row.type, row.recipient, _why(row)) for row in rows[:SHOWN]],
    )
    if len(rows) > SHOWN:
        terminal.say(f"  and more; these are the first {SHOWN}")


def _why(row: Delivery) -> str:
    return "" if row.state == State.SENT else f"{row.rule}: {row.reason}"


def _refusal(release: Release, unsent: int, *, interrupted: bool) -> CommandError | None:
    """Return what did not go as it should, if anything."""
    number = release.pk
    if interrupted and release.state == ReleaseState.PAUSED:
        waiting = deliveries(releases.meant(release).rows().count())
        text = f"Release {number} is paused: {waiting} stay held. What is queued leaves."
        return CommandError(text, returncode=INTERRUPTED)
    if release.state == ReleaseState.PAUSED:
        return CommandError(f"Release {number} is paused: {release.note}")
    if release.state == ReleaseState.STOPPED:  # by somebody else, while we worked on it
        waiting = deliveries(releases.meant(release).rows().count())
        return CommandError(f"Release {number} was stopped: {waiting} stay held. {release.note}")
    if not unsent:
        return None
    if release.state == ReleaseState.CANARY:
        of = f"{unsent:,} of the canary's {release.let_go:,} did not leave as they should"
        return CommandError(f"THE CANARY FAILED: {of}.")
    return CommandError(f"{deliveries(unsent)} did not leave as they should.")
