"""What ``manage.py notifyguard`` can do, in the order of its help.

Each module holds what belongs together; the subcommands only translate: they
call what lies below and say what came of it. An installed integration adds its own: the
config of its app names their module as ``notifyguard_subcommands``.
"""

from importlib import import_module

from django.apps import apps

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
from notifyguard.management.subcommands.subcommand import Subcommand

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

__all__ = ["SUBCOMMANDS", "every_subcommand"]


def every_subcommand() -> tuple[Subcommand, ...]:
    """Return the core's subcommands and those of the integrations that are installed."""
    modules = [getattr(config, "notifyguard_subcommands", "") for config in apps.get_app_configs()]
    added = [each for name in modules if name for each in import_module(name).SUBCOMMANDS]
    return (*SUBCOMMANDS, *added)
