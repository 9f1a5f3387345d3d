"""How many processes work at a time, and where their sockets are.

Paths of sockets may have no more than 107 bytes, and batch systems set long TMPDIRs.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from multiprocessing import util

MOST = 8
"""Processes that prepare batches where nothing else is said, at most."""

LONGEST = 50
"""Bytes of a folder that leave room for what Python, torch and Jupyter put behind it."""


def cores() -> int:
    """Return how many processors this process may use."""
    count = getattr(os, "process_cpu_count", os.cpu_count)  # the first knows what was taken away
    return count() or 1


def usual_workers(processes: int = 1) -> int:
    """Return how many processes prepare batches beside training: none where two cores or fewer are there.

    processes: that train on this machine, each with workers of its own
    """
    own = cores() // processes
    return min(MOST, own - 1) if own > 2 else 0


def socket_place() -> str:
    """Return the usual folder of temporary files, or a shorter one where sockets would not fit below it."""
    usual = tempfile.gettempdir()
    places = [usual, os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp", os.path.expanduser("~")]
    return next((place for place in places if _fits(place)), usual)


def _fits(place: str) -> bool:
    return 0 < len(os.fsencode(place)) <= LONGEST and os.access(place, os.W_OK | os.X_OK)


def short_sockets() -> None:
    """Let this process and its workers exchange tensors through sockets whose paths fit."""
    config = multiprocessing.current_process()._config  # type: ignore[attr-defined]  # no other way to say it
    place = socket_place()
    if place != tempfile.gettempdir() and config.get("tempdir") is None:
        config["tempdir"] = folder = tempfile.mkdtemp(prefix="stad-", dir=place)
        util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-100)
