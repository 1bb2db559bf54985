"""A PgBouncer of the test's own, in front of the test's PostgreSQL, in transaction mode."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.mailbox import closed_port
from tests.services import SERVICES, program

CONFIGURATION = """
[databases]
* = host={host} port={server} user={user}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
ignore_startup_parameters = extra_float_digits, options
"""


@contextmanager
def pgbouncer(folder: Path, size: int) -> Iterator[int]:
    """Start one with so many connections to the server; yield its port; end it."""
    service, port = SERVICES["postgresql"], closed_port()
    written = folder / f"pgbouncer-{size}.ini"
    written.write_text(
        CONFIGURATION.format(
            host=service.host, server=service.port, user=service.user, port=port, size=size
        )
    )
    as_nobody = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [str(program("pgbouncer")), *as_nobody, str(written)]
    started = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert started.stderr is not None
        said = ""
        for line in started.stderr:
            said += line
            if "process up" in line:
                break
        else:
            raise AssertionError(f"PgBouncer did not start: {said}")
        yield port
    finally:
        started.terminate()
        started.communicate(timeout=20)
