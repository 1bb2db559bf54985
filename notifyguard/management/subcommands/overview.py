"""What is set, what is found, what waits: ``status``, ``types``."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from notifyguard import clock, conf, database, heartbeats, inherited, switchboard
from notifyguard.decision import Sending, State
from notifyguard.ledger import leases, schedule
from notifyguard.ledger.looks import report, types_found
from notifyguard.ledger.looks.story import moment
from notifyguard.ledger.looks.types_found import FoundType
from notifyguard.management.subcommands import moments, release_list, running, scheduled
from notifyguard.management.subcommands.subcommand import Options, Subcommand, ask_for_json
from notifyguard.management.subcommands.terminal import Terminal, age, deliveries, number


def _add_status(parser: ArgumentParser) -> None:
    parser.add_argument("--since", help=f"what came of mail since then: {moments.FORMS}")
    ask_for_json(parser)


def _status(terminal: Terminal, options: Options) -> None:
    at = moments.since(options["since"])
    if at is not None:
        _status_since(terminal, at, as_json=options["json"])
    elif options["json"]:
        terminal.write_json(_facts())
    else:
        _show_status(terminal, _facts())


def _facts() -> dict[str, Any]:
    swept = leases.last_sweep()
    return {
        "mode": conf.current().mode,
        "database": database.alias(),
        "now": clock.now(database.connection()),
        "switches": _switches(),
        "types": [_decided(name) for name in types_found.names()],
        "waiting": report.waiting(),
        "releases": release_list.unfinished(),
        "scheduled": [asdict(each) for each in schedule.planned_by_type()],
        "last_sweep": swept.ran_at if swept else None,
        "sweeper_is_missing": report.sweeper_is_missing(),
        "heartbeats": [asdict(each) for each in heartbeats.heard()],
    }


def _switches() -> list[dict[str, Any]]:
    """Return what is set outside of the database, then each switch of the database."""
    now = clock.now(database.connection())
    set_elsewhere = [each for each in report.stopping() if each.source != "database"]
    return [
        *(
            {
                "pattern": each.pattern,
                "sending": "suppressed",
                "source": "environment",
                "reason": each.reason,
            }
            for each in inherited.suppressions()
        ),
        *(
            {"pattern": each.pattern, "sending": each.sending, "source": each.source}
            for each in set_elsewhere
        ),
        *(
            {
                "pattern": switchboard.EVERYTHING if each.everything else each.pattern,
                "sending": each.sending,
                "source": "database",
                "author": each.author,
                "since": each.set_at,
                "until": each.expires_at,
                "ended": each.expires_at is not None and each.expires_at <= now,
                "reason": each.reason,
            }
            for each in report.switches()
        ),
    ]


def _decided(name: str) -> dict[str, Any]:
    ruling = switchboard.board().ruling(name, conf.current())
    return {
        "type": name,
        "critical": conf.current().for_type(name).critical,
        "sending": ruling.sending if ruling else Sending.OPEN,
        "why": str(ruling) if ruling else "",
    }


def _show_status(terminal: Terminal, facts: Mapping[str, Any]) -> None:
    terminal.say(f'Mode "{facts["mode"]}"; the ledger is in database "{facts["database"]}".')
    if facts["mode"] == "bypass":
        terminal.warn("Mail leaves unguarded: no switch is obeyed and nothing is recorded.")
    _show_switches(terminal, facts["switches"])
    _show_types(terminal, facts["types"])
    _show_waiting(terminal, facts)
    running.show_heard(terminal, facts["heartbeats"], facts["now"])


def _show_switches(terminal: Terminal, switches: list[dict[str, Any]]) -> None:
    terminal.say()
    if not switches:
        terminal.say("No switch is set: all mail leaves.")
        return
    terminal.heading("Switches")
    terminal.table(
        ("what", "sending", "set in", "by", "since", "until", "reason"),
        [
            (each["pattern"], each["sending"], each["source"], each.get("author"),
             each.get("since"), _until(each), each.get("reason"))
            for each in switches
        ],
    )  # fmt: skip


def _until(switch: Mapping[str, Any]) -> str:
    ended = " (ended)" if switch.get("ended") else ""
    return f"{moment(switch.get('until'))}{ended}"


def _show_types(terminal: Terminal, types: list[dict[str, Any]]) -> None:
    terminal.say()
    if not types:
        terminal.say("No notification type was found yet.")
        return
    terminal.heading("Types found")
    terminal.table(
        ("type", "", "sending", "why"),
        [
            (each["type"], "critical" if each["critical"] else "", each["sending"], each["why"])
            for each in types
        ],
    )


def _show_waiting(terminal: Terminal, facts: Mapping[str, Any]) -> None:
    terminal.say()
    if facts["waiting"]:
        terminal.heading("Waiting")
        terminal.table(
            ("state", "deliveries", "oldest"),
            [
                (each["state"], each["deliveries"], age(each["oldest"], facts["now"]))
                for each in facts["waiting"]
            ],
        )
    else:
        terminal.say("Nothing waits: nothing queued, held or uncertain.")
    release_list.show_unfinished(terminal, facts["releases"])
    scheduled.show_planned(terminal, facts["scheduled"])
    swept = facts["last_sweep"]
    terminal.say(f"Last sweep: {age(swept, facts['now'])} ago." if swept else "Last sweep: never.")
    if facts["sweeper_is_missing"]:
        terminal.warn(
            "Messages are due and no sweeper has run for 5 minutes. "
            "Start one: manage.py notifyguard sweep --loop"
        )


def _status_since(terminal: Terminal, at: datetime, *, as_json: bool) -> None:
    counts, people = report.since(at), report.people_kept_back(at)
    if as_json:
        terminal.write_json({"since": at, "counts": counts, "people_kept_back": people})
        return
    if not counts:
        terminal.say(f"No delivery since {moment(at)}.")
        return
    terminal.heading(f"Deliveries since {moment(at)}, one for each message and recipient")
    terminal.table(
        ("type", "state", "rule", "deliveries", "people"),
        [
            (each["type"], each["state"], each["rule"], each["deliveries"], each["people"])
            for each in counts
        ],
    )
    kept_back = [each for each in counts if each["state"] in (State.HELD, State.DISCARDED)]
    kept = sum(each["deliveries"] for each in kept_back)
    terminal.say(
        f"{deliveries(kept)} to {number(people, 'person', 'people')} "
        "would have gone without notifyguard: held or discarded."
    )


def _types(terminal: Terminal, options: Options) -> None:
    found = types_found.found()
    if options["json"]:
        terminal.write_json([_type_facts(each) for each in found])
        return
    if not found:
        terminal.say("No notification type was found yet: nothing has been sent.")
        return
    now = clock.now(database.connection())
    terminal.table(
        ("type", "", "deliveries", "last seen"),
        [
            (each.name, "critical" if _critical(each) else "", each.counted,
             f"{age(each.last_seen, now)} ago")
            for each in found
        ],
    )  # fmt: skip
    terminal.say()
    terminal.say("To paste into the settings; an empty dict changes nothing:")
    terminal.say()
    terminal.say(_to_paste(found))


def _type_facts(found: FoundType) -> dict[str, Any]:
    return {
        "type": found.name,
        "critical": _critical(found),
        "deliveries": min(found.count, types_found.COUNTED),
        "more": found.count > types_found.COUNTED,
        "last_seen": found.last_seen,
    }


def _critical(found: FoundType) -> bool:
    return conf.current().for_type(found.name).critical


def _to_paste(found: list[FoundType]) -> str:
    lines = []
    for each in found:
        written = conf.current().types.get(each.name, {})
        options = {**written, **({"critical": True} if _critical(each) else {})}
        inner = ", ".join(f'"{name}": {_literal(value)}' for name, value in options.items())
        lines.append(f"        {json.dumps(each.name, ensure_ascii=False)}: {{{inner}}},")
    return "\n".join(["NOTIFYGUARD = {", '    "TYPES": {', *lines, "    },", "}"])


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


SUBCOMMANDS = (
    Subcommand("status", "what is set, by whom and why; what waits", _add_status, _status),
    Subcommand("types", "the notification types found so far", ask_for_json, _types),
)
