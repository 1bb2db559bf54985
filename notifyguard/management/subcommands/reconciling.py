"""Uncertain deliveries compared with the mail server's log: ``reconcile``."""

from __future__ import annotations

import lzma
import zlib
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from zoneinfo import ZoneInfo

from django.core.management.base import CommandError

from notifyguard import reconcile
from notifyguard.ledger.looks.story import moment
from notifyguard.ledger.uncertain import Choice, Finding
from notifyguard.management.subcommands.choosing_uncertain import add_choice, chosen
from notifyguard.management.subcommands.subcommand import (
    Options,
    Subcommand,
    ask_why_and_who,
    why_and_who,
)
from notifyguard.management.subcommands.terminal import Terminal, deliveries
from notifyguard.reconcile import Evidence, Findings, Proof
from notifyguard.reconcile.lines import STDIN

MIB = 1_048_576


def _add(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--from-log",
        nargs="+",
        required=True,
        type=Path,
        metavar="FILE",
        help='logs of Postfix or Exim, rotated and compressed ones too; "-": standard input',
    )
    add_choice(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say what the log proves")
    parser.add_argument(
        "--complete",
        action="store_true",
        help="nothing is missing from the log: what is not in it never came, and may be sent again",
    )
    parser.add_argument(
        "--time-zone", type=_zone, help="of times in the log that name none (default: this host's)"
    )
    ask_why_and_who(parser)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise ArgumentTypeError(f"{name!r} is no time zone; write Europe/Berlin, say") from None


def _reconcile(terminal: Terminal, options: Options) -> None:
    choice = chosen(options)
    rows = reconcile.wanted(choice)
    if not rows:
        terminal.say("Nothing is uncertain that this means; the log was not read.")
        return
    evidence = _read(terminal, options, {row.message_id for row in rows} - {""})
    findings = reconcile.compare(rows, evidence, complete=options["complete"])
    _show(terminal, evidence, findings)
    if options["dry_run"]:
        terminal.say("Nothing was changed: --dry-run.")
        return
    _settle(terminal, choice, findings, options)


def _read(terminal: Terminal, options: Options, wanted: set[str]) -> Evidence:
    paths: list[Path] = options["from_log"]
    try:
        size = sum(path.stat().st_size for path in paths if path != STDIN)
        with terminal.progress(size // MIB, "MiB") as show:
            return reconcile.read(
                paths,
                wanted,
                zone=options["time_zone"],
                progress=lambda read: show(read // MIB),
            )
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise CommandError(f"A log cannot be read, nothing was changed: {error}") from error


def _show(terminal: Terminal, evidence: Evidence, findings: Findings) -> None:
    covers = f"from {moment(evidence.first)} to {moment(evidence.last)}" if evidence.first else ""
    terminal.say(f"{evidence.lines:,} lines {covers or 'without a time that can be read'}")
    terminal.table(
        ("uncertain deliveries", "the log says"),
        [(findings.counts[proof], proof) for proof in Proof if findings.counts[proof]],
    )
    if findings.counts[Proof.NOT_IN_LOG]:
        terminal.say(
            "If nothing is missing from the log (no other server, no rotated file, no lost lines), "
            "--complete says so, and what is not in it counts as not sent."
        )


def _settle(terminal: Terminal, choice: Choice, findings: Findings, options: Options) -> None:
    sent = len(findings.proven.get(Finding.SENT, []))
    failed = len(findings.proven.get(Finding.NOT_SENT, []))
    done = 0
    with terminal.progress(sent + failed, "deliveries") as show:
        for ended in reconcile.settle(findings, subject=str(choice), **why_and_who(options)):
            done += ended
            show(done)
    left = sum(findings.counts.values()) - done
    terminal.say(
        f"{deliveries(done)} resolved: {sent:,} sent, {failed:,} not sent. "
        f"{deliveries(left)} left uncertain."
    )


SUBCOMMANDS = (
    Subcommand("reconcile", "look what is uncertain up in a mail server's log", _add, _reconcile),
)
