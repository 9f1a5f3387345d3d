"""The dense detector as a system: building it, its training data, and detection on whole videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from stad_lite.baselines.config import DenseConfig
from stad_lite.baselines.dense import (
    Actors,
    DenseDetector,
    Maps,
    WindowDetections,
    decode,
    losses,
)
from stad_lite.data.clips import FrameRun, tubelets
from stad_lite.data.source import VideoSource
from stad_lite.data.transforms import Augment, Sample, sample
from stad_lite.errors import FormatError, UnknownLabelError
from stad_lite.nets.inputs import stacked
from stad_lite.nets.published import Trunk
from stad_lite.records import VideoAnnotation
from stad_lite.systems.detect import evaluated
from stad_lite.systems.items import Items, padded, run_title, some_places, stream_input
from stad_lite.systems.truth import actor_tubes, is_boxed, known_frames
from stad_lite.tubes import Tube


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
        with evaluated(self.network) as (network, place):
            found: Maps = network({name: stream.to(place) for name, stream in batch.inputs.items()})
        return found

    def predict(self, batch: Batch) -> list[WindowDetections]:
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


def trunks(system: DenseSystem) -> dict[str, Trunk]:
    """Return the networks that published weights fill, by stream; flow begins with those of RGB images."""
    backbones = system.network.backbones
    return {name: Trunk((net,), fed=system.config.normalise) for name, net in backbones.items()}


def training_item(
    run: FrameRun,
    rng: np.random.Generator,
    source: VideoSource,
    config: DenseConfig,
    tubes: Mapping[str, Sequence[Tube]],
) -> tuple[dict[str, Tensor], Sample, str]:
    """Return the network's input, the clip with its boxes, and its name, as training sees them.

    tubes: of every video (``actor_tubes``)
    """
    wide = widened(run, config.margin, source.num_frames(run.video))
    clip = read_run(source, wide, config, tubes[run.video])
    change = Augment(config.size, config.flip, config.crop, photometric=config.photometric)
    clip = change(clip, rng)
    middle = cut(clip, config.margin, len(run))
    return stream_inputs(middle.frames, clip.flow, config), middle, run_title(run)


def training_set(system: DenseSystem | DenseConfig, source: VideoSource) -> Items:
    """Return the clips that a system (or a config) trains on.

    raises: FormatError where the source has another size or no class, UnknownLabelError where it has classes
        that the system does not know
    """
    config = system if isinstance(system, DenseConfig) else system.config
    source.check(config.size)
    if not source.classes:
        raise FormatError("the source has no truth to train on", remedy="give one with annotations")
    if isinstance(system, DenseSystem) and tuple(source.classes) != system.classes:
        raise UnknownLabelError(
            f"the source's classes {', '.join(source.classes)} are not the system's", remedy="build it anew"
        )
    stride = max(1, config.clip // 4)
    annotated = source.annotations.videos
    names = [name for name in source.videos if is_boxed(annotated[name])]
    runs = [run for name in names for run in tubelets(name, source.num_frames(name), config.clip, stride)]
    runs = [run for run in runs if (known := _known(annotated[run.video], run)) is None or known.any()]
    tubes = {name: actor_tubes(annotated[name], source.classes) for name in names}
    some_places(source, [name for name in names if tubes[name]], "no video says where its actors are")
    left = len(source.videos) - len(names)
    notes = [f"videos without boxes, not trained on: {left}"] if left else []
    make = partial(training_item, source=source, config=config, tubes=tubes)
    return Items(runs, make, run_title, notes=notes)


def _known(video: VideoAnnotation, run: FrameRun) -> np.ndarray | None:
    """Which frames of a run have actors that are known, None for all."""
    known = known_frames(video)
    return None if known is None else np.isin(run.frames, known) & run.valid


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
    known = None if clip.known is None else clip.known[part]
    return replace(clip, frames=clip.frames[part], boxes=boxes, present=present, flow=flow, known=known)


def read_run(
    source: VideoSource, run: FrameRun, config: DenseConfig, tubes: Sequence[Tube] | None = None
) -> Sample:
    """Return frames, flow and boxes of a run; streams that the config does not use are not read.

    tubes: of its video, where they are at hand
    Frames that only fill up a clip beyond the video's end have no boxes.
    """
    shape = (len(run), *source.size, 3)
    nothing = np.broadcast_to(np.uint8(0), shape)
    frames = source.frames(run.video, run.frames) if "rgb" in config.streams else nothing
    flow = source.flow(run.video, run.frames) if "flow" in config.streams else None
    video, numbers = source.annotations.videos[run.video], np.where(run.valid, run.frames, -1)
    tubes = actor_tubes(video, source.classes) if tubes is None else tubes
    found = sample(frames, tubes, source.classes, numbers, flow)
    return replace(found, known=_known(video, run))


def stream_inputs(
    frames: np.ndarray | None, flow: np.ndarray | None, config: DenseConfig
) -> dict[str, Tensor]:
    """Return the network's input: stream -> (t, channels, h, w).

    frames: (t, h, w, 3) uint8
    flow: (t + 2 margin, h, w, 2) pixels a frame: with the maps before and after that are stacked
    """
    inputs = {}
    if "rgb" in config.streams and frames is not None:
        inputs["rgb"] = stream_input("rgb", frames, normalise=config.normalise)
    if "flow" in config.streams and flow is not None:
        maps = stream_input("flow", flow, config.flow_scale, config.normalise)
        inputs["flow"] = stacked(maps, config.flow_stack, config.flow_gap)
    return inputs


def no_actors(clips: int = 1) -> Actors:
    """Return the truth of clips of which nothing is known."""
    return Actors(torch.zeros(clips, 0, 1, 4), torch.zeros(clips, 0, 1) > 0, torch.zeros(clips, 0).long())


def _stacked_known(clips: Sequence[Sample]) -> Tensor | None:
    if all(clip.known is None for clip in clips):
        return None
    shape = len(clips[0].frames)
    rows = [np.ones(shape, bool) if clip.known is None else clip.known for clip in clips]
    return torch.as_tensor(np.stack(rows))


def collate(items: Sequence[tuple[dict[str, Tensor], Sample, str]]) -> Batch:
    """Return a batch of items of a ``TrainingSet``, padded to the clip with the most actors."""
    clips = [clip for _, clip, _ in items]
    actors = Actors(
        padded([torch.as_tensor(clip.boxes, dtype=torch.float32) for clip in clips]),
        padded([torch.as_tensor(clip.present) for clip in clips]),
        padded([torch.as_tensor(clip.labels) for clip in clips]),
        _stacked_known(clips),
    )
    inputs = {name: torch.stack([streams[name] for streams, _, _ in items]) for name in items[0][0]}
    return Batch(inputs, actors, tuple(name for _, _, name in items))
