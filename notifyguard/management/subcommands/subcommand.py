"""What a subcommand is, and the arguments that several of them take."""

from __future__ import annotations

import getpass
import os
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError

from notifyguard import patterns
from notifyguard.actor import MAX_NAME, Actor, unrestricted
from notifyguard.channels import email
from notifyguard.management.subcommands.terminal import MISUSED, Terminal
from notifyguard.notification import MAX_TYPE_LENGTH
from notifyguard.switchboard import EVERYTHING

Options = Mapping[str, Any]

DIGITS = 9
"""Of a number; what is longer was a slip, and more than waiting and counting can take."""

_BYTES = {"k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_SIZE = re.compile(r"\d{1,9}(\.\d{1,9})?")

MAX_REASON = 500
"""Characters that the record of a deed has room for."""


@dataclass(frozen=True)
class Subcommand:
    """One thing that ``manage.py notifyguard`` does.

    Attributes:
        name: as it is typed.
        help: one line, for the list of all.
        add_arguments: adds its arguments to a parser.
        run: does it.
    """

    name: str
    help: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Terminal, Options], None]


def ask_why_and_who(parser: ArgumentParser, *, required: bool = True) -> None:
    """Add what every deed needs: a reason and an actor.

    Args:
        parser: of the subcommand.
        required: it only does deeds; else ``why_and_who`` asks for the reason.
    """
    parser.add_argument(
        "--reason", required=required, type=reason, help="why; it is kept on record"
    )
    parser.add_argument(
        "--actor",
        default=system_user(),
        type=actor,
        help="who does this (default: the system user, %(default)s)",
    )


def ask_if_sure(parser: ArgumentParser) -> None:
    """Add ``--yes``, which answers the question beforehand."""
    parser.add_argument(
        "--yes", "--no-input", action="store_true", help="do not ask; for scripts, a must"
    )


def ask_for_json(parser: ArgumentParser) -> None:
    """Add ``--json``, for scripts."""
    parser.add_argument("--json", action="store_true", help="for scripts; times in ISO 8601")


def why_and_who(options: Options) -> dict[str, Any]:
    """Return ``reason`` and ``actor`` as every deed takes them.

    Raises:
        CommandError: with status 2, there is no reason.
    """
    if options["reason"] is None:
        raise misuse("the following arguments are required: --reason")
    return {"reason": options["reason"], "actor": options["actor"]}


def misuse(text: str) -> CommandError:
    """Return the refusal of what was typed wrong, with the exit status that argparse gives."""
    return CommandError(text, returncode=MISUSED)


def reason(text: str) -> str:
    """Read why something is done."""
    return _text(text, MAX_REASON)


def actor(text: str) -> Actor:
    """Read who does something."""
    return unrestricted(_text(text, MAX_NAME))


def plain(text: str) -> str:
    """Read a word such as the name of a rule."""
    return _text(text, MAX_NAME)


def _text(text: str, limit: int) -> str:
    # A reason pasted from a chat may have lines; what is on record has one.
    line = " ".join(text.split())
    if not line:
        raise ArgumentTypeError("it is blank; whoever looks at 2 a.m. must know")
    if not line.isprintable():
        raise ArgumentTypeError(f"{line!r} holds control characters; take them out")
    if len(line) > limit:
        raise ArgumentTypeError(f"it has {len(line)} characters; {limit} fit")
    return line


def pattern(text: str) -> str:
    """Read a pattern of notification types."""
    if text == EVERYTHING:
        raise ArgumentTypeError("it is the kill switch and no type; use --everything")
    if fix := patterns.fault(text):
        raise ArgumentTypeError(f"{text!r} is not a pattern of types. {fix}")
    if len(text) > MAX_TYPE_LENGTH:
        raise ArgumentTypeError(f"it has {len(text)} characters; {MAX_TYPE_LENGTH} fit")
    return text


def positive(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or len(text) > DIGITS or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {10**DIGITS - 1:,}")
    return int(text)


def size(text: str) -> int:
    """Read a number of bytes: ``500``, ``20k``, ``1.5M``."""
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _BYTES else (text, "")
    if not _SIZE.fullmatch(number):
        raise ArgumentTypeError(f'{text!r} is not a size; write "500" (bytes), "20k" or "1.5M"')
    return int(float(number) * _BYTES.get(unit, 1))


def person(text: str) -> str:
    """Read an address or a domain, as the ledger has them."""
    line = plain(text)
    if "@" in line.strip("@"):
        return email.normalised(line)
    return email.normalised(f"x@{line.strip('@')}").partition("@")[2]


def system_user() -> str:
    """Return the name of the system user, or its number in a container without names."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # KeyError before Python 3.13
        return f"uid {os.getuid()}"
