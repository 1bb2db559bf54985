"""What a benchmark needs around it: a mail server and a database, both real, gone at the end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from tests.smtp import running_sink


@contextmanager
def stage(database: str, *, prepared: bool = False) -> Iterator[None]:
    """Start the sink, load Django and create the database.

    Must come before anything of Django is imported that needs settings.

    Args:
        database: ``postgresql``, ``sqlite`` or ``mariadb``.
        prepared: let PostgreSQL prepare statements, which Django does only when told to.
    """
    # Whoever ends this process must not leave a filled database behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with TemporaryDirectory(prefix="notifyguard-benchmark-") as folder, running_sink() as sink:
        name = f"notifyguard_benchmark_{os.getpid()}"
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "NOTIFYGUARD_DB": database,
            "BENCHMARK_DATABASE": f"{folder}/{name}" if database == "sqlite" else name,
            "BENCHMARK_PORT": str(sink.port),
            "BENCHMARK_PREPARED": "1" if prepared else "",
        }
        with _database():
            yield


@contextmanager
def _database() -> Iterator[None]:
    import django

    django.setup()
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)
