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
from stad_lite.systems.items import Items, padded, read_stream, run_title, some_places, together
from stad_lite.systems.seen import Seen, fed
from stad_lite.systems.truth import actor_tubes, is_boxed, known_frames
from stad_lite.training import distributed
from stad_lite.tubes import Tube


class Batch(NamedTuple):
    """Clips of one length.

    inputs: stream -> clips as they are stored
    actors: their boxes, padded to the clip with the most actors
    names: video and first frame of each
    """

    inputs: dict[str, Seen]
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
        maps = self.network(fed_inputs(batch.inputs, self.config))
        return losses(maps, batch.actors, self.network.stride, self.config)

    @torch.no_grad()
    def maps(self, batch: Batch) -> Maps:
        """Return the raw outputs for each clip; the network is used in evaluation mode."""
        with evaluated(self.network) as (network, place):
            found: Maps = network(fed_inputs(distributed.to(batch.inputs, place), self.config))
        return found

    def predict(self, batch: Batch) -> list[WindowDetections]:
        """Return the detections of each clip, in pixels."""
        return decode(self.maps(batch), self.network.stride, self.config.size, self.config)


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
) -> tuple[dict[str, Seen], Sample, str]:
    """Return a clip's streams as they are stored, its actors as they are shown, and its name.

    tubes: of every video (``actor_tubes``)
    """
    wide = widened(run, config.margin, source.num_frames(run.video))
    clip, change = Augment(config.flip, config.crop, config.photometric)(
        actors_of(source, wide, tubes[run.video]), rng
    )
    middle = wide.frames[config.margin : config.margin + len(run)]
    seen = read_streams(source, config, run.video, middle, wide.frames)
    shown = {name: one.changed(change) for name, one in seen.items()}
    return shown, cut(clip, config.margin, len(run)), run_title(run)


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
    """Return the actors on some frames of a clip."""
    part = slice(first, first + length)
    known = None if clip.known is None else clip.known[part]
    return replace(clip, boxes=clip.boxes[:, part], present=clip.present[:, part], known=known)


def actors_of(source: VideoSource, run: FrameRun, tubes: Sequence[Tube]) -> Sample:
    """Return the actors of a run; on frames that only fill up beyond the video's end there is none.

    tubes: of its video
    """
    video, numbers = source.annotations.videos[run.video], np.where(run.valid, run.frames, -1)
    return replace(sample(source.size, tubes, source.classes, numbers), known=_known(video, run))


def read_streams(
    source: VideoSource, config: DenseConfig, video: str, numbers: np.ndarray, around: np.ndarray
) -> dict[str, Seen]:
    """Return the streams that the config uses, as they are stored.

    numbers: (t,) frames
    around: (t + 2 margin,) the same with those before and after whose flow is stacked
    """
    wanted = {"rgb": numbers, "flow": around}
    return {
        name: Seen(torch.from_numpy(np.ascontiguousarray(read_stream(source, name, video, wanted[name]))))
        for name in config.streams
    }


def fed_inputs(seen: Mapping[str, Seen], config: DenseConfig) -> dict[str, Tensor]:
    """Return the network's input: stream -> (..., t, channels, h, w), flow with the maps around it."""
    inputs = {name: fed(one, name, config.flow_scale, config.normalise) for name, one in seen.items()}
    if "flow" in inputs:
        inputs["flow"] = stacked(inputs["flow"], config.flow_stack, config.flow_gap)
    return inputs


def no_actors(clips: int = 1) -> Actors:
    """Return the truth of clips of which nothing is known."""
    return Actors(torch.zeros(clips, 0, 1, 4), torch.zeros(clips, 0, 1) > 0, torch.zeros(clips, 0).long())


def _stacked_known(clips: Sequence[Sample]) -> Tensor | None:
    if all(clip.known is None for clip in clips):
        return None
    shape = clips[0].present.shape[1]
    rows = [np.ones(shape, bool) if clip.known is None else clip.known for clip in clips]
    return torch.as_tensor(np.stack(rows))


def collate(items: Sequence[tuple[dict[str, Seen], Sample, str]]) -> Batch:
    """Return a batch of items of a ``TrainingSet``, padded to the clip with the most actors."""
    clips = [clip for _, clip, _ in items]
    actors = Actors(
        padded([torch.as_tensor(clip.boxes, dtype=torch.float32) for clip in clips], least=1),
        padded([torch.as_tensor(clip.present) for clip in clips], least=1),
        padded([torch.as_tensor(clip.labels) for clip in clips], least=1),
        _stacked_known(clips),
    )
    inputs = together([streams for streams, _, _ in items])
    return Batch(inputs, actors, tuple(name for _, _, name in items))
