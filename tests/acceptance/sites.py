"""Sites of the example project on the chosen database, each with data of its own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from example_project.demo.broker import Broker
from example_project.demo.sites import Site, fill, running_site
from tests.acceptance.databases import database_of_its_own
from tests.services import chosen_database


@contextmanager
def filled_site(
    scratch: Path,
    patch: pytest.MonkeyPatch,
    *,
    guarded: bool,
    broker: Broker | None = None,
    **amounts: int,
) -> Iterator[Site]:
    """Yield a site with tickets and newsletters; its database is gone behind the block.

    Args:
        scratch: for its journal and log.
        patch: tells its processes where the database server is.
        guarded: with notifyguard.
        broker: its tickets are told of by Celery's tasks.
        amounts: of tickets and newsletters; one of each without it.
    """
    unique = f"notifyguard_example_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    with (
        database_of_its_own(unique, patch) as name,
        running_site(
            scratch, guarded=guarded, database=chosen_database(), database_name=name, broker=broker
        ) as site,
    ):
        fill([site], **({"tickets": 1, "newsletters": 1} | amounts))
        yield site
