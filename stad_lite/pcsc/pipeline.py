"""PCSC from a source of videos to predictions: data set, detections of frames, tubes, trimming.

config = PCSCConfig.lesson()
system = build(config, source.classes)
fit(system, training_set(system, source), schedule("lesson"), run_dir, collate=collate)
finish(system, source)                    # actionness, for untrimmed videos
predictions = detect(system, other_source)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.arrays import as_numpy, check_finite_frames
from stad_lite.baselines.pretraining import pretrained
from stad_lite.data.clips import key_frame
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError, StadError
from stad_lite.linking import from_rows, link_online
from stad_lite.linking.build import Linked
from stad_lite.pcsc import actionness
from stad_lite.pcsc.actionness import TubeBoxes
from stad_lite.pcsc.config import PCSCConfig
from stad_lite.pcsc.cooperation import STREAMS
from stad_lite.pcsc.features import FrameMaps, clips, frame_maps, stream_clip
from stad_lite.pcsc.model import Found, Outputs, PCSCSystem, decode, output_after
from stad_lite.progress import progress
from stad_lite.records import FrameBoxes, Predictions, VideoAnnotation, VideoPredictions

BATCH = 16
"""Key frames that are looked at together in inference."""


def build(config: PCSCConfig, classes: Sequence[str], pretraining: int = 0) -> PCSCSystem:
    """Return a new system; small networks start from their pretrained weights (``config.pretrained``).

    The caller sets the seed.
    pretraining: seed of the pretrained weights
    raises: FormatError for no classes
    """
    system = PCSCSystem(config, tuple(classes))
    for stream in system.network.backbones:
        if config.pretrained:
            state = pretrained(stream, config.pretrained, pretraining).state_dict()
            system.network.backbones[stream].load_state_dict(state)
    return system


@dataclass
class KeyFrames:
    """Key frames with their neighbours as a torch-style data set; a key frame holds an annotated action.

    places: (video, frame) of each
    maps: of the frames, None for I3D, which sees the frames themselves
    epoch: the training loop sets it; half of the clips are mirrored, by (seed, epoch, index)
    Source: PCSC Sec. 3.5.
    """

    config: PCSCConfig
    source: VideoSource
    places: tuple[tuple[str, int], ...]
    maps: FrameMaps | None = None
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.places)

    def name(self, index: int) -> str:
        """Return what an item is called."""
        video, frame = self.places[index]
        return f"{video} frame {frame}"

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        video, frame = self.places[index]
        config, count = self.config, self.source.num_frames(video)
        run = key_frame(video, count, frame, config.frames, config.gap)
        mirror = self.mirrors and np.random.default_rng([self.seed, self.epoch, index]).random() < 0.5
        item = {s: stream_clip(self.source, config, s, run, self.maps, mirror) for s in STREAMS}
        boxes, labels = boxes_on(self.source.annotations.videos[video], frame, self.source.classes)
        boxes = mirrored(boxes, config.size[1]) if mirror else boxes
        return {
            **item,
            "boxes": torch.as_tensor(boxes, dtype=torch.float32),
            "labels": torch.as_tensor(labels),
        }

    @property
    def mirrors(self) -> bool:
        """Whether items may be mirrored: clips always, maps where those of the mirror images are there."""
        return self.maps is None or bool(self.maps.mirrored)


def mirrored(boxes: np.ndarray, width: float) -> np.ndarray:
    """Return boxes (n, 4) xyxy pixels as a mirror shows them.

    >>> mirrored(np.array([[1.0, 2.0, 5.0, 6.0]]), width=8).tolist()
    [[3.0, 2.0, 7.0, 6.0]]
    """
    return boxes[:, [2, 1, 0, 3]] * np.array([-1.0, 1, -1, 1]) + np.array([width, 0.0, width, 0])


def boxes_on(video: VideoAnnotation, frame: int, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the true boxes (m, 4) xyxy pixels and class indices (m,) on a frame."""
    tubes = [tube for tube in video.tubes or () if tube.start <= frame < tube.end]
    boxes = [tube.boxes[frame - tube.start] for tube in tubes]
    labels = [list(classes).index(tube.label) for tube in tubes]
    if video.frames is not None:
        on = video.frames.frame == frame
        boxes, labels = boxes + list(video.frames.box[on]), labels + video.frames.label[on].tolist()
    return np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(labels, dtype=np.int64)


