"""Which process this is: host, boot and process, so that a clone is one look away."""

from __future__ import annotations

import os
import socket
import uuid
from functools import lru_cache
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def instance() -> str:
    """Return this process as ``host/boot/pid``, at most 120 characters.

    The boot part differs between a server and its running clone even where the
    host name was copied with it.
    """
    return f"{_host_and_boot()}/{os.getpid()}"


@lru_cache(maxsize=1)
def _host_and_boot() -> str:
    return f"{socket.gethostname()[:80]}/{_boot()}"


def _boot() -> str:
    try:
        return _BOOT_ID.read_text().strip()[:8]
    except OSError:
        # No such file outside Linux: the network card tells hosts apart, if not boots.
        return f"{uuid.getnode():012x}"[-8:]
