"""UCF101-24: the corrected tube annotations (Singh et al.) of 24 sports classes.

The published files number pixels from 1 and give x, y, w, h in small unsigned integers; here they
become float xyxy with half-open boxes, 0-based frames and [start, end) spans.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stad_lite import matlab, unpickle
from stad_lite.boxes import xywh_to_xyxy
from stad_lite.errors import FormatError, StadError, UnknownVideoError
from stad_lite.records import Annotations, VideoAnnotation, read_list
from stad_lite.tubes import Tube

CLASSES = (
    "Basketball",
    "BasketballDunk",
    "Biking",
    "CliffDiving",
    "CricketBowling",
    "Diving",
    "Fencing",
    "FloorGymnastics",
    "GolfSwing",
    "HorseRiding",
    "IceDancing",
    "LongJump",
    "PoleVault",
    "RopeClimbing",
    "SalsaSpin",
    "SkateBoarding",
    "Skiing",
    "Skijet",
    "SoccerJuggling",
    "Surfing",
    "TennisSwing",
    "TrampolineJumping",
    "VolleyballSpiking",
    "WalkingWithDog",
)
"""Class names in the order of the published label indices (alphabetical)."""

WIDTH, HEIGHT, FPS = 320, 240, 25.0
"""The published boxes live on 320 x 240 frames; UCF101 plays at 25 frames a second."""


def read_pickle(path: str | PathLike[str]) -> Annotations:
    """Return the annotations of the published ``pyannot.pkl``.

    path: a pickle of {video: {numf, label, annotations: [{sf, ef, label, boxes}]}}, where ``sf`` is
        0-based and ``ef`` exclusive, read without running anything that it may hold
    raises: MissingFileError, TruncatedFileError, UnsafePickleError, FormatError and what
        ``records`` raises, with file, video and tube
    """
    path = Path(path)
    try:
        table = unpickle.load(path)
        if not isinstance(table, Mapping) or not table:
            raise FormatError(f"the pickle holds a {type(table).__name__}, not a table of videos")
        return _annotations({str(name): _from_pickle(str(name), entry) for name, entry in table.items()})
    except StadError as error:
        raise error.at(file=path) from None


def read_mat(path: str | PathLike[str]) -> Annotations:
    """Return the annotations of the MATLAB twin (``finalAnnots.mat``).

    path: a MATLAB v5 file with the structure array ``annot`` (name, num_imgs, tubes), where each
        tube has ``sf`` and ``ef`` 1-based and inclusive, ``class`` 1-based and ``boxes`` (n, 4)
    raises: MissingFileError, FormatError and what ``records`` raises, with file, video and tube
    """
    path = Path(path)
    try:
        content = matlab.read(path, squeeze_me=True, struct_as_record=False)
        if "annot" not in content:
            raise FormatError("there is no variable called annot", remedy="check that it is finalAnnots.mat")
        entries = np.atleast_1d(content["annot"])
        names = [str(getattr(entry, "name", i)) for i, entry in enumerate(entries)]
        return _annotations({name: _from_mat(name, e) for name, e in zip(names, entries, strict=True)})
    except StadError as error:
        raise error.at(file=path) from None


def split1(
    annotations: Annotations, testlist: str | PathLike[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the training and test videos of split 1.

    The published list names the test videos; training is every other annotated video.

    annotations: all videos
    testlist: ``testlist01.txt``
    returns: (train, test) video ids: 2,284 and 910 with the published files
    raises: UnknownVideoError where the list names a video without annotation
    """
    test = read_list(testlist, annotations.videos)
    unknown = next((name for name in test if name not in annotations.videos), None)
    if unknown is not None:
        raise UnknownVideoError("the list names a video that has no annotation", file=testlist, video=unknown)
    held_out = set(test)
    return tuple(name for name in annotations.videos if name not in held_out), test


def _annotations(videos: dict[str, VideoAnnotation]) -> Annotations:
    return Annotations("ucf101-24", CLASSES, videos)


def _from_pickle(name: str, entry: Any) -> VideoAnnotation:
    try:
        num_frames, tubes = int(entry["numf"]), entry["annotations"]
        rows = [(int(tube["sf"]), int(tube["ef"]), int(tube["label"]), tube["boxes"]) for tube in tubes]
    except (TypeError, KeyError, ValueError, IndexError) as error:
        raise FormatError(f"the entry lacks or garbles a field ({error})", video=name) from None
    return _video(name, num_frames, rows)


def _from_mat(name: str, entry: Any) -> VideoAnnotation:
    try:
        num_frames, tubes = int(entry.num_imgs), np.atleast_1d(entry.tubes)
        rows = [
            (int(tube.sf) - 1, int(tube.ef), int(getattr(tube, "class")) - 1, np.atleast_2d(tube.boxes))
            for tube in tubes
        ]
    except (TypeError, AttributeError, ValueError) as error:
        raise FormatError(f"the entry lacks or garbles a field ({error})", video=name) from None
    return _video(name, num_frames, rows)


def _video(name: str, num_frames: int, rows: list[tuple[int, int, int, Any]]) -> VideoAnnotation:
    tubes = []
    for index, (start, end, label, boxes) in enumerate(rows):
        try:
            tubes.append(_tube(start, end, label, np.asarray(boxes)))
        except StadError as error:
            raise error.at(video=name, tube=index) from None
    return VideoAnnotation(num_frames, WIDTH, HEIGHT, FPS, num_frames / FPS, tubes=tuple(tubes))


def _tube(start: int, end: int, label: int, boxes: np.ndarray) -> Tube:
    if not 0 <= label < len(CLASSES):
        raise FormatError(f"label {label} is not one of the {len(CLASSES)} classes")
    if boxes.dtype.kind not in "iuf" or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise FormatError(f"boxes have type {boxes.dtype} and shape {boxes.shape}, not (n, 4) numbers")
    if end - start != len(boxes):
        raise FormatError(f"frames {start} to {end} need {end - start} boxes, there are {len(boxes)}")
    # The cast to float comes before any sum: x + w wraps around in uint8.
    return Tube(start, xywh_to_xyxy(boxes.astype(np.float64) - [1, 1, 0, 0]), CLASSES[label])
