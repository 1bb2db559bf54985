"""What a test may need from outside: where it is, and what to say when it is not there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from dataclasses import dataclass
from functools import cache

TIMEOUT = 2.0  # seconds; everything is on the loopback interface


@dataclass(frozen=True)
class Service:
    """A server that tests talk to; every part can be set by ``NOTIFYGUARD_<NAME>_<PART>``."""

    name: str
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def address(self) -> str:
        """Host and port, as a person would type them."""
        return f"{self.host}:{self.port}"


def _service(name: str, port: int, user: str = "", password: str = "") -> Service:
    def part(which: str, default: str) -> str:
        return os.environ.get(f"NOTIFYGUARD_{name.upper()}_{which}", default)

    return Service(
        name=name,
        host=part("HOST", "127.0.0.1"),
        port=int(part("PORT", str(port))),
        user=part("USER", user),
        password=part("PASSWORD", password),
    )


# Where they are unless the environment says otherwise; compose.yaml puts them there.
PORTS = {"postgresql": 5432, "mariadb": 3306, "rabbitmq": 5672}
SERVICES = {
    service.name: service
    for service in (
        _service("postgresql", PORTS["postgresql"], user="postgres"),
        _service("mariadb", PORTS["mariadb"], user="root"),
        _service("rabbitmq", PORTS["rabbitmq"], user="guest", password="guest"),
    )
}
DATABASES = ("sqlite", "postgresql", "mariadb")
PROGRAMS = ("chromium", "pgbouncer", "redis-server")
LIBRARIES = (
    *("allauth", "anymail", "celery", "djcelery_email", "gevent", "mailer", "post_office"),
    *("playwright", "psycopg_pool", "redis", "yaml"),
)


def in_ci() -> bool:
    """Whether something missing is a failure instead of a skip."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


def without_extras() -> bool:
    """Whether this run proves that notifyguard works with no optional library."""
    return os.environ.get("NOTIFYGUARD_WITHOUT_EXTRAS") == "1"


def chosen_database() -> str:
    """The database of this run: ``sqlite``, ``postgresql`` or ``mariadb``.

    Raises ``ValueError`` for any other value of ``NOTIFYGUARD_DB``.
    """
    name = os.environ.get("NOTIFYGUARD_DB", "sqlite")
    if name not in DATABASES:
        raise ValueError(f"NOTIFYGUARD_DB is {name!r}; it must be one of {', '.join(DATABASES)}")
    return name


@cache
def reachable(name: str) -> bool:
    """Whether the service answers on its port."""
    service = SERVICES[name]
    try:
        socket.create_connection((service.host, service.port), timeout=TIMEOUT).close()
    except OSError:
        return False
    return True


def program(name: str) -> str | None:
    """Where a program is; Debian keeps servers where an ordinary user's PATH does not lead."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin")


def missing(name: str) -> str | None:
    """One line that says why ``name`` cannot be used here, or None when it can.

    Raises ``ValueError`` for a name that nobody knows: a misspelt marker must not skip a test.
    """
    if name in LIBRARIES:
        return None if importlib.util.find_spec(name) else f"needs {name}: pip install it"
    if name in PROGRAMS:
        return None if program(name) else f"needs {name}: apt-get install {name}"
    if name not in (*DATABASES, *SERVICES):
        known = ", ".join(dict.fromkeys((*DATABASES, *SERVICES, *PROGRAMS, *LIBRARIES)))
        raise ValueError(f"needs({name!r}): known are {known}")
    if name in SERVICES and not reachable(name):
        return f"needs {name}: nothing answers at {SERVICES[name].address}"
    return None


def unmet(names: tuple[str, ...]) -> tuple[str, bool] | None:
    """Why a test that needs any one of ``names`` cannot run now; None when it can.

    The flag says whether that is a failure: in CI everything must be there. A test for
    another database than the chosen one is no failure, it has its turn in that database's run.
    """
    lacks = [reason for name in names if (reason := missing(name))]
    if len(lacks) == len(names):
        expected = without_extras() and all(name in LIBRARIES for name in names)
        return "; ".join(lacks), in_ci() and not expected
    databases = [name for name in names if name in DATABASES]
    if databases and chosen_database() not in databases:
        return f"needs {' or '.join(databases)}: runs with NOTIFYGUARD_DB={databases[0]}", False
    return None
