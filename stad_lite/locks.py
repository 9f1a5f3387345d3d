"""A file that one process holds at a time; what holds it is let go when the process ends, however it ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path

from stad_lite.errors import StadError


@contextmanager
def held(path: str | PathLike[str], patience: float = 0.0, remedy: str = "wait for it") -> Iterator[None]:
    """Hold a lock file; it and its folder are made where they are missing and go again (not on Windows).

    patience: seconds to wait for another process
    raises: StadError where another process (or another part of this one) still holds it
    """
    path = Path(path)
    made = not path.parent.exists()
    until = time.monotonic() + patience
    try:
        while True:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab") as file:
                # another holder may have removed the file between the opening and the lock
                if _take(file.fileno()) and _is_there(path, file.fileno()):
                    try:
                        yield
                    finally:
                        if sys.platform != "win32":
                            path.unlink(missing_ok=True)
                    return
            if time.monotonic() >= until:
                raise StadError("another process is at work here", file=path.parent, remedy=remedy)
            time.sleep(0.05)
    finally:
        if made:
            with suppress(OSError):  # something was written there
                path.parent.rmdir()


def _is_there(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


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
