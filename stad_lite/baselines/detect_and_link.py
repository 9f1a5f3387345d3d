"""Detect and link, the field's baseline: boxes on every frame (or tubelets), linked into tubes, trimmed.

Source: Singh et al., Online Real-time Multiple Spatiotemporal Action Localisation and Prediction, Sec. 3;
Kalogeiton et al., Action Tubelet Detector, Sec. 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from stad_lite.arrays import check_finite_frames
from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import WindowDetections, decode
from stad_lite.baselines.system import Batch, DenseSystem, no_actors, read_streams
from stad_lite.data.source import VideoSource
from stad_lite.linking import TRIMS, Tubelets, link, link_tubelets
from stad_lite.progress import progress
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from stad_lite.systems.items import together
from stad_lite.tubes import Tube, cut_at

CHUNK = 64
"""Windows of a video that are looked at together."""
LEAST = 1e-3
"""Class scores below it are left out of the frame boxes."""


def detect(system: DenseSystem, source: VideoSource) -> Predictions:
    """Return frame boxes and linked tubes of all videos of a source.

    raises: FormatError where the source has another size than the config
    """
    source.check(system.config.size)
    videos = progress(source.videos, len(source.videos), "detecting")
    found = {video: find(system, source, video) for video in videos}
    counts = {video: source.num_frames(video) for video in found}
    return link_found(found, counts, system.config, system.classes)


def find(system: DenseSystem, source: VideoSource, video: str, chunk: int = CHUNK) -> WindowDetections:
    """Return the detections of a video; a window starts on every frame that has room for it.

    A video shorter than a window repeats its last frame.
    chunk: windows that are looked at together; the result does not depend on it
    raises: NotFiniteError
    """
    config, count = system.config, source.num_frames(video)
    length = max(count, config.frames)
    windows = length - config.frames + 1
    parts = []
    for first in range(0, windows, chunk):
        last = min(first + chunk, windows)
        low = max(0, first - sum(config.context))
        high = min(length, last + config.frames - 1 + sum(config.context))
        numbers = np.minimum(np.arange(low, high), count - 1)
        around = np.clip(np.arange(low - config.margin, high + config.margin), 0, count - 1)
        seen = read_streams(source, config, video, numbers, around)
        maps = system.maps(Batch(together([seen]), no_actors()))
        check_finite_frames("what the detector says", video, range(low, high), *(part[0] for part in maps))
        parts.append(_between(decode(maps, system.network.stride, source.size, config)[0], low, first, last))
    return WindowDetections(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _between(found: WindowDetections, shift: int, first: int, last: int) -> WindowDetections:
    """The windows that start from ``first`` to ``last``, of a part of the video that starts at ``shift``."""
    start = found.start + shift
    kept = (start >= first) & (start < last)
    return WindowDetections(start[kept], *(column[kept] for column in found[1:]))


def link_found(
    found: Mapping[str, WindowDetections],
    num_frames: Mapping[str, int],
    config: DenseConfig,
    classes: Sequence[str],
) -> Predictions:
    """Return predictions with frame boxes and tubes, linked and trimmed as the config says.

    found: detections by video
    num_frames: of each video
    """
    frames = {
        video: VideoPredictions(frames=frame_boxes(one, config.frames, num_frames[video]))
        for video, one in found.items()
    }
    predictions = Predictions(tuple(classes), frames)
    trim = TRIMS[config.trim]() if config.trim else None
    if config.linking == "online":
        return link(predictions, "online", trim=trim)
    videos = {}
    for video, one in found.items():
        tubelets = Tubelets(one.start, one.boxes, one.scores)
        tubes = link_tubelets(tubelets, None, predictions.classes, trim).tubes
        videos[video] = replace(frames[video], tubes=_inside(tubes, num_frames[video]))
    return replace(predictions, videos=videos)


def _inside(tubes: Sequence[Tube], count: int) -> tuple[Tube, ...]:
    """Tubes without the boxes that stand for repeated frames."""
    kept = (cut_at(tube, count) for tube in tubes)
    return tuple(tube for tube in kept if tube is not None)


def frame_boxes(found: WindowDetections, length: int, num_frames: int) -> FrameBoxes:
    """Return one set of boxes a frame: from the window that has the frame in its middle, where there is one.

    length: frames of a window; near the video's ends the first and last window give their other boxes
    returns: a row for each box and class with a score of at least ``LEAST``
    """
    windows = max(1, num_frames - length + 1)
    boxes, labels, scores, frames = [], [], [], []
    for frame in range(num_frames):
        window = min(max(frame - length // 2, 0), windows - 1)
        here = slice(*np.searchsorted(found.start, [window, window + 1]))
        row, label = np.nonzero(found.scores[here] >= LEAST)
        boxes.append(found.boxes[here][row, frame - window])
        labels.append(label)
        scores.append(found.scores[here][row, label])
        frames.append(np.full(len(row), frame))
    columns = (np.concatenate(column) for column in (frames, labels, boxes, scores))
    return FrameBoxes(*columns)


def without_classes(found: WindowDetections) -> WindowDetections:
    """Return the same detections with their actionness as the only score: is there an action at all?"""
    return found._replace(scores=found.actionness[:, None])
