"""A Redis of a test's own, which it may flush, fill, stop and kill."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

STARTS_WITHIN = 10.0  # seconds
POLL = 0.01


@dataclass
class RedisServer:
    """A running server; ``client`` is a connection beside the one that is tested."""

    process: subprocess.Popen[bytes]
    port: int
    client: Any

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_redis(*options: str, port: int | None = None) -> Iterator[RedisServer]:
    """Start a server that keeps nothing on disk, and end it."""
    import redis

    port = port or free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--save", "", "--appendonly", "no", "--logfile", "", *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port)
    try:
        _wait_for(client, process)
        yield RedisServer(process, port, client)
    finally:
        client.close()
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


def _wait_for(client: Any, process: subprocess.Popen[bytes]) -> None:
    import redis

    until = time.monotonic() + STARTS_WITHIN
    while True:
        try:
            client.ping()
        except redis.RedisError:
            assert process.poll() is None, "redis-server ended at once"
            assert time.monotonic() < until, "redis-server does not answer"
            time.sleep(POLL)  # it cannot call back
        else:
            return
