"""What was measured on this machine, kept in JSON files beside a checkpoint and read only where it was measured.

Knows files and processors; does NOT know what was measured.
"""

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from .drafts import replaced

_LOGGER = logging.getLogger(__name__)

_Found = TypeVar("_Found")

_PROCESSOR = ("vendor_id", "cpu family", "model", "model name", "stepping", "CPU implementer", "CPU part")
"""What tells processors apart in /proc/cpuinfo, on x86 and ARM."""


def read_measured(file: Path, key: Mapping[str, object], parse: Callable[[Any], _Found]) -> _Found | None:
    """Return what `parse` makes of a file's content; None if there is no file or it was written for another key.

    A file that can't be read, or of which `parse` raises KeyError, TypeError or ValueError, counts as none.
    """
    try:
        content = json.loads(file.read_bytes())
        return parse(content) if content["measured"] == dict(key) | _machine() else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        _LOGGER.warning("%s can't be read and is written again: %s", file, error)
        return None


def write_measured(file: Path, key: Mapping[str, object], content: Mapping[str, object]) -> None:
    """Write what was measured under this key on this machine. If the file can't be written, a warning says so."""
    text = json.dumps({**content, "measured": dict(key) | _machine()}, indent=2) + "\n"
    try:
        with replaced(file) as draft:
            draft.write_text(text, encoding="utf-8")
    except OSError as error:
        _LOGGER.warning("%s can't be written, so each start measures again: %s", file, error)


def _machine() -> dict[str, object]:
    return {"processor": processor()}


def processor() -> str:
    """Return what identifies the first processor; empty if the system does not tell."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        return ""
    fields = (line.partition(":") for line in first.splitlines())
    return ", ".join(value.strip() for name, _, value in fields if name.strip() in _PROCESSOR)
