"""AVA v2.1: boxes with several labels each, on key frames one second apart in the middle of films.

80 actions are annotated and 60 evaluated. The csv files that could be had are partial; whichever is
given is read, and what it lacks is said in the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from stad_lite.data.fitting import on_file_frames, times_of
from stad_lite.errors import FormatError, MissingFileError
from stad_lite.records import Annotations, FrameBoxes, VideoAnnotation
from stad_lite.records.exchange import ava as csv_files
from stad_lite.records.exchange.report import Reading
from stad_lite.records.exchange.text import read_text

ACTIONS, EVALUATED = 80, 60
"""Annotated and evaluated classes."""

POSES = range(1, 15)
"""Ids of the pose classes: the part of the validation set that the pose-only csv holds."""

TRAINVAL_VIDEOS, TEST_VIDEOS, VAL_VIDEOS = 299, 131, 64
"""Films of training and validation together, of the test set, of validation."""


class ActionLists(NamedTuple):
    """The action lists.

    annotated: name by id, 80 of them
    evaluated: name by id, 60 of them
    """

    annotated: dict[int, str]
    evaluated: dict[int, str]


def read_action_lists(folder: str | PathLike[str]) -> ActionLists:
    """Return the lists of annotated and evaluated actions of a data-set folder.

    raises: MissingFileError; FormatError where they are not 80 and 60 with the second in the first
    """
    folder = Path(folder)
    annotated = csv_files.read_action_list(folder / "ava_action_list_v2.1.pbtxt")
    evaluated = csv_files.read_action_list(folder / "ava_action_list_v2.1_for_activitynet_2018.pbtxt")
    if (len(annotated), len(evaluated)) != (ACTIONS, EVALUATED) or not evaluated.items() <= annotated.items():
        raise FormatError(
            f"{len(annotated)} actions and {len(evaluated)} evaluated, not 80 and 60", file=folder
        )
    return ActionLists(annotated, evaluated)


def read_videos(folder: str | PathLike[str], subset: str) -> tuple[str, ...]:
    """Return the ids of the films of ``trainval`` (299) or ``test`` (131), without file extensions."""
    names = {"trainval": "ava_file_names_trainval_v2.1.txt", "test": "ava_test_v2.1.txt"}
    if subset not in names:
        raise FormatError(f"no list of films is called {subset!r}", file=folder, remedy="trainval or test")
    lines = [line.strip() for line in read_text(Path(folder) / names[subset]).splitlines()]
    return tuple(line.rsplit(".", 1)[0] if subset == "trainval" else line for line in lines if line)


def find_csv(folder: str | PathLike[str], subset: str) -> Path:
    """Return the ground-truth csv of ``train``, ``val`` or ``test``: the complete one where it is there.

    raises: MissingFileError
    """
    folder = Path(folder)
    for stem in (
        f"ava_{subset}_v2.1",
        f"ava_{subset}_v2.2",
        f"ava_{subset}_v2.1_pose_only",
        f"ava_{subset}_v1.0",
    ):
        for file in (folder / f"{stem}.csv", folder / f"{stem}.csv.gz"):
            if file.is_file():
                return file
    raise MissingFileError(
        f"there is no csv of {subset}", file=folder, remedy=f"put ava_{subset}_v2.1.csv here"
    )


def load(
    folder: str | PathLike[str],
    subset: str = "val",
    evaluated_only: bool = True,
    sizes: csv_files.Sizes | None = None,
    fps: float | None = None,
) -> Reading[Annotations]:
    """Return the annotations of a data-set folder.

    subset: ``train``, ``val`` or ``test``
    evaluated_only: keep the 60 evaluated classes only; rows of the others are counted
    sizes, fps: as in ``stad_lite.records.exchange.ava.read_ground_truth``
    raises: MissingFileError, FormatError
    """
    folder, lists = Path(folder), read_action_lists(folder)
    path = find_csv(folder, subset)
    excluded_file = folder / f"ava_{subset}_excluded_timestamps_v2.1.csv"
    excluded = csv_files.read_timestamps(excluded_file) if excluded_file.is_file() else None
    actions = lists.evaluated if evaluated_only else lists.annotated
    record, report = csv_files.read_ground_truth(path, actions, sizes, fps, excluded, "ava-2.1")
    if "pose_only" in path.name:
        report.append(
            f"classes that the csv cannot hold (it has poses only): {len(set(actions) - set(POSES))}"
        )
    if "v1.0" in path.name:
        report.append("the csv is of version 1.0, key frames every 3 s: 1")
    if excluded is None:
        report.append(f"lists of excluded timestamps that are missing: 1 ({excluded_file.name})")
    return Reading(record, report)


def on_files(truth: Annotations, about: Mapping[str, Mapping[str, Any]], start: float) -> Annotations:
    """Return the truth in pixels and frame numbers of its files; key frames beyond a file are left out.

    truth: boxes as shares of the frame, seconds of the film as frame numbers (``load``)
    about: num_frames, fps, width and height of every file
    start: second of the film at which the files begin
    raises: FormatError for a file that does not say its rate
    """
    videos = {name: _on_file(name, truth.videos[name], info, start) for name, info in about.items()}
    return Annotations(truth.dataset, truth.classes, videos)


def _on_file(name: str, video: VideoAnnotation, info: Mapping[str, Any], start: float) -> VideoAnnotation:
    if not info["fps"]:
        raise FormatError("the file does not say its frames a second", video=name, remedy="encode it again")
    found, count = on_file_frames(video, info, start), info["num_frames"]
    assert found.frames is not None and found.evaluated_frames is not None
    kept = (found.frames.frame >= 0) & (found.frames.frame < count)
    person = found.frames.person
    boxes = FrameBoxes(
        found.frames.frame[kept],
        found.frames.label[kept],
        found.frames.box[kept] * np.tile([info["width"], info["height"]], 2),
        person=None if person is None else person[kept],
    )
    keys = found.evaluated_frames
    return VideoAnnotation(
        count, info["width"], info["height"], info["fps"], frames=boxes, times=times_of(info),
        evaluated_frames=np.unique(keys[(keys >= 0) & (keys < count)]),
    )  # fmt: skip


def examples(path: str | PathLike[str], actions: Mapping[int, str]) -> dict[int, int]:
    """Return the number of rows of every action id in a ground-truth csv (0 where there is none)."""
    record = csv_files.read_ground_truth(path, actions).record
    counts = np.zeros(len(actions), dtype=np.int64)
    for video in record.videos.values():
        if video.frames is not None:
            counts += np.bincount(video.frames.label, minlength=len(actions))
    return dict(zip(actions, counts.tolist(), strict=True))