def key_frames(source: VideoSource, every: int = 1) -> tuple[tuple[str, int], ...]:
    """Return (video, frame) of all frames that hold a true box.

    every: keep each ``every``-th frame of a video (10: the mini set of PCSC Sec. 4.3)
    """
    places = []
    for name, video in source.annotations.videos.items():
        held = {frame for tube in video.tubes or () for frame in tube.frames.tolist()}
        if video.frames is not None:
            held |= set(video.frames.frame.tolist())
        places += [(name, frame) for frame in sorted(held) if frame % every == 0]
    return tuple(places)


def training_set(system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None) -> KeyFrames:
    """Return the key frames of a source; the small networks' maps are computed now unless they are given.

    raises: FormatError where classes or size are not the system's, or no frame holds an action
    """
    config = system.config
    source.check(config.size, flow=True, classes=system.classes)
    places = key_frames(source, config.every)
    if not places:
        raise FormatError(
            "no frame holds an annotated action",
            file=source.annotations.dataset,
            remedy="choose another subset",
        )
    if config.trunk == "stack" and maps is None:
        maps = frame_maps(system.network, source, mirror=True)
    return KeyFrames(config, source, places, maps)


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return a batch: clips stacked, boxes (b, m, 4) and labels (b, m) padded with zeros and -1."""
    boxes, labels = padded_truth([(item["boxes"], item["labels"]) for item in items])
    streams = {stream: torch.stack([item[stream].float() for item in items]) for stream in STREAMS}
    return {**streams, "boxes": boxes, "labels": labels}


def padded_truth(frames: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
    """Return the true boxes (b, m, 4) and labels (b, m) of frames, padded with zeros and -1."""
    most = max([1, *(len(labels) for _, labels in frames)])
    boxes, labels = torch.zeros(len(frames), most, 4), torch.full((len(frames), most), -1)
    for row, (some, names) in enumerate(frames):
        boxes[row, : len(names)] = torch.as_tensor(some, dtype=torch.float32)
        labels[row, : len(names)] = torch.as_tensor(names)
    return boxes, labels


@dataclass(frozen=True, eq=False)
class Seen:
    """The detections of one video, after each stage or after the last alone.

    stages: one a stage, rows in the order of frames
    features: (n, features) of the last one's rows, for actionness
    also: the same after each stage under another ``combine``
    """

    stages: tuple[FrameBoxes, ...]
    features: np.ndarray
    also: dict[str, tuple[FrameBoxes, ...]] = field(default_factory=dict)


@torch.no_grad()
def look(
    system: PCSCSystem,
    source: VideoSource,
    maps: FrameMaps | None = None,
    last: bool = False,
    also: Sequence[str] = (),
) -> Iterator[tuple[str, Seen]]:
    """Yield every video's detections after each stage.

    maps: of the small networks, computed video by video where they are not given
    last: only those after the last stage
    also: other values of ``combine`` to tell the same by
    raises: FormatError, NotFiniteError
    """
    source.check(system.config.size, flow=True)
    network, config, training = system.network, system.config, system.network.training
    network.eval()
    device = next(network.parameters()).device
    try:
        for video in progress(source.videos, desc="detecting"):
            known = (
                maps if maps is not None or config.trunk == "i3d" else frame_maps(network, source, [video])
            )
            if known is not None:
                known.check(video)
            wanted = range(config.stages if last else 0, config.stages + 1)
            ways = {way: replace(config, combine=way) for way in (config.combine, *also)}
            rows: dict[str, list[list[Any]]] = {way: [[] for _ in wanted] for way in ways}
            features = []
            for numbers, clip in clips(source, config, video, known, BATCH):
                outputs = network(clip["rgb"].to(device), clip["flow"].to(device))
                check_outputs(outputs, video, numbers)
                for way, chosen in ways.items():
                    found = [decode(output_after(outputs, chosen, number)) for number in wanted]
                    for stage, frames in zip(rows[way], found, strict=True):
                        stage += list(zip(numbers.tolist(), frames, strict=True))
                    if way == config.combine:
                        boxes, item = _flat(found[-1], device)
                        features.append(as_numpy(network.describe(outputs.levels, boxes, item)))
            told = {way: tuple(map(_rows, stages)) for way, stages in rows.items()}
            yield video, Seen(told.pop(config.combine), np.concatenate(features), told)
    finally:
        network.train(training)


def check_outputs(outputs: Outputs, video: str, numbers: np.ndarray) -> None:
    """Refuse what the network says of some frames where it is not finite. raises: NotFiniteError"""
    of_regions = [raw for pair in outputs.rpn.values() for raw in pair]
    of_stages = [raw for stage in outputs.stages for raw in (stage.logits, stage.offsets)]
    check_finite_frames("what the network says", video, numbers, *of_regions, *of_stages)


def _flat(frames: Sequence[Found], device: torch.device) -> tuple[Tensor, Tensor]:
    """The boxes of a batch of frames in one table, and the frame of each."""
    boxes = np.concatenate([found.boxes for found in frames])
    item = np.repeat(np.arange(len(frames)), [len(found.boxes) for found in frames])
    return torch.as_tensor(boxes, device=device), torch.as_tensor(item, device=device)


def _rows(frames: Sequence[tuple[int, Found]]) -> FrameBoxes:
    numbers = np.repeat([number for number, _ in frames], [len(found.labels) for _, found in frames])
    names = ("labels", "boxes", "scores")
    columns = [np.concatenate([getattr(found, name) for _, found in frames]) for name in names]
    return FrameBoxes(numbers.astype(np.int64), *columns)


def tubes_of(rows: FrameBoxes, config: PCSCConfig, classes: Sequence[str]) -> Linked:
    """Link a video's detections online, without temporal labelling (PCSC Sec. 3.4).

    ``members`` of the result are rows.
    """
    assert rows.score is not None
    found = from_rows(rows.frame, rows.label, rows.box, rows.score, len(classes))
    return link_online(found, config.linking, classes)


def detect(system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None) -> Predictions:
    """Return detections of frames and tubes of all videos.

    Tubes are trimmed where actionness has been trained (``finish``).
    """
    videos = {}
    for video, seen in look(system, source, maps, last=True):
        rows = seen.stages[-1]
        linked = tubes_of(rows, system.config, system.classes)
        tubes = linked.tubes
        if bool(system.network.actionness.trained.any()):
            under_way = along(system, seen, linked)
            for tube, scores in zip(tubes, under_way, strict=True):
                check_finite_frames("the actionness", video, tube.frames, scores)
            tubes = actionness.refine(tubes, under_way, system.config.trim).tubes
        videos[video] = VideoPredictions(tubes=tubes, frames=rows)
    return Predictions(system.classes, videos)


def along(system: PCSCSystem, seen: Seen, linked: Linked) -> list[np.ndarray]:
    """Return the actionness of every tube on each of its frames."""
    rows, detectors = seen.stages[-1], system.network.actionness
    return [
        actionness.scores_along(
            tube, rows.frame[member], seen.features[member], system.classes.index(tube.label), detectors
        )
        for tube, member in zip(linked.tubes, linked.members, strict=True)
    ]


def tube_boxes(system: PCSCSystem, seen: Seen, truth: VideoAnnotation) -> TubeBoxes:
    """Return the boxes of a video's tubes with their labels, to train actionness on."""
    rows = seen.stages[-1]
    linked = tubes_of(rows, system.config, system.classes)
    members = [*linked.members, np.zeros(0, dtype=np.int64)]
    member = np.concatenate(members).astype(np.int64)
    frame, box, label = rows.frame[member], rows.box[member], rows.label[member]
    wanted = actionness.targets(frame, box, label, truth, system.classes)
    return TubeBoxes(seen.features[member], label, wanted)


def finish(
    system: PCSCSystem, source: VideoSource, maps: FrameMaps | None = None, seed: int = 0
) -> tuple[int, ...]:
    """Train the actionness detectors on the tubes that the trained detector finds in the training videos.

    returns: (classes,) boxes that each class learned from, 0 where none could be trained
    Source: PCSC Sec. 3.4; not for trimmed videos (Sec. 4.2.2), where all counts are 0.
    """
    if is_trimmed(source):
        return (0,) * len(system.classes)
    truth = source.annotations.videos
    found = [tube_boxes(system, seen, truth[video]) for video, seen in look(system, source, maps, last=True)]
    try:
        return actionness.train_actionness(system.network.actionness, found, seed=seed)
    except StadError as error:
        raise error.at(file=source.annotations.dataset) from None


def is_trimmed(source: VideoSource) -> bool:
    """Tell whether every video's tubes last from its first frame to its last."""
    return all(
        (tube.start, tube.end) == (0, video.num_frames)
        for video in source.annotations.videos.values()
        for tube in video.tubes or ()
    )
