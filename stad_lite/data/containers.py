"""What a video file holds besides its frames: whole parts, the stream that is the video, which way is up."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite.errors import FormatError, TruncatedFileError

PARTS = (b"moov", b"moof", b"mdat")
"""Parts of an .mp4 without which frames are missing; what a camera appends after them is not looked at."""


class Sink:
    """An open file for PyAV to write to; its ``with`` ends with whatever stopped a write, Ctrl-C too.

    PyAV hands on an ``Exception`` of the file, but loses what interrupts it and goes on without the bytes.
    """

    def __init__(self, file: Any) -> None:
        self.file = file
        self.stopped: BaseException | None = None
        self.seek, self.tell = file.seek, file.tell

    def write(self, data: bytes) -> int:
        """Write bytes, unless a write was stopped before."""
        if self.stopped is not None:
            raise OSError("stopped")
        try:
            return int(self.file.write(data))
        except BaseException as error:
            self.stopped = error
            raise OSError("stopped") from error

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        if self.stopped is not None:
            raise self.stopped


def check_whole(path: Path) -> None:
    """Refuse an .avi or .mp4 whose parts reach beyond the file's end: the decoder would just stop there.

    raises: TruncatedFileError
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            needed = struct.unpack("<I", head[4:8])[0] + 8
            if length < needed < 2**32:  # a recorder that was not asked for the length leaves ff ff ff ff
                raise TruncatedFileError(
                    f"the file ends {needed - length} bytes too early",
                    file=path,
                    remedy="copy the file again",
                )
        elif head[4:8] == b"ftyp":
            _check_parts(path, file, length)


def _check_parts(path: Path, file: Any, length: int) -> None:
    place, kinds = 0, set()
    while place < length:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8:
            break
        extent, kind = struct.unpack(">I4s", head[:8])
        if extent == 1 and len(head) == 16:
            extent = struct.unpack(">Q", head[8:])[0]
        elif extent == 0:  # the rest of the file
            extent = length - place
        if extent < 8 or (place + extent > length and kind not in PARTS):
            break  # no part at all: what a camera or a shop appends
        kinds.add(kind)
        place += extent
    if place > length or not kinds & {b"moov", b"moof"}:
        raise TruncatedFileError(
            "the file ends before its last part", file=path, remedy="copy the file again"
        )


def pictures(container: Any, path: Path) -> Any:
    """Return the video stream that players choose, which is no cover picture. raises: FormatError"""
    from av.stream import Disposition

    cover = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        problem = "a cover picture but no video stream" if container.streams.video else "no video stream"
        raise FormatError(
            f"the file has {problem}", file=path, remedy="give a file with pictures, not sound alone"
        )
    best = container.streams.best("video")
    return next((stream for stream in streams if best is not None and stream.index == best.index), streams[0])


def turn(frame: Any) -> tuple[bool, bool, bool]:
    """Return how a frame is made upright: whether its axes are exchanged, then rows and columns turned over.

    The file's display matrix takes a pixel at (x, y) to (a x + c y, b x + d y), in 1 / 65536.
    """
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d = struct.unpack("=5i", bytes(matrix)[:20])
    if abs(b) > abs(a):
        return True, b < 0, c < 0
    return False, d < 0, a < 0


def upright(image: np.ndarray, how: tuple[bool, bool, bool]) -> np.ndarray:
    """Return a picture (h, w, 3) as ``turn`` says.

    >>> upright(np.array([[1, 2, 3]]), (True, False, True)).tolist()
    [[1], [2], [3]]
    """
    exchanged, rows, columns = how
    image = image.swapaxes(0, 1) if exchanged else image
    return np.ascontiguousarray(image[:: -1 if rows else 1, :: -1 if columns else 1])
