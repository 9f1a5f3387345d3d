"""Where figures that hang on a machine are from: hardware, date, command, commit."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def commit() -> str:
    """Return the commit that is checked out, with "+" where files differ from it; "unknown" outside git."""
    words = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        run = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()


def origin(command: str, hardware: str, at: str = "") -> dict[str, str]:
    """Return what a record of figures begins with.

    command: that made them
    hardware: that they were measured on
    at: commit, where git cannot tell it
    """
    date = datetime.now(UTC).isoformat(timespec="minutes")
    return {"hardware": hardware, "date": date, "command": command, "commit": at or commit()}
