"""A site of the example project on the chosen database, without notifyguard or with it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from example_project.demo.broker import Broker, forgotten
from example_project.demo.redis import running_redis
from example_project.demo.sites import Site, fill, running_site
from tests.acceptance.databases import database_of_its_own
from tests.services import chosen_database

OpenSite = Callable[..., Site]

# The processes of a replay must not cause a warning either: those of Django name what it removes.
WARNINGS = "error::DeprecationWarning,error::PendingDeprecationWarning"


@pytest.fixture
def open_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenSite]:
    """A function that opens a filled site: ``open_site(guarded, tickets=…, newsletters=…)``.

    With ``broker`` its tickets are told of by Celery's tasks.
    """
    monkeypatch.setenv("PYTHONWARNINGS", WARNINGS)
    with ExitStack() as stack:

        def opened(guarded: bool, broker: Broker | None = None, **amounts: int) -> Site:
            unique = f"notifyguard_example_{os.getpid()}_{uuid.uuid4().hex[:8]}"
            name = stack.enter_context(database_of_its_own(unique, monkeypatch))
            running = running_site(
                tmp_path,
                guarded=guarded,
                database=chosen_database(),
                database_name=name,
                broker=broker,
            )
            site = stack.enter_context(running)
            fill([site], **({"tickets": 1, "newsletters": 1} | amounts))
            return site

        yield opened


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A Redis of the test's own: no other site meets what waits there."""
    with running_redis(None) as url, forgotten(Broker(url)) as broker:
        yield broker
