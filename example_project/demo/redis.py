"""The Redis of the replays with Celery: one that is named, or one of their own."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from example_project.demo.deployment import ROOT, DemoError, ended_with_the_block, ready


@contextmanager
def running_redis(asked: str | None) -> Iterator[str]:
    """Yield the URL of the Redis that was asked for, or of one that runs with the block.

    Raises:
        DemoError: something is missing for that; the message says what to do.
    """
    if lacks := _lacks(asked):
        raise DemoError(f"--with-celery {lacks}")
    if asked:
        yield asked
        return
    command = [sys.executable, "-m", "example_project", "demo_redis", _redis_server() or ""]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "example_project.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ended_with_the_block(process):
        try:
            yield f"redis://127.0.0.1:{ready(process)}/0"
        finally:
            process.communicate()  # the end of its input is what it waits for


def _lacks(asked: str | None) -> str | None:
    """Return what the replays with Celery lack on this machine, and the way out."""
    if missing := [name for name in ("celery", "redis") if not importlib.util.find_spec(name)]:
        return (
            f"needs the Python package {' and '.join(missing)}: "
            '`python3 run.py demo --with-celery` installs it, or `pip install "celery[redis]"`.'
        )
    if asked and not asked.startswith(("redis://", "rediss://")):
        return f"replays what happened with Redis; {asked!r} is no redis://HOST:PORT/NUMBER."
    if not asked and _redis_server() is None:
        return (
            "needs a Redis: install the program redis-server (Debian: `apt-get install "
            "redis-server`), or name one that runs with --broker redis://HOST:PORT/NUMBER; "
            "only keys with a prefix of the demo's own are touched there."
        )
    return None


def _redis_server() -> str | None:
    # Debian keeps servers where an ordinary user's PATH does not lead.
    return shutil.which("redis-server") or shutil.which("redis-server", path="/usr/sbin")
