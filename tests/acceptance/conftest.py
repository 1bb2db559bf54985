"""A site of the example project on the chosen database, without notifyguard or with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from example_project.demo.broker import Broker, forgotten
from example_project.demo.redis import running_redis
from example_project.demo.sites import Site
from tests.acceptance.sites import filled_site

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
            site = filled_site(tmp_path, monkeypatch, guarded=guarded, broker=broker, **amounts)
            return stack.enter_context(site)

        yield opened


@pytest.fixture
def broker() -> Iterator[Broker]:
    """A Redis of the test's own: no other site meets what waits there."""
    with running_redis(None) as url, forgotten(Broker(url)) as broker:
        yield broker
