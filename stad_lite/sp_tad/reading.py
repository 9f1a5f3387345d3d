"""What a window's frames or cached features look like to the network."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stad_lite.data.features import FeatureSource, check_finite
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.sp_tad.config import SpTadConfig
from stad_lite.sp_tad.windows import Timeline, Window, slide, timeline

KEPT = 512
"""Videos whose features stay in memory."""


class WindowReader:
    """Reads windows of a source for one configuration.

    raises: FormatError where the source gives what the backbone does not take
    """

    def __init__(self, config: SpTadConfig, source: VideoSource | FeatureSource) -> None:
        self.config, self.source = config, source
        self._kept: dict[str, tuple[np.ndarray, ...]] = {}
        if is_cached(source) is config.backbone.reads_frames:
            gives, takes = ("features", "frames") if is_cached(source) else ("frames", "features")
            raise FormatError(
                f"the source gives {gives}, the backbone {config.backbone.kind} takes {takes}",
                remedy="choose another backbone or source",
            )
        if is_cached(source):
            given = (tuple(source.strides), tuple(source.channels))
            if given != (config.backbone.strides, config.backbone.channels):
                raise FormatError(
                    f"the features have strides {given[0]} and channels {given[1]}, the backbone expects "
                    f"{config.backbone.strides} and {config.backbone.channels}",
                    remedy="give these to Backbone",
                )
        elif isinstance(source, VideoSource) and not fits(source.size, config.backbone.crop):
            raise FormatError(
                f"frames of {source.size[0]} x {source.size[1]} are smaller than the crop of "
                f"{config.backbone.crop[0]} x {config.backbone.crop[1]}",
                remedy="open the source with a larger size",
            )

    def line(self, video: str) -> Timeline:
        """Return a video's timeline: places are feature frames, or frames at the configured rate."""
        frames, fps = self.source.num_frames(video), self.source.fps(video)
        squeeze = self.config.window if self.config.whole_video else 0
        rate = 0.0 if is_cached(self.source) else self.config.fps
        return timeline(video, frames, fps, rate, squeeze)

    def windows(self, line: Timeline, stride: int) -> list[Window]:
        """Return the windows of a timeline; those of features begin where every stage has a step."""
        config = self.config
        if config.whole_video:
            return [Window(line.video, 0, config.window)]
        step = config.backbone.strides[-1] if is_cached(self.source) else 1
        return slide(line, config.window, stride, step)

    def read(
        self, window: Window, line: Timeline, generator: np.random.Generator | None = None
    ) -> dict[str, Tensor]:
        """Return a window's inputs; what lies beyond the video's end is zero.

        generator: draws crop and flip; the middle and no flip without it
        """
        if is_cached(self.source):
            return self._features(self.source, window)
        return self._clips(window, line, generator)

    def _features(self, source: FeatureSource, window: Window) -> dict[str, Tensor]:
        if window.video not in self._kept:
            stages = source.features(window.video)
            check_finite(stages, window.video)
            if len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[window.video] = stages
        found = {}
        for number, (stage, stride) in enumerate(
            zip(self._kept[window.video], self.config.backbone.strides, strict=True)
        ):
            steps = window.length // stride
            if self.config.whole_video:
                part = stretched(stage, steps)
            else:
                part = _filled(stage[:, window.start // stride :][:, :steps], steps)
            found[str(number)] = torch.from_numpy(np.ascontiguousarray(part, dtype=np.float32))
        return found

    def _clips(
        self, window: Window, line: Timeline, generator: np.random.Generator | None
    ) -> dict[str, Tensor]:
        assert isinstance(self.source, VideoSource)
        backbone = self.config.backbone
        frames = line.frames[window.start : window.start + window.length]
        (height, width), (h, w) = self.source.size, backbone.crop
        if generator is None:
            top, left, flip = (height - h) // 2, (width - w) // 2, False
        else:
            top, left = int(generator.integers(height - h + 1)), int(generator.integers(width - w + 1))
            flip = bool(generator.random() < 0.5)
        found = {}
        for stream in backbone.streams:
            read = self.source.frames if stream == "rgb" else self.source.flow
            maps = read(window.video, frames)[:, top : top + h, left : left + w]
            maps = maps[:, :, ::-1] if flip else maps
            clip = torch.from_numpy(np.ascontiguousarray(maps.transpose(3, 0, 1, 2))).float()
            if stream == "rgb":
                clip = clip.div_(127.5).sub_(1)
            else:
                clip = clip.div_(backbone.flow_reach).clamp_(-1, 1)
                if flip:
                    clip[0] *= -1
            found[stream] = F.pad(clip, (0, 0, 0, 0, 0, window.length - clip.shape[1]))
        return found


def fits(size: tuple[int, int], crop: tuple[int, int]) -> bool:
    """Return whether a crop (height, width) lies inside a frame of this size."""
    return size[0] >= crop[0] and size[1] >= crop[1]


def is_cached(source: VideoSource | FeatureSource) -> TypeGuard[FeatureSource]:
    """Return whether a source gives features in place of frames."""
    return not isinstance(source, VideoSource)


def _filled(stage: np.ndarray, steps: int) -> np.ndarray:
    return np.pad(stage, ((0, 0), (0, steps - stage.shape[1])))


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
