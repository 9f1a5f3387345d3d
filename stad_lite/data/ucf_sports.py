"""UCF Sports: 150 sequences with one box a frame, 10 classes out of 13 folders of views.

The class is the folder: the word in the text files is often another. The papers' train and test lists
could not be obtained; a list is read where one is given, and otherwise ``our_split`` is a split of
this library, which is not the papers' and gives figures that cannot be set beside theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np

from stad_lite.boxes import xywh_to_xyxy
from stad_lite.data.jhmdb21 import archive_texts, load_arrays
from stad_lite.errors import FormatError, MissingFileError, StadError, UnknownLabelError, UnknownVideoError
from stad_lite.records import Annotations, VideoAnnotation
from stad_lite.records.exchange.report import Reading, Tally
from stad_lite.records.exchange.text import numbers, read_json, rows
from stad_lite.tubes import Tube

FOLDERS = {
    "Diving-Side": "Diving",
    "Golf-Swing-Back": "Golf",
    "Golf-Swing-Front": "Golf",
    "Golf-Swing-Side": "Golf",
    "Kicking-Front": "Kicking",
    "Kicking-Side": "Kicking",
    "Lifting": "Lifting",
    "Riding-Horse": "Riding",
    "Run-Side": "Run",
    "SkateBoarding-Front": "SkateBoarding",
    "Swing-Bench": "Swing1",
    "Swing-SideAngle": "Swing2",
    "Walk-Front": "Walk",
}
"""The class of every folder."""

CLASSES = tuple(sorted(set(FOLDERS.values())))
"""The ten classes, alphabetical."""

VIDEOS, FRAMES, FPS = 150, 9580, 10.0
"""Sequences, frames, and the rate at which the distributed clips play."""

WIDTH, HEIGHTS = 720, (404, 480, 576)
"""The frame sizes that occur; without a clip the smallest that holds the boxes is taken."""

Sizes = Mapping[str, tuple[int, int]]
"""Width and height by video."""

_WORDS = {
    "diving": "Diving",
    "armswing": "Golf",
    "kicking": "Kicking",
    "lifting": "Lifting",
    "running": "Run",
    "skateboarding": "SkateBoarding",
    "walking": "Walk",
}
"""What the words in the text files say."""


def read_text(path: str | PathLike[str], sizes: Sizes | None = None) -> Reading[Annotations]:
    """Return the annotations of the published tree, as a folder or a .tar.gz of it.

    path: ``.../<Folder>/<NNN>/gt/<frame>.txt``, one line ``x y w h Word`` (tabs or blanks); frames
        are taken in the order of the numbers in their names, gaps or not
    sizes: width and height by ``<Folder>/<NNN>``; guessed from the boxes without them
    raises: MissingFileError, FormatError, UnknownLabelError, with the file
    """
    tally = Tally()
    found: dict[str, list[tuple[int, list[float]]]] = {}
    for name, text in _texts(Path(path)):
        parts = name.split("/")
        if len(parts) < 4 or parts[-2] != "gt":
            continue
        video = "/".join(parts[-4:-2])
        if parts[-4] not in FOLDERS:
            raise UnknownLabelError(f"folder {parts[-4]} is none of the {len(FOLDERS)} of the set", file=name)
        fields = text.split()
        if len(fields) < 4:
            raise FormatError(f"the line is {text.strip()!r}, not x y w h and a word", file=name)
        if _WORDS.get("".join(fields[4:]).lower()) != FOLDERS[parts[-4]]:
            tally.note("frames whose word is not their folder's class, the folder taken", parts[-4])
        found.setdefault(video, []).append((_frame_number(parts[-1]), numbers(fields[:4], name, 1)))
    if not found:
        raise MissingFileError(
            "there is no <Folder>/<NNN>/gt/<frame>.txt", file=path, remedy="name the tree's top"
        )
    boxes = {}
    for video, items in sorted(found.items()):
        items.sort(key=lambda item: item[0])
        if any(after[0] - before[0] != 1 for before, after in pairwise(items)):
            tally.note("sequences with gaps in the numbers of their frames, counted in order", video)
        boxes[video] = np.array([box for _, box in items])
    return Reading(_annotations(boxes, sizes, tally), tally.sentences())


def read_arrays(
    path: str | PathLike[str], index: str | PathLike[str], sizes: Sizes | None = None
) -> Reading[Annotations]:
    """Return the annotations of plain arrays of the tree's boxes.

    path: .npz of boxes_xywh (n, 4) and video_offset (videos + 1,)
    index: JSON with the list ``videos`` in row order
    raises: MissingFileError, TruncatedFileError, FormatError
    """
    tally, names = Tally(), read_json(index)["videos"]
    arrays = load_arrays(path, ("boxes_xywh", "video_offset"))
    if len(arrays["video_offset"]) != len(names) + 1:
        raise FormatError(f"{len(arrays['video_offset']) - 1} videos, the index has {len(names)}", file=path)
    parts = np.split(arrays["boxes_xywh"].astype(np.float64), arrays["video_offset"][1:-1])
    boxes = dict(zip(map(str, names), parts, strict=True))
    return Reading(_annotations(boxes, sizes, tally), tally.sentences())


def load(folder: str | PathLike[str], sizes: Sizes | None = None) -> Reading[Annotations]:
    """Return the annotations of a data-set folder: its tree, its archive, or its arrays.

    raises: MissingFileError where none is there, and what the readers raise
    """
    folder = Path(folder)
    archive, arrays = folder / "ucf_sports_gt.tar.gz", folder / "ucfsports_boxes.npz"
    if archive.is_file():
        return read_text(archive, sizes)
    if arrays.is_file():
        return read_arrays(arrays, folder / "ucfsports_index.json", sizes)
    return read_text(folder, sizes)


def read_split(
    path: str | PathLike[str], annotations: Annotations
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (train, test) of a list: lines ``<Folder>/<NNN> train|test`` or, of test videos, the id alone.

    Videos that a list of ids alone does not name are training videos.
    raises: MissingFileError, FormatError, UnknownVideoError with file and line
    """
    groups: dict[str, str] = {}
    for line, fields in rows(path, comma=False):
        if len(fields) > 2 or (len(fields) == 2 and fields[1] not in ("train", "test")):
            raise FormatError(f"line {line} is not an id and train or test", file=path)
        if fields[0] not in annotations.videos:
            raise UnknownVideoError(
                f"line {line} names a video without annotation", file=path, video=fields[0]
            )
        groups[fields[0]] = fields[1] if len(fields) == 2 else "alone"
    if "alone" in groups.values() and set(groups.values()) != {"alone"}:
        raise FormatError("some lines name train or test and others do not", file=path)
    held_out = {name for name, group in groups.items() if group != "train"}
    train = [n for n in annotations.videos if n not in held_out and groups.get(n, "train") == "train"]
    if groups and "alone" not in groups.values():
        train = [name for name in train if name in groups]
    return tuple(train), tuple(name for name in annotations.videos if name in held_out)


