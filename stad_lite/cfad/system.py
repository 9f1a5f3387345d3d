"""CFAD from a source of videos to tubes: data set, kept features, prediction. No linking anywhere.

config = CfadConfig.lesson()
system = build(config, source.classes)
fit(system, training_set(system, source), schedule("lesson"), run_dir, collate=collate)
predictions = detect(system, other_source)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stad_lite.anchors import kmeans_sizes
from stad_lite.baselines.pretraining import pretrained
from stad_lite.cfad.config import CfadConfig
from stad_lite.cfad.criterion import losses
from stad_lite.cfad.decoding import find_tubes, frame_boxes
from stad_lite.cfad.matching import Truth
from stad_lite.cfad.model import CfadNetwork
from stad_lite.cfad.refine import key_labels
from stad_lite.data.clips import resampled
from stad_lite.data.source import VideoSource
from stad_lite.errors import FormatError
from stad_lite.nets.inputs import flow_input, rgb_input
from stad_lite.progress import progress
from stad_lite.records import Predictions, VideoPredictions
from stad_lite.tubes import Tube


class CfadSystem:
    """CFAD as the training loop sees it: network, criterion, decoding.

    classes: names
    raises: FormatError for no classes
    """

    def __init__(self, config: CfadConfig, classes: Sequence[str]) -> None:
        if not classes:
            raise FormatError("CFAD for no classes", remedy="give the class names")
        self.config, self.classes = config, tuple(classes)
        self.network = CfadNetwork(config, len(self.classes))

    def maps(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return a batch's maps (b, t, c, h, w): those it brings along, or the backbone's of its frames."""
        return batch["maps"].float() if "maps" in batch else self.network.maps(batch["frames"])

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted terms (``criterion.losses``)."""
        return losses(self.network, self.maps(batch), batch)

    @torch.no_grad()
    def predict(self, batch: dict[str, Tensor]) -> list[tuple[Tube, ...]]:
        """Return the tubes of every video of a batch, with ``counts`` (b,) of their frames."""
        self.network.eval()
        features = self.network.features(self.maps(batch))
        return find_tubes(self.network, features, batch["counts"].tolist(), self.classes)


def build(config: CfadConfig, classes: Sequence[str]) -> CfadSystem:
    """Return a new system; a small backbone starts from its pretrained weights (``config.pretrained``).

    The caller sets the seed.
    raises: FormatError for no classes
    """
    system = CfadSystem(config, classes)
    if config.pretrained and config.backbone == "small":
        known = pretrained(config.stream, config.pretrained)
        system.network.backbone.load_state_dict(known.state_dict())
    return system


@dataclass
class Videos:
    """Resampled videos as a torch-style data set.

    truths: of each video, without mirror
    maps: (video, mirrored) -> (t, c, h, w) float16, empty where the backbone sees the frames themselves
    flip: probability of the mirror image
    epoch: the training loop sets it; in the first ``config.proposal_epochs`` items say that they are ``warm``
    """

    config: CfadConfig
    source: VideoSource
    truths: Mapping[str, Truth]
    maps: Mapping[tuple[str, bool], np.ndarray] = field(default_factory=dict)
    flip: float = 0.5
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.truths)

    def name(self, index: int) -> str:
        """Return what an item is called."""
        return list(self.truths)[index]

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        video, turned = self.name(index), bool(rng.random() < self.flip)
        truth = mirrored(self.truths[video], self.config.size[1]) if turned else self.truths[video]
        seen = see(self.config, self.source, video, self.maps, turned)
        return {**seen, **truth._asdict(), "warm": torch.tensor(self.epoch < self.config.proposal_epochs)}


def see(
    config: CfadConfig,
    source: VideoSource,
    video: str,
    maps: Mapping[tuple[str, bool], np.ndarray],
    turned: bool = False,
) -> dict[str, Tensor]:
    """Return what the network is given of a video: ``maps`` that are kept, else ``frames``."""
    if (video, turned) in maps:
        return {"maps": torch.from_numpy(maps[video, turned])}
    return {"frames": read_input(config, source, video, turned)}


def read_input(config: CfadConfig, source: VideoSource, video: str, turned: bool = False) -> Tensor:
    """Return a resampled video as the backbone takes it: (T, channels, h, w) float.

    turned: as a mirror shows it: x turns round, and flow along x its sign
    """
    numbers = resampled(video, source.num_frames(video), config.length).frames
    parts = [rgb_input(source.frames(video, numbers))]
    if config.stream == "early":
        flow = flow_input(source.flow(video, numbers), config.flow_scale)
        parts.append(flow * flow.new_tensor([-1.0, 1.0])[:, None, None] if turned else flow)
    stacked = torch.cat(parts, 1)
    return stacked.flip(-1) if turned else stacked


def truth_of(config: CfadConfig, source: VideoSource, video: str) -> Truth:
    """Return the tubes of a video on its resampled frames.

    A tube between two of these frames has the one nearest to its middle.
    """
    places = resampled(video, source.num_frames(video), config.length).frames
    tubes = source.annotations.videos[video].tubes or ()
    boxes, spans = np.zeros((len(tubes), config.length, 4)), np.zeros((len(tubes), 2))
    own = []
    for row, tube in enumerate(tubes):
        inside = np.flatnonzero((places >= tube.start) & (places < tube.end))
        if not len(inside):
            inside = np.array([np.abs(places - (tube.start + tube.end - 1) / 2).argmin()])
        own.append(tube.boxes[(places[inside] - tube.start).clip(0, len(tube) - 1)])
        boxes[row, inside], spans[row] = own[-1], (inside[0], inside[-1] + 1)
    labels = torch.tensor([source.classes.index(tube.label) for tube in tubes], dtype=torch.long)
    keys = key_labels(own, config) if own else np.zeros((0, config.samples))
    return Truth(_float(boxes), _float(spans), labels, _float(keys))


def _float(values: np.ndarray) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32)


def mirrored(truth: Truth, width: int) -> Truth:
    """Return a truth as a mirror shows it, in frames of a width in pixels; keys know no side."""
    boxes = truth.boxes[..., [2, 1, 0, 3]]
    turned = boxes * boxes.new_tensor([-1.0, 1, -1, 1]) + boxes.new_tensor([width, 0, width, 0])
    return truth._replace(boxes=torch.where((boxes != 0).any(-1, keepdim=True), turned, boxes))


def training_set(
    system: CfadSystem, source: VideoSource, maps: Mapping[tuple[str, bool], np.ndarray] | None = None
) -> Videos:
    """Return the videos of a source that hold an action; the anchor boxes are clustered from their boxes.

    maps: kept ones (``kept_maps``); for a frozen backbone they are computed now unless they are given
    raises: FormatError where classes or size are not the system's, no video holds an action, or their boxes
        have fewer different sizes than there are anchors
    """
    config = system.config
    source.check(config.size, config.stream == "early", system.classes)
    truths = {video: truth_of(config, source, video) for video in source.videos}
    truths = {video: truth for video, truth in truths.items() if len(truth.labels)}
    if not truths:
        raise FormatError(
            "no video holds an annotated action",
            file=source.annotations.dataset,
            remedy="choose another subset",
        )
    there = torch.cat([truth.boxes.flatten(0, 1) for truth in truths.values()])
    there = there[(there != 0).any(1)].double()
    sizes = kmeans_sizes((there[:, 2:] - there[:, :2]).numpy(), config.anchors)
    system.network.sizes.copy_(torch.as_tensor(sizes))
    if maps is None:
        maps = kept_maps(system, source.subset(truths), mirror=True) if config.frozen else {}
    return Videos(config, source, truths, maps)


@torch.no_grad()
def kept_maps(
    system: CfadSystem, source: VideoSource, mirror: bool = False
) -> dict[tuple[str, bool], np.ndarray]:
    """Return the backbone's maps of all videos, with ``mirror`` of their mirror images too, float16."""
    network = system.network
    device = next(network.parameters()).device
    found = {}
    for video in progress(source.videos, desc="features"):
        for turned in (False, True)[: 1 + mirror]:
            frames = read_input(system.config, source, video, turned)[None].to(device)
            found[video, turned] = network.maps(frames)[0].half().cpu().contiguous().numpy()
    return found


