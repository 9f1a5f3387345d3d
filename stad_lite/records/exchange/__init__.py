"""Import and export of the field's formats: one module each, and two tables of them by name.

``read`` and ``write`` pick the reader by the format's name; every reader returns a ``Reading``: the
record, and a report that counts what was odd in the files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from os import PathLike
from typing import Any

from stad_lite.errors import StadError
from stad_lite.records.exchange import (
    act,
    activitynet,
    ava,
    coco_tracks,
    cvat,
    mot,
    road,
    thumos14,
    via,
    yowo,
)
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.types import Annotations, Predictions

__all__ = [
    "READERS",
    "WRITERS",
    "Reading",
    "Tally",
    "act",
    "activitynet",
    "ava",
    "coco_tracks",
    "cvat",
    "mot",
    "read",
    "road",
    "thumos14",
    "via",
    "write",
    "yowo",
]

READERS: Mapping[tuple[str, str], Callable[..., Reading[Any]]] = {
    ("act", "annotations"): act.read_ground_truth,
    ("act", "predictions"): act.read_tubes,
    ("act-frames", "predictions"): act.read_frame_detections,
    ("activitynet", "annotations"): activitynet.read_ground_truth,
    ("activitynet", "predictions"): activitynet.read_results,
    ("ava", "annotations"): ava.read_ground_truth,
    ("ava", "predictions"): ava.read_results,
    ("coco-tracks", "annotations"): coco_tracks.read_ground_truth,
    ("cvat", "annotations"): cvat.read_ground_truth,
    ("mot", "annotations"): mot.read_ground_truth,
    ("mot", "predictions"): mot.read_results,
    ("road", "predictions"): road.read_tubes,
    ("road-frames", "predictions"): road.read_frames,
    ("thumos14", "annotations"): thumos14.read_ground_truth,
    ("thumos14-json", "annotations"): partial(activitynet.read_ground_truth, dataset="thumos14"),
    ("thumos14", "predictions"): thumos14.read_detections,
    ("via", "annotations"): via.read_ground_truth,
    ("yowo", "annotations"): yowo.read_ground_truth,
    ("yowo", "predictions"): yowo.read_detections,
}
"""The reader of a format, by (format, what it holds)."""

WRITERS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("act", "annotations"): act.write_ground_truth,
    ("act", "predictions"): act.write_tubes,
    ("act-frames", "predictions"): act.write_frame_detections,
    ("activitynet", "annotations"): activitynet.write_ground_truth,
    ("activitynet", "predictions"): activitynet.write_results,
    ("ava", "annotations"): ava.write_ground_truth,
    ("ava", "predictions"): ava.write_results,
    ("coco-tracks", "annotations"): coco_tracks.write_ground_truth,
    ("cvat", "annotations"): cvat.write_ground_truth,
    ("mot", "annotations"): mot.write_ground_truth,
    ("road", "predictions"): road.write_tubes,
    ("thumos14", "annotations"): thumos14.write_ground_truth,
    ("thumos14", "predictions"): thumos14.write_detections,
    ("yowo", "annotations"): yowo.write_ground_truth,
    ("yowo", "predictions"): yowo.write_detections,
}
"""The writer of a format, by (format, what it holds)."""


def read(
    path: str | PathLike[str], format: str, kind: str, like: Annotations | None = None, **options: Any
) -> Reading[Any]:
    """Return what a file or folder of another format holds, with a report of its oddities.

    format, kind: a key of ``READERS``; kind is ``annotations`` or ``predictions``
    like: the truth that predictions belong to; it gives class names, the order of videos and frame
        sizes to formats that do not carry them (``options`` override it)
    options: what the reader takes beside the path
    raises: StadError for an unknown format or a missing option, and what the reader raises
    """
    reader = _pick(READERS, format, kind)
    return _call(reader, (path,), format, {**_context(format, kind, like), **options})


def write(
    record: Annotations | Predictions,
    path: str | PathLike[str],
    format: str,
    like: Annotations | None = None,
    **options: Any,
) -> Any:
    """Write a record in another format; what ``read`` says of ``like`` and ``options`` holds here too."""
    kind = "annotations" if isinstance(record, Annotations) else "predictions"
    writer = _pick(WRITERS, format, kind)
    known = {**_context(format, kind, like), **options}
    known.pop("classes", None)
    return _call(writer, (record, path), format, known)


def _pick(table: Mapping[tuple[str, str], Any], format: str, kind: str) -> Any:
    if (format, kind) not in table:
        known = sorted(name for name, what in table if what == kind)
        raise StadError(f"no format of {kind} is called {format!r}", remedy=f"choose from {', '.join(known)}")
    return table[format, kind]


def _context(format: str, kind: str, like: Annotations | None) -> dict[str, Any]:
    """What the truth tells a reader or writer of this format."""
    if like is None:
        return {}
    context: dict[str, Any] = {}
    if format in ("act", "act-frames", "road", "road-frames", "yowo") and (format, kind) != (
        "act",
        "annotations",
    ):
        context["classes"] = like.classes
    if format == "activitynet":
        context["classes"] = like.classes
    if format == "act-frames":
        context["videos"] = list(like.videos)
    if format == "ava" and kind == "predictions":
        context["sizes"] = {n: (v.width, v.height) for n, v in like.videos.items() if v.width and v.height}
        rates = {video.fps for video in like.videos.values() if video.fps}
        context |= {"fps": rates.pop()} if len(rates) == 1 else {}
    return context


def _call(function: Callable[..., Any], place: tuple[Any, ...], format: str, options: dict[str, Any]) -> Any:
    try:
        return function(*place, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise StadError(f"the format {format} was given too little or too much: {error}") from None
