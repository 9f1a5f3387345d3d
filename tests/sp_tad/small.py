"""Small sources and batches for these tests."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from stad_lite.data.source import VideoSource
from stad_lite.data.synthetic.sequences import SequenceSettings, sequence_source
from stad_lite.records import Annotations, Segment, VideoAnnotation
from stad_lite.sp_tad.config import Backbone, SpTadConfig

SMOKE = SpTadConfig.smoke()
SEQUENCES = SequenceSettings.smoke()
CLASSES = SEQUENCES.class_names


def sequences(videos: int = 3, split: str = "train"):
    """Return a few feature sequences that the smoke configuration takes."""
    return sequence_source(SEQUENCES, videos, split)


@dataclass(frozen=True, eq=False)
class Stored:
    """Features that a test makes itself, as a source."""

    annotations: Annotations
    stages: dict
    strides: tuple[int, ...] = (2, 4, 8)
    channels: tuple[int, ...] = (8, 8, 8)
    rate: float = 10.0

    @property
    def videos(self):
        return tuple(self.annotations.videos)

    def num_frames(self, video):
        return self.stages[video][0].shape[1] * self.strides[0]

    def fps(self, video):
        return self.rate

    def features(self, video):
        return self.stages[video]


def stored(frames: int, segments: list[Segment], name: str = "a", seed: int = 0) -> Stored:
    """Return one video of random features with these segments (seconds, 10 frames a second)."""
    random = np.random.default_rng(seed)
    stages = tuple(random.normal(size=(8, frames // stride)).astype(np.float32) for stride in (2, 4, 8))
    video = VideoAnnotation(num_frames=frames, fps=10.0, duration=frames / 10, segments=tuple(segments))
    return Stored(Annotations("toy", ("run", "jump"), {name: video}), {name: stages})


RUN = (Segment("run", 1.0, 3.0),)


def clips(frames: int = 80, size=(24, 28), fps: float = 10.0, segments=RUN):
    """Return one video of random frames and flow."""
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    flow = random.normal(0, 3, (frames, *size, 2)).astype(np.float32)
    video = VideoAnnotation(num_frames=frames, fps=fps, duration=frames / fps, segments=tuple(segments))
    truth = Annotations("toy", ("run", "jump"), {"a": video})
    return VideoSource(truth, size, lambda _, n: pixels[n], lambda _, n: flow[n])


def frames_config(kind: str = "light", streams=("rgb", "flow"), **change) -> SpTadConfig:
    """Return the smoke configuration on frames of 24 x 24."""
    narrow = {"light": (4, 4, 4), "i3d": ()}[kind]
    backbone = Backbone(
        kind, streams, width=0.0625, stem=(4, 4), channels=narrow, norm="group", crop=(24, 24), flow_reach=4.0
    )
    return replace(SpTadConfig.smoke(backbone), size=(24, 28), fps=10.0, **change)


def random_inputs(batch: int = 2, window: int = SMOKE.window, seed: int = 0) -> dict[str, torch.Tensor]:
    """Return cached stages as the network takes them."""
    generator = torch.Generator().manual_seed(seed)
    return {
        str(i): torch.randn(batch, 8, window // stride, generator=generator)
        for i, stride in enumerate((2, 4, 8))
    }