def collate(items: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return a batch: what is seen stacked, truths padded to the largest number, ``valid`` where they are."""
    counts = torch.tensor([len(item["labels"]) for item in items])
    batch = {"valid": torch.arange(max(1, int(counts.max()))) < counts[:, None]}
    for name in items[0]:
        values = [item[name] for item in items]
        if name in Truth._fields:
            values = [_padded(value, batch["valid"].shape[1]) for value in values]
        batch[name] = torch.stack(values)
    return batch


def _padded(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values.new_zeros(length - len(values), *values.shape[1:])])


def detect(
    system: CfadSystem, source: VideoSource, maps: Mapping[tuple[str, bool], np.ndarray] | None = None
) -> Predictions:
    """Return the tubes of every video, and their boxes on frames with the tubes' scores.

    maps: kept ones; what is not among them is read
    raises: FormatError
    """
    config = system.config
    source.check(config.size, config.stream == "early")
    device = next(system.network.parameters()).device
    videos: dict[str, Any] = {}
    for video in progress(source.videos, desc="detecting"):
        seen = see(config, source, video, maps or {})
        batch = {name: value[None].to(device) for name, value in seen.items()}
        (tubes,) = system.predict({**batch, "counts": torch.tensor([source.num_frames(video)])})
        videos[video] = VideoPredictions(tubes, frame_boxes(tubes, system.classes))
    return Predictions(system.classes, videos)
