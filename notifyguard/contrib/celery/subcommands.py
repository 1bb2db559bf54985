"""Tasks that wait for their time: ``spooled``, ``cancel-spooled``, ``publish-spooled``."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from notifyguard import clock, database
from notifyguard.contrib.celery import due, spool, spooled
from notifyguard.contrib.celery.models import SpooledTask
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_for_json,
    ask_why_and_who,
    plain,
    positive,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, number

SHOWN = ("due_at", "publish_at", "name", "task_id", "app", "call_site", "spooled_at", "note")

LISTED = 100
"""Tasks that are listed for a person who names no limit."""


def _add_spooled(parser: ArgumentParser) -> None:
    parser.add_argument("task", nargs="?", type=plain, help="its name; all without it")
    parser.add_argument("--limit", type=positive, default=LISTED, help="default: %(default)s")
    ask_for_json(parser)


def _spooled(terminal: Terminal, options: Options) -> None:
    found = spooled.listed(options["task"] or "", most=options["limit"] + 1)
    shown = found[: options["limit"]]
    if options["json"]:
        terminal.write_json([_facts(each) for each in shown])
        return
    if not shown:
        terminal.say("No task waits for its time.")
        return
    terminal.table(
        ("due", "task", "id", "sent from", "why it still waits"),
        [(each.due_at, each.name, each.task_id, each.call_site, each.note) for each in shown],
    )
    if len(found) > len(shown):
        terminal.say(f"These are the first {len(shown):,}; --limit shows more.")
    if shown[0].publish_at < clock.now(database.connection()) - spool.FORGOTTEN:
        terminal.warn(
            "Tasks are due and nobody publishes them. Start a sweeper where the project's Celery "
            "app is loaded: manage.py notifyguard sweep --loop"
        )


def _facts(task: SpooledTask) -> dict[str, Any]:
    return {name: getattr(task, name) for name in SHOWN}


def _add_cancel(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="+", help="of a task, as Celery and spooled say it")
    ask_why_and_who(parser)


def _cancel(terminal: Terminal, options: Options) -> None:
    found = spool.of_ids(options["id"])
    unknown = set(options["id"]).difference(row.task_id for row in found)
    if unknown:
        text = f"Not in the spool: {', '.join(sorted(unknown))}. Nothing was changed."
        raise CommandError(f"{text} What is in the broker is taken back by revoke.")
    count = spooled.cancel([row.pk for row in found], **why_and_who(options))
    terminal.say(f"{number(count, 'task')} cancelled; they never run.")
    if left := len(found) - count:
        raise CommandError(f"{number(left, 'task')} left: they are being published this moment.")


def _publish(terminal: Terminal, options: Options) -> None:
    count = spooled.hurry(**why_and_who(options))
    if not count:
        raise CommandError("No task waits for its time; nothing was changed.")
    published = due.publish_due()
    terminal.say(
        f"{number(published, 'task')} published; the broker holds them until they are due."
    )
    if spool.is_due():
        raise CommandError("Some could not be published; the log says why. They are tried again.")


SUBCOMMANDS = (
    Subcommand("spooled", "show which tasks wait for their time", _add_spooled, _spooled),
    Subcommand("cancel-spooled", "take tasks back that wait", _add_cancel, _cancel),
    Subcommand("publish-spooled", "publish all that wait at once", ask_why_and_who, _publish),
)
