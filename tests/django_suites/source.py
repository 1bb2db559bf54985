"""Django's source distribution, which holds the suites that its wheel leaves out."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import django


def tests_of_django(cache: Path) -> Path:
    """Return the tests directory of the Django that is installed, fetched if need be.

    Args:
        cache: where archives and what they hold are kept from run to run.

    Raises:
        subprocess.CalledProcessError: pip could not fetch it.
    """
    version = django.get_version()
    unpacked = cache / f"django-{version}"
    if not unpacked.exists():
        with tarfile.open(_archive(version, cache)) as archive:
            archive.extractall(cache, filter="data")
    return unpacked / "tests"


def _archive(version: str, cache: Path) -> Path:
    path = cache / f"django-{version}.tar.gz"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--dest", str(cache), f"django=={version}"]
        subprocess.run(command, check=True)
    return path
