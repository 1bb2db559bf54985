"""The stored form of the corpus, kept as a file for each version of that form."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from notifyguard.channels.freezing import Frozen, freeze
from tests.compat.corpus import CORPUS

FOLDER = Path(__file__).parent / "recorded"
VERSION = 1


def written(frozen: Frozen) -> dict[str, Any]:
    """Return the frozen message as one JSON value."""
    blobs = {name: b64encode(content).decode() for name, content in sorted(frozen.blobs.items())}
    return {"payload": frozen.payload, "blobs": blobs}


def read(name: str, version: int = VERSION) -> Frozen:
    """Return the message of the corpus as that version of the form stored it."""
    recorded = json.loads(_file(version).read_text())[name]
    blobs = {digest: b64decode(content) for digest, content in recorded["blobs"].items()}
    return Frozen(recorded["payload"], blobs)


def record() -> Path:
    """Freeze the corpus and return the file it is in."""
    everything = {name: written(freeze(build())) for name, build in CORPUS.items()}
    file = _file(VERSION)
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")
    return file


def _file(version: int) -> Path:
    return FOLDER / f"v{version}.json"
