"""What a replay runs on: a deployment filled with data, and its mail server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from example_project.demo.broker import Broker
from example_project.demo.deployment import Deployment
from example_project.demo.mailserver import MailServer, running_mail_server


@dataclass(frozen=True)
class Site:
    """A deployment and the mail server that it hands its mail to."""

    deployment: Deployment
    server: MailServer

    @property
    def broker(self) -> Broker:
        """Where the tasks of its Celery wait."""
        assert self.deployment.broker, "a site of a replay without Celery"
        return self.deployment.broker


def database_file(scratch: Path, *, guarded: bool) -> Path:
    """Return where a site keeps its SQLite database unless told otherwise."""
    return scratch / f"{_name(guarded)}.sqlite3"


@contextmanager
def running_site(
    scratch: Path,
    *,
    guarded: bool,
    database: str = "sqlite",
    database_name: str | None = None,
    broker: Broker | None = None,
) -> Iterator[Site]:
    """Yield a site while its mail server runs; its database may still be empty.

    ``scratch`` gets the journal, the log and, with SQLite, the database. The other
    kinds of ``database`` need a ``database_name`` that exists. With a ``broker`` its tickets
    are told of by tasks.
    """
    journal, log = scratch / f"{_name(guarded)}.journal", scratch / f"{_name(guarded)}.log"
    name = database_name or str(database_file(scratch, guarded=guarded))
    with running_mail_server(journal) as server:
        yield Site(Deployment(guarded, server.port, name, log, database, broker), server)


def fill(sites: Sequence[Site], *, tickets: int, newsletters: int) -> None:
    """Create the tables and the data of the sites, all at the same time."""
    amounts = ("--tickets", str(tickets), "--newsletters", str(newsletters))
    with ExitStack() as stack:
        for process, site in [
            (stack.enter_context(site.deployment.started("demo_data", *amounts)), site)
            for site in sites
        ]:
            site.deployment.finish(process)


def _name(guarded: bool) -> str:
    return "with" if guarded else "without"