def our_split(annotations: Annotations) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return (train, test) of this library's own split: in each folder every third sequence is a test.

    It is not the split of the papers, whose list could not be obtained: name it "stad_lite thirds"
    beside every figure. Of the 150 sequences 105 train and 45 test.
    """
    places: dict[str, int] = {}
    train: list[str] = []
    test: list[str] = []
    for name in sorted(annotations.videos):
        folder = name.split("/")[0]
        places[folder] = places.get(folder, 0) + 1
        (test if places[folder] % 3 == 0 else train).append(name)
    return tuple(train), tuple(test)


def _annotations(boxes: Mapping[str, np.ndarray], sizes: Sizes | None, tally: Tally) -> Annotations:
    videos = {}
    for name, xywh in boxes.items():
        corners = xywh_to_xyxy(_repaired(xywh, name, tally))
        width, height = (sizes or {}).get(name, (0, 0))
        if not width:
            tally.note("sequences without a clip, their frame size guessed from the boxes", name)
            width, height = WIDTH, next((h for h in HEIGHTS if corners[:, 3].max() <= h), HEIGHTS[-1])
        try:
            tubes = (Tube(0, corners, FOLDERS[name.split("/")[0]]),)
        except StadError as error:
            raise error.at(video=name, tube=0) from None
        videos[name] = VideoAnnotation(len(corners), width, height, FPS, len(corners) / FPS, tubes=tubes)
    return Annotations("ucf-sports", CLASSES, videos)


def _repaired(xywh: np.ndarray, name: str, tally: Tally) -> np.ndarray:
    """Boxes without width or height replaced by the line between the nearest ones that have both."""
    good = (xywh[:, 2:] > 0).all(1)
    tally.note("boxes of zero width or height, interpolated", name, int((~good).sum()))
    if not good.any():
        raise FormatError("no box of the sequence has an area", video=name)
    at, known = np.arange(len(xywh)), np.flatnonzero(good)
    return np.stack([np.interp(at, known, xywh[good, i]) for i in range(4)], 1)


def _frame_number(name: str) -> int:
    """The last number in a name like ``2538-5_70133.tif.txt``."""
    found = re.findall(r"\d+", name.split(".")[0])
    if not found:
        raise FormatError("the name holds no frame number", file=name)
    return int(found[-1])


def _texts(path: Path) -> list[tuple[str, str]]:
    if path.is_dir():
        files = sorted(path.rglob("gt/*.txt"))
        return [(file.as_posix(), file.read_text("utf-8-sig")) for file in files]
    return archive_texts(path)
