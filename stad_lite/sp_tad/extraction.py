"""Features once and for all: a frozen backbone runs over every video, and training reads its sequences."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from stad_lite.arrays import as_numpy
from stad_lite.data.features import UNFINISHED, FeatureFolder, file_name, open_features, write_features
from stad_lite.data.source import VideoSource
from stad_lite.progress import progress
from stad_lite.records import atomic_write
from stad_lite.sp_tad.config import Backbone, SpTadConfig
from stad_lite.sp_tad.system import SpTadSystem
from stad_lite.sp_tad.windows import Timeline, Window, WindowReader
from stad_lite.systems.detect import evaluated
from stad_lite.systems.items import together
from stad_lite.systems.truth import segment_truth
from stad_lite.training import distributed


@torch.no_grad()
def extract_features(system: SpTadSystem, source: VideoSource, folder: str | PathLike[str]) -> FeatureFolder:
    """Write the stages of every video that has no file yet, and return them as a source.

    A video is read at the detector's rate in windows that do not overlap, crop in the middle; each window
    knows nothing of its neighbours, so features near its ends are those of a window that ends there.

    folder: one file a video; keep one backbone's features in it
    raises: FormatError where the backbone takes no frames, NotFiniteError with the video
    """
    reader = WindowReader(system.config, source)
    folder, strides = Path(folder), system.config.backbone.strides
    atomic_write(folder / UNFINISHED, lambda stream: stream.write(b""))
    with evaluated(system.network):
        for video in progress(source.videos, desc="features"):
            if not (folder / file_name(video)).is_file():
                line = reader.line(video)
                stages = _stages(system, reader, line)
                write_features(folder, video, stages, strides, len(line), 1 / line.seconds)
    (folder / UNFINISHED).unlink(missing_ok=True)
    return open_features(folder, segment_truth(source))


def _stages(system: SpTadSystem, reader: WindowReader, line: Timeline) -> list[np.ndarray]:
    device = next(system.network.parameters()).device
    parts = []
    for start in range(0, len(line), system.config.window):
        inputs = reader.read(Window(line.video, start, system.config.window), line)
        batch = distributed.to({name: together([clip]) for name, clip in inputs.items()}, device)
        parts.append([as_numpy(stage[0]) for stage in system.network.backbone(batch)])
    joined = [np.concatenate(stage, 1) for stage in zip(*parts, strict=True)]
    return [
        stage[:, : -(-len(line) // stride)]
        for stage, stride in zip(joined, system.config.backbone.strides, strict=True)
    ]


def on_features(config: SpTadConfig, features: FeatureFolder) -> SpTadConfig:
    """Return the same detector without its backbone, reading these features."""
    backbone = Backbone("features", channels=features.channels, strides=features.strides)
    return replace(config, backbone=backbone, fps=0.0)
