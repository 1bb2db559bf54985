"""A real beat process, which a test may kill."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.celery.brokers import Broker
from tests.smtp import PROJECT


@contextmanager
def running_beat(
    broker: Broker, environment: dict[str, str], folder: Path, schedule: Mapping[str, Any]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start beat with a schedule that can be written as JSON; kill it at the end."""
    more = {
        "DJANGO_SETTINGS_MODULE": "tests.celery.settings",
        "TESTS_CELERY": json.dumps(broker.configuration(beat_schedule=schedule)),
    }
    command = [sys.executable, "-m", "celery", "--app", "tests.celery.project", "beat"]
    command += ["--schedule", str(folder / "schedule"), "--pidfile=", "--loglevel", "WARNING"]
    with subprocess.Popen(command, env=environment | more, cwd=PROJECT) as process:
        try:
            yield process
        finally:
            process.kill()
