"""The dense detector as a system: building it, its training data, and detection on whole videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import (
    Actors,
    DenseDetector,
    Found,
    Maps,
    decode,
    flow_input,
    losses,
    rgb_input,
    stacked,
)
from stad_lite.data.clips import FrameRun, tubelets
from stad_lite.data.source import VideoSource
from stad_lite.data.transforms import Augment, Sample, sample
from stad_lite.errors import FormatError, UnknownLabelError


class Batch(NamedTuple):
    """Clips of one length.

    inputs: stream -> (b, t, channels, h, w)
    actors: their boxes, padded to the clip with the most actors
    names: video and first frame of each
    """

    inputs: dict[str, Tensor]
    actors: Actors
    names: tuple[str, ...] = ()


@dataclass
class DenseSystem:
    """Network, matching and criterion (``loss``), decoding (``predict``) of one detector.

    network: with its weights
    config: as it was built
    classes: their names
    """

    network: DenseDetector
    config: DenseConfig
    classes: tuple[str, ...]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Return the weighted terms: ``actionness``, ``class``, ``box``."""
        maps = self.network(batch.inputs)
        return losses(maps, batch.actors, self.network.stride, self.config)

    @torch.no_grad()
    def maps(self, batch: Batch) -> Maps:
        """Return the raw outputs for each clip; the network is used in evaluation mode."""
        mode, place = self.network.training, next(self.network.parameters()).device
        self.network.eval()
        try:
            found: Maps = self.network({name: stream.to(place) for name, stream in batch.inputs.items()})
        finally:
            self.network.train(mode)
        return found

    def predict(self, batch: Batch) -> list[Found]:
        """Return the detections of each clip, in pixels."""
        size = next(iter(batch.inputs.values())).shape[-2:]
        return decode(self.maps(batch), self.network.stride, (size[0], size[1]), self.config)


def build(config: DenseConfig, classes: Sequence[str]) -> DenseSystem:
    """Return a new detector; its weights depend on torch's seed.

    classes: class names
    raises: FormatError without classes

    >>> build(DenseConfig.smoke(), ["run", "jump"]).classes
    ('run', 'jump')
    """
    if not classes:
        raise FormatError("there are no classes to tell apart", remedy="give annotations with classes")
    return DenseSystem(DenseDetector(config, len(classes)), config, tuple(classes))


