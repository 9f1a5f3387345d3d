"""``stad-lite check FILE``: what a file or folder is, what it holds, what is odd about it."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from stad_lite import records
from stad_lite.data import ucf101_24
from stad_lite.data.folder import check_folder
from stad_lite.errors import FormatError, MissingFileError
from stad_lite.records import Annotations, Predictions, VideoAnnotation

READERS = {
    ".json": ("a record file", records.read),
    ".json.gz": ("a record file", records.read),
    ".npz": ("a record file", records.read),
    ".pkl": ("a UCF101-24 pickle", ucf101_24.read_pickle),
    ".mat": ("a UCF101-24 MATLAB file", ucf101_24.read_mat),
}
"""Ending -> what such a file should be, and its reader."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="annotations, predictions, or a folder of videos with its record",
    )


def run(arguments: argparse.Namespace) -> int:
    """Read the file, print what it holds, and raise on the first thing wrong with it."""
    path: Path = arguments.file
    if path.is_dir():
        opened = check_folder(path, lambda fault: print(f"fault: {fault}"))
        kind = f"a folder of {len(opened.files)} videos that decode"
        return _tell(path, kind, opened.annotations, opened.notes)
    if not path.is_file():
        raise MissingFileError("there is no such file", file=path, remedy="check the path")
    ending = next((ending for ending in READERS if path.name.endswith(ending)), None)
    if ending is None:
        raise FormatError("no reader knows this ending", file=path, remedy=f"known are {', '.join(READERS)}")
    kind, reader = READERS[ending]
    return _tell(path, kind, reader(path))


def _tell(path: Path, kind: str, record: Annotations | Predictions, notes: Sequence[str] = ()) -> int:
    print(f"{path}: sound; {kind}, {describe(record)}")
    for oddity, count in oddities(record).items():
        print(f"note: {count} {oddity}")
    for note in notes:
        print(f"note: {note}")
    return 0


def describe(record: Annotations | Predictions) -> str:
    """Return one line of counts."""
    videos = record.videos.values()
    counts = {
        "videos": len(record.videos),
        "classes": len(record.classes),
        "tubes": sum(len(video.tubes or ()) for video in videos),
        "boxes in tubes": sum(len(tube) for video in videos for tube in video.tubes or ()),
        "boxes on single frames": sum(len(video.frames or ()) for video in videos),
        "segments": sum(len(video.segments or ()) for video in videos),
    }
    name = f"annotations of {record.dataset}" if isinstance(record, Annotations) else "predictions"
    return f"{name}: " + ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def oddities(record: Annotations | Predictions) -> Counter[str]:
    """Return what is allowed but worth knowing, counted."""
    found: Counter[str] = Counter()
    for video in record.videos.values():
        length = video.duration if isinstance(video, VideoAnnotation) else None
        for segment in video.segments or ():
            found["segments without length"] += segment.start == segment.end
            found["segments past the end of their video"] += length is not None and segment.end > length
        found["videos without anything"] += not (video.tubes or video.frames or video.segments)
        if isinstance(video, VideoAnnotation):
            size = [video.width or 0, video.height or 0]
            for tube in video.tubes or ():
                outside = (tube.boxes[:, :2] < 0).any(1) | (tube.boxes[:, 2:] > size).any(1)
                found["boxes that leave the frame"] += int(outside.sum())
    return +found
