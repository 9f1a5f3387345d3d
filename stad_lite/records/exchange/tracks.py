"""Tracks as annotation tools keep them: keyframes, and the tubes that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from stad_lite.errors import FormatError, FrameRangeError, NotFiniteError, StadError
from stad_lite.tubes import Tube, frames_between, interpolate

LATEST = 2**31
"""No video has a frame of this number."""

Box = tuple[float, float, float, float]


class Key(NamedTuple):
    """A keyframe of a track.

    frame: number from 0
    box: xyxy pixels
    label: class name
    outside: from here on the track is not seen, until a keyframe that is inside
    """

    frame: int
    box: Box
    label: str
    outside: bool = False


def tubes_of(keys: Iterable[Key], end: int | None = None) -> list[Tube]:
    """Return the tubes of one track: linear between keyframes, cut where it is outside or changes its class.

    keys: in any order; before one that is outside, the box moves towards its box, as in CVAT
    end: the last keyframe's box is held up to this frame, which is not part of it; None: for that frame alone
    raises: FormatError for a frame that stands twice, FrameRangeError, and what ``Tube`` raises

    >>> seen = [Key(0, (0, 0, 4, 4), "run"), Key(4, (8, 0, 12, 4), "run", outside=True)]
    >>> tubes_of(seen)[0].boxes[:, 0]
    array([0., 2., 4., 6.])
    """
    ordered = sorted(keys, key=lambda key: key.frame)
    for one, other in pairwise(ordered):
        if one.frame == other.frame:
            raise FormatError("a frame has two boxes", frame=one.frame, remedy="keep one of them")
    tubes, first = [], 0
    for position, key in enumerate(ordered):
        following = ordered[position + 1] if position + 1 < len(ordered) else None
        if following and not following.outside and following.label == key.label and not key.outside:
            continue
        if not key.outside:
            stop = following.frame if following else max(end or 0, key.frame + 1)
            known = ordered[first : position + 2]
            frames = frames_between(np.array([known[0].frame, stop - 1]))
            places = np.array([one.frame for one in known])
            boxes = interpolate(places, np.array([one.box for one in known], dtype=np.float64), frames)
            tubes.append(Tube(known[0].frame, boxes, key.label))
        first = position + 1
    return tubes


def broken(keys: Iterable[Key], following: Callable[[int], float]) -> list[Key]:
    """Return the keyframes of a track with its gaps marked: it ends on the last frame before each.

    following: frame -> the next frame that was looked at

    >>> [key.frame for key in broken([Key(0, (0, 0, 1, 1), ""), Key(9, (0, 0, 1, 1), "")], lambda f: f + 1)]
    [0, 1, 9]
    """
    ordered = sorted(keys, key=lambda key: key.frame)
    found = ordered[:1]
    for key, later in pairwise(ordered):
        if following(key.frame) < later.frame:
            found.append(Key(key.frame + 1, key.box, key.label, outside=True))
        found.append(later)
    return found


def following(looked: Iterable[int]) -> Callable[[int], float]:
    """Return what gives the next of the frames that were looked at, infinite after the last (``broken``).

    >>> after = following({4, 0, 9})
    >>> after(0), after(9)
    (4, inf)
    """
    places = np.array(sorted(looked), dtype=np.int64)

    def after(frame: int) -> float:
        place = int(np.searchsorted(places, frame, "right"))
        return int(places[place]) if place < len(places) else np.inf

    return after


def tubes_with_gaps(tracks: Mapping[Any, list[Key]], after: Callable[[int], float]) -> list[Tube]:
    """Return the tubes of all tracks of a video, cut at their gaps (``broken``).

    raises: as ``tubes_of``, naming the track
    """
    tubes: list[Tube] = []
    for name, keys in tracks.items():
        with of_track(name):
            tubes += tubes_of(broken(keys, after))
    return tubes


@contextmanager
def of_track(name: object) -> Iterator[None]:
    """Name the track in the errors of a block."""
    try:
        yield
    except StadError as error:
        error.problem = f"track {str(name)[:60]}: {error.problem}"
        raise


def number(value: Any, what: str, frame: int | None = None) -> float:
    """Return a text or number of a file as a finite number. raises: FormatError, NotFiniteError"""
    try:
        found = float("x" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        raise FormatError(f"{what} is {str(value)[:60]!r}", frame=frame, remedy="give a number") from None
    if not np.isfinite(found):
        raise NotFiniteError(f"{what} is {found}", frame=frame, remedy="give a finite number")
    return found


def whole(value: Any, what: str, least: int = 0) -> int:
    """Return a text or number of a file as a whole one. raises: FormatError, FrameRangeError"""
    found = number(value, what)
    if found != int(found):
        raise FormatError(f"{what} is {found}", remedy="give a whole number")
    if not least <= found < LATEST:
        raise FrameRangeError(f"{what} is {int(found)}", remedy=f"give a number from {least}")
    return int(found)


def corners(values: Any, frame: int | None = None) -> Box:
    """Return x, y, width, height as xyxy. raises: FormatError, NotFiniteError"""
    if not isinstance(values, (list, tuple)) or len(values) != 4:
        remedy = "give x, y, width and height"
        raise FormatError(f"a box is {str(values)[:60]}", frame=frame, remedy=remedy)
    x, y, width, height = (number(value, "a box's number", frame) for value in values)
    return x, y, x + width, y + height


def table(value: Any, what: str) -> Mapping[str, Any]:
    """Return an object of a JSON file. raises: FormatError"""
    if not isinstance(value, dict):
        raise FormatError(f"{what} is no object", remedy="export the file again")
    return value


def entries(value: Any, what: str) -> list[Any]:
    """Return a list of a JSON file. raises: FormatError"""
    if not isinstance(value, list):
        raise FormatError(f"{what} is no list", remedy="export the file again")
    return value


def word(name: str) -> str:
    """Return a name that may stand in a line of its own. raises: FormatError"""
    if name.splitlines() != [name] or name.strip() != name:
        raise FormatError(f"the name {name!r} cannot stand in a line", remedy="rename the video or class")
    return name
