"""What ``manage.py notifyguard`` can do, in the order of its help.

Each module holds what belongs together; the subcommands only translate: they
call what lies below and say what came of it.
"""

from notifyguard.management.subcommands import (
    blocking,
    discarding,
    execution,
    held_messages,
    overview,
    reconciling,
    release_list,
    releasing,
    scheduled,
    switching,
    uncertainty,
    undoing,
    upkeep,
    why,
)

SUBCOMMANDS = (
    *overview.SUBCOMMANDS,
    *switching.SUBCOMMANDS,
    *held_messages.SUBCOMMANDS,
    *releasing.SUBCOMMANDS,
    *release_list.SUBCOMMANDS,
    *discarding.SUBCOMMANDS,
    *undoing.SUBCOMMANDS,
    *blocking.SUBCOMMANDS,
    *scheduled.SUBCOMMANDS,
    *uncertainty.SUBCOMMANDS,
    *reconciling.SUBCOMMANDS,
    *why.SUBCOMMANDS,
    *upkeep.SUBCOMMANDS,
    *execution.SUBCOMMANDS,
)

__all__ = ["SUBCOMMANDS"]
