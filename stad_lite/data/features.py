"""Sequences of features in place of frames: what a temporal detector reads when its backbone has run before.

One file a video holds one array a stage; they are read without pickles and written whole or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np

from stad_lite import packed
from stad_lite.errors import (
    FormatError,
    MissingFileError,
    NotFiniteError,
    StadError,
    TruncatedFileError,
    UnknownVideoError,
)
from stad_lite.records import Annotations, atomic_write
from stad_lite.records.files import safe_name

UNFINISHED = ".unfinished"
"""A file that lies in a folder as long as its features are being made."""
KEPT = 512
"""Videos whose features a reader keeps in memory."""


class FeatureSource(Protocol):
    """Videos as features of several stages, and their segments.

    annotations: the truth; may hold no segments
    videos: ids
    strides: frames for one step of each stage, finest first, each a multiple of the one before
    channels: of each stage
    """

    @property
    def annotations(self) -> Annotations: ...

    @property
    def videos(self) -> tuple[str, ...]: ...

    @property
    def strides(self) -> tuple[int, ...]: ...

    @property
    def channels(self) -> tuple[int, ...]: ...

    def num_frames(self, video: str) -> int:
        """Return the number of frames that the features were made of."""
        ...

    def fps(self, video: str) -> float:
        """Return the frames a second."""
        ...

    def features(self, video: str) -> tuple[np.ndarray, ...]:
        """Return (channels, steps) float32 of each stage; step i covers the frames from i * stride on."""
        ...


@dataclass(frozen=True, eq=False)
class FeatureFolder:
    """A ``FeatureSource`` over the files that ``write_features`` wrote.

    folder: of the files
    annotations: the truth; its videos are those that have a file
    frames, rates: number of frames and frames a second by video
    """

    folder: Path
    annotations: Annotations
    strides: tuple[int, ...]
    channels: tuple[int, ...]
    frames: Mapping[str, int]
    rates: Mapping[str, float]

    @property
    def videos(self) -> tuple[str, ...]:
        """The ids."""
        return tuple(self.annotations.videos)

    def num_frames(self, video: str) -> int:
        """Return the number of frames. raises: UnknownVideoError"""
        return self.frames[self._known(video)]

    def fps(self, video: str) -> float:
        """Return the frames a second. raises: UnknownVideoError"""
        return self.rates[self._known(video)]

    def features(self, video: str) -> tuple[np.ndarray, ...]:
        """Return (channels, steps) float32 of each stage. raises: FormatError, NotFiniteError"""
        return _read(self.folder / file_name(self._known(video)), video)[0]

    def _known(self, video: str) -> str:
        if video not in self.frames:
            raise UnknownVideoError("there are no features of it", file=self.folder, video=video)
        return video


def file_name(video: str) -> str:
    """Return the name of a video's file; a slash in an id is no folder.

    >>> file_name("val/1000000")
    'val%2F1000000.npz'
    """
    return f"{safe_name(video)}.npz"


def write_features(
    folder: str | PathLike[str],
    video: str,
    stages: Sequence[np.ndarray],
    strides: Sequence[int],
    num_frames: int,
    fps: float,
) -> Path:
    """Write one video's features and return the file.

    stages: (channels, steps) of each stage, finest first
    raises: NotFiniteError with the video, FormatError where stages and strides do not fit
    """
    if len(stages) != len(strides) or any(stage.ndim != 2 for stage in stages):
        raise FormatError("stages and strides do not fit", video=video, remedy="give one (c, t) a stride")
    check_finite(stages, video)
    arrays = {f"stage{i}": np.asarray(stage, dtype=np.float32) for i, stage in enumerate(stages)}
    about = np.array([num_frames, fps, *strides], dtype=np.float64)
    path = Path(folder) / file_name(video)
    return atomic_write(path, lambda stream: np.savez(stream, about=about, **arrays))  # type: ignore[arg-type]


def open_features(folder: str | PathLike[str], annotations: Annotations) -> FeatureFolder:
    """Return the features of the annotated videos that have a file in the folder.

    raises: MissingFileError where none has one, FormatError where files do not agree or are damaged
    """
    folder = Path(folder)
    if (folder / UNFINISHED).exists():
        remedy = "give the command that makes them again: it goes on"
        raise TruncatedFileError("the features of this folder are not all made", file=folder, remedy=remedy)
    found, layouts = {}, {}
    for video in annotations.videos:
        path = folder / file_name(video)
        if path.is_file():
            stages, frames, fps, strides = _read(path, video)
            found[video] = (frames, fps)
            layouts[strides, tuple(len(stage) for stage in stages)] = video
    if not found:
        remedy = "write them with write_features or choose another folder"
        raise MissingFileError("no annotated video has features here", file=folder, remedy=remedy)
    if len(layouts) > 1:
        raise FormatError(
            f"videos {', '.join(list(layouts.values())[:2])} have features of different strides or channels",
            file=folder,
            remedy="keep one kind of features in a folder",
        )
    ((strides, channels),) = layouts
    frames_of = {video: frames for video, (frames, _) in found.items()}
    rates = {video: fps for video, (_, fps) in found.items()}
    return FeatureFolder(folder, annotations.subset(list(found)), strides, channels, frames_of, rates)


def check_finite(stages: Sequence[np.ndarray], video: str) -> None:
    """Refuse NaN and infinities. raises: NotFiniteError with the video and the stage"""
    for number, stage in enumerate(stages):
        if not np.isfinite(stage).all():
            step = int(np.argmin(np.isfinite(stage).all(0)))
            raise NotFiniteError(
                f"the features of stage {number} are not finite from step {step} on",
                video=video,
                remedy="extract them again or leave the video out",
            )


class FeatureReader:
    """Reads stretches of features, and keeps the videos that it has read last."""

    def __init__(self, source: FeatureSource) -> None:
        self.source = source
        self._kept: dict[str, tuple[np.ndarray, ...]] = {}

    def stages(self, video: str) -> tuple[np.ndarray, ...]:
        """Return all features of a video. raises: NotFiniteError with the video and the stage"""
        if video not in self._kept:
            stages = tuple(self.source.features(video))
            check_finite(stages, video)
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[video] = stages
        return self._kept[video]

    def window(self, video: str, start: int, length: int) -> list[np.ndarray]:
        """Return the steps of each stage from a frame on, zeros beyond the video's end."""
        found = []
        for stage, stride in zip(self.stages(video), self.source.strides, strict=True):
            part, steps = stage[:, start // stride :][:, : length // stride], length // stride
            found.append(np.pad(part, ((0, 0), (0, steps - part.shape[1]))))
        return found

    def whole(self, video: str, length: int) -> list[np.ndarray]:
        """Return each stage of a whole video as if it had so many frames (``stretched``)."""
        pairs = zip(self.stages(video), self.source.strides, strict=True)
        return [stretched(stage, length // stride) for stage, stride in pairs]


def stretched(stage: np.ndarray, steps: int) -> np.ndarray:
    """Return a stage (channels, t) read at ``steps`` evenly spread places, linearly in between.

    >>> stretched(np.array([[0.0, 1.0, 2.0, 3.0]]), 2)
    array([[0.5, 2.5]])
    """
    places = (np.arange(steps) + 0.5) * stage.shape[1] / steps - 0.5
    places = np.clip(places, 0, stage.shape[1] - 1)
    left = places.astype(np.int64)
    right = np.minimum(left + 1, stage.shape[1] - 1)
    return stage[:, left] + (places - left) * (stage[:, right] - stage[:, left])


def _read(path: Path, video: str) -> tuple[tuple[np.ndarray, ...], int, float, tuple[int, ...]]:
    try:
        file = packed.arrays(path)
        frames, fps, *strides = file["about"].tolist()
        stages = tuple(file[f"stage{i}"] for i in range(len(strides)))
        frames, strides = int(frames), tuple(int(stride) for stride in strides)
        if any(stage.ndim != 2 or stage.dtype.kind != "f" for stage in stages) or min(strides) < 1:
            raise ValueError("stages that are no (channels, steps) of numbers")
        if frames < 1 or not 0 < fps < math.inf:
            raise ValueError(f"{frames} frames at {fps} a second")
    except MissingFileError:
        raise MissingFileError("the features are gone", file=path, video=video) from None
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        problem = error.problem if isinstance(error, StadError) else error
        raise FormatError(
            f"not a file of features ({problem})", file=path, video=video, remedy="extract the features again"
        ) from None
    check_finite(stages, video)
    return stages, frames, fps, strides
