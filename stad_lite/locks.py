"""A file that one process holds at a time; what holds it is let go when the process ends, however it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from stad_lite.errors import StadError


@contextmanager
def held(path: str | PathLike[str], patience: float = 0.0, remedy: str = "wait for it") -> Iterator[None]:
    """Hold a lock file, which is made where it is missing and stays there empty.

    patience: seconds to wait for another process
    raises: StadError where another process (or another part of this one) still holds it
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + patience
    with path.open("ab") as file:
        while not _take(file.fileno()):
            if time.monotonic() >= until:
                raise StadError("another process is at work here", file=path.parent, remedy=remedy)
            time.sleep(0.05)
        yield  # closing the file lets it go


def _take(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a file system without locks
        return True
    return True