@dataclass
class TrainingSet:
    """Clips of a source as a torch-style data set; the same (seed, epoch, index) gives the same item.

    source: at the config's size
    config: streams, length and augmentation of the clips
    seed, epoch: of the augmentation
    raises: FormatError where the source has another size or no class
    """

    source: VideoSource
    config: DenseConfig
    seed: int = 0
    epoch: int = 0
    runs: list[FrameRun] = field(init=False)

    def __post_init__(self) -> None:
        self.source.check(self.config.size)
        if not self.source.classes:
            raise FormatError("the source has no truth to train on", remedy="give one with annotations")
        stride = max(1, self.config.clip // 4)
        self.runs = [
            run
            for video in self.source.videos
            for run in tubelets(video, self.source.num_frames(video), self.config.clip, stride)
        ]

    def __len__(self) -> int:
        return len(self.runs)

    def name(self, index: int) -> str:
        """Return video and first frame of a clip."""
        return f"{self.runs[index].video} from frame {self.runs[index].start}"

    def __getitem__(self, index: int) -> tuple[dict[str, Tensor], Sample, str]:
        """Return the network's input, the clip with its boxes, and its name."""
        if not 0 <= index < len(self.runs):
            raise IndexError(f"clip {index} of {len(self.runs)}")
        config, run = self.config, self.runs[index]
        clip = read_run(self.source, widened(run, config.margin, self.source.num_frames(run.video)), config)
        generator = np.random.default_rng([self.seed, self.epoch, index])
        change = Augment(config.size, config.flip, config.crop, photometric=config.photometric)
        clip = change(clip, generator)
        middle = cut(clip, config.margin, len(run))
        return stream_inputs(middle.frames, clip.flow, config), middle, self.name(index)


def training_set(system: DenseSystem | DenseConfig, source: VideoSource) -> TrainingSet:
    """Return the clips that a system (or a config) trains on.

    raises: FormatError, UnknownLabelError where the source has classes that the system does not know
    """
    if isinstance(system, DenseConfig):
        return TrainingSet(source, system)
    if tuple(source.classes) != system.classes:
        raise UnknownLabelError(
            f"the source's classes {', '.join(source.classes)} are not the system's", remedy="build it anew"
        )
    return TrainingSet(source, system.config)


def widened(run: FrameRun, margin: int, num_frames: int) -> FrameRun:
    """Return a run of consecutive frames with as many more on either side; the video's ends repeat.

    Frames that are not in the run are not valid: there is no truth on them.
    """
    places = run.start + np.arange(-margin, len(run) + margin)
    valid = np.pad(run.valid, margin)
    return FrameRun(run.video, np.clip(places, 0, num_frames - 1), valid, run.start - margin)


def cut(clip: Sample, first: int, length: int) -> Sample:
    """Return some frames of a clip with their boxes and flow."""
    part = slice(first, first + length)
    flow = None if clip.flow is None else clip.flow[part]
    boxes, present = clip.boxes[:, part], clip.present[:, part]
    return replace(clip, frames=clip.frames[part], boxes=boxes, present=present, flow=flow)


def read_run(source: VideoSource, run: FrameRun, config: DenseConfig) -> Sample:
    """Return frames, flow and boxes of a run; streams that the config does not use are not read.

    Frames that only fill up a clip beyond the video's end have no boxes.
    """
    shape = (len(run), *source.size, 3)
    nothing = np.broadcast_to(np.uint8(0), shape)
    frames = source.frames(run.video, run.frames) if "rgb" in config.streams else nothing
    flow = source.flow(run.video, run.frames) if "flow" in config.streams else None
    tubes = source.annotations.videos[run.video].tubes or ()
    numbers = np.where(run.valid, run.frames, -1)
    return sample(frames, tubes, source.classes, numbers, flow)


def stream_inputs(
    frames: np.ndarray | None, flow: np.ndarray | None, config: DenseConfig
) -> dict[str, Tensor]:
    """Return the network's input: stream -> (t, channels, h, w).

    frames: (t, h, w, 3) uint8
    flow: (t + 2 margin, h, w, 2) pixels a frame: with the maps before and after that are stacked
    """
    inputs = {}
    if "rgb" in config.streams and frames is not None:
        inputs["rgb"] = rgb_input(frames)
    if "flow" in config.streams and flow is not None:
        maps = flow_input(flow, config.flow_scale)
        inputs["flow"] = stacked(maps, config.flow_stack, config.flow_gap)
    return inputs


def no_actors(clips: int = 1) -> Actors:
    """Return the truth of clips of which nothing is known."""
    return Actors(torch.zeros(clips, 0, 1, 4), torch.zeros(clips, 0, 1) > 0, torch.zeros(clips, 0).long())


def collate(items: Sequence[tuple[dict[str, Tensor], Sample, str]]) -> Batch:
    """Return a batch of items of a ``TrainingSet``, padded to the clip with the most actors."""
    clips = [clip for _, clip, _ in items]
    length, most = len(clips[0].frames), max(len(clip.labels) for clip in clips)
    boxes = torch.zeros(len(clips), most, length, 4)
    present = torch.zeros(len(clips), most, length, dtype=torch.bool)
    labels = torch.zeros(len(clips), most, dtype=torch.long)
    for i, clip in enumerate(clips):
        count = len(clip.labels)
        boxes[i, :count] = torch.as_tensor(clip.boxes, dtype=torch.float32)
        present[i, :count] = torch.as_tensor(clip.present)
        labels[i, :count] = torch.as_tensor(clip.labels)
    inputs = {name: torch.stack([streams[name] for streams, _, _ in items]) for name in items[0][0]}
    return Batch(inputs, Actors(boxes, present, labels), tuple(name for _, _, name in items))
