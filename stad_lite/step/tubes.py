"""From the detections of clips to boxes on frames and to tubes (STEP Sec. 3.5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from stad_lite.data.clips import FrameRun
from stad_lite.data.source import VideoSource
from stad_lite.linking import LabelSmoothing, link_tubelets
from stad_lite.linking.detections import Detections
from stad_lite.records import FrameBoxes, Predictions, VideoPredictions
from stad_lite.step.config import Input, StepConfig
from stad_lite.systems.detect import Found, joined
from stad_lite.tubes import Tube, cut_at


def on_frames(
    runs: Sequence[FrameRun], found: Sequence[Found], num_frames: int, config: StepConfig
) -> FrameBoxes:
    """Return the boxes of every frame: those of the clip whose middle is nearest, the earlier of two.

    runs: clips of one video
    found: the detections of each
    """
    middles = np.array([run.start + (config.clip - 1) / 2 for run in runs])
    frames = np.arange(num_frames)
    nearest = np.abs(frames[:, None] - middles).argmin(1)
    boxes = [every_frame(one.boxes, config) for one in found]
    columns: list[tuple[np.ndarray, ...]] = []
    for frame, place in enumerate(nearest):
        one, offset = found[place], frame - runs[place].start
        if 0 <= offset < config.clip:
            columns.append((np.full(len(one), frame), one.labels, boxes[place][:, offset], one.scores))
    empty = (np.zeros(0, int), np.zeros(0, int), np.zeros((0, 4)), np.zeros(0))
    return FrameBoxes(*(np.concatenate(column) for column in zip(empty, *columns, strict=True)))


def on_keys(keys: Sequence[int] | np.ndarray, found: Sequence[Found], config: Input) -> FrameBoxes:
    """Return the boxes of key frames, each the first of the right half of a clip of its own.

    found: the detections of the clip of each
    """
    every = joined(found)
    boxes = every_frame(every.boxes, config)[:, config.clip // 2]
    return FrameBoxes(
        np.repeat(np.asarray(keys), [len(one) for one in found]), every.labels, boxes, every.scores
    )


def every_frame(boxes: np.ndarray, config: Input) -> np.ndarray:
    """Return boxes on each frame of a clip: those of I3D stand for 4 frames and are interpolated.

    boxes: (n, config.boxes, 4)
    returns: (n, config.clip, 4)
    """
    stride = config.time_stride
    if stride == 1:
        return boxes
    places = (np.arange(config.clip) - stride // 2) / stride
    weights = np.stack([np.interp(places, np.arange(config.boxes), row) for row in np.eye(config.boxes)], 1)
    return np.einsum("fb,nbs->nfs", weights, boxes)


def link_clips(
    runs: Sequence[FrameRun],
    found: Sequence[Found],
    num_frames: int,
    config: StepConfig,
    classes: Sequence[str],
) -> tuple[Tube, ...]:
    """Return the tubes of one video: tubelets linked within each class, then trimmed in time.

    No suppression crosses the classes. A tube's score is the mean of its boxes'; one of which the trimming
    would leave nothing stays whole.
    Source: STEP Sec. 3.5; Kalogeiton et al. for the linking, Saha et al. for the trimming.
    """
    every = joined(found)
    start = np.repeat([max(0, run.start) for run in runs], [len(one) for one in found]).astype(np.int64)
    if not len(every):
        return ()
    boxes, order = every_frame(every.boxes, config), np.arange(len(every))
    tubelet = Detections(start, boxes, every.labels, every.scores, order, len(classes))
    reach = config.linking.reach or max(config.stride, config.clip - 1)
    linking = replace(config.linking, reach=reach)
    trim = LabelSmoothing(alpha=config.trim_alpha, empty="keep")
    linked = link_tubelets(tubelet, linking, classes, trim)
    inside = (cut_at(tube, num_frames) for tube in linked.tubes)  # without frames that only fill up a clip
    return tuple(tube for tube in inside if tube is not None)


def assemble(
    config: StepConfig,
    classes: Sequence[str],
    source: VideoSource,
    looks: Iterable[tuple[str, Sequence[FrameRun], Sequence[Found]]],
) -> Predictions:
    """Return the predictions of what was found in each video's clips.

    Where only some frames count (AVA), there are boxes on those and no tubes.
    """
    videos = {}
    for video, runs, found in looks:
        count = source.num_frames(video)
        keys = source.annotations.videos[video].evaluated_frames
        if keys is None:
            frames = on_frames(runs, found, count, config)
            videos[video] = VideoPredictions(link_clips(runs, found, count, config, classes), frames)
        else:
            videos[video] = VideoPredictions(frames=on_keys(keys, found, config))
    return Predictions(tuple(classes), videos)
