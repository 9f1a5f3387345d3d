"""ActivityNet-1.3: 200 classes, 10,024 training, 4,926 validation and 5,044 test videos, in seconds.

Read from the official JSON or from the two tables that the field passes on (a JSON of all videos and
a csv that tells the subsets). Ids stand without the prefix ``v_``.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from os import PathLike
from pathlib import Path

from stad_lite.errors import FormatError, MissingFileError
from stad_lite.records import Annotations
from stad_lite.records.exchange.activitynet import bare_id, read_ground_truth
from stad_lite.records.exchange.report import Reading
from stad_lite.records.exchange.text import read_text

NUM_CLASSES = 200

SUBSETS = {"training": 10024, "validation": 4926, "testing": 5044}
"""Videos of each subset."""

INSTANCES = {"training": 15410, "validation": 7654, "testing": 0}
"""Annotated instances of each subset."""

_OFFICIAL = ("activity_net.v1-3.min.json", "activity_net.v1-3.reconstructed.json")


def read_classes(path: str | PathLike[str]) -> tuple[str, ...]:
    """Return the 200 class names of a list with the header ``action``; FormatError for another number."""
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    names = names[1:] if names and names[0] == "action" else names
    if len(set(names)) != NUM_CLASSES or len(names) != NUM_CLASSES:
        raise FormatError(f"{len(set(names))} class names in {len(names)} lines, not 200", file=path)
    return tuple(names)


def read_subsets(path: str | PathLike[str]) -> dict[str, str]:
    """Return the subset of every video of a ``video_info.csv`` (columns video and subset)."""
    rows = list(csv.DictReader(read_text(path).splitlines()))
    if not rows or not {"video", "subset"} <= set(rows[0]):
        raise FormatError("the table has no columns video and subset", file=path)
    return {bare_id(row["video"]): row["subset"] for row in rows}


def load(folder: str | PathLike[str], subset: str = "validation") -> Reading[Annotations]:
    """Return the annotations of one subset of a data-set folder.

    folder: holds ``activity_net.v1-3.min.json`` or its reconstruction, or
        ``anet_anno_action_19994.json`` with ``video_info.csv`` (each plain or .gz); class order is that of
        ``action_name.csv`` where it is there, else alphabetical
    subset: ``training``, ``validation`` or ``testing``
    raises: MissingFileError, FormatError
    """
    folder = Path(folder)
    if subset not in SUBSETS:
        raise FormatError(f"no subset is called {subset!r}", remedy=f"choose from {', '.join(SUBSETS)}")
    listed = _find(folder, "action_name.csv")
    classes = read_classes(listed) if listed else None
    official = next((file for name in _OFFICIAL if (file := _find(folder, name))), None)
    if official is not None:
        named = _subset_name(official, subset)
        if classes is None:
            classes = read_ground_truth(official).record.classes
        record, report = read_ground_truth(official, named, classes)
        return Reading(record, report + _counted(record, subset))
    table, info = _find(folder, "anet_anno_action_19994.json"), _find(folder, "video_info.csv")
    if table is None or info is None:
        raise MissingFileError(
            "there is no ground truth", file=folder, remedy=f"put {_OFFICIAL[0]} into this folder"
        )
    subsets = read_subsets(info)
    record, report = read_ground_truth(table, classes=classes)
    wanted = "test" if subset == "testing" else subset
    names = [name for name in record.videos if subsets.get(name) in (subset, wanted)]
    # Frame counts of this table are those of extracted features, not of the videos.
    videos = {name: replace(record.videos[name], num_frames=None) for name in names}
    part = Annotations(record.dataset, record.classes, videos)
    return Reading(part, [*_of_all(report), *_counted(part, subset)])


def _of_all(report: list[str]) -> list[str]:
    return [f"in all subsets, {sentence}" for sentence in report]


def _counted(record: Annotations, subset: str) -> list[str]:
    """A sentence where the numbers are not those of the release."""
    instances = sum(len(video.segments or ()) for video in record.videos.values())
    if (len(record.videos), instances) == (SUBSETS[subset], INSTANCES[subset]):
        return []
    return [
        f"{subset} has {len(record.videos)} videos and {instances} instances, the release "
        f"{SUBSETS[subset]} and {INSTANCES[subset]}: 1"
    ]


def _subset_name(path: Path, subset: str) -> str:
    """What the file calls the subset (the reconstruction says ``test``)."""
    return "test" if subset == "testing" and '"subset":"test"' in read_text(path) else subset


def _find(folder: Path, name: str) -> Path | None:
    return next((file for file in (folder / name, folder / f"{name}.gz") if file.is_file()), None)
