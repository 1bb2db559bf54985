"""What a subcommand is, and the arguments that several of them take."""

from __future__ import annotations

import getpass
import os
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from notifyguard import patterns
from notifyguard.management.subcommands.terminal import Terminal
from notifyguard.notification import MAX_TYPE_LENGTH

Options = Mapping[str, Any]


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


def ask_why_and_who(parser: ArgumentParser) -> None:
    """Add what every deed needs: a reason and an actor."""
    parser.add_argument("--reason", required=True, type=reason, help="why; it is kept on record")
    parser.add_argument(
        "--actor",
        default=system_user(),
        type=reason,
        help="who does this (default: the system user, %(default)s)",
    )


def ask_for_json(parser: ArgumentParser) -> None:
    """Add ``--json``, for scripts."""
    parser.add_argument("--json", action="store_true", help="for scripts; times in ISO 8601")


def why_and_who(options: Options) -> dict[str, str]:
    """Return ``reason`` and ``actor`` as every deed takes them."""
    return {"reason": options["reason"], "actor": options["actor"]}


def reason(text: str) -> str:
    """Read a text that must not be blank."""
    if not text.strip():
        raise ArgumentTypeError("it is blank; whoever looks at 2 a.m. must know")
    return text.strip()


def pattern(text: str) -> str:
    """Read a pattern of notification types."""
    if fix := patterns.fault(text):
        raise ArgumentTypeError(f"{text!r} is not a pattern of types. {fix}")
    if len(text) > MAX_TYPE_LENGTH:
        raise ArgumentTypeError(f"it has {len(text)} characters; {MAX_TYPE_LENGTH} fit")
    return text


def positive(text: str) -> int:
    """Read a whole number above zero."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def system_user() -> str:
    """Return the name of the system user, or its number in a container without names."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # KeyError before Python 3.13
        return f"uid {os.getuid()}"
